"""Does the 95% interval cover in 95% of studies, and is nothing found where nothing is?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from annotations.analysis.differences import difference_batch
from annotations.analysis.estimate import LEVEL, Floats, share, weighted_means
from annotations.analysis.synthetic import (
    Design,
    draw_choices,
    draw_scores,
    expected_difference,
    expected_score,
    expected_wins,
    layout,
)

STUDIES = 500
MAIN = "main"


def _few_alike(raters: int) -> Design:
    """Like judges: few, each rates every item, and items differ far more than they do."""
    return Design(
        items=100,
        raters=raters,
        per_task=raters,
        item_arm=0.8,
        rater=0.1,
        rater_arm=0.05,
        noise=0.3,
        side_bias=0.0,
        missing=0.0,
    )


DESIGNS = {
    MAIN: Design(),
    "few raters": Design(items=24, raters=6, per_task=3),
    "small": Design(items=12, raters=6, per_task=4),
    "many raters": Design(items=60, raters=40, per_task=3),
    "raters alike": Design(item_arm=0.0, rater_arm=0.0),
    "raters differ much": Design(raters=8, rater_arm=0.6),
    "strong side bias, 20% missing": Design(side_bias=0.6, missing=0.2),
    "two raters alike, all items": _few_alike(2),
    "three raters alike, all items": _few_alike(3),
}
"""The first is the one the promise is about; the others show where it bends."""


@dataclass(frozen=True)
class Coverage:
    """How intervals did in many studies of one design; what is not named is of the difference."""

    name: str
    design: Design
    studies: int
    truth: float
    mean: float
    """Mean of the estimates: near `truth` when nothing pulls them aside."""
    covered: float
    false_positives: float
    """Share of studies without an effect in which p < 0.05."""
    width: float
    naive_covered: float
    """Coverage of the interval that takes all answers as independent."""
    mean_covered: float
    """Of the mean score of the first arm."""
    wins_covered: float
    """Of the share of comparisons that the first arm won."""

    @property
    def error(self) -> float:
        """Standard error of the share covered, were it 95%."""
        return float(np.sqrt(LEVEL * (1 - LEVEL) / self.studies))


def check(name: str, design: Design, studies: int = STUDIES, seed: int = 0) -> Coverage:
    """Simulate studies with the effect of `design`, and as many without any."""
    second, first = sorted(design.effects)
    plan = layout(design)
    truth = expected_difference(design, first, second)
    scores = draw_scores(design, studies, seed)[:, :, ::-1]
    means, spread = difference_batch(scores, plan.items, plan.raters)
    reach = stats.t.ppf((1 + LEVEL) / 2, spread.df) * np.sqrt(spread.variance)
    gaps = scores[:, :, 0] - scores[:, :, 1]
    n = np.isfinite(gaps).sum(axis=1)
    naive = stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.nanstd(gaps, axis=1, ddof=1) / np.sqrt(n)
    return Coverage(
        name,
        design,
        studies,
        truth,
        float(means.mean()),
        float((np.abs(means - truth) <= reach).mean()),
        _false_positives(design, studies, seed + 1),
        float(2 * reach.mean()),
        float((np.abs(means - truth) <= naive).mean()),
        _mean_covered(design, scores[:, :, 0], first),
        _wins_covered(design, studies, seed + 2, first, second),
    )


def _mean_covered(design: Design, scores: Floats, arm: str) -> float:
    """Share of studies in which the interval of an arm's mean holds the truth."""
    plan, truth = layout(design), expected_score(design, arm)
    means, spread = weighted_means(
        scores, np.isfinite(scores).astype(float), plan.items, plan.raters
    )
    reach = stats.t.ppf((1 + LEVEL) / 2, spread.df) * np.sqrt(spread.variance)
    return float((np.abs(means - truth) <= reach).mean())


def _wins_covered(design: Design, studies: int, seed: int, first: str, second: str) -> float:
    """Share of studies in which the interval of the share won holds the truth."""
    plan, truth = layout(design), expected_wins(design, first, second)
    covered = 0
    for choices in draw_choices(design, studies, seed):
        known = np.isfinite(choices)
        found = share(choices[known] > 0, plan.items[known], plan.raters[known])
        assert found.low is not None and found.high is not None  # a share always has an interval
        covered += found.low <= truth <= found.high
    return covered / studies


def _false_positives(design: Design, studies: int, seed: int) -> float:
    """Share of studies of equal arms in which a difference is found."""
    equal = replace(design, effects=dict.fromkeys(design.effects, 0.0))
    plan = layout(equal)
    means, spread = difference_batch(draw_scores(equal, studies, seed), plan.items, plan.raters)
    p = 2 * stats.t.sf(np.abs(means) / np.sqrt(spread.variance), spread.df)
    return float((p < 1 - LEVEL).mean())


def kept(one: Coverage) -> bool:
    """Whether every interval covers in 93% to 97%, and 5% +/- 2 is found in nothing."""
    shares = (one.covered, one.mean_covered, one.wins_covered)
    return all(0.93 <= share <= 0.97 for share in shares) and 0.03 <= one.false_positives <= 0.07


def report(studies: int = STUDIES, seed: int = 0) -> tuple[str, bool]:
    """A table of all designs, and whether the main one keeps the promise."""
    found = [check(name, design, studies, seed) for name, design in DESIGNS.items()]
    lines = [
        f"Coverage of 95% intervals, {studies} studies a design (seed {seed}; standard error"
        f" {100 * found[0].error:.1f} points): of the paired difference, of it were all answers",
        "independent, of an arm's mean score, and of the share of comparisons it won.",
        "",
        f"{'design':31} items raters k  truth  mean  difference  independent  arm's mean"
        "  share won  found in nothing",
    ]
    lines += [
        f"{one.name:31} {one.design.items:5d} {one.design.raters:6d} {one.design.per_task}"
        f" {one.truth:6.3f} {one.mean:5.3f} {100 * one.covered:10.1f}%"
        f" {100 * one.naive_covered:11.1f}% {100 * one.mean_covered:10.1f}%"
        f" {100 * one.wins_covered:9.1f}% {100 * one.false_positives:16.1f}%"
        for one in found
    ]
    promise = "93% to 97% covered by all three and 5% +/- 2 false positives in the main design"
    lines += ["", f"{promise}: {'kept' if kept(found[0]) else 'NOT kept'}."]
    return "\n".join(lines), kept(found[0])
