"""Commands for the owner of the data: quality, export, import, backup and check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from annotations.importing import Imported
    from annotations.store import Store
    from annotations.studies.answers import Answers

app = typer.Typer()

Slug = Annotated[str, typer.Option("--study", help="The study's slug")]

_SHOWN = {
    "participant": "who",
    "items": "items",
    "gold_share": "gold",
    "gold_n": "n",
    "median_seconds": "seconds",
    "quick_share": "quick",
    "straight_line_share": "straight",
    "left_share": "left",
    "side_p": "p",
    "side_n": "n ",
    "self_consistency": "same",
    "self_kappa": "kappa",
    "repeated_scores_n": "n  ",
}
"""Columns of the printed table; the export has all of them."""


@app.command()
def quality(study: Slug) -> None:
    """Print how carefully each participant answered, and whom the plan's rules leave out."""
    from annotations.studies.answers import read_answers  # noqa: PLC0415 (keeps --help quick)

    with _store() as store:
        answers = read_answers(store, study)
    for line in quality_lines(answers):
        typer.echo(line)


@app.command()
def export(
    study: Slug,
    out: Annotated[Path, typer.Option(help="A folder, or a file that ends in .zip")],
    formats: Annotated[
        str, typer.Option("--format", help="csv, jsonl, parquet, with commas between [all]")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also gold, repeats, practice, surplus, superseded rows")
    ] = False,
) -> None:
    """Write a study's ratings, preferences and participants, with a data dictionary.

    Arms are named in it: who rates, or talks to raters, should not read it before the end.
    """
    from annotations.exporting import Format, export_study, write_export  # noqa: PLC0415
    from esc_demo.errors import BadInput  # noqa: PLC0415

    words = [word.strip() for word in formats.split(",") if word.strip()]
    if unknown := [word for word in words if word not in set(Format)]:
        raise BadInput(f"--format has {unknown[0]!r}; known are {', '.join(Format)}.")
    with _store() as store:
        found = export_study(store, study, map(Format, words), everything=everything)
    write_export(found, out)
    for note in found.notes:
        typer.echo(note)
    typer.echo(f"Wrote {', '.join(found.files)} to {out}.")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="CSV of ratings or preferences; or both")],
    study: Slug,
) -> None:
    """Add externally collected answers to an open study: all of them, or none.

    Ratings: rater, item, arm, dimension, score; for pairs also side (1 left, 2 right) and, unless
    both arms are rated, other_arm. Preferences: rater, item, arm_a, arm_b, side_a, choice. Both
    may have seconds and submitted_at. A score is 0 to 5, or cannot_judge. All that the study
    asks about an item has to be there, if need be from both files at once.
    """
    from annotations.importing import import_files  # noqa: PLC0415

    with _store() as store:
        done = import_files(store, study, files)
    for line in _import_lines(done):
        typer.echo(line)


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(help="The SQLite file to write")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite it")] = False,
) -> None:
    """Copy the whole database into one file while everything goes on running."""
    from annotations.backup import back_up, describe  # noqa: PLC0415

    with _store() as store:
        done = back_up(store.engine, out, force=force)
        for line in describe(store.engine, done):
            typer.echo(line)


@app.command()
def check() -> None:
    """Look whether what is stored holds together. Exit code 1: something does not."""
    from annotations.database import place  # noqa: PLC0415
    from annotations.upkeep import check_database  # noqa: PLC0415

    with _store() as store:
        found = check_database(store.engine)
        where = place(store.engine.url)
    for finding in found:
        typer.echo(str(finding))
    if found:
        typer.echo(f"{where} does not hold together in {len(found)} places; keep a copy as it is.")
        raise typer.Exit(1)
    typer.echo(f"{where} holds together: references, answers, leases, withdrawals.")


def quality_lines(answers: Answers) -> Iterator[str]:
    """The table of participants, then the exclusions."""
    table = answers.quality
    if table.empty:
        yield f"Nobody has answered {answers.view.slug} yet."
        return
    yield "  ".join(f"{head.strip():>8}" for head in _SHOWN.values())
    for row in table.to_dict("records"):
        yield "  ".join(f"{_cell(row[name]):>8}" for name in _SHOWN)
    yield (
        "gold: as expected; quick: below a third of everybody's median time; straight: one answer"
        " to all; left, p: preferences for the left reply, exact test; same: repeated scores"
        " within one point"
    )
    rules = answers.definition.plan.exclusions.words()
    if not rules:
        yield "The plan has no exclusion rules, so everybody is analysed."
        return
    yield "Rules of the plan: " + ", ".join(rules)
    for one in answers.excluded:
        yield f"left out  {one}"
    left_out = len({one.participant for one in answers.excluded})
    yield f"{left_out} of {len(table)} participants are left out of the analysis."


def _cell(value: object) -> str:
    """A number as it is read best; a dash for a missing one."""
    if isinstance(value, float):
        return "-" if isnan(value) else f"{value:.2f}"
    return str(value)


def _import_lines(done: Imported) -> Iterator[str]:
    if done.unused:
        yield f"Columns that are not used: {', '.join(done.unused)}."
    if done.again:
        yield "These files were imported before; nothing was changed."
        return
    yield (
        f"Imported {done.screens:,} screens with {done.scores:,} scores and {done.preferences:,}"
        f" preferences by {done.raters:,} raters ({done.new_raters:,} of them new)."
    )
    if done.surplus:
        yield (
            f"{done.surplus:,} screens are surplus: their tasks had all the answers they need, so"
            " they are kept but not analysed."
        )


@contextmanager
def _store() -> Iterator[Store]:
    """The database of the settings."""
    from annotations.store import Store  # noqa: PLC0415
    from esc_demo.settings import get_settings  # noqa: PLC0415

    with Store(get_settings().database_url) as store:
        yield store
