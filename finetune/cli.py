"""`python -m finetune`: data, recipes, plans, training, evaluation and export."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esc_demo.errors import EscError
from finetune.data.cli import app as data_app
from finetune.generate.cli import generate_command
from finetune.metrics.cli import score
from finetune.studies.cli import study_command

if TYPE_CHECKING:
    from finetune.recipes import Recipe

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(data_app, name="data")
app.command("generate")(generate_command)
app.command("score")(score)
app.command("study")(study_command)
bench_app = typer.Typer(invoke_without_command=True)
app.add_typer(bench_app, name="bench")

RecipeName = Annotated[str, typer.Argument(help="Name in finetune/recipe_files, or a YAML path")]
DataPath = Annotated[
    Path | None, typer.Option(help="Data file or folder instead of the recipe's training data")
]


@app.command()
def train(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option(help="Folder of the run [runs/NAME]")] = None,
    data: DataPath = None,
    resume: Annotated[bool, typer.Option(help="Go on where the run in --out stopped")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bars")] = False,
) -> None:
    """Train as RECIPE says; prints the figures as JSON. Ctrl-C saves and exits with 130."""
    loaded = _recipe(recipe, data)  # before the slow imports: a wrong name is told at once
    from finetune.runs import RUNS  # noqa: PLC0415 (keeps --help quick)
    from finetune.train import train as run  # noqa: PLC0415

    # A server started in the background hands on an ignored Ctrl-C; a run must hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = out or RUNS / loaded.name
    typer.echo(json.dumps(run(loaded, folder, resume=resume, quiet=quiet), indent=2))


@app.command()
def show(
    recipe: RecipeName,
    samples: Annotated[int, typer.Option(min=1, help="How many dialogues to show")] = 2,
    data: DataPath = None,
) -> None:
    """Print a few training sequences; what has loss is coloured."""
    from finetune.show import show_samples  # noqa: PLC0415

    show_samples(_recipe(recipe, data), samples)


@app.command()
def plan(
    recipe: RecipeName,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs [as the recipe says]")] = None,
    data: DataPath = None,
) -> None:
    """Estimate the memory RECIPE takes, part by part, and where it can run.

    Steps and tokens are told where data and tokenizer are at hand.
    """
    from finetune.plan import plan as estimate  # noqa: PLC0415
    from finetune.plan import plan_text  # noqa: PLC0415
    from finetune.shapes import shape_of  # noqa: PLC0415

    loaded = _recipe(recipe, data)
    shape = shape_of(loaded.base)
    tokens, rows = _work(loaded)
    typer.echo(plan_text(estimate(loaded, shape, gpus=gpus, train_tokens=tokens, rows=rows)))


@app.command()
def evaluate(
    models: Annotated[
        str, typer.Option(help="Ids of models.yaml or folders of runs, comma separated")
    ] = "base,lora,full",
    data: Annotated[
        list[Path] | None, typer.Option(help="Dialogue files [the project's held-out part]")
    ] = None,
    ppl: Annotated[bool, typer.Option("--ppl", help="Perplexity and bits per byte")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N dialogues")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table")] = False,
) -> None:
    """Measure models on dialogues; so far the loss on replies (`--ppl`)."""
    from finetune.compare import compare_losses, losses_text  # noqa: PLC0415

    if not ppl:
        raise typer.BadParameter("say what to measure: --ppl")
    found = compare_losses([m.strip() for m in models.split(",") if m.strip()], data, limit)
    records = [one.record() for one in found]
    typer.echo(json.dumps(records, indent=2) if as_json else losses_text(found))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist")],
    kind: Annotated[str, typer.Option("--as", help="adapter, merged or delta")] = "adapter",
    push: Annotated[str | None, typer.Option(help="Also upload to this hub repository")] = None,
    public: Annotated[bool, typer.Option(help="With --push: readable by everyone")] = False,
) -> None:
    """Make what others can use of a run: the adapter, merged weights, or a compact delta."""
    from finetune.export import ExportKind  # noqa: PLC0415
    from finetune.export import export as make  # noqa: PLC0415
    from finetune.export import push as upload  # noqa: PLC0415

    if kind not in set(ExportKind):
        raise typer.BadParameter(f"--as is {kind!r}; choose {', '.join(ExportKind)}.")
    typer.echo(json.dumps(make(run, out, ExportKind(kind)), indent=2))
    if push is not None:
        typer.echo(upload(out, push, private=not public))


@bench_app.callback()
def bench(
    context: typer.Context,
    steps: Annotated[int, typer.Option(min=2, help="Measured optimizer steps on each side")] = 4,
    method: Annotated[str, typer.Option(help="lora or full")] = "lora",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table")] = False,
) -> None:
    """Speed of training against a padded, unpacked Trainer; `bench score`: speed of scoring."""
    if context.invoked_subcommand is not None:
        return
    from finetune.bench import bench_text, run_bench  # noqa: PLC0415

    found = run_bench(method, steps)
    typer.echo(json.dumps(found.record(), indent=2) if as_json else bench_text(found))


@bench_app.command("score")
def bench_score(
    data: Annotated[
        Path | None, typer.Option(help="ESConv file to make pairs of [the project's corpus]")
    ] = None,
    pairs: Annotated[int, typer.Option(min=2, help="Reply pairs")] = 10_000,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes [one a core]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table")] = False,
) -> None:
    """All metrics of both profiles against a plain loop over nltk and rouge_score."""
    from finetune.metrics.bench import run_score_bench, score_bench_text  # noqa: PLC0415

    found = run_score_bench(data, pairs=pairs, workers=workers)
    typer.echo(json.dumps(found.record(), indent=2) if as_json else score_bench_text(found))


def _work(recipe: Recipe) -> tuple[int | None, int | None]:
    """Tokens and rows of one pass; None where data or tokenizer are not here."""
    from finetune.batches import make_rows  # noqa: PLC0415
    from finetune.train import gather  # noqa: PLC0415

    try:
        encoded = gather(recipe).train
    except EscError:
        note = "Without the number of steps: data or tokenizer are not here (--data names data)."
        typer.echo(f"{note}\n", err=True)
        return None, None
    return encoded.tokens, len(make_rows(encoded.samples, recipe))


def _recipe(name: str, data: Path | None) -> Recipe:
    """The recipe, with other training data where they are given."""
    from finetune.recipes import load_recipe, with_data  # noqa: PLC0415 (keeps --help quick)

    loaded = load_recipe(name)
    return with_data(loaded, data) if data is not None else loaded


def main() -> None:
    """Run the command; errors fit for people are one line and exit code 2."""
    try:
        app(prog_name="python -m finetune")
    except EscError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
