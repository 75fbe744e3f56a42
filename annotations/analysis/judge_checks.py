"""What is known to lead judges astray, where the answers hold the columns to see it.

Order (position), length, repeat, own family, and planted controls that anyone must rank below a
good reply; see Zheng et al. (2023), "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from annotations.analysis.decided import ORDERS, whole_replies
from annotations.analysis.differences import comparable
from annotations.analysis.estimate import (
    Estimate,
    from_contributions,
    mean,
    missing_estimate,
    share,
)
from annotations.analysis.tidy import Frames
from annotations.values import RaterKind, RatingStatus

GOLD = "gold"


@dataclass(frozen=True)
class Check:
    """One way to go astray: a number for a judge, or why there is none."""

    rater: str
    name: str
    meaning: str
    estimate: Estimate


def judge_checks(frames: Frames) -> tuple[Check, ...]:
    """All checks of all judges whose columns exist, and length beside it for people."""
    judges, people = frames.of(RaterKind.JUDGE), frames.of(RaterKind.HUMAN)
    found: list[Check] = []
    names = sorted(set(judges.ratings["rater"]) | set(judges.preferences["rater"]))
    for name in names:
        ratings = judges.ratings[judges.ratings["rater"] == name]
        own = Frames(ratings, judges.preferences[judges.preferences["rater"] == name])
        found.append(
            Check(
                name,
                "order flips",
                "share of comparisons decided otherwise when the sides are swapped",
                order_flips(own.preferences),
            )
        )
        found.append(_length(name, own))
        found += _retest(name, own)
        found.append(
            Check(
                name,
                "own family",
                "bias (judge minus people) for arms of its own model family, minus for others",
                self_preference(own, people),
            )
        )
        found += _controls(name, own.ratings)
        found += _compared_controls(name, own.preferences)
    if names and len(people.ratings):
        found.append(_length("people", people))
    return tuple(found)


def order_flips(preferences: pd.DataFrame) -> Estimate:
    """Share of comparisons, shown in both orders, whose two answers differ."""
    whole = whole_replies(preferences)
    known = whole[whole["side_a"] != ""]
    keys = ["rater", "item", "arm_a", "arm_b", "sample"]
    left = known[known["side_a"] == "left"]
    right = known[known["side_a"] == "right"]
    both = left.merge(right, on=keys, suffixes=("_left", "_right"))
    if not len(both):
        return missing_estimate("no comparison was shown in both orders")
    return share(both["choice_left"] != both["choice_right"], both["item"], both["rater"])


def length_slope(frames: Frames) -> Estimate:
    """Points gained per doubling of a reply's words, within rater, item and dimension."""
    scored = comparable(frames)
    scored = scored[scored["words"] > 0]
    if not len(scored):
        return missing_estimate("the length of replies is not recorded")
    words = np.log2(scored["words"])
    keys = [scored["rater"], scored["item"], scored["dimension"]]
    x = (words - words.groupby(keys).transform("mean")).to_numpy()
    y = (scored["score"] - scored["score"].groupby(keys).transform("mean")).to_numpy()
    spread = float(x @ x)
    if spread < 1e-9:
        return missing_estimate("replies to one item do not differ in length", len(scored))
    slope = float(x @ y) / spread
    psi = x * (y - slope * x) / spread
    return from_contributions(slope, psi, scored["item"], scored["rater"], null=0.0)


def _length(name: str, frames: Frames) -> Check:
    meaning = "points per doubling of words, within an item; arms differ in length and quality"
    if not len(frames.ratings) and len(frames.preferences):
        why = "it scored no reply; the Bradley-Terry table has a term for length"
        return Check(name, "length", meaning, missing_estimate(why))
    return Check(name, "length", meaning, length_slope(frames))


def _retest(name: str, frames: Frames) -> list[Check]:
    """How far repeats of the same question by the same rater differ."""
    if not len(frames.ratings) and len(frames.preferences):
        return [_retest_of_choices(name, frames.preferences)]
    scored = frames.ratings[frames.ratings["status"] == RatingStatus.SCORED.value]
    keys = ["item", "arm", "dimension"]
    repeats = scored.groupby(keys).filter(lambda part: part["sample"].nunique() > 1)
    meaning = "share of repeated questions on which all repeats give one score"
    if not len(repeats):
        none = missing_estimate("no question was asked twice (column sample)")
        return [Check(name, "test-retest", meaning, none)]
    spans = repeats.groupby(keys, as_index=False)["score"].agg(["min", "max"])
    gap = spans["max"] - spans["min"]
    raters = [name] * len(spans)
    return [
        Check(name, "test-retest", meaning, share(gap == 0, spans["item"], raters)),
        Check(
            name,
            "test-retest span",
            "mean span in points between the repeats of a question",
            mean(gap, spans["item"], raters),
        ),
    ]


def _retest_of_choices(name: str, preferences: pd.DataFrame) -> Check:
    """The same for a judge of pairs: a question is a comparison in one order."""
    meaning = "share of repeated comparisons, order by order, in which all repeats choose alike"
    rows = whole_replies(preferences)
    repeats = rows.groupby(["item", "arm_a", "arm_b", "side_a"], as_index=False).agg(
        samples=("sample", "nunique"), choices=("choice", "nunique")
    )
    repeats = repeats[repeats["samples"] > 1]
    if not len(repeats):
        none = missing_estimate("no comparison was asked twice (column sample)")
        return Check(name, "test-retest", meaning, none)
    alike = repeats["choices"] == 1
    return Check(name, "test-retest", meaning, share(alike, repeats["item"], [name] * len(alike)))


def self_preference(judge: Frames, people: Frames) -> Estimate:
    """The judge's bias towards arms of its own family."""
    if not len(judge.ratings):
        return missing_estimate("it scored no reply")
    its, theirs = comparable_with_families(judge.ratings), comparable(people)
    its = its[(its["arm_family"] != "") & (its["rater_family"] != "")]
    keys = ["item", "arm", "dimension"]
    means = theirs.groupby(keys, as_index=False)["score"].mean()
    both = its.merge(means, on=keys, suffixes=("", "_people"))
    own = (both["arm_family"] == both["rater_family"]).to_numpy()
    if not own.any() or own.all():
        return missing_estimate("needs arms of the judge's family and of others, rated by people")
    gap = (both["score"] - both["score_people"]).to_numpy(dtype=float)
    inside, outside = gap[own].mean(), gap[~own].mean()
    psi = np.where(own, (gap - inside) / own.sum(), -(gap - outside) / (~own).sum())
    return from_contributions(float(inside - outside), psi, both["item"], both["rater"], null=0.0)


def comparable_with_families(ratings: pd.DataFrame) -> pd.DataFrame:
    """Scored ratings of real arms, repeats kept."""
    scored = ratings["status"] == RatingStatus.SCORED.value
    return ratings[scored & (ratings["control"] == "")]


def _controls(name: str, ratings: pd.DataFrame) -> list[Check]:
    """How often a good reply is scored above each planted bad one on the same item."""
    scored = ratings[ratings["status"] == RatingStatus.SCORED.value]
    keys = ["item", "dimension", "control"]
    means = scored.groupby(keys, as_index=False)["score"].mean()
    good = means[means["control"] == GOLD]
    found = []
    for control in sorted(set(means["control"]) - {"", GOLD}):
        bad = means[means["control"] == control]
        both = good.merge(bad, on=["item", "dimension"], suffixes=("_good", "_bad"))
        meaning = f"share of questions in which the gold reply is scored above the {control} one"
        if len(both):
            hits = both["score_good"] > both["score_bad"]
            one = share(hits, both["item"], [name] * len(both))
        else:
            one = missing_estimate("no item has both a gold reply and this control")
        found.append(Check(name, f"control: {control}", meaning, one))
    return found


def _compared_controls(name: str, preferences: pd.DataFrame) -> list[Check]:
    """How often a good reply is preferred to each planted bad one, whichever stands first."""
    rows = preferences[(preferences["control"] != "") & (preferences["aspect"] == "")]
    found = []
    for control in sorted(set(rows["control"])):
        part = rows[rows["control"] == control]
        hit = (part["choice"] == f"control:{GOLD}").groupby([part[key] for key in ORDERS])
        both = hit.agg(["all", "size"]).reset_index()
        both = both[both["size"] == 2]
        meaning = f"share of comparisons in which gold is preferred to {control} in both orders"
        if len(both):
            one = share(both["all"], both["item"], both["rater"])
        else:
            one = missing_estimate("no comparison with this control was answered in both orders")
        found.append(Check(name, f"control: {control}", meaning, one))
    return found
