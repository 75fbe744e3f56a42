"""How often one arm was preferred to another: win, tie, both bad, loss."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from annotations.analysis.decided import decided, whole_replies
from annotations.analysis.estimate import Estimate, mean, missing_estimate, share
from annotations.analysis.tidy import UNDECIDED, Frames


@dataclass(frozen=True)
class WinRate:
    """One arm against another."""

    first: str
    second: str
    win: Estimate
    tie: Estimate
    both_bad: Estimate
    loss: Estimate
    score: Estimate
    """Wins plus half of ties and both bad; p is against one half."""
    left: Estimate
    """Share of decided comparisons won by the reply on the left; p is against one half."""
    rater: str = ""
    """The judge whose preferences these are; empty for people, who are taken together."""


def win_rates(frames: Frames) -> tuple[WinRate, ...]:
    """Every pair of arms that was compared as a whole."""
    pairs = whole_replies(frames.preferences).groupby(["arm_a", "arm_b"], sort=True)
    return tuple(win_rate(rows, str(b), str(a)) for (a, b), rows in pairs)


def rates_by_judge(frames: Frames) -> tuple[WinRate, ...]:
    """The same for each judge by itself: models and protocols are not drawn from one kind."""
    raters = frames.preferences.groupby("rater", sort=True)
    return tuple(
        replace(rate, rater=str(name))
        for name, rows in raters
        for rate in win_rates(Frames(frames.ratings, rows))
    )


@dataclass(frozen=True)
class AspectRate:
    """One arm against another in one aspect, as a judge of pairs is asked for each."""

    aspect: str
    rate: WinRate


def aspect_rates(frames: Frames) -> tuple[AspectRate, ...]:
    """Every pair of arms in every aspect, by judge; the two orders of each are one decision."""
    rows = frames.preferences[frames.preferences["aspect"] != ""]
    return tuple(
        AspectRate(str(aspect), rate)
        for aspect, part in rows.groupby("aspect", sort=True)
        for rate in rates_by_judge(Frames(frames.ratings, part.assign(aspect="")))
    )


def win_rate(rows: pd.DataFrame, first: str, second: str) -> WinRate:
    """`first` against `second`; rows of other pairs are ignored.

    A judge's two orders count as one comparison (`decided`); for the side they stay two.
    """
    pair = sorted((first, second))
    shown = whole_replies(rows[(rows["arm_a"] == pair[0]) & (rows["arm_b"] == pair[1])])
    rows = decided(shown)
    if not len(rows):
        none = missing_estimate(f"{first} and {second} were never compared")
        return WinRate(first, second, none, none, none, none, none, none)
    choice, items, raters = rows["choice"], rows["item"], rows["rater"]
    shares = {
        name: share(choice == name, items, raters) for name in (first, second, "tie", "both_bad")
    }
    points = np.where(choice == first, 1.0, np.where(choice == second, 0.0, 0.5))
    score = mean(points, items, raters, null=0.5).clipped(0.0, 1.0)
    return WinRate(
        first,
        second,
        shares[first],
        shares["tie"],
        shares["both_bad"],
        shares[second],
        score,
        left_share(shown),
    )


def left_share(rows: pd.DataFrame) -> Estimate:
    """Share of decided comparisons with known sides that the reply on the left won."""
    decided = rows[~rows["choice"].isin(UNDECIDED)]
    decided = decided[decided["side_a"] != ""]
    if not len(decided):
        return missing_estimate("sides were not recorded, or nothing was decided")
    won = np.where(decided["choice"] == decided["arm_a"], "a", "b")
    left = np.where(decided["side_a"] == "left", "a", "b")
    hits = (won == left).astype(float)
    return mean(hits, decided["item"], decided["rater"], null=0.5).clipped(0.0, 1.0)
