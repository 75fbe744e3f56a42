"""`python -m annotations report`, and the known-truth check `bench coverage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(no_args_is_help=True, help="Checks of the analysis against known truths.")


@bench_app.callback()
def bench() -> None:
    """Checks of the analysis against known truths."""


@bench_app.command()
def coverage(
    studies: Annotated[int, typer.Option(min=20, help="Synthetic studies for each design")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic studies")] = 0,
) -> None:
    """Whether 95% intervals cover in 93% to 97% of studies, and nothing is found in nothing."""
    from annotations.analysis.coverage import report as table  # noqa: PLC0415 (quick --help)

    text, kept = table(studies, seed)
    typer.echo(text)
    if not kept:
        raise typer.Exit(1)


def report(
    out: Annotated[Path, typer.Option(help="Folder for the report and its tables")],
    ratings: Annotated[
        Path | None,
        typer.Option(help="CSV: rater, item, arm, dimension, score; may hold preferences, too"),
    ] = None,
    preferences: Annotated[
        Path | None, typer.Option(help="CSV: rater, item, arm_a, arm_b, choice")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="YAML: primary: {outcome: comforting, arms: [base, lora]}")
    ] = None,
    study: Annotated[
        str, typer.Option(help="Slug of a stored study, with its own plan; instead of files")
    ] = "",
    stratum: Annotated[str, typer.Option(help="Only this stratum")] = "",
    title: Annotated[str, typer.Option(help="Heading of the report")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples")] = 0,
) -> None:
    """Analyse ratings and preferences, and write one report with its tables."""
    from annotations.analysis import analyse  # noqa: PLC0415 (quick --help)
    from annotations.reports.sources import from_files, from_study  # noqa: PLC0415
    from annotations.reports.write import write_report  # noqa: PLC0415
    from esc_demo.errors import BadInput  # noqa: PLC0415

    if study and (ratings or preferences or plan):
        raise typer.BadParameter("a stored study has its own answers and plan; leave out the files")
    if not study and ratings is None and preferences is None:
        raise typer.BadParameter("name a file with --ratings, --preferences, or both; or --study")
    source = from_study(study) if study else from_files(ratings, preferences, plan)
    strata = source.frames.strata
    if stratum and stratum not in strata:
        raise BadInput(
            f"--stratum is {stratum!r}; the answers have {', '.join(strata) or 'no strata'}."
        )
    analysis = analyse(source.frames, source.plan, stratum=stratum, seed=seed)
    paths = write_report(analysis, out, title or source.title, source.notes, source.runs)
    for note in source.notes if study else ():
        typer.echo(note)
    typer.echo(f"Wrote {paths[0]} and {len(paths) - 1} more files.")
