"""How well raters agree: Krippendorff's alpha (ordinal) and quadratically weighted kappa.

A unit is a reply to an item; the scores of all its raters are compared. Intervals are percentile
bootstraps over items, so that the replies to one item stay together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from annotations.analysis.differences import comparable
from annotations.analysis.estimate import (
    Estimate,
    Floats,
    bootstrap,
    codes,
    item_weights,
    missing_estimate,
)
from annotations.analysis.tidy import Frames
from annotations.values import HIGHEST_SCORE

REPLICATES = 1000
POINTS = HIGHEST_SCORE + 1
_PAIRS_AT_ONCE = 200


@dataclass(frozen=True)
class Agreement:
    """Agreement on one dimension; `n` counts the replies that two or more raters scored."""

    dimension: str
    alpha: Estimate
    kappa: Estimate


def agreements(
    frames: Frames, *, replicates: int = REPLICATES, seed: int = 0
) -> tuple[Agreement, ...]:
    """Each dimension; where a coefficient is undefined its note says why."""
    scored = comparable(frames)
    found = []
    for dimension in frames.dimensions:
        part = scored[scored["dimension"] == dimension]
        table = reply_table(part)
        why = _undefined(table)
        if why:
            none = missing_estimate(why, len(table), part["item"].nunique(), table.shape[1])
            found.append(Agreement(dimension, none, none))
            continue
        found.append(
            Agreement(
                dimension,
                alpha_estimate(table, replicates=replicates, seed=seed),
                kappa_estimate(table, replicates=replicates, seed=seed),
            )
        )
    return tuple(found)


def reply_table(scored: pd.DataFrame) -> pd.DataFrame:
    """Replies (item, arm) by raters, nan where not scored; averages count as the nearest score."""
    table = scored.pivot_table(index=["item", "arm"], columns="rater", values="score")
    return pd.DataFrame(np.rint(table), index=table.index, columns=table.columns)


def _undefined(table: pd.DataFrame) -> str:
    """Why no coefficient exists, or nothing."""
    if table.shape[1] == 0:
        return "undefined: no scores"
    if table.shape[1] == 1:
        return "undefined: one rater"
    shared = table[table.notna().sum(axis=1) >= 2]
    if not len(shared):
        return "undefined: no reply was scored by two raters"
    if len(np.unique(shared.to_numpy()[shared.notna().to_numpy()])) == 1:
        return "undefined: every score is the same, so agreement beyond chance has no meaning"
    return ""


def alpha_estimate(table: pd.DataFrame, *, replicates: int, seed: int) -> Estimate:
    """Krippendorff's alpha for ordinal data (Krippendorff, 2019, Content Analysis, ch. 12)."""
    counts = value_counts(table)
    shared = counts.sum(axis=1) >= 2
    value = float(ordinal_alpha(counts[shared], np.ones((1, int(shared.sum()))))[0])
    names = np.asarray(table.index.get_level_values("item"))[shared]
    items = codes(names)
    weights = item_weights(int(items.max()) + 1, replicates, seed)[:, items]
    drawn = ordinal_alpha(counts[shared], weights)
    return _bounded(value, drawn, int(shared.sum()), int(items.max()) + 1, table.shape[1])


def value_counts(table: pd.DataFrame) -> Floats:
    """How many raters gave each score to each reply. Shape (replies, 6)."""
    scores = table.to_numpy(dtype=float)
    return np.stack([(scores == point).sum(axis=1) for point in range(POINTS)], axis=1).astype(
        float
    )


def ordinal_alpha(counts: Floats, weights: Floats) -> Floats:
    """Alpha of B weightings of replies at once.

    Args:
        counts: shape (replies, 6), two or more raters each.
        weights: shape (B, replies).

    Returns:
        Shape (B,), nan where a resample holds a single value.
    """
    size = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    at = np.arange(POINTS)
    pairs[:, at, at] -= counts
    observed = np.tensordot(weights, pairs / (size - 1)[:, None, None], axes=1)
    total = weights @ counts
    expected = total[:, :, None] * total[:, None, :]
    expected[:, at, at] -= total
    n = total.sum(axis=1)
    upto = np.cumsum(total, axis=1)
    # Ordinal distance: all between two scores, the two themselves by half.
    middle = upto - total / 2
    distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (observed * distance).sum((1, 2)) * (n - 1) / (expected * distance).sum((1, 2))
    return np.asarray(1 - ratio, dtype=float)


def kappa_estimate(
    table: pd.DataFrame,
    *,
    replicates: int,
    seed: int,
    pairs: list[tuple[int, int]] | None = None,
) -> Estimate:
    """Quadratically weighted kappa (Cohen, 1968), pooled over pairs of raters.

    With two raters it is Cohen's. With more, the disagreement found and that expected by chance
    are each summed over pairs, weighted by the replies a pair shares. `pairs` (columns of the
    table) restricts which are compared.
    """
    scores = table.to_numpy(dtype=float)
    wanted = list(combinations(range(scores.shape[1]), 2)) if pairs is None else pairs
    known = np.isfinite(scores)
    wanted = [pair for pair in wanted if (known[:, pair[0]] & known[:, pair[1]]).sum() >= 2]
    shared = int((known.sum(axis=1) >= 2).sum())
    items = codes(table.index.get_level_values("item"))
    count = int(items.max()) + 1
    if not wanted:
        return missing_estimate(
            "undefined: no two raters share two replies", shared, count, scores.shape[1]
        )
    weights = np.vstack([np.ones(count), item_weights(count, replicates, seed)])[:, items]
    found = pooled_kappa(scores, wanted, weights)
    if not np.isfinite(found[0]):
        return missing_estimate("undefined: no variance", shared, count, scores.shape[1])
    return _bounded(float(found[0]), found[1:], shared, count, scores.shape[1])


def pooled_kappa(scores: Floats, pairs: list[tuple[int, int]], weights: Floats) -> Floats:
    """Weighted kappa of B weightings of replies at once. Shapes (replies, raters), (B, replies)."""
    observed = np.zeros(len(weights))
    expected = np.zeros(len(weights))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        first, second = np.array(pairs[start : start + _PAIRS_AT_ONCE]).T
        x, y = scores[:, first], scores[:, second]
        known = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
        n = weights @ known.astype(float)
        mean_x, mean_y = (_divide(weights @ one, n) for one in (x, y))
        square = _divide(weights @ (x**2 + y**2), n)
        observed += (weights @ (x - y) ** 2).sum(axis=1)
        # All of x against all of y: mean of squares less twice the product of the means.
        expected += (n * (square - 2 * mean_x * mean_y)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 1e-12, 1 - observed / expected, np.nan)


def _divide(sums: Floats, n: Floats) -> Floats:
    """Sums over counts, 0 where there is nothing."""
    return np.divide(sums, n, out=np.zeros_like(sums), where=n > 0)


def _bounded(value: float, drawn: Floats, n: int, items: int, raters: int) -> Estimate:
    """The estimate, or only the value when there is one item to draw from."""
    if items < 2:
        note = "no interval: one item"
        return Estimate(value, None, None, n, items, raters, note=note)
    return bootstrap(value, drawn, n=n, items=items, raters=raters)
