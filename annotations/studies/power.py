"""How many people a study needs: its own design and its own test, simulated many times.

People and items are both drawn anew in each simulated study, so an effect must show above what
differs between people and between items; treating items as fixed promises too much (Judd,
Westfall and Kenny, 2012, doi:10.1037/a0028347). The test is the one of the analysis: t on the
mean, with the two-way cluster-robust variance of `annotations.analysis.estimate` (Cameron,
Gelbach and Miller, 2011). It needs no fitted model, holds for preferences and scores alike, and
takes microseconds a study.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy import optimize, stats

from annotations.analysis.estimate import Clustered, Floats, Ints, cluster_variance, weighted_means
from annotations.studies.build import BuiltStudy
from annotations.studies.values import StudyMode
from annotations.values import HIGHEST_SCORE, LOWEST_SCORE
from esc_demo.errors import BadInput

PARTICIPANTS = (6, 9, 12, 18, 24, 36, 48, 72, 96)
"""Sample sizes that are tried beside the plan's own."""

_BATCH = 250
"""Simulated studies in memory at once."""


@dataclass(frozen=True)
class Assumptions:
    """What is taken for granted about answers. Spreads are standard deviations.

    `rater_sd` and `item_sd` say how much the *effect* differs between people and between items,
    in logits for a preference and in points for a score; None is our default, .6 and .6 logits
    or .35 and .5 points. The rest belongs to one kind of outcome. All are guesses to be
    replaced by a pilot's figures.
    """

    ties: float = 0.2
    """Preference: share of "tie" and "both bad", each counted as half a preference."""
    rater_sd: float | None = None
    item_sd: float | None = None
    level: float = 2.6
    """Score: middle of the two arms."""
    level_sd: float = 0.7
    """Score: how much people's and items' common level differs; cancels within a pair."""
    noise_sd: float = 0.8
    """Score: of a single answer."""


@dataclass(frozen=True)
class PowerRow:
    """The power with so many people, and its 95% Monte Carlo (Wilson) interval."""

    participants: int
    comparisons: int
    """Answers about the primary outcome's two arms."""
    raters_per_item: int
    """What `raters_per_item` must be so that all of them find items."""
    power: float
    low: float
    high: float


@dataclass(frozen=True)
class _Layout:
    """Who judges which item, one entry an answer; `arm` is 0 or 1 in single mode. Shapes (n,)."""

    raters: Ints
    items: Ints
    arm: Ints


def power(
    built: BuiltStudy,
    *,
    effect: float,
    participants: Sequence[int] | None = None,
    simulations: int = 1000,
    seed: int = 0,
    assumed: Assumptions = Assumptions(),
    step: Callable[[int], object] = lambda _done: None,
) -> tuple[PowerRow, ...]:
    """The power for each number of participants, smallest first.

    Args:
        effect: for a preference, the second arm's share above one half (ties count half); for a
            dimension, how many points the second arm is above the first before rounding. With 0,
            the "power" is the rate of false positives.
        step: called with the number of studies that were simulated since the last call.

    Raises:
        BadInput: a value is out of range, or the study cannot show the effect.
    """
    _check(built, effect, assumed, simulations)
    plan = built.definition.plan
    sizes = sorted(set(participants or (*PARTICIPANTS, plan.participants)))
    if sizes[0] < 2:
        raise BadInput(f"{sizes[0]} participants: it takes at least 2 to tell people apart.")
    return tuple(_row(built, size, effect, simulations, seed, assumed, step) for size in sizes)


def enough(rows: Sequence[PowerRow], wanted: float) -> PowerRow | None:
    """The first row from which on the power is at least `wanted`; None if the last has less."""
    found = None
    for row in rows:
        if row.power < wanted:
            found = None
        elif found is None:
            found = row
    return found


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson, 1927)."""
    z = float(stats.norm.ppf(0.975))
    share, part = hits / of, z * z / of
    centre = (share + part / 2) / (1 + part)
    reach = z / (1 + part) * sqrt(share * (1 - share) / of + part / (4 * of))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _check(built: BuiltStudy, effect: float, assumed: Assumptions, simulations: int) -> None:
    """The values make sense together.

    Raises:
        BadInput: they do not; the text says which.
    """
    if simulations < 100:
        raise BadInput(f"{simulations} simulations say little. Use at least 100.")
    if not 0 <= assumed.ties < 1:
        raise BadInput(f"The share of ties is {assumed.ties:g}; it must be from 0 to below 1.")
    for name in ("rater_sd", "item_sd", "level_sd", "noise_sd"):
        value = getattr(assumed, name)
        if value is not None and value < 0:
            raise BadInput(f"{name} is {value:g}; a spread cannot be below 0.")
    preference = built.definition.plan.primary.outcome == "preference"
    most = (1 - assumed.ties) / 2 if preference else HIGHEST_SCORE - LOWEST_SCORE
    if not 0 <= effect < most:
        raise BadInput(
            f"The effect is {effect:g}; it must be from 0 to below {most:g}"
            + (", half of what is not a tie." if preference else " points.")
        )


def _row(
    built: BuiltStudy,
    size: int,
    effect: float,
    simulations: int,
    seed: int,
    assumed: Assumptions,
    step: Callable[[int], object],
) -> PowerRow:
    """The power with `size` participants; its chance depends on the seed and the size alone."""
    definition = built.definition
    random = np.random.default_rng([seed, size])
    hits = done = 0
    while done < simulations:
        batch = min(_BATCH, simulations - done)
        plan = _layout(built, size, random)  # anew in each batch, not one lucky plan for all
        hits += _significant(built, plan, batch, effect, assumed, random)
        done += batch
        step(batch)
    per_task = ceil(size * definition.session.items / len(built.tasks))
    return PowerRow(size, len(plan.items), per_task, hits / simulations, *wilson(hits, simulations))


def _layout(built: BuiltStudy, size: int, random: np.random.Generator) -> _Layout:
    """Who judges what, as the study's own balance makes it: least used items next, none twice."""
    primary = set(built.definition.plan.primary.arms)
    tasks = [task for task in built.tasks if set(task.arms) <= primary]
    names = sorted({task.item for task in tasks})
    each = built.definition.session.items * len(tasks) / len(built.tasks)
    used = np.zeros(len(names))
    raters, items, arms = [], [], []
    for rater in range(size):
        count = min(int((rater + 1) * each + 1e-9) - int(rater * each + 1e-9), len(names))
        chosen = np.argsort(used + 0.5 * random.random(len(names)))[:count]
        used[chosen] += 1
        raters += [rater] * count
        items += list(random.permutation(chosen))
        arms += [(rater + place) % 2 for place in range(count)]
    if len(set(raters)) < 2:
        raise BadInput(
            f"With {size} participants hardly anyone meets {' and '.join(sorted(primary))}. Use"
            " more participants or longer sessions."
        )
    return _Layout(np.array(raters), np.array(items), np.array(arms))


def _significant(
    built: BuiltStudy,
    plan: _Layout,
    studies: int,
    effect: float,
    assumed: Assumptions,
    random: np.random.Generator,
) -> int:
    """In how many of `studies` simulated studies the effect is found, in its own direction.

    Without an effect either direction counts, as both are false.
    """
    definition = built.definition
    if definition.plan.primary.outcome == "preference":
        answers = _preferences(plan, studies, effect, assumed, random)
    else:
        answers = _scores(plan, studies, effect, assumed, random, definition.mode)
    if definition.mode is StudyMode.SINGLE:
        means, spread = _difference(answers, plan)
    else:
        means, spread = weighted_means(answers, np.ones_like(answers), plan.items, plan.raters)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = means / np.sqrt(spread.variance)
    found = np.abs(ratio) > stats.t.ppf(1 - definition.plan.alpha / 2, spread.df)
    return int((found & (ratio > 0)).sum() if effect else found.sum())


def _preferences(
    plan: _Layout,
    studies: int,
    effect: float,
    assumed: Assumptions,
    random: np.random.Generator,
) -> Floats:
    """+1/2 where the second arm is preferred, -1/2 the first, 0 a tie. Shape (studies, n)."""
    rater_sd, item_sd = _spreads(assumed, 0.6, 0.6)
    share = 0.5 + effect / (1 - assumed.ties)
    logit = _intercept(share, sqrt(rater_sd**2 + item_sd**2)) + _drawn(
        plan, studies, rater_sd, item_sd, random
    )
    second = random.random(logit.shape) < 1 / (1 + np.exp(-logit))
    tied = random.random(logit.shape) < assumed.ties
    return np.where(tied, 0.0, np.where(second, 0.5, -0.5))


def _scores(
    plan: _Layout,
    studies: int,
    effect: float,
    assumed: Assumptions,
    random: np.random.Generator,
    mode: StudyMode,
) -> Floats:
    """Differences second minus first, or the scores themselves in single mode. Shape (studies, n).

    As in the analysis' own known-truth check, a score is a latent number, rounded and kept to
    the scale.
    """
    spreads = _spreads(assumed, 0.35, 0.5)
    rater_sd, item_sd = (spread / sqrt(2) for spread in spreads)  # two arms make the effect
    shared = assumed.level + _drawn(plan, studies, assumed.level_sd, assumed.level_sd, random)

    def score(pull: float) -> Floats:
        own = _drawn(plan, studies, rater_sd, item_sd, random)
        latent = shared + pull * effect / 2 + own
        latent = latent + assumed.noise_sd * random.standard_normal(latent.shape)
        return np.clip(np.rint(latent), LOWEST_SCORE, HIGHEST_SCORE)

    first, second = score(-1.0), score(1.0)
    if mode is StudyMode.SINGLE:
        return np.where(plan.arm == 1, second, first)
    return np.asarray(second - first, dtype=float)


def _difference(answers: Floats, plan: _Layout) -> tuple[Floats, Clustered]:
    """Mean of arm 1 minus mean of arm 0, with its clustered variance."""
    weights = np.where(plan.arm == 1, 1 / (plan.arm == 1).sum(), -1 / (plan.arm == 0).sum())
    means = answers @ weights
    own = np.empty_like(answers)
    for arm in (0, 1):
        here = plan.arm == arm
        own[:, here] = answers[:, here] - answers[:, here].mean(axis=1, keepdims=True)
    used = np.ones(answers.shape, dtype=bool)
    return means, cluster_variance(own * weights, used, plan.items, plan.raters)


def _drawn(
    plan: _Layout, studies: int, rater_sd: float, item_sd: float, random: np.random.Generator
) -> Floats:
    """What people and items add, drawn once for each of them. Shape (studies, n)."""
    raters = rater_sd * random.standard_normal((studies, int(plan.raters.max()) + 1))
    items = item_sd * random.standard_normal((studies, int(plan.items.max()) + 1))
    return np.asarray(raters[:, plan.raters] + items[:, plan.items])


def _spreads(assumed: Assumptions, rater: float, item: float) -> tuple[float, float]:
    """The spreads of the effect, with their defaults."""
    return (
        rater if assumed.rater_sd is None else assumed.rater_sd,
        item if assumed.item_sd is None else assumed.item_sd,
    )


def _intercept(share: float, spread: float) -> float:
    """The logit at which the mean share over all people and items is `share`."""
    points, weights = np.polynomial.hermite_e.hermegauss(41)

    def gap(at: float) -> float:
        return float((weights / (1 + np.exp(-(at + spread * points)))).sum() / weights.sum())

    return float(optimize.brentq(lambda at: gap(at) - share, -60.0, 60.0))
