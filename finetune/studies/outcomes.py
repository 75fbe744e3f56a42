"""What a study compares: few outcomes, named beforehand, as one number per cell and dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.metrics.bleu import Floats
from finetune.metrics.scores import Scores
from finetune.studies.conditions import Condition
from finetune.studies.likelihood import RunLoss


@dataclass(frozen=True)
class Outcome:
    """A measure of quality."""

    name: str
    better: int
    """1 where more is better, -1 where less is."""
    digits: int
    """Decimals on paper."""


BITS = Outcome("Bits per byte", -1, 3)
OUTCOMES = (BITS, Outcome("ROUGE-L", 1, 2), Outcome("METEOR", 1, 2))


@dataclass(frozen=True)
class Measured:
    """The outcomes of one data set.

    A dialogue counts once, however many replies it has: its value is the mean of its replies'
    scores, or the bits of its references over their bytes.
    """

    conditions: tuple[Condition, ...]
    values: Mapping[str, Floats]
    """By outcome, [conditions, dialogues]; an outcome that could not be had is missing."""
    left_out: Mapping[str, int]
    """By outcome, dialogues without a value in every cell; they are in none."""


def measure(
    conditions: Sequence[Condition], scores: Sequence[Scores], losses: Sequence[RunLoss | None]
) -> Measured:
    """Outcomes of the runs of `conditions`, whose pairs stand in the same order."""
    units = scores[0].units
    whole: dict[str, Floats] = {}
    if all(loss is not None for loss in losses):
        rows = [_bits(loss, units) for loss in losses if loss is not None]
        whole[BITS.name] = np.array(rows)
    for outcome in OUTCOMES[1:]:
        if all(outcome.name in one.stats for one in scores):
            whole[outcome.name] = np.array([_means(one, outcome.name) for one in scores])
    values: dict[str, Floats] = {}
    left_out: dict[str, int] = {}
    for name, found in whole.items():
        complete = ~np.isnan(found).any(axis=0)
        left_out[name] = int((~complete).sum())
        if complete.sum() > 1:
            values[name] = found[:, complete]
    return Measured(tuple(conditions), values, left_out)


def _bits(loss: RunLoss, units: Sequence[str]) -> list[float]:
    """Bits per byte of each dialogue, nan where nothing was measured."""
    nothing = float("nan")
    return [
        loss.dialogues[unit].bits_per_byte if unit in loss.dialogues else nothing for unit in units
    ]


def _means(scores: Scores, name: str) -> list[float]:
    """Mean score of the replies of each dialogue, in percent."""
    found: dict[str, list[float]] = {unit: [] for unit in scores.units}
    for dialogue, value in zip(scores.dialogues, scores.each()[name], strict=True):
        found[dialogue].append(float(value))
    return [sum(values) / len(values) for values in found.values()]
