"""`python -m finetune`: train by recipe, and pack a full fine-tune."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from esc_demo.errors import EscError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name in finetune/recipe_files, or a YAML path")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; must not exist")] = None,
) -> None:
    """Train LoRA or full as RECIPE says; prints the measurements as JSON."""
    from finetune.recipes import load_recipe  # noqa: PLC0415 (keeps --help quick)
    from finetune.train import train as run  # noqa: PLC0415

    loaded = load_recipe(recipe)
    folder = out or Path("runs") / loaded.name
    if folder.exists():
        raise EscError(f"The run folder {folder} exists. Name another with --out, or delete it.")
    folder.mkdir(parents=True)
    typer.echo(json.dumps(run(loaded, folder).metrics, indent=2))


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run")],
    out: Annotated[Path, typer.Argument(help="Artefact folder to write")],
) -> None:
    """Make the small artefact that is shipped: the adapter, or the full fine-tune's delta."""
    from finetune.pack import pack_run  # noqa: PLC0415

    typer.echo(json.dumps(pack_run(run, out), indent=2))


def main() -> None:
    """Run the command; errors fit for people are one line and exit code 2."""
    try:
        app(prog_name="python -m finetune")
    except EscError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
