"""Which figures of a table are the best and the second among its systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from finetune.metrics.tables import Row, counts_ngrams

_LESS_IS_BETTER = frozenset({"Perplexity", "Bits per byte"})


class Mark(StrEnum):
    """What stands out."""

    BEST = "best"
    SECOND = "second"


def marks(rows: Sequence[Row], metrics: Sequence[str]) -> dict[tuple[int, str], Mark]:
    """Marks by row and metric; every metric is one of quality.

    Baselines are no systems. Values that look alike, at two decimals, are marked alike. One
    system alone is not the best of any, and what falls with the amount of text is not compared
    where systems differ in their number of empty replies.
    """
    found: dict[tuple[int, str], Mark] = {}
    for metric in metrics:
        sense = -1 if metric in _LESS_IS_BETTER else 1
        values = {
            place: sense * round(row.values[metric], 2)
            for place, row in enumerate(rows)
            if row.kind == "run" and metric in row.values
        }
        if len(values) < 2 or not _comparable([rows[place] for place in values], metric):
            continue
        ranked = sorted(set(values.values()), reverse=True)
        named = dict(zip(ranked, Mark, strict=False))
        found |= {
            (place, metric): named[value] for place, value in values.items() if value in named
        }
    return found


def styled(
    lines: Sequence[Sequence[str]],
    placed: Mapping[tuple[int, int], Mark],
    written: Callable[[str], str],
    styles: Mapping[Mark, str],
) -> list[list[str]]:
    """Cells as `written`; the marked ones, by line and column, in their style."""
    return [
        [
            styles[placed[row, column]].format(written(cell))
            if (row, column) in placed
            else written(cell)
            for column, cell in enumerate(line)
        ]
        for row, line in enumerate(lines)
    ]


def _comparable(rows: Sequence[Row], metric: str) -> bool:
    """Distinct-n and totals with it compare at equal counts only."""
    first = rows[0].scores
    if first is None or not counts_ngrams(metric, first):
        return True
    return len({row.about.get("empty") for row in rows}) == 1
