"""Means with intervals that allow for items and raters being drawn, not given.

Ratings of one item resemble each other, and so do ratings by one rater. The variance is the
two-way cluster-robust one (Cameron, Gelbach and Miller, 2011, "Robust inference with multiway
clustering", J. Bus. Econ. Stat. 29): between items, plus between raters, minus between the cells
of both. With few clusters a normal quantile is too small and t with the smaller number of
clusters less one often too large, so the degrees of freedom are Satterthwaite's (1946) for that
sum. `coverage.py` measures what these choices do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

LEVEL = 0.95
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval and what it rests on.

    `value` is None when nothing was measured, the ends are None when no interval can be given;
    `note` then says why.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Answers it rests on."""
    items: int
    raters: int
    p: float | None = None
    """Two-sided, against the null value that was asked for."""
    se: float | None = None
    df: float | None = None
    note: str = ""

    def clipped(self, least: float, most: float) -> Estimate:
        """The same with the ends of the interval kept on the scale."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, least), high=min(self.high, most))


def missing_estimate(note: str, n: int = 0, items: int = 0, raters: int = 0) -> Estimate:
    """Nothing to report, and why."""
    return Estimate(None, None, None, n, items, raters, note=note)


@dataclass(frozen=True)
class Clustered:
    """Variances of S estimates at once. Shapes (S,)."""

    variance: Floats
    df: Floats
    items: Ints
    raters: Ints


def codes(values: ArrayLike) -> Ints:
    """Labels as 0, 1, 2 ..."""
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1], dtype=np.int64)


def cluster_variance(
    contributions: Floats, used: NDArray[np.bool_], items: Ints, raters: Ints
) -> Clustered:
    """Two-way clustered variance of estimates from what each answer contributes to them.

    Args:
        contributions: shape (S, n), weight times deviation; each row sums to 0.
        used: shape (S, n), False where an answer is missing (its contribution is 0).
        items: shape (n,), codes from 0.
        raters: shape (n,), codes from 0.

    With one item or one rater only the other clustering is left; with one of each the variance
    is nan. The sum is never taken below either clustering alone, as it can fall below 0.
    """
    cells = codes(items * (raters.max(initial=0) + 1) + raters)
    by_item, n_items = _between(contributions, used, items)
    by_rater, n_raters = _between(contributions, used, raters)
    by_cell, n_cells = _between(contributions, used, cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        # With few raters who all rate every item the subtraction can leave less than one
        # clustering alone gives, even nothing; both alone are valid too (section 2.3 there, on
        # results that are not positive), and the largest of the three errs on the wide side.
        both = np.maximum(by_item + by_rater - by_cell, np.maximum(by_item, by_rater))
        satterthwaite = both**2 / (
            by_item**2 / (n_items - 1) + by_rater**2 / (n_raters - 1) + by_cell**2 / (n_cells - 1)
        )
        two_way = (n_items > 1) & (n_raters > 1)
        one_way = np.where(n_items > 1, by_item, by_rater)
        variance = np.where(two_way, both, one_way)
        df = np.where(two_way, satterthwaite, np.maximum(n_items, n_raters) - 1.0)
    return Clustered(variance, np.maximum(df, 1.0), n_items, n_raters)


def _between(
    contributions: Floats, used: NDArray[np.bool_], groups: Ints
) -> tuple[Floats, NDArray[np.int64]]:
    """Sum of squared group totals with the g / (g - 1) correction, and the number of groups."""
    n = len(groups)
    indicator = sparse.csr_array(
        (np.ones(n), (groups, np.arange(n))), shape=(int(groups.max(initial=0)) + 1, n)
    )
    totals = indicator @ contributions.T
    count = np.asarray((indicator @ used.T.astype(float) > 0).sum(axis=0), dtype=np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(count > 1, (totals**2).sum(axis=0) * count / (count - 1), np.nan)
    return variance, count


def weighted_means(
    values: Floats, weights: Floats, items: Ints, raters: Ints
) -> tuple[Floats, Clustered]:
    """S weighted means and their variances; `values` and `weights` have shape (S, n).

    An answer of weight 0 is missing; its value is ignored.
    """
    used = weights > 0
    safe = np.where(used, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weights / weights.sum(axis=1, keepdims=True)
        means = (safe * share).sum(axis=1)
        contributions = np.where(used, share * (safe - means[:, None]), 0.0)
    return means, cluster_variance(contributions, used, items, raters)


def mean(
    values: ArrayLike,
    items: ArrayLike,
    raters: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    null: float | None = None,
) -> Estimate:
    """The mean of some answers, its interval clustered by item and rater, and p against `null`."""
    y = np.asarray(values, dtype=float)
    if not len(y):
        return missing_estimate("no answers")
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=float)
    means, spread = weighted_means(y[None], w[None], codes(items), codes(raters))
    return _estimate(float(means[0]), spread, int((w > 0).sum()), null)


def from_contributions(
    value: float,
    contributions: ArrayLike,
    items: ArrayLike,
    raters: ArrayLike,
    *,
    null: float | None = None,
) -> Estimate:
    """Any estimate that is a sum over answers, with what each contributes to its error."""
    psi = np.asarray(contributions, dtype=float)[None]
    spread = cluster_variance(psi, np.ones_like(psi, dtype=bool), codes(items), codes(raters))
    return _estimate(value, spread, psi.shape[1], null)


def _estimate(value: float, spread: Clustered, n: int, null: float | None) -> Estimate:
    """One estimate, with a note where no interval can be given."""
    variance, df = float(spread.variance[0]), float(spread.df[0])
    items, raters = int(spread.items[0]), int(spread.raters[0])
    plain = Estimate(value, None, None, n, items, raters)
    if np.isnan(variance):
        return replace(plain, note="no interval: one item and one rater")
    if variance < 1e-20:
        return replace(plain, note="no interval: the answers do not vary")
    se = variance**0.5
    reach = float(stats.t.ppf((1 + LEVEL) / 2, df)) * se
    p = None if null is None else float(2 * stats.t.sf(abs(value - null) / se, df))
    return Estimate(value, value - reach, value + reach, n, items, raters, p, se, df, _only(spread))


def _only(spread: Clustered) -> str:
    """What the interval does not speak about."""
    if spread.raters[0] == 1:
        return "holds for this rater only"
    if spread.items[0] == 1:
        return "holds for this item only"
    return ""


def share(hits: ArrayLike, items: ArrayLike, raters: ArrayLike) -> Estimate:
    """A share with the interval of Korn and Graubard (1998, Survey Methodology 24).

    It is Clopper and Pearson's at the effective number of answers that the clustered variance
    implies. When all answers agree that number is unknown: the number of items or of raters,
    whichever is smaller but above 1, takes its place.
    """
    found = mean(np.asarray(hits, dtype=float), items, raters)
    if found.value is None:
        return found
    p, n = round(found.value, 12), found.n
    if found.se is not None and found.df is not None and n > 1:
        correction = stats.t.ppf((1 + LEVEL) / 2, n - 1) / stats.t.ppf((1 + LEVEL) / 2, found.df)
        size = min(float(n), p * (1 - p) / found.se**2 * float(correction) ** 2)
    elif 0 < p < 1:
        size = 1.0
    else:
        size = float(min([count for count in (found.items, found.raters) if count > 1] or [1]))
    hit, tail = p * size, (1 - LEVEL) / 2
    low = 0.0 if p == 0 else float(stats.beta.ppf(tail, hit, size - hit + 1))
    high = 1.0 if p == 1 else float(stats.beta.ppf(1 - tail, hit + 1, size - hit))
    return replace(found, value=p, low=low, high=high, note=found.note if found.se else "")


def bootstrap(
    value: float | None,
    drawn: Floats,
    *,
    n: int,
    items: int,
    raters: int,
    note: str = "",
) -> Estimate:
    """A value with the percentile interval of its replicates; undefined replicates are left out."""
    if value is None or not np.isfinite(value):
        return missing_estimate(note, n, items, raters)
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < max(20, len(drawn) // 2):
        why = note or "no interval: too few resamples in which it is defined"
        return Estimate(float(value), None, None, n, items, raters, note=why)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high), n, items, raters, note=note)


def item_weights(count: int, replicates: int, seed: int) -> Floats:
    """How often each item is drawn in each replicate. Shape (replicates, count)."""
    random = np.random.default_rng(seed)
    return random.multinomial(count, np.full(count, 1 / count), size=replicates).astype(float)
