"""Strengths of the arms from all comparisons at once: Bradley and Terry (1952) with ties.

Davidson (1970, "On extending the Bradley-Terry model to accommodate ties in paired comparison
experiments", JASA 65): win : tie : loss = s_a : nu * sqrt(s_a s_b) : s_b. The log-odds of a win get
a term for the longer reply (per doubling of words) and one for the left side, where known. "Both
bad" counts as a tie. Intervals come from reweighting items and raters independently with
exponential weights (Owen and Eckles, 2012, "Bootstrapping data arrays of arbitrary order", Ann.
Appl. Stat. 6), which is mildly conservative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from annotations.analysis.decided import decided
from annotations.analysis.estimate import (
    Estimate,
    Floats,
    bootstrap,
    codes,
    missing_estimate,
)
from annotations.analysis.tidy import Frames

REPLICATES = 300
RIDGE = 1e-3
"""Keeps strengths finite when an arm always wins; moves other estimates by less than 0.01."""
_NEWTON_STEPS = 60


@dataclass(frozen=True)
class BradleyTerry:
    """Log-strengths that sum to 0, and what else moves a choice."""

    strengths: tuple[tuple[str, Estimate], ...]
    """Strongest first."""
    tie: Estimate
    """Log of Davidson's nu."""
    length: Estimate
    """Added log-odds of winning per doubling of words."""
    left: Estimate
    """Added log-odds of winning on the left."""
    note: str
    """Why there is no fit, or what to know about it; empty when all is well."""


@dataclass(frozen=True, eq=False)
class _Data:
    """Comparisons as arrays. Shapes (n, p) and (n,)."""

    design: Floats
    outcome: NDArray[np.int64]
    """0: a wins, 1: tie, 2: b wins."""


def bradley_terry(frames: Frames, *, replicates: int = REPLICATES, seed: int = 0) -> BradleyTerry:
    """The fit over all comparisons, or a note that says why there is none."""
    rows = decided(frames.preferences)
    if not len(rows):
        return _none("no comparisons")
    arms = sorted(set(rows["arm_a"]) | set(rows["arm_b"]))
    if _islands(rows, arms) > 1:
        return _none("the arms fall into groups that were never compared with each other")
    if (~rows["choice"].isin(arms)).all():
        return _none("every comparison is a tie: nothing tells the arms apart")
    data, covariates, note = _data(rows, arms)
    start = np.zeros(data.design.shape[1] + 1)
    best = _fit(data, np.ones(len(rows)), start)
    drawn = _replicates(rows, data, best, replicates, seed)
    if _separated(rows, arms):
        # The likelihood has no maximum: the ridge sets the strength, so an interval means nothing.
        drawn = np.full_like(drawn, np.nan)
        note += " An arm won or lost every decided comparison: its strength has no upper or no"
        note += " lower end, and the numbers are held by a ridge."
    return _result(rows, arms, covariates, best, drawn, note.strip())


def _data(rows: pd.DataFrame, arms: list[str]) -> tuple[_Data, dict[str, bool], str]:
    """The design: one contrast column for each arm but the last, then length, then left."""
    n = len(rows)
    where = {arm: at for at, arm in enumerate(arms)}
    contrast = np.zeros((n, len(arms)))
    contrast[np.arange(n), rows["arm_a"].map(where).to_numpy()] = 1
    contrast[np.arange(n), rows["arm_b"].map(where).to_numpy()] -= 1
    free = contrast[:, :-1] - contrast[:, -1:]
    length = np.log2((rows["words_a"] + 1) / (rows["words_b"] + 1)).to_numpy()
    side = rows["side_a"].map({"left": 1.0, "right": -1.0}).fillna(0.0).to_numpy()
    columns, has = [free], {"length": False, "left": False}
    note = ""
    if np.isfinite(length).all() and np.ptp(length) > 0:
        columns.append(length[:, None])
        has["length"] = True
    elif np.isfinite(length).any() and not np.isfinite(length).all():
        note = "Words are not known for all replies, so length is left out."
    if np.ptp(side) > 0:
        columns.append(side[:, None])
        has["left"] = True
    choice = rows["choice"].to_numpy()
    outcome = np.where(choice == rows["arm_a"], 0, np.where(choice == rows["arm_b"], 2, 1))
    return _Data(np.hstack(columns), outcome.astype(np.int64)), has, note


def negative_log_likelihood(
    parameters: Floats, design: Floats, outcome: NDArray[np.int64], weights: Floats
) -> tuple[float, Floats]:
    """Davidson's negative log-likelihood and its gradient, ridge included.

    `parameters` are those of the design's columns, then log nu.
    """
    odds = design @ parameters[:-1]
    logits = np.stack([odds / 2, np.full_like(odds, parameters[-1]), -odds / 2], axis=1)
    top = logits.max(axis=1, keepdims=True)
    exp = np.exp(logits - top)
    total = exp.sum(axis=1, keepdims=True)
    chance = exp / total
    at = np.arange(len(outcome))
    loss = float(weights @ (np.log(total[:, 0]) + top[:, 0] - logits[at, outcome]))
    hit = np.zeros_like(chance)
    hit[at, outcome] = 1
    residual = weights[:, None] * (chance - hit)
    gradient = np.append(design.T @ ((residual[:, 0] - residual[:, 2]) / 2), residual[:, 1].sum())
    ridge = RIDGE * len(outcome) / 10
    return loss + ridge * float(parameters @ parameters) / 2, gradient + ridge * parameters


def _fit(data: _Data, weights: Floats, start: Floats) -> Floats:
    """The parameters of greatest likelihood."""
    found = minimize(
        negative_log_likelihood,
        start,
        args=(data.design, data.outcome, weights),
        jac=True,
        method="L-BFGS-B",
    )
    return np.asarray(found.x, dtype=float)


def _replicates(
    rows: pd.DataFrame, data: _Data, best: Floats, replicates: int, seed: int
) -> Floats:
    """Parameters under random weights of items and raters. Shape (replicates, p + 1).

    A single item or rater is not reweighted: that would only scale the whole.
    """
    random = np.random.default_rng(seed)
    weights = np.ones((replicates, len(rows)))
    for group in (codes(rows["item"]), codes(rows["rater"])):
        if group.max() > 0:
            weights *= random.exponential(size=(replicates, group.max() + 1))[:, group]
    return newton(data.design, data.outcome, weights / weights.mean(axis=1, keepdims=True), best)


def newton(design: Floats, outcome: NDArray[np.int64], weights: Floats, start: Floats) -> Floats:
    """The parameters of greatest likelihood for B weightings at once. Shape (B, p + 1)."""
    replicates, p = len(weights), design.shape[1]
    square = (design[:, :, None] * design[:, None, :]).reshape(len(design), p * p)
    ridge = RIDGE * len(outcome) / 10
    won = (outcome == 0).astype(float) - (outcome == 2)
    tied = (outcome == 1).astype(float)
    found = np.tile(start, (replicates, 1))
    for _ in range(_NEWTON_STEPS):
        odds = found[:, :-1] @ design.T
        win, tie, loss = np.exp(odds / 2), np.exp(found[:, -1:]), np.exp(-odds / 2)
        total = win + tie + loss
        ahead, even = (win - loss) / total, tie / total
        gradient = np.empty_like(found)
        gradient[:, :-1] = (weights * (ahead - won)) @ design / 2
        gradient[:, -1] = (weights * (even - tied)).sum(axis=1)
        gradient += ridge * found
        curvature = np.empty((replicates, p + 1, p + 1))
        spread = (win + loss) / total - ahead**2
        curvature[:, :p, :p] = ((weights * spread) @ square / 4).reshape(replicates, p, p)
        curvature[:, :p, p] = curvature[:, p, :p] = -(weights * ahead * even) @ design / 2
        curvature[:, p, p] = (weights * even * (1 - even)).sum(axis=1)
        curvature += ridge * np.eye(p + 1)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        length = np.abs(step).max(axis=1, keepdims=True)
        found -= step * np.minimum(1.0, 1.0 / np.maximum(length, 1e-12))
        if length.max() < 1e-7:
            break
    return found


def _result(
    rows: pd.DataFrame,
    arms: list[str],
    has: dict[str, bool],
    best: Floats,
    drawn: Floats,
    note: str,
) -> BradleyTerry:
    """The parameters as estimates, strengths centred."""
    counts = {"n": len(rows), "items": rows["item"].nunique(), "raters": rows["rater"].nunique()}
    free = len(arms) - 1

    def estimate(value: float, replicates: Floats) -> Estimate:
        if counts["items"] == 1 and counts["raters"] == 1:
            return Estimate(value, None, None, **counts, note="one item and one rater")
        return bootstrap(value, replicates, **counts)

    def strength(parameters: Floats) -> Floats:
        # The last arm's is minus the sum of the others, as the contrasts sum to 0.
        some = parameters[..., :free]
        return np.concatenate([some, -some.sum(axis=-1, keepdims=True)], axis=-1)

    values, samples = strength(best), strength(drawn)
    strengths = [(arm, estimate(values[at], samples[:, at])) for at, arm in enumerate(arms)]
    strengths.sort(key=lambda pair: -(pair[1].value or 0.0))
    column = free
    extra = {}
    for name in ("length", "left"):
        if has[name]:
            extra[name] = estimate(best[column], drawn[:, column])
            column += 1
        else:
            extra[name] = missing_estimate("not recorded, or the same throughout")
    tie = estimate(best[-1], drawn[:, -1])
    return BradleyTerry(tuple(strengths), tie, extra["length"], extra["left"], note)


def _none(why: str) -> BradleyTerry:
    """No fit."""
    empty = missing_estimate(why)
    return BradleyTerry((), empty, empty, empty, why)


def _islands(rows: pd.DataFrame, arms: list[str]) -> int:
    """Groups of arms without a comparison between them."""
    where = {arm: at for at, arm in enumerate(arms)}
    pairs = rows["arm_a"].map(where).to_numpy(), rows["arm_b"].map(where).to_numpy()
    graph = sparse.coo_array((np.ones(len(rows)), pairs), shape=(len(arms), len(arms)))
    return int(connected_components(graph, directed=False)[0])


def _separated(rows: pd.DataFrame, arms: list[str]) -> bool:
    """Whether some arm won all, or lost all, of its decided comparisons."""
    won = rows["choice"].value_counts()
    decided = rows[rows["choice"].isin(arms)]
    for arm in arms:
        games = int(((decided["arm_a"] == arm) | (decided["arm_b"] == arm)).sum())
        if games and won.get(arm, 0) in (0, games):
            return True
    return False
