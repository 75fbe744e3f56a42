"""A linear mixed-effects model beside the paired differences: arms fixed, raters and items random.

It uses the ratings that have no partner too, and says how much raters and items differ: each has a
random intercept and a random departure for each arm, as leaving the latter out makes intervals too
narrow (Barr et al., 2013, J. Mem. Lang. 68). Scores are ordinal and bounded, so this is a second
look, not the headline.

The REML criterion is profiled over fixed effects and residual variance as in Bates et al. (2015,
J. Stat. Softw. 67); its cost depends on the number of raters and items, not of ratings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, stats
from scipy.optimize import minimize

from annotations.analysis.differences import comparable
from annotations.analysis.estimate import LEVEL, Estimate, Floats, missing_estimate
from annotations.analysis.tidy import Frames

MOST_EFFECTS = 1500
"""Random effects beyond which the fit takes minutes."""
NO_FIT = "did not converge"
NO_CHANCE = "no fit: beside arms, items and raters the scores do not vary"
_MOST_RATIO = 20.0
"""Of a random part's standard deviation to the residual one; beyond it nothing is left to chance.
"""
_LEAST_SD = 1e-4


@dataclass(frozen=True)
class MixedModel:
    """The fit of one dimension; the arms' effects are against `reference`."""

    dimension: str
    reference: str
    effects: tuple[tuple[str, Estimate], ...]
    spreads: tuple[tuple[str, float], ...]
    """Standard deviation of each random part and of the residual; no intervals."""
    note: str
    """Why there is no fit, or what to know about it; empty when all is well."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A REML fit. Shapes: beta (p,), covariance (p, p)."""

    beta: Floats
    covariance: Floats
    sds: Floats
    """Of the random parts in their order, then of the residual."""
    criterion: float
    """-2 log of the restricted likelihood, without its constant."""
    converged: bool


def mixed_models(frames: Frames) -> tuple[MixedModel, ...]:
    """One model a dimension."""
    scored = comparable(frames)
    return tuple(
        mixed_model(scored[scored["dimension"] == name], name) for name in frames.dimensions
    )


def mixed_model(rows: pd.DataFrame, dimension: str) -> MixedModel:
    """score ~ arm, with raters and items crossed as random."""
    arms = sorted(set(rows["arm"]))
    why = _unfit(rows, arms)
    if why:
        return _none(dimension, arms, why)
    fixed = np.stack([np.ones(len(rows)), *(rows["arm"] == arm for arm in arms[1:])], axis=1)
    parts = {
        "item": indicators(rows["item"]),
        "rater": indicators(rows["rater"]),
        "item by arm": indicators(rows["item"] + "\x1f" + rows["arm"]),
        "rater by arm": indicators(rows["rater"] + "\x1f" + rows["arm"]),
    }
    if sum(part.shape[1] for part in parts.values()) > MOST_EFFECTS:
        return _none(dimension, arms, "not tried: too many raters and items for a quick fit")
    fit = reml(rows["score"].to_numpy(dtype=float), fixed.astype(float), list(parts.values()))
    if not fit.converged or not np.isfinite(fit.covariance).all():
        return _none(dimension, arms, NO_FIT)
    residual = fit.sds[-1]
    if residual < _LEAST_SD or fit.sds.max() > 0.99 * _MOST_RATIO * residual:
        return _none(dimension, arms, NO_CHANCE)  # an interval of no width would look certain
    counts = {"n": len(rows), "items": rows["item"].nunique(), "raters": rows["rater"].nunique()}
    df = min(counts["items"], counts["raters"]) - 1
    effects = tuple((arm, _effect(fit, at, df, counts)) for at, arm in enumerate(arms) if at)
    zero = [name for name, sd in zip(parts, fit.sds, strict=False) if sd < 1e-3]
    note = f"estimated as 0: variance of {', '.join(zero)}" if zero else ""
    spreads = tuple(zip([*parts, "residual"], map(float, fit.sds), strict=True))
    return MixedModel(dimension, arms[0], effects, spreads, note)


def reml(y: Floats, fixed: Floats, parts: list[Floats]) -> Fit:
    """Fit y = fixed @ beta + sum of parts @ random + residual by restricted likelihood.

    Args:
        y: shape (n,).
        fixed: shape (n, p).
        parts: indicator matrices of the random effects, shape (n, q) each.
    """
    random = np.hstack(parts)
    known = np.column_stack([fixed, y])
    cross_z, cross_zk, cross_k = random.T @ random, random.T @ known, known.T @ known
    owner = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    n, p = fixed.shape

    def solve(theta: Floats) -> tuple[float, Floats, Floats, float]:
        scale = theta[owner]
        inner = scale[:, None] * cross_z * scale[None] + np.eye(len(owner))
        root = linalg.cholesky(inner, lower=True)
        half = linalg.solve_triangular(root, scale[:, None] * cross_zk, lower=True)
        left = cross_k - half.T @ half
        beta = linalg.solve(left[:p, :p], left[:p, p], assume_a="pos")
        residual = max(float(left[p, p] - left[:p, p] @ beta), 1e-12) / (n - p)
        fixed_det = np.linalg.slogdet(left[:p, :p])[1]
        deviance = (n - p) * np.log(residual) + 2 * np.log(np.diag(root)).sum() + fixed_det
        return float(deviance), beta, left[:p, :p], residual

    found = minimize(
        lambda theta: solve(theta)[0],
        np.full(len(parts), 0.4),
        method="L-BFGS-B",
        bounds=[(0.0, _MOST_RATIO)] * len(parts),
    )
    criterion, beta, information, residual = solve(found.x)
    sds = np.append(found.x, 1.0) * residual**0.5
    return Fit(beta, residual * linalg.inv(information), sds, criterion, bool(found.success))


def indicators(labels: pd.Series) -> Floats:
    """One column a label."""
    return np.asarray(pd.get_dummies(labels), dtype=float)


def _effect(fit: Fit, at: int, df: int, counts: dict[str, int]) -> Estimate:
    """One arm's effect, with t on the smaller number of clusters less one."""
    value, se = float(fit.beta[at]), float(fit.covariance[at, at] ** 0.5)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, df)) * se
    p = float(2 * stats.t.sf(abs(value) / se, df))
    return Estimate(
        value,
        value - reach,
        value + reach,
        p=p,
        se=se,
        df=float(df),
        n=counts["n"],
        items=counts["items"],
        raters=counts["raters"],
    )


def _unfit(rows: pd.DataFrame, arms: list[str]) -> str:
    """Why the model is not tried, or nothing."""
    if len(arms) < 2:
        return "needs two arms"
    if rows["rater"].nunique() < 2 or rows["item"].nunique() < 2:
        return "needs two raters and two items"
    if rows["score"].nunique() < 2:
        return "the scores do not vary"
    return ""


def _none(dimension: str, arms: list[str], why: str) -> MixedModel:
    effects = tuple((arm, missing_estimate(why)) for arm in arms[1:])
    return MixedModel(dimension, arms[0] if arms else "", effects, (), why)
