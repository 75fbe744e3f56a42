"""What was not judged: how much, where, and how far it could move the results.

The bounds are Manski's (1990, "Nonparametric bounds on treatment effects", Am. Econ. Rev. 80):
every missing score put at the lowest or the highest of its scale. They assume nothing, so they
are wide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from annotations.analysis.differences import paired_difference, width
from annotations.analysis.estimate import Estimate, share
from annotations.analysis.tidy import Frames, scale_of
from annotations.values import RatingStatus

NOT_MARKED = "not marked"
"""The group of items without a crisis flag, where others have one."""


@dataclass(frozen=True)
class MissingShare:
    """The share of answers without a score in one group."""

    by: str
    """arm, dimension, crisis or status."""
    value: str
    share: Estimate


@dataclass(frozen=True)
class Bounds:
    """The difference `first` minus `second` if every missing score had been extreme."""

    first: str
    second: str
    dimension: str
    missing: int
    """Answers without a score in the two arms."""
    worst: Estimate
    """Missing scores of `first` are the lowest of the scale, of `second` the highest."""
    best: Estimate
    """Missing scores of `first` are the highest of the scale, of `second` the lowest."""


def missing_shares(frames: Frames) -> tuple[MissingShare, ...]:
    """By arm, by dimension, by crisis flag and by the reason that was recorded."""
    rows = frames.ratings[frames.ratings["control"] == ""]
    gone = rows["status"] != RatingStatus.SCORED.value
    found = []
    for by in ("arm", "dimension", "crisis"):
        for value in _values(frames, rows, by):
            part = rows[by] == value
            one = share(gone[part], rows.loc[part, "item"], rows.loc[part, "rater"])
            found.append(MissingShare(by, value or NOT_MARKED, one))
    for status in sorted(set(rows.loc[gone, "status"])):
        one = share(rows["status"] == status, rows["item"], rows["rater"])
        found.append(MissingShare("status", str(status), one))
    return tuple(found)


def _values(frames: Frames, rows: pd.DataFrame, by: str) -> tuple[str, ...]:
    """The groups in their usual order."""
    present = set(rows[by]) - {""}
    if by == "dimension":
        return tuple(name for name in frames.dimensions if name in present)
    # Of items that nobody marked nothing is known; left out, the shares would not add up.
    loose = by == "crisis" and present and (rows[by] == "").any()
    return (*sorted(present), *([""] if loose else []))


def bounds(frames: Frames) -> tuple[Bounds, ...]:
    """Best and worst case of every difference that has missing scores."""
    rows = frames.ratings[frames.ratings["control"] == ""]
    found = []
    for second, first in combinations(frames.arms, 2):
        for dimension in frames.dimensions:
            part = rows[(rows["dimension"] == dimension) & rows["arm"].isin((first, second))]
            gone = int((part["status"] != RatingStatus.SCORED.value).sum())
            if not gone or part["arm"].nunique() < 2:
                continue
            found.append(_bounds(part, first, second, dimension, gone))
    return tuple(found)


def _bounds(rows: pd.DataFrame, first: str, second: str, dimension: str, gone: int) -> Bounds:
    """The two extremes of one difference."""
    ends, widest = [], width(dimension)
    low, high = scale_of(dimension)
    for for_first, for_second in ((low, high), (high, low)):
        fill = np.where(rows["arm"] == first, for_first, for_second)
        filled = rows.assign(score=rows["score"].where(rows["score"].notna(), fill))
        keys = ["rater", "item", "arm", "dimension"]
        mean = filled.groupby(keys, as_index=False, sort=False).agg({"score": "mean"})
        one, _ = paired_difference(mean, first, second, dimension)
        # Filled-in scores give no evidence, so no p value.
        ends.append(replace(one, p=None).clipped(-widest, widest))
    return Bounds(first, second, dimension, gone, ends[0], ends[1])
