"""The numbers of a report item by item: what each rater gave each arm's reply, summed up."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import pandas as pd

from annotations.analysis.decided import decided
from annotations.analysis.differences import comparable, item_gaps
from annotations.analysis.tidy import UNDECIDED, Frames
from annotations.values import RaterKind, RatingStatus
from esc_demo.ui.ratings_lines import Line


@dataclass
class _Found:
    """A line in the making."""

    scores: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    raters: set[str] = field(default_factory=set)
    unknown: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def lines_of(frames: Frames) -> tuple[Line, ...]:
    """A line for each kind of rater, item and arm, then for each pair of arms; no controls.

    What a judge said in both orders counts once, as in the report.
    """
    found: dict[tuple[str, str, str], _Found] = defaultdict(_Found)
    ratings = frames.ratings[frames.ratings["control"] == ""]
    names = ["rater_kind", "item", "arm", "rater", "dimension", "status", "score"]
    for kind, item, arm, rater, dimension, status, score in _rows(ratings, names):
        one = found[kind, item, arm]
        one.raters.add(rater)
        if status == RatingStatus.SCORED.value:
            one.scores[dimension].append(float(score))
        else:
            one.unknown += 1
    names = ["rater_kind", "item", "arm_a", "arm_b", "rater", "choice"]
    for kind, item, first, second, rater, choice in _rows(decided(frames.preferences), names):
        for arm in (first, second):
            one = found[kind, item, arm]
            one.raters.add(rater)
            outcome = "tie" if choice in UNDECIDED else "win" if choice == arm else "loss"
            one.outcomes[outcome] += 1
    keys = sorted(found, key=lambda key: (_natural(key[1]), key[2], key[0]))
    lines = (_line(key, found[key], frames.dimensions) for key in keys)
    return (*lines, *_pair_lines(frames))


def _pair_lines(frames: Frames) -> Iterator[Line]:
    """A line for each kind of rater, item and pair of arms, either way round.

    Scores are paired as in the report's differences.
    """
    found: dict[tuple[str, str, str, str], _Found] = defaultdict(_Found)
    for kind in RaterKind:
        own = frames.of(kind)
        scored = comparable(own)
        for dimension in own.dimensions:
            part = scored[scored["dimension"] == dimension]
            for first, second in combinations(own.arms, 2):
                for item, rater, gap in item_gaps(part, first, second):
                    for arm, other, sign in ((first, second, 1), (second, first, -1)):
                        one = found[kind.value, item, arm, other]
                        one.raters.update(rater)
                        one.scores[dimension].append(sign * gap)
    names = ["rater_kind", "item", "arm_a", "arm_b", "rater", "choice"]
    for kind, item, first, second, rater, choice in _rows(decided(frames.preferences), names):
        for arm, other in ((first, second), (second, first)):
            one = found[kind, item, arm, other]
            one.raters.add(rater)
            outcome = "tie" if choice in UNDECIDED else "win" if choice == arm else "loss"
            one.outcomes[outcome] += 1
    for key in sorted(found, key=lambda key: (_natural(key[1]), *key[2:], key[0])):
        yield replace(_line(key[:3], found[key], frames.dimensions), other=key[3])


def _rows(frame: pd.DataFrame, names: list[str]) -> list[tuple[Any, ...]]:
    """Rows as tuples."""
    return list(frame[names].itertuples(index=False, name=None))


def _line(key: tuple[str, str, str], one: _Found, dimensions: tuple[str, ...]) -> Line:
    kind, item, arm = key
    scores = {name: one.scores[name] for name in dimensions if one.scores.get(name)}
    return Line(
        RaterKind(kind),
        item,
        arm,
        {name: sum(values) / len(values) for name, values in scores.items()},
        {name: max(values) - min(values) for name, values in scores.items()},
        len(one.raters),
        one.unknown,
        one.outcomes["win"],
        one.outcomes["tie"],
        one.outcomes["loss"],
    )


def _natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """item-2 before item-10."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple(
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part.casefold()) for part in parts
    )
