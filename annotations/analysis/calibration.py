"""Can a judge stand in for people? Its scores beside theirs, on the replies both rated."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from annotations.analysis.agreement import kappa_estimate, reply_table
from annotations.analysis.differences import comparable
from annotations.analysis.estimate import (
    Estimate,
    Floats,
    bootstrap,
    mean,
    missing_estimate,
)
from annotations.analysis.tidy import Frames, scale_text, without_scale
from annotations.values import HIGHEST_SCORE, RaterKind

REPLICATES = 300


@dataclass(frozen=True)
class Calibration:
    """One judge on one dimension; `n` counts the replies that both it and people scored."""

    judge: str
    dimension: str
    kappa: Estimate
    """Quadratically weighted, of the judge with each person, pooled."""
    human_kappa: Estimate
    """The same among people: what the judge's can be held against."""
    spearman: Estimate
    """With the people's mean of a reply."""
    kendall: Estimate
    bias: Estimate
    """Judge minus people's mean of the same reply."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows: a person's score 0-5; columns: the judge's."""
    points: tuple[tuple[float, float, str], ...]
    """People's mean, judge's score and arm of each reply."""


def calibrations(
    frames: Frames, *, replicates: int = REPLICATES, seed: int = 0
) -> tuple[Calibration, ...]:
    """Every judge on every dimension it shares with people.

    One that both rated but on different scales is there without numbers.
    """
    people, judges = comparable(frames.of(RaterKind.HUMAN)), comparable(frames.of(RaterKind.JUDGE))
    found = []
    for judge in sorted(set(judges["rater"])):
        for dimension in frames.dimensions:
            theirs = people[people["dimension"] == dimension]
            its = judges[(judges["rater"] == judge) & (judges["dimension"] == dimension)]
            if len(its) and len(theirs):
                found.append(_calibration(judge, dimension, its, theirs, replicates, seed))
            elif len(its):
                found += _on_other_scales(judge, dimension, set(people["dimension"]))
    return tuple(found)


def _on_other_scales(judge: str, dimension: str, peoples: set[str]) -> list[Calibration]:
    """Why a dimension of people and judge is not compared, when its scale is the reason."""
    same = sorted(name for name in peoples if without_scale(name) == without_scale(dimension))
    if not same:
        return []
    why = f"different scales: people {scale_text(same)}, the judge {scale_text([dimension])}"
    none = missing_estimate(why)
    return [Calibration(judge, dimension, none, none, none, none, none, (), ())]


def _calibration(
    judge: str,
    dimension: str,
    its: pd.DataFrame,
    theirs: pd.DataFrame,
    replicates: int,
    seed: int,
) -> Calibration:
    """One judge on one dimension."""
    keys = ["item", "arm"]
    means = theirs.groupby(keys, as_index=False)["score"].mean()
    both = means.merge(its[[*keys, "score"]], on=keys, suffixes=("_people", "_judge"))
    table = reply_table(theirs)
    raters = table.shape[1]
    people_kappa = _human_kappa(table, replicates, seed)
    if not len(both):
        none = missing_estimate("the judge and people rated no reply in common")
        return Calibration(judge, dimension, none, people_kappa, none, none, none, (), ())
    own = np.rint(its.set_index(keys)["score"]).rename("\x00judge")
    joined = table.join(own, how="inner")
    last = joined.shape[1] - 1
    kappa = kappa_estimate(
        joined, replicates=replicates, seed=seed, pairs=[(at, last) for at in range(last)]
    )
    x, y = both["score_people"].to_numpy(), both["score_judge"].to_numpy()
    gap = mean(y - x, both["item"], ["one"] * len(both), null=0.0)
    bias = Estimate(
        gap.value, gap.low, gap.high, gap.n, gap.items, raters, gap.p, gap.se, gap.df,
        gap.note if gap.low is None else "",
    )  # fmt: skip
    items = both["item"].to_numpy()
    spearman, kendall = _rank_correlations(x, y, items, raters, replicates, seed)
    points = tuple(zip(map(float, x), map(float, y), both["arm"], strict=True))
    return Calibration(
        judge,
        dimension,
        kappa,
        people_kappa,
        spearman,
        kendall,
        bias,
        _confusion(joined),
        points,
    )


def _human_kappa(table: pd.DataFrame, replicates: int, seed: int) -> Estimate:
    """Agreement among the people themselves."""
    if table.shape[1] < 2:
        return missing_estimate("undefined: one rater", len(table))
    return kappa_estimate(table, replicates=replicates, seed=seed)


def _rank_correlations(
    x: Floats, y: Floats, items: np.ndarray, raters: int, replicates: int, seed: int
) -> tuple[Estimate, Estimate]:
    """Spearman's rho and Kendall's tau-b, with bootstrap intervals over items."""
    names, where = np.unique(items, return_inverse=True)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        why = "undefined: fewer than three replies, or one side gives a single score"
        none = missing_estimate(why, len(x), len(names), raters)
        return none, none
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(where == at) for at in range(len(names))]
    drawn = np.full((replicates, 2), np.nan)
    for row in range(replicates if len(names) > 1 else 0):
        rows = np.concatenate([members[at] for at in random.integers(0, len(names), len(names))])
        drawn[row] = _correlations(x[rows], y[rows])
    rho, tau = _correlations(x, y)
    return (
        bootstrap(rho, drawn[:, 0], n=len(x), items=len(names), raters=raters),
        bootstrap(tau, drawn[:, 1], n=len(x), items=len(names), raters=raters),
    )


def _correlations(x: Floats, y: Floats) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau-b; nan when a side is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(x, y).statistic), float(stats.kendalltau(x, y).statistic)


def _confusion(joined: pd.DataFrame) -> tuple[tuple[int, ...], ...]:
    """Each person's score against the judge's for the same reply; the judge is the last column."""
    scores = joined.to_numpy(dtype=float)
    judge = np.repeat(scores[:, -1:], scores.shape[1] - 1, axis=1)
    people = scores[:, :-1]
    known = np.isfinite(people) & np.isfinite(judge)
    counts = np.zeros((HIGHEST_SCORE + 1, HIGHEST_SCORE + 1), dtype=int)
    np.add.at(counts, (people[known].astype(int), judge[known].astype(int)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)
