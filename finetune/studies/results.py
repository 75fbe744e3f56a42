"""From the files of a study to its figures, data set by data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.metrics.bootstrap import Interval
from finetune.metrics.profiles import ProfileName
from finetune.metrics.resources import Resources
from finetune.metrics.runs import Run, read_runs
from finetune.metrics.scores import Scores
from finetune.metrics.tables import Row, Table, make_table
from finetune.studies.conditions import Condition
from finetune.studies.conduct import Cell
from finetune.studies.effects import Estimate, estimate
from finetune.studies.grid import DataEntry, Grid, Source
from finetune.studies.likelihood import RunLoss, read_loss
from finetune.studies.outcomes import Measured, measure
from finetune.studies.tradeoff import Trade, ratio_interval, trade_offs


@dataclass(frozen=True)
class Part:
    """The results on one data set."""

    entry: DataEntry
    conditions: tuple[Condition, ...]
    runs: tuple[Run, ...]
    table: Table
    """Rows of the conditions in their order, then the baselines."""
    losses: tuple[RunLoss | None, ...]
    loss_intervals: tuple[dict[str, Interval], ...]
    """Of perplexity and bits per byte, by condition."""
    measured: Measured
    estimates: tuple[Estimate, ...]
    trades: tuple[Trade, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Those of the conditions."""
        return self.table.rows[: len(self.conditions)]

    @property
    def baselines(self) -> tuple[Row, ...]:
        """The others."""
        return self.table.rows[len(self.conditions) :]


@dataclass(frozen=True)
class Results:
    """A whole study."""

    grid: Grid
    parts: tuple[Part, ...]
    missing: tuple[Source, ...]
    """Data sets nobody brought."""


def collect(
    grid: Grid,
    sources: Sequence[Source],
    cells: Sequence[Cell],
    *,
    resources: Resources | None = None,
) -> Results:
    """Score everything that a study has written.

    Raises:
        BadInput: a file of it is unfinished or wrong.
    """
    parts = tuple(
        _part(grid, [cell for cell in cells if cell.source is source], resources)
        for source in sources
        if source.path is not None
    )
    missing = tuple(source for source in sources if source.path is None)
    return Results(grid, parts, missing)


def _part(grid: Grid, cells: Sequence[Cell], resources: Resources | None) -> Part:
    """One data set."""
    source = cells[0].source
    runs = read_runs([cell.out for cell in cells])
    table = make_table(
        runs,
        ProfileName.ESCONV,
        data=source.path,
        seed=grid.seed,
        resources=resources,
        sliced=False,
    )
    scores = [_scores(row) for row in table.rows[: len(runs)]]
    losses = tuple(read_loss(cell.out) for cell in cells)
    conditions = tuple(cell.condition for cell in cells)
    measured = measure(conditions, scores, losses)
    draws, seed = grid.replicates, grid.seed
    return Part(
        source.entry,
        conditions,
        runs,
        table,
        losses,
        tuple(_loss_intervals(loss, draws, seed) for loss in losses),
        measured,
        estimate(measured, replicates=draws, seed=seed),
        trade_offs(measured, scores, replicates=draws, seed=seed),
    )


def _scores(row: Row) -> Scores:
    """The scores of a run's row."""
    assert row.scores is not None  # a run always has scores
    return row.scores


def _loss_intervals(loss: RunLoss | None, replicates: int, seed: int) -> dict[str, Interval]:
    """Intervals over dialogues; empty without losses or with one dialogue only."""
    if loss is None or len(loss.dialogues) < 2:
        return {}
    nats, tokens, size = (
        np.array([float(getattr(one, name)) for one in loss.dialogues.values()])
        for name in ("nats", "tokens", "reply_bytes")
    )
    per_token = ratio_interval(nats, tokens, replicates, seed)
    return {
        "Perplexity": Interval(
            *(math.exp(min(one, 700.0)) for one in (per_token.value, per_token.low, per_token.high))
        ),
        "Bits per byte": ratio_interval(nats / math.log(2), size, replicates, seed),
    }
