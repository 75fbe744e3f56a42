"""`python -m finetune data`: look at dialogue files before training on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finetune.data.formats import DataFormat
from finetune.data.splits import SplitKind

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.callback()
def data() -> None:
    """Look at dialogue files before training on them."""


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A dialogue file, or ESConv's folder")],
    format: Annotated[
        DataFormat, typer.Option(help="Refuse other formats than this")
    ] = DataFormat.AUTO,
    split: Annotated[SplitKind | None, typer.Option(help="Also divide the set this way")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split")] = 0,
    allow_empty_replies: Annotated[
        bool, typer.Option("--allow-empty-replies", help="Read NLPCC's test file")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Count what PATH holds and say what is wrong with it."""
    from finetune.data.check import check as look  # noqa: PLC0415 (keeps --help quick)

    report = look(path, format, split=split, seed=seed, allow_empty_replies=allow_empty_replies)
    typer.echo(report.as_json() if as_json else report.as_text())
