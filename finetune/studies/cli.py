"""`python -m finetune study`: the whole study and its page, by one command."""

from __future__ import annotations

import datetime
import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from finetune.studies.page import About

_OUT = Path("docs/results.md")
_RUNS = Path("runs/study")


def study_command(
    grid: Annotated[
        Path | None, typer.Argument(help="Grid file; the shipped factorial.yaml without one")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="PATH or NAME=PATH: a data set of the grid that is not shipped"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Page to write")] = _OUT,
    runs: Annotated[Path, typer.Option(help="Folder of replies and figures")] = _RUNS,
    limit: Annotated[
        int | None, typer.Option(min=2, help="At most N dialogues of each data set, for a trial")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder")] = False,
) -> None:
    """Answer the same items under every condition of a grid, and write a page about it.

    Ctrl-C keeps what is written and exits with 130; --resume repeats nothing.
    """
    from finetune.studies.conduct import conduct  # noqa: PLC0415 (keeps --help quick)
    from finetune.studies.grid import DEFAULT, find_sources, limited, load_grid  # noqa: PLC0415
    from finetune.studies.record import write_results  # noqa: PLC0415
    from finetune.studies.results import collect  # noqa: PLC0415

    file = grid or DEFAULT
    chosen = limited(load_grid(file), limit)
    sources = find_sources(chosen, data or [])
    about = _about(file, grid is not None, data or [], limit, (out, runs))
    try:
        cells = conduct(chosen, sources, runs, resume=resume, say=_say)
    except KeyboardInterrupt:
        _say(f"Interrupted. What is written is kept in {runs}; go on with --resume.")
        raise typer.Exit(130) from None
    _say("Scoring.")
    results = collect(chosen, sources, cells)
    for path in write_results(results, about, out, runs):
        typer.echo(path)


def _say(note: str) -> None:
    """A remark beside the result."""
    typer.echo(note, err=True)


def _about(
    file: Path, named: bool, data: list[str], limit: int | None, places: tuple[Path, Path]
) -> About:
    """The command without the folders of this machine, and what it read."""
    from finetune.studies.page import About  # noqa: PLC0415 (quick --help)

    words = ["python", "-m", "finetune", "study", *([file.name] if named else [])]
    for text in data:
        name, equals, path = text.rpartition("=")
        words += ["--data", f"{name}{equals}{Path(path).name}"]
    for option, place, usual in zip(("--out", "--runs"), places, (_OUT, _RUNS), strict=True):
        words += [] if place == usual else [option, place.name]
    words += ["--limit", str(limit)] if limit is not None else []
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return About(shlex.join(words), date, file.name, digest)
