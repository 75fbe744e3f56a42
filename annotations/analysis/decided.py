"""One row a comparison: what a judge said in both orders becomes one decision.

A judge is asked with each reply in front once, since its choice can depend on the place alone
(Zheng et al., 2023). The same choice in both orders counts, two different ones are a tie. People
see a comparison once, so their rows stay as they are.
"""

from __future__ import annotations

import pandas as pd

from annotations.values import RaterKind

ORDERS = ["study", "rater", "item", "arm_a", "arm_b", "sample"]
"""What the two orders of one comparison have in common."""


def whole_replies(preferences: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of arms as a whole: no single aspect, no planted control."""
    return preferences[(preferences["aspect"] == "") & (preferences["control"] == "")]


def decided(preferences: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of arms, each once; adds no columns. A decision of both orders has no side.

    Of a judge that is asked in both orders, a comparison with only one answer is left out: it
    cannot be told from a liking for the place. One that saw every pair in one order only (some
    imported answers) is taken as it is.
    """
    rows = whole_replies(preferences)
    judge = rows["rater_kind"] == RaterKind.JUDGE.value
    if not judge.any():
        return rows
    asked = rows[judge]
    asked = asked.assign(orders=asked.groupby(ORDERS)["side_a"].transform("nunique"))
    both = asked[asked["orders"] == 2]
    one_way = asked[~asked["rater"].isin(set(both["rater"]))]
    same = both.groupby(ORDERS)["choice"].transform("nunique") == 1
    merged = both.assign(choice=both["choice"].where(same, "tie"), side_a="")
    merged = merged.drop_duplicates(ORDERS)
    kept = pd.concat([rows[~judge], one_way[list(rows)], merged[list(rows)]])
    return kept.sort_index()
