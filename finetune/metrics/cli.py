"""`python -m finetune score`: metrics of generated replies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from esc_demo.errors import BadInput

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.callback()
def metrics() -> None:
    """Metrics of generated replies."""


@app.command()
def score(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of `generate`, one a row; differences are to the first"),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help='JSON lines of {"hypothesis", "reference", "dialogue"?}')
    ] = None,
    profile: Annotated[str, typer.Option(help="nlpcc2025 or esconv")] = "esconv",
    as_json: Annotated[bool, typer.Option("--json", help="JSON at full precision")] = False,
    form: Annotated[
        str, typer.Option("--format", help="Runs: json, csv, markdown or latex")
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option(help="Runs: folder to write all formats and the slices to")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Runs: the dialogues they answered, for two of the baselines"),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Runs: where baselines take replies from [the project's train part]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Runs: of bootstrap and random baseline")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a corrupted line")] = False,
    g_score: Annotated[
        float | None, typer.Option(help="nlpcc2025: mean judge rating / 5, in percent")
    ] = None,
    selftest: Annotated[
        bool, typer.Option("--selftest", help="Recompute paper A's totals from its columns")
    ] = False,
    fetch_glove: Annotated[
        bool, typer.Option("--fetch-glove", help="Download GloVe for Ext and Extrema (76 MB)")
    ] = False,
) -> None:
    """Score replies under a profile, with intervals over dialogues.

    Of runs it prints one table with the trivial baselines, slices and differences to the first.
    """
    if fetch_glove:
        run_fetch_glove()
    if selftest:
        run_selftest()
    if runs:
        if pairs is not None or g_score is not None:
            raise typer.BadParameter("--pairs and --g-score do not go with runs (see NAME.g.json)")
        job = TableJob(tuple(runs), profile, "json" if as_json else form, out, data, train, seed)
        typer.echo(table_text(job, strict=strict), nl=False)
    elif pairs is not None:
        typer.echo(score_text(pairs, profile, as_json=as_json, strict=strict, g_score=g_score))
    elif not (selftest or fetch_glove):
        raise typer.BadParameter("name runs, a file with --pairs, or use --selftest")


@dataclass(frozen=True)
class TableJob:
    """A table of runs as it was asked for."""

    runs: tuple[Path, ...]
    profile: str
    form: str
    out: Path | None
    data: Path | None
    train: Path | None
    seed: int


def table_text(job: TableJob, *, strict: bool = False) -> str:
    """The table of some runs in the format asked for; with `out` all formats are written too.

    Raises:
        BadInput: an unknown profile or format, or runs that cannot stand in one table.
        StorageError: `out` cannot be written.
    """
    from finetune.metrics.layout import TableFormat, render, write_all  # noqa: PLC0415
    from finetune.metrics.profiles import ProfileName  # noqa: PLC0415 (quick --help)
    from finetune.metrics.runs import read_runs  # noqa: PLC0415
    from finetune.metrics.tables import make_table  # noqa: PLC0415

    if job.profile not in set(ProfileName):
        raise BadInput(f"--profile is {job.profile!r}; choose {' or '.join(ProfileName)}.")
    if job.form not in set(TableFormat):
        raise BadInput(f"--format is {job.form!r}; choose {', '.join(TableFormat)}.")
    table = make_table(
        read_runs(job.runs, strict=strict),
        ProfileName(job.profile),
        data=job.data,
        train=job.train,
        seed=job.seed,
    )
    if job.out is not None:
        write_all(table, job.out)
    return render(table, TableFormat(job.form))


def score_text(
    path: Path,
    profile: str,
    *,
    as_json: bool = False,
    strict: bool = False,
    g_score: float | None = None,
) -> str:
    """Score a file of pairs; JSON or lines for a terminal.

    Raises:
        BadInput: the file cannot be used, or an unknown profile.
    """
    from finetune.metrics.bertscore import BertScore, bert_score  # noqa: PLC0415 (quick --help)
    from finetune.metrics.crosscheck import cross_checks  # noqa: PLC0415
    from finetune.metrics.pairs import read_pairs  # noqa: PLC0415
    from finetune.metrics.profiles import ProfileName  # noqa: PLC0415
    from finetune.metrics.report import make_report  # noqa: PLC0415
    from finetune.metrics.scores import score as measure  # noqa: PLC0415

    if profile not in set(ProfileName):
        raise BadInput(f"--profile is {profile!r}; choose {' or '.join(ProfileName)}.")
    given = read_pairs(path, strict=strict)
    name = ProfileName(profile)
    scores = measure(given.pairs, name, g_score=g_score)
    more: dict[str, float] = {}
    missing: dict[str, str] = {}
    if name is ProfileName.ESCONV:
        bert = bert_score(given.pairs)
        kinds = ("precision", "recall", "f1")
        if isinstance(bert, BertScore):
            more = {f"BERTScore {kind} ({bert.hash})": getattr(bert, kind) for kind in kinds}
        else:
            missing = {f"BERTScore {kind}": str(bert) for kind in kinds}
    report = make_report(
        scores,
        skipped=given.skipped,
        cross_checks=cross_checks(given.pairs),
        more=more,
        more_missing=missing,
    )
    return json.dumps(report.record(), indent=2) if as_json else report.text()


def run_selftest() -> None:
    """Print paper A's totals beside ours; exit with 1 when one differs."""
    from finetune.metrics.report import selftest_text  # noqa: PLC0415 (quick --help)
    from finetune.metrics.total import check_paper_a  # noqa: PLC0415

    rows = check_paper_a()
    typer.echo(selftest_text(rows))
    if not all(row.fits for row in rows):
        raise typer.Exit(1)


def run_fetch_glove() -> None:
    """Fetch the word vectors unless they are there."""
    from esc_demo.settings import get_settings  # noqa: PLC0415 (quick --help)
    from finetune.metrics.resources import fetch_glove  # noqa: PLC0415

    typer.echo(f"GloVe 6B 50d is in {fetch_glove(get_settings())}.")
