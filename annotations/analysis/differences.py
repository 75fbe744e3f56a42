"""Means of the arms, and paired differences between two of them, dimension by dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from annotations.analysis.estimate import (
    Clustered,
    Estimate,
    Floats,
    Ints,
    from_contributions,
    mean,
    missing_estimate,
    weighted_means,
)
from annotations.analysis.tidy import Frames, averaged, scale_of
from annotations.values import HIGHEST_SCORE

WITHIN_RATER = "same rater, same item"
WITHIN_ITEM = "same item, means of its raters"


@dataclass(frozen=True)
class ArmMean:
    """The mean score of an arm on a dimension."""

    arm: str
    dimension: str
    mean: Estimate
    counts: tuple[int, ...]
    """How often each score from 0 to 5 was given; averages of repeats count as the nearest."""


@dataclass(frozen=True)
class Difference:
    """`first` minus `second` on one dimension."""

    first: str
    second: str
    dimension: str
    difference: Estimate
    p_holm: float | None
    """p corrected for the dimensions of this pair of arms (Holm, 1979)."""
    how: str
    """What was paired."""


def comparable(frames: Frames) -> pd.DataFrame:
    """Scored ratings of real arms, one row a rater, item, arm and dimension."""
    scored = averaged(frames.ratings)
    return scored[scored["control"] == ""]


def arm_means(frames: Frames) -> tuple[ArmMean, ...]:
    """The mean of each arm and dimension, planted controls left out."""
    scored = comparable(frames)
    found = []
    for arm in frames.arms:
        for dimension in frames.dimensions:
            part = scored[(scored["arm"] == arm) & (scored["dimension"] == dimension)]
            value = mean(part["score"], part["item"], part["rater"])
            nearest = np.rint(part["score"]).astype(int)
            counts = np.bincount(nearest, minlength=HIGHEST_SCORE + 1)
            one = value.clipped(*scale_of(dimension))
            found.append(ArmMean(arm, dimension, one, tuple(counts)))
    return tuple(found)


def width(dimension: str) -> int:
    """The largest difference there can be, in points."""
    low, high = scale_of(dimension)
    return high - low


def differences(frames: Frames) -> tuple[Difference, ...]:
    """Every pair of arms on every dimension, Holm-corrected over the dimensions of a pair."""
    scored = comparable(frames)
    found: list[Difference] = []
    for second, first in combinations(frames.arms, 2):
        family = {
            dimension: paired_difference(scored, first, second, dimension)
            for dimension in frames.dimensions
        }
        corrected = holm({name: one.p for name, (one, _) in family.items()})
        found += [
            Difference(first, second, dimension, one, corrected[dimension], how)
            for dimension, (one, how) in family.items()
            if one.n
        ]
    return tuple(found)


def paired_difference(
    scored: pd.DataFrame, first: str, second: str, dimension: str
) -> tuple[Estimate, str]:
    """`first` minus `second` on a dimension, and what was paired. Takes `comparable` ratings.

    Raters who scored both replies to an item give one difference each. Where most items have no
    such rater (a study that shows one reply at a time) the arms are paired within items: each
    item counts once, and raters still count as clusters.
    """
    scored = scored[scored["dimension"] == dimension]
    wide = pair_within_raters(scored, first, second)
    shared = _in_both(scored, first, second)
    if _by_rater(wide, shared):
        one = mean(wide["gap"], wide["item"], wide["rater"], null=0.0)
        return one.clipped(-width(dimension), width(dimension)), WITHIN_RATER
    if not shared:
        return missing_estimate(f"no item has scores for both {first} and {second}"), WITHIN_ITEM
    one = _within_items(scored[scored["item"].isin(shared)], first, second)
    return one.clipped(-width(dimension), width(dimension)), WITHIN_ITEM


def item_gaps(
    scored: pd.DataFrame, first: str, second: str
) -> Iterator[tuple[str, frozenset[str], float]]:
    """The item, raters and value of each difference whose mean `paired_difference` is.

    Takes `comparable` ratings of one dimension.
    """
    wide = pair_within_raters(scored, first, second)
    shared = _in_both(scored, first, second)
    if _by_rater(wide, shared):
        for item, rater, gap in wide[["item", "rater", "gap"]].itertuples(index=False, name=None):
            yield str(item), frozenset([str(rater)]), float(gap)
        return
    for item, rows in scored[scored["item"].isin(shared)].groupby("item", sort=True):
        means = rows.groupby("arm")["score"].mean()
        raters = frozenset(map(str, rows.loc[rows["arm"].isin((first, second)), "rater"]))
        yield str(item), raters, float(means[first] - means[second])


def _by_rater(wide: pd.DataFrame, shared: set[str]) -> bool:
    """Whether raters saw both replies to most items, so that they are paired."""
    return bool(len(wide)) and wide["item"].nunique() * 2 >= len(shared)


def pair_within_raters(scored: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """One row a rater and item with both scores: rater, item and gap."""
    keys = ["rater", "item"]
    left = scored.loc[scored["arm"] == first, [*keys, "score"]]
    right = scored.loc[scored["arm"] == second, [*keys, "score"]]
    both = left.merge(right, on=keys, suffixes=("_first", "_second"))
    return both.assign(gap=both["score_first"] - both["score_second"])


def _in_both(scored: pd.DataFrame, first: str, second: str) -> set[str]:
    """Items with a score for either arm."""
    return set(scored.loc[scored["arm"] == first, "item"]) & set(
        scored.loc[scored["arm"] == second, "item"]
    )


def _within_items(scored: pd.DataFrame, first: str, second: str) -> Estimate:
    """The mean over items of the difference of an item's two means."""
    part = scored[scored["arm"].isin((first, second))]
    sign = np.where(part["arm"] == first, 1.0, -1.0)
    size = part.groupby(["item", "arm"])["score"].transform("size").to_numpy()
    weight = 1 / (size * part["item"].nunique())
    score = part["score"].to_numpy()
    centre = np.where(sign > 0, (weight * score)[sign > 0].sum(), (weight * score)[sign < 0].sum())
    value = float((sign * weight * score).sum())
    return from_contributions(
        value, sign * weight * (score - centre), part["item"], part["rater"], null=0.0
    )


def difference_batch(scores: Floats, items: Ints, raters: Ints) -> tuple[Floats, Clustered]:
    """The paired difference in many studies at once; `scores` has shape (S, assignments, 2).

    The same arithmetic as `paired_difference` within raters, for the known-truth check.
    """
    gaps = scores[:, :, 0] - scores[:, :, 1]
    return weighted_means(gaps, np.isfinite(gaps).astype(float), items, raters)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's step-down correction (1979); what has no p value stays without and does not count."""
    known = {name: p for name, p in p_values.items() if p is not None}
    if not known:
        return dict(p_values)
    corrected = multipletests(list(known.values()), method="holm")[1]
    return dict(p_values) | dict(zip(known, map(float, corrected), strict=True))
