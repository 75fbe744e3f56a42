"""`python -m annotations bench study`: the app under load."""

from __future__ import annotations

from typing import Annotated

import typer


def study(
    raters: Annotated[int, typer.Option(min=1, max=500, help="Simulated raters at once")] = 50,
    seconds: Annotated[float, typer.Option(min=1, help="How long they work")] = 60,
    think: Annotated[
        float, typer.Option(min=0.1, help="Mean seconds at a screen; people take 20 and more")
    ] = 2,
    database: Annotated[str, typer.Option(help="sqlite, postgresql, or both")] = "both",
    kill: Annotated[bool, typer.Option("--kill", help="SIGKILL in the middle, restart")] = False,
) -> None:
    """Simulated raters rate over HTTP on the running app; every answer must be stored once.

    Starts the app itself, on loopback and on databases that are gone afterwards. Exit code 1:
    something was lost, doubled, over-collected or refused.
    """
    from annotations.studies.bench.postgres import why_not  # noqa: PLC0415 (quick --help)
    from annotations.studies.bench.run import (  # noqa: PLC0415
        DATABASES,
        Load,
        bench_study,
        lines,
    )

    load = Load(raters, seconds, kill, think_s=(think / 2, think * 1.5))
    results = []
    for name in DATABASES if database == "both" else (database,):
        if name == "postgresql" and (reason := why_not()):
            typer.echo(f"postgresql: left out, {reason}")
            continue
        results.append(bench_study(name, load, typer.echo))
    for line in lines(results):
        typer.echo(line)
    if not results or not all(result.clean for result in results):
        raise typer.Exit(1)
