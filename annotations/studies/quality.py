"""How carefully each participant answered, and whom the rules of the plan leave out.

Pure functions over the tidy frames of `annotations.frames`, taken with gold items and repeats.
Every measure stands beside the number of answers it rests on; without any it is missing, and a
rule about it then excludes nobody, as with fewer answers than the plan asks for (`at_least`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import gt, lt

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from annotations.analysis.agreement import pooled_kappa
from annotations.studies.parts import Exclusions, GoldItem
from annotations.studies.stored import WRITTEN_ARMS
from annotations.studies.values import StudyDimension, Verdict
from annotations.values import AssignmentKind, RaterKind, RatingStatus, Score

QUICK = 1 / 3
"""A screen counts as quick below this part of the median time of all participants."""

CONSISTENT_POINTS = 1
"""Two scores of one reply this far apart still count as the same judgement."""

QUALITY_COLUMNS = (
    *("participant", "items", "gold_share", "gold_n", "median_seconds", "quick_share"),
    *("seconds_n", "straight_line_share", "straight_line_n", "left_share", "side_bias"),
    *("side_p", "side_n", "self_consistency", "self_kappa", "repeated_scores_n"),
    *("same_preference_share", "repeated_preferences_n"),
)
"""One row a participant.

`items`: main screens answered. `gold_share` of `gold_n` gold items answered as expected.
`median_seconds` and `quick_share` of `seconds_n` main screens. `straight_line_share` of
`straight_line_n` main screens with one and the same answer to two or more questions about
replies. `left_share`, its distance from a half (`side_bias`) and the exact two-sided binomial
`side_p` against a half, of `side_n` main preferences for a side. `self_consistency`: share of
`repeated_scores_n` repeated scores within one point of the first; `self_kappa`: their
quadratically weighted kappa (Cohen, 1968). `same_preference_share` of repeated preferences.
"""


@dataclass(frozen=True)
class Excluded:
    """A rule of the plan that a participant does not meet."""

    participant: str
    rule: str
    value: float
    limit: float
    n: int
    """Answers the value rests on."""

    def __str__(self) -> str:
        """`P003: min_gold_share is 0.75, found 0.5 (n = 4)`."""
        return (
            f"{self.participant}: {self.rule} is {self.limit:g}, found {self.value:.3g}"
            f" (n = {self.n})"
        )


def quality(
    ratings: pd.DataFrame, preferences: pd.DataFrame, gold: Sequence[GoldItem] = ()
) -> pd.DataFrame:
    """The columns of `QUALITY_COLUMNS` for each person who answered, ordered by pseudonym.

    Args:
        ratings: columns of `frames.RATING_COLUMNS`, with gold and repeats; one study.
        preferences: columns of `frames.PREFERENCE_COLUMNS`, likewise.
        gold: the gold items of the study's definition.
    """
    rated = ratings[ratings["rater_kind"] == RaterKind.HUMAN.value]
    rated = rated[rated["arm"] != ""]  # what is asked about the seeker is no judgement of a reply
    chosen = preferences[preferences["rater_kind"] == RaterKind.HUMAN.value]
    columns = ["participant", "kind", "assignment", "seconds"]
    screens = pd.concat([rated[columns], chosen[columns]]).drop_duplicates("assignment")
    main_screens = screens[screens["kind"] == AssignmentKind.MAIN.value]
    typical = main_screens["seconds"].median()
    known = {item.id: item for item in gold}
    rows = []
    for name in sorted(set(screens["participant"])):
        mine, prefers = rated[rated["participant"] == name], chosen[chosen["participant"] == name]
        own = main_screens[main_screens["participant"] == name]
        main, first = _kind(mine, AssignmentKind.MAIN), _kind(prefers, AssignmentKind.MAIN)
        rows.append(
            {"participant": name, "items": len(own)}
            | _gold(mine, prefers, known)
            | _speed(own["seconds"].dropna().astype(float), typical)
            | _straight_lines(main)
            | _sides(first)
            | _consistency(main, _kind(mine, AssignmentKind.REPEAT))
            | _same_preferences(first, _kind(prefers, AssignmentKind.REPEAT))
        )
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def broken_rules(table: pd.DataFrame, rules: Exclusions) -> tuple[Excluded, ...]:
    """Each participant and rule that do not go together; `table` comes from `quality`."""
    return tuple(_broken(table, rules))


def apply_exclusions(
    frame: pd.DataFrame, table: pd.DataFrame, rules: Exclusions
) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """The frame without those whom the frozen rules leave out, and who they are and why.

    Args:
        frame: ratings or preferences with a column `participant`; judges are never left out.
        table: what `quality` says of the same study.
        rules: the exclusion rules of the study's plan.
    """
    broken = broken_rules(table, rules)
    out = frame["participant"].isin({one.participant for one in broken})
    return frame[~(out & (frame["rater_kind"] == RaterKind.HUMAN.value))], broken


_RULES: dict[str, tuple[str, str, Callable[[float, float], bool]]] = {
    "min_gold_share": ("gold_share", "gold_n", lt),
    "min_median_seconds": ("median_seconds", "seconds_n", lt),
    "max_straight_line_share": ("straight_line_share", "straight_line_n", gt),
    "min_self_consistency": ("self_consistency", "repeated_scores_n", lt),
    "max_side_bias": ("side_bias", "side_n", gt),
    "min_items": ("items", "items", lt),
}
"""For each rule: the column, its n, and what breaks the rule."""


def _broken(table: pd.DataFrame, rules: Exclusions) -> Iterator[Excluded]:
    for row in table.to_dict("records"):
        for rule, limit in rules.limits().items():
            column, number, breaks = _RULES[rule]
            value = row[column]
            if pd.isna(value) or row[number] < rules.at_least.get(rule, 0):
                continue
            if breaks(float(value), float(limit)):
                yield Excluded(row["participant"], rule, float(value), limit, int(row[number]))


def _kind(frame: pd.DataFrame, kind: AssignmentKind) -> pd.DataFrame:
    return frame[frame["kind"] == kind.value]


def _share(hits: Sequence[bool] | pd.Series) -> float:
    return float(np.mean(hits)) if len(hits) else float("nan")


def _gold(
    rated: pd.DataFrame, chosen: pd.DataFrame, known: dict[str, GoldItem]
) -> dict[str, float]:
    """Gold answers against what their items expect, in the written order of the replies."""
    scores: dict[str, dict[str, dict[StudyDimension, Score]]] = {}
    for row in _kind(rated, AssignmentKind.GOLD).to_dict("records"):
        given: Score = "cannot_judge"
        if row["status"] == RatingStatus.SCORED.value:
            given = int(row["score"])
        of_item = scores.setdefault(row["item"], {})
        of_item.setdefault(row["arm"], {})[StudyDimension(row["dimension"])] = given
    picked = _kind(chosen, AssignmentKind.GOLD)
    verdicts = dict(zip(picked["item"], picked["choice"], strict=True))
    passed = []
    for name in sorted({*scores, *verdicts} & known.keys()):
        by_arm = scores.get(name, {})
        written = tuple(by_arm.get(arm, {}) for arm in WRITTEN_ARMS)
        verdict = Verdict(verdicts[name]) if name in verdicts else None
        passed.append(not known[name].expected.misses(written, verdict))
    return {"gold_share": _share(passed), "gold_n": len(passed)}


def _speed(seconds: pd.Series, typical: float) -> dict[str, float]:
    """Times at main screens, as the server's clock saw them."""
    return {
        "median_seconds": float(seconds.median()) if len(seconds) else float("nan"),
        "quick_share": _share(seconds < QUICK * typical) if len(seconds) else float("nan"),
        "seconds_n": len(seconds),
    }


def _straight_lines(main: pd.DataFrame) -> dict[str, float]:
    """Screens on which every question about the replies got the same answer."""
    # A missing score is "cannot judge", an answer like the others.
    answers = main.assign(answer=main["score"].astype("Float64").fillna(-1.0))
    by_screen = answers.groupby("assignment")["answer"].agg(["size", "nunique"])
    asked = by_screen[by_screen["size"] >= 2]
    return {
        "straight_line_share": _share(asked["nunique"] == 1),
        "straight_line_n": len(asked),
    }


def _sides(main: pd.DataFrame) -> dict[str, float]:
    """Preferences for the left reply. Sides are balanced by design, so half of them is fair."""
    decided = main[(main["choice"] == main["arm_a"]) | (main["choice"] == main["arm_b"])]
    left = (decided["choice"] == decided["arm_a"]) == (decided["side_a"] == 1)
    share, n = _share(left), len(left)
    p = float(binomtest(int(left.sum()), n).pvalue) if n else float("nan")
    return {"left_share": share, "side_bias": abs(share - 0.5), "side_p": p, "side_n": n}


def _consistency(main: pd.DataFrame, repeat: pd.DataFrame) -> dict[str, float]:
    """Repeated scores beside the first ones. Nobody gets an item twice but as a repeat."""
    both = main.merge(repeat, on=["item", "arm", "dimension"], suffixes=("", "_again"))
    scores = both[["score", "score_again"]].astype("Float64").to_numpy(float, na_value=np.nan)
    scored = np.isfinite(scores)
    near = np.abs(scores[:, 0] - scores[:, 1]) <= CONSISTENT_POINTS  # False beside a missing one
    same = near | ~scored.any(axis=1)
    kappa = pooled_kappa(scores, [(0, 1)], np.ones((1, len(scores))))[0] if len(scores) else np.nan
    return {
        "self_consistency": _share(same),
        "self_kappa": float(kappa),
        "repeated_scores_n": len(both),
    }


def _same_preferences(main: pd.DataFrame, repeat: pd.DataFrame) -> dict[str, float]:
    """Repeated preferences that fell on the same arm, though the sides were swapped."""
    both = main.merge(repeat, on=["item", "arm_a", "arm_b"], suffixes=("", "_again"))
    return {
        "same_preference_share": _share(both["choice"] == both["choice_again"]),
        "repeated_preferences_n": len(both),
    }
