"""`python -m annotations`: blinded human studies and what comes of them."""

from __future__ import annotations

import sys

import typer

from annotations.judge.cli import judge
from annotations.owner_cli import app as owner_app
from annotations.report_cli import bench_app, report
from annotations.studies.bench.cli import study as bench_study
from annotations.studies.cli import app as study_app
from esc_demo.errors import EscError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(study_app, name="study")
app.add_typer(bench_app, name="bench")
bench_app.command("study")(bench_study)
app.command()(report)
app.command()(judge)
app.add_typer(owner_app)  # without a name: its commands stand beside the others


def main() -> None:
    """Run the command; errors fit for people are told in their own words, with exit code 2."""
    try:
        app(prog_name="python -m annotations")
    except EscError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
