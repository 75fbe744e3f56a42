"""The G-score of NLPCC 2025 Task 8 in its official form: one number from 1 to 5, as a percentage.

The task's script asks a language model for one number a reply, divides it by 5 and takes the mean
over the replies, times 100 (Table 2 of the second-placed paper: 85.17 and 87.20). The script also
moves a number off the scale onto it; here such an answer is not read, so it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from annotations.analysis.differences import arm_means
from annotations.analysis.estimate import Estimate
from annotations.analysis.tidy import Frames, scale_of, without_scale

PROTOCOL = "g-score-single"
"""The protocol whose judges give it; a judge's name is `PROTOCOL:MODEL`."""

SCALE = (1, 5)
_FACTOR = 100 / SCALE[1]


@dataclass(frozen=True)
class GScore:
    """One arm's figure by one judge."""

    judge: str
    arm: str
    score: Estimate
    """In percent, from 20 to 100; the interval is that of the mean."""


def g_scores(frames: Frames) -> tuple[GScore, ...]:
    """Each judge that was asked for the one number, and each arm."""
    asked = [name.partition(":")[0] == PROTOCOL for name in frames.ratings["rater"]]
    found = []
    for judge, rows in frames.ratings[np.array(asked, bool)].groupby("rater", sort=True):
        for one in arm_means(Frames(rows, frames.preferences.iloc[:0])):
            if without_scale(one.dimension) == "overall" and scale_of(one.dimension) == SCALE:
                found.append(GScore(str(judge), one.arm, _percent(one.mean)))
    return tuple(found)


def _percent(mean: Estimate) -> Estimate:
    """A mean of 1 to 5 in percent of 5."""

    def scaled(number: float | None) -> float | None:
        return None if number is None else number * _FACTOR

    value, low, high = scaled(mean.value), scaled(mean.low), scaled(mean.high)
    return replace(mean, value=value, low=low, high=high, se=scaled(mean.se))
