"""The lines of the list behind the numbers, and which of them are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from annotations.values import RaterKind


class Order(StrEnum):
    """How the list is sorted, in the words of the page."""

    STUDY = "By item"
    LOWEST = "Lowest scores first"
    HIGHEST = "Highest scores first"
    APART = "Raters differ most"
    LOST = "Most often not preferred"


@dataclass(frozen=True)
class Line:
    """What raters of one kind made of one arm's reply to one item, or of two arms' replies."""

    kind: RaterKind
    item: str
    arm: str
    means: dict[str, float]
    """By dimension, over those who could judge it; of two arms the difference in points."""
    spreads: dict[str, float]
    """Highest minus lowest of the values whose mean it is, by dimension."""
    raters: int
    unknown: int
    """Answers without a score: "cannot judge", or a judge's reply that could not be read."""
    wins: int = 0
    ties: int = 0
    losses: int = 0
    other: str = ""
    """The arm that `arm` is held against; empty: it stands by itself."""

    @property
    def mean(self) -> float | None:
        """Over the dimensions."""
        return sum(self.means.values()) / len(self.means) if self.means else None


@dataclass(frozen=True)
class Asked:
    """What the list shows."""

    kind: RaterKind
    arm: str
    """Empty for all."""
    find: str
    order: str
    other: str = ""
    """The arm to compare with; empty: each arm by itself."""
    dimension: str = ""
    """Empty for all."""


def chosen_lines(lines: Sequence[Line], asked: Asked) -> list[int]:
    """Places of the lines asked for, sorted."""
    wanted = asked.find.strip().casefold()
    found = [
        at
        for at, line in enumerate(lines)
        if line.kind is asked.kind
        and asked.arm in ("", line.arm)
        and asked.other == line.other
        and (not asked.dimension or asked.dimension in line.means)
        and (not wanted or wanted in line.item.casefold())
    ]
    if asked.order in (Order.LOWEST, Order.HIGHEST):
        sense = 1 if asked.order == Order.LOWEST else -1
        # What nobody scored goes last either way.
        return sorted(found, key=lambda at: _mean_key(lines[at], asked.dimension, sense))
    if asked.order == Order.APART:
        return sorted(found, key=lambda at: -_spread(lines[at], asked.dimension))
    if asked.order == Order.LOST:
        return sorted(found, key=lambda at: lines[at].wins - lines[at].losses)
    return found


def _spread(line: Line, dimension: str) -> float:
    return line.spreads[dimension] if dimension else sum(line.spreads.values())


def _mean_key(line: Line, dimension: str, sense: int) -> tuple[bool, float]:
    mean = line.means[dimension] if dimension else line.mean
    return (mean is None, 0.0 if mean is None else sense * mean)
