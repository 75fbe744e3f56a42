"""Intervals over dialogues, and paired differences between two systems.

Replies of one dialogue resemble each other, so dialogues are drawn, not replies. Two systems are
compared on the same draws: only dialogues both answered, with equally many replies.

Distinct-n is resampled by its linear approximation; `distinct.py` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esc_demo.errors import BadInput
from finetune.metrics.bleu import Floats
from finetune.metrics.scores import Scores

REPLICATES = 2000
LEVEL = 0.95
_AT_ONCE = 200
"""Replicates in one matrix product; bounds the memory."""


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval."""

    value: float
    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Difference:
    """One system minus another, on the same dialogues."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, from the bootstrap; never below 2 / (replicates + 1)."""
    p_holm: float
    """p corrected for all differences that were asked for together (Holm, 1979)."""
    level: float = LEVEL


def intervals(
    scores: Scores, *, replicates: int = REPLICATES, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval]:
    """The interval of every metric.

    Raises:
        BadInput: a single dialogue, or a level or number of replicates out of range.
    """
    drawn = _replicates(scores, replicates, seed, level)
    return {
        name: Interval(value, *_percentiles(drawn[name], level), level)
        for name, value in scores.values.items()
    }


def differences(
    first: Scores,
    second: Scores,
    *,
    metrics: Sequence[str] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """`first` minus `second` for every common metric, or for those named.

    Holm's correction is over the metrics of this call; for a larger family pass the p values of
    all calls to `holm`.

    Raises:
        BadInput: the systems differ in profile or answered different items, a metric is not
            common to both, or as `intervals`.
    """
    _require_same_items(first, second)
    common = [name for name in first.values if name in second.values]
    names = list(metrics) if metrics is not None else common
    unknown = sorted(set(names) - set(common))
    if unknown:
        raise BadInput(f"{unknown[0]!r} was not measured for both; common are {', '.join(common)}.")
    left = _replicates(first, replicates, seed, level)
    right = _replicates(second, replicates, seed, level, like=first)
    drawn = {name: left[name] - right[name] for name in names}
    p_values = {name: two_sided_p(drawn[name]) for name in names}
    corrected = holm(p_values)
    return {
        name: Difference(
            first.values[name] - second.values[name],
            *_percentiles(drawn[name], level),
            p_values[name],
            corrected[name],
            level,
        )
        for name in names
    }


def two_sided_p(replicates: Floats) -> float:
    """Twice the share of replicates on the far side of 0, the observed one counted in."""
    side = min(int((replicates <= 0).sum()), int((replicates >= 0).sum()))
    return min(1.0, 2 * (side + 1) / (len(replicates) + 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction over a family of p values (Holm, 1979).

    Raises:
        BadInput: a p value outside 0 to 1.
    """
    wrong = next((f"{name} = {p}" for name, p in p_values.items() if not 0 <= p <= 1), None)
    if wrong is not None:
        raise BadInput(f"Not a p value: {wrong}.")
    if not p_values:
        return {}
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 (it leads to pandas)

    corrected = multipletests(list(p_values.values()), method="holm")[1]
    return dict(zip(p_values, map(float, corrected), strict=True))


def _replicates(
    scores: Scores, replicates: int, seed: int, level: float, like: Scores | None = None
) -> dict[str, Floats]:
    """Every metric, totals included, in `replicates` resamples of the dialogues.

    With `like` the dialogues are numbered as they are there, so that equal seeds draw the same.
    """
    if not 0 < level < 1:
        raise BadInput(f"The level is {level}; it lies between 0 and 1, for instance 0.95.")
    if replicates < 100:
        raise BadInput(f"{replicates} replicates are too few for an interval; use 100 or more.")
    size = len(scores.units)
    if size < 2:
        raise BadInput(
            "All replies are of one dialogue; an interval over dialogues needs two or more."
        )
    where = {unit: column for column, unit in enumerate((like or scores).units)}
    order = np.array([where[unit] for unit in scores.units])
    random = np.random.default_rng(seed)
    parts: list[dict[str, Floats]] = []
    for start in range(0, replicates, _AT_ONCE):
        rows = min(_AT_ONCE, replicates - start)
        weights = random.multinomial(size, np.full(size, 1 / size), size=rows)
        parts.append(scores.resampled(weights[:, order]))
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return scores.totalled(drawn)


def _percentiles(drawn: Floats, level: float) -> tuple[float, float]:
    """The ends of the interval."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _require_same_items(first: Scores, second: Scores) -> None:
    """Refuse systems that cannot be paired."""
    if first.profile.name is not second.profile.name:
        raise BadInput(
            f"One system was scored as {first.profile.name}, the other as {second.profile.name};"
            " score both under one profile."
        )
    mine, theirs = _replies(first), _replies(second)
    if mine == theirs:
        return
    alone = next((unit for unit in [*mine, *theirs] if (unit in mine) != (unit in theirs)), None)
    if alone is not None:
        raise BadInput(
            f"The systems answered different dialogues: only one of them has {alone!r}. Compare"
            " them on the same data."
        )
    unit = next(unit for unit in mine if mine[unit] != theirs[unit])
    counts = f"{len(mine[unit])} and {len(theirs[unit])} replies"
    what = counts if len(mine[unit]) != len(theirs[unit]) else "replies to other references"
    raise BadInput(f"The systems gave {what} in dialogue {unit!r}; compare them on the same items.")


def _replies(scores: Scores) -> dict[str, list[str]]:
    """Digests of the references by dialogue, sorted: the order of samples is irrelevant."""
    found: dict[str, list[str]] = {}
    for dialogue, reference in zip(scores.dialogues, scores.references, strict=True):
        found.setdefault(dialogue, []).append(reference)
    return {dialogue: sorted(references) for dialogue, references in found.items()}
