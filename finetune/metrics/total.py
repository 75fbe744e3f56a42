"""The Total of NLPCC 2025 Task 8, and a check of it against paper A's own rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from finetune.metrics.bleu import Floats

WEIGHTS = {"METEOR": 0.2, "BLEU-4": 0.2, "ROUGE-L": 0.2, "Ext": 0.1, "D-2": 0.1, "D-3": 0.1}
"""Without the G-score these sum to .9."""
G_WEIGHT = 0.1
TOLERANCE = 0.01
"""The columns of the paper are rounded to .005."""

_PAPER_A = Path(__file__).parent / "paper_a.json"
_Number = TypeVar("_Number", float, Floats)


@dataclass(frozen=True)
class CheckedRow:
    """A printed Total and the one its columns give."""

    name: str
    printed: float
    computed: float

    @property
    def fits(self) -> bool:
        """Whether they agree within rounding."""
        return abs(self.printed - self.computed) <= TOLERANCE


def total_without_g(values: Mapping[str, _Number]) -> _Number:
    """The weighted sum of all columns but the judge's; at most 90."""
    names = iter(WEIGHTS)
    first = next(names)
    total = values[first] * WEIGHTS[first]
    for name in names:
        total = total + values[name] * WEIGHTS[name]
    return total


def with_totals(values: Mapping[str, Floats], g_score: float | None) -> dict[str, Floats]:
    """The columns with `Total without G`, and with `G-score` and `Total` where there is one.

    A missing G-score is never assumed. Without METEOR or Ext there is no total at all.
    """
    found = dict(values)
    shape = np.ones_like(next(iter(values.values())))
    if g_score is not None:
        found["G-score"] = g_score * shape
    if not WEIGHTS.keys() <= values.keys():
        return found
    without = total_without_g(values)
    if g_score is not None:
        found["Total"] = without + G_WEIGHT * g_score
    found["Total without G"] = without
    return found


def check_paper_a() -> tuple[CheckedRow, ...]:
    """Recompute the seven totals of paper A from its own columns."""
    rows = json.loads(_PAPER_A.read_text("utf-8"))["rows"]
    return tuple(
        CheckedRow(row["name"], row["Total"], total_without_g(row) + G_WEIGHT * row["G-score"])
        for row in rows
    )
