"""`python -m annotations study`: check, open and watch a study, and plan its size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esc_demo.errors import BadInput, StorageError

if TYPE_CHECKING:
    from annotations.studies.build import BuiltStudy
    from annotations.studies.desk import Desk

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

File = Annotated[Path, typer.Argument(help="The study's YAML file")]
Slug = Annotated[str, typer.Argument(help="The study's slug")]
Spread = Annotated[
    float | None, typer.Option(help="How the effect differs; logits (preference) or points")
]


@app.command()
def check(file: File) -> None:
    """Print what a study will ask of whom. Exit code 1: flags keep it from opening."""
    from annotations.studies.report import check_lines  # noqa: PLC0415 (keeps --help quick)

    built = _built(file)
    for line in check_lines(built):
        typer.echo(line)
    if built.unaccepted:
        typer.echo("It cannot open yet: mend what is marked with !, or list it in accept_flags.")
        raise typer.Exit(1)
    typer.echo("It can open.")


@app.command()
def items(
    runs: Annotated[str, typer.Option(help="ARM=FILE,ARM=FILE: a run of `finetune generate` each")],
    out: Annotated[Path, typer.Option(help="items.jsonl to write")],
    per_dialogue: Annotated[int, typer.Option(min=1, help="Items from each dialogue")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many items")] = None,
    stratum: Annotated[str, typer.Option(help="none, scene or emotion")] = "none",
    force: Annotated[bool, typer.Option("--force", help="Overwrite --out")] = False,
) -> None:
    """Write the items of a study from generated replies, chosen without a look at them."""
    from annotations.studies.items import items_from_runs, items_text  # noqa: PLC0415

    if stratum not in ("none", "scene", "emotion"):
        raise BadInput(f"--stratum is {stratum!r}; it must be none, scene or emotion.")
    if out.exists() and not force:
        raise BadInput(f"{out} is there already. Name another file, or overwrite it with --force.")
    found = items_from_runs(
        _runs(runs),
        per_dialogue=per_dialogue,
        limit=limit,
        label=stratum,  # type: ignore[arg-type]
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(items_text(found), "utf-8")
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror}.") from error
    typer.echo(f"{len(found)} items with replies of {', '.join(found[0].replies)} in {out}.")


@app.command()
def power(
    file: File,
    effect: Annotated[
        float | None, typer.Option(help="Share above one half, or points [plan.smallest_effect]")
    ] = None,
    participants: Annotated[str, typer.Option(help="Numbers to try, such as 12,24,48")] = "",
    simulations: Annotated[int, typer.Option(min=100, help="Simulated studies a number")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="All chance follows from it")] = 0,
    ties: Annotated[float, typer.Option(help="Preference: share of ties")] = 0.2,
    rater_sd: Spread = None,
    item_sd: Spread = None,
    noise_sd: Annotated[float, typer.Option(help="Score: spread of a single answer")] = 0.8,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar")] = False,
) -> None:
    """Simulate the study with different numbers of participants and print the power of each.

    The test is the one of the analysis: t with a variance clustered by participant and item
    (Cameron, Gelbach and Miller, 2011).
    """
    from tqdm import tqdm  # noqa: PLC0415

    from annotations.studies import power as simulation  # noqa: PLC0415
    from annotations.studies.report import power_lines  # noqa: PLC0415

    built = _built(file)
    plan = built.definition.plan
    wanted = plan.smallest_effect if effect is None else effect
    if wanted is None:
        raise BadInput(f"{file} has no plan.smallest_effect. Add it, or give --effect.")
    sizes = _numbers(participants) or sorted({*simulation.PARTICIPANTS, plan.participants})
    with tqdm(total=len(sizes) * simulations, unit="study", disable=quiet, leave=False) as bar:
        rows = simulation.power(
            built,
            effect=wanted,
            participants=sizes,
            simulations=simulations,
            seed=seed,
            assumed=simulation.Assumptions(ties, rater_sd, item_sd, noise_sd=noise_sd),
            step=bar.update,
        )
    for line in power_lines(built, rows, wanted):
        typer.echo(line)


@app.command()
def create(file: File) -> None:
    """Store a study as a draft; again: replace the draft, or add invitations to an open one."""
    built = _built(file)
    with _desk() as desk:
        view = desk.create(built)
    typer.echo(f"{view.slug} is stored ({view.status.value}, {view.needed:,} answers needed).")


@app.command("open")
def open_(file: File) -> None:
    """Open a stored study, or go on after a pause. From the first opening its file is frozen."""
    built = _built(file)
    with _desk() as desk:
        view = desk.open(built.definition.slug, built)
    typer.echo(f"{view.slug} is open; its content hash is {view.content_hash}.")
    typer.echo(f"Participants go to /study/{view.slug} on the running app (python app.py).")


@app.command()
def pause(slug: Slug) -> None:
    """Give out no more items; what people have begun is still taken."""
    with _desk() as desk:
        view = desk.pause(slug)
    typer.echo(f"{view.slug} is paused. Go on with `python -m annotations study open FILE`.")


@app.command()
def close(
    slug: Slug, yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False
) -> None:
    """End a study for good."""
    if not yes:
        typer.confirm(f"Close {slug} for good? It cannot be opened again", abort=True)
    with _desk() as desk:
        view = desk.close(slug)
    typer.echo(f"{view.slug} is closed with {view.submitted:,} of {view.needed:,} answers.")


@app.command()
def withdraw(
    slug: Slug,
    rater: Annotated[
        str, typer.Option(help="Pseudonym, any of their codes, or the site's name for them")
    ],
    imported: Annotated[
        bool, typer.Option("--imported", help="--rater is the name in an imported file")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Take out the answers of somebody who asks for it by mail, as their own page would do it."""
    with _desk() as desk:
        found = desk.find_rater(slug, rater, imported=imported)
        if not found.withdrawn and not yes:
            means = "Delete" if found.how == "delete" else "Anonymise and leave out"
            typer.confirm(
                f"{means} the {found.answers:,} answers of {found.pseudonym} in {slug}? They"
                " cannot be brought back",
                abort=True,
            )
        receipt = desk.withdraw_rater(slug, rater, imported=imported)
    done = "deleted" if receipt.how == "delete" else "anonymised"
    typer.echo(
        f"{found.pseudonym}: {receipt.answers:,} answers were {done} on"
        f" {receipt.withdrawn_at:%Y-%m-%d %H:%M} UTC. The receipt, to be sent to them:"
        f" {receipt.code}"
    )


@app.command()
def purge(
    slug: Slug,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go")] = False,
    confirm: Annotated[str, typer.Option(help="The study's slug once more: do not ask")] = "",
) -> None:
    """Delete all that participants wrote, when the retention of a closed study has ended.

    The retention counts from the closing. The definition, and what judges said about written
    replies, stay. Copies of the database made before are yours to delete.
    """
    from annotations.studies.report import purge_lines  # noqa: PLC0415

    with _desk() as desk:
        counted = desk.purge(slug, dry_run=True)
        for line in purge_lines(counted, dry_run=True):
            typer.echo(line)
        if dry_run:
            return
        typed = confirm or typer.prompt(f"They cannot be brought back. Type {slug} to go on")
        if typed != slug:
            raise BadInput(f"{typed[:64]!r} is not {slug!r}. Nothing was deleted.")
        done = desk.purge(slug)
    for line in purge_lines(done, dry_run=False):
        typer.echo(line)


@app.command()
def status(slug: Annotated[str, typer.Argument(help="One study; all if left out")] = "") -> None:
    """Print how far a study is, without its outcome."""
    from annotations.columns import utc_now  # noqa: PLC0415
    from annotations.studies.report import status_lines, study_line  # noqa: PLC0415

    now = utc_now()
    with _desk() as desk:
        if slug:
            lines = list(status_lines(desk.study(slug), desk.progress(slug), now))
        else:
            lines = [study_line(view, now) for view in desk.studies()]
    for line in lines or ["No study is stored. Make one with `study create FILE`."]:
        typer.echo(line)


def _built(file: Path) -> BuiltStudy:
    """The study in a file, with all it leads to."""
    from annotations.studies.build import build  # noqa: PLC0415
    from annotations.studies.definition import load_definition  # noqa: PLC0415

    return build(load_definition(file))


@contextmanager
def _desk() -> Iterator[Desk]:
    """The desk on the database of the settings."""
    from annotations.store import Store  # noqa: PLC0415
    from esc_demo.settings import get_settings  # noqa: PLC0415

    with Store(get_settings().database_url) as store:
        yield store.desk()


def _runs(text: str) -> dict[str, Path]:
    """`ARM=FILE,ARM=FILE` as a mapping."""
    found: dict[str, Path] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        arm, equals, path = part.partition("=")
        if not (arm and equals and path) or arm in found:
            raise BadInput(
                f"--runs has {part!r}; write ARM=FILE for each arm once, with commas between, as"
                " in base=base.jsonl,lora=lora.jsonl."
            )
        found[arm] = Path(path)
    if not found:
        raise BadInput("--runs names no run; write ARM=FILE for each arm, with commas between.")
    return found


def _numbers(text: str) -> list[int]:
    """Whole numbers with commas between."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise BadInput(
            f"--participants is {text!r}; write whole numbers with commas between, as in 12,24."
        ) from error
