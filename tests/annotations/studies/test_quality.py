"""Quality of participants: each measure from answers whose truth is known, and the plan's rules."""

import math

import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from annotations.frames import PREFERENCE_COLUMNS, RATING_COLUMNS
from annotations.studies import differing
from annotations.studies.answers import read_answers
from annotations.studies.parts import Exclusions
from annotations.studies.quality import (
    QUALITY_COLUMNS,
    apply_exclusions,
    broken_rules,
    quality,
)
from esc_demo.errors import ConfigError
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import GOLD

DIMENSIONS = ("comforting", "suggestion")


def screen(number, scores, choice="base", side_a=1, who="P001", kind="main", seconds=20.0, item=""):
    """The rows of one screen: ratings of both arms (None: cannot judge), and the preference."""
    common = {
        "study": "s",
        "participant": who,
        "rater_kind": "human",
        "kind": kind,
        "item": item or f"item-{number}",
        "seconds": seconds,
        "assignment": f"{who}-{number}",
    }
    rated = [
        common
        | {
            "arm": arm,
            "dimension": dimension,
            "status": "cannot_judge" if score is None else "scored",
            "score": score,
        }
        for (arm, dimension), score in zip(
            [(arm, dimension) for arm in ("base", "lora") for dimension in DIMENSIONS],
            scores,
            strict=True,
        )
    ]
    pair = {"arm_a": "base", "arm_b": "lora", "side_a": side_a, "choice": choice}
    return rated, [common | pair]


def measured(*screens):
    """The quality of those who answered these screens."""
    ratings = pd.DataFrame([row for rated, _ in screens for row in rated], columns=RATING_COLUMNS)
    chosen = pd.DataFrame([row for _, pair in screens for row in pair], columns=PREFERENCE_COLUMNS)
    ratings["score"] = ratings["score"].astype("Int64")
    ratings["seconds"] = ratings["seconds"].astype("Float64")
    chosen["seconds"] = chosen["seconds"].astype("Float64")
    table = quality(ratings, chosen)
    assert tuple(table.columns) == QUALITY_COLUMNS
    return table.set_index("participant")


def test_one_answer_everywhere_is_a_straight_line():
    table = measured(
        screen(1, (3, 3, 3, 3)),
        screen(2, (None, None, None, None)),
        screen(3, (3, 3, 3, 4)),
        screen(4, (3, 3, 3, None)),
    )
    assert table.loc["P001", "straight_line_share"] == 0.5
    assert table.loc["P001", "straight_line_n"] == 4


def test_side_bias_is_tested_exactly_and_ties_do_not_count():
    lefts = [screen(n, (1, 2, 3, 4), "base", 1) for n in range(5)]
    lefts += [screen(n, (1, 2, 3, 4), "lora", 2) for n in range(5, 9)]
    right = [screen(9, (1, 2, 3, 4), "lora", 1), screen(10, (1, 2, 3, 4), "tie")]
    row = measured(*lefts, *right).loc["P001"]
    assert (row["left_share"], row["side_n"]) == (0.9, 10)
    assert row["side_bias"] == pytest.approx(0.4)
    assert row["side_p"] == pytest.approx(binomtest(9, 10).pvalue)


def test_times_are_those_of_main_screens_and_quick_is_relative_to_all():
    slow = [screen(n, (1, 2, 3, 4), seconds=30.0) for n in range(4)]
    quick = [screen(n, (1, 2, 3, 4), who="P002", seconds=s) for n, s in enumerate((9.0, 9.0, 40.0))]
    table = measured(*slow, *quick, screen(9, (1, 2, 3, 4), kind="gold", seconds=500.0))
    assert table.loc["P001", "median_seconds"] == 30
    assert table.loc["P001", "items"] == 4
    assert table.loc["P002", "median_seconds"] == 9
    assert table.loc["P002", "quick_share"] == pytest.approx(2 / 3)
    assert table.loc["P001", "quick_share"] == 0


def test_repeats_are_compared_with_the_first_answers():
    first = screen(1, (1, 2, 3, None), "base", 1), screen(2, (0, 5, 4, None), "lora", 2)
    again = (
        screen(3, (2, 2, 5, None), "base", 2, kind="repeat", item="item-1"),
        screen(4, (0, 4, None, 3), "tie", 1, kind="repeat", item="item-2"),
    )
    row = measured(*first, *again).loc["P001"]
    # Near or both without a score: 1-2, 2-2, both, 0-0, 5-4; apart: 3-5, 4-none, none-3.
    assert (row["self_consistency"], row["repeated_scores_n"]) == (5 / 8, 8)
    kappa = cohen_kappa_score([1, 2, 3, 0, 5], [2, 2, 5, 0, 4], weights="quadratic")
    assert row["self_kappa"] == pytest.approx(kappa)
    assert (row["same_preference_share"], row["repeated_preferences_n"]) == (0.5, 2)
    assert row["items"] == 2


def test_without_answers_of_a_kind_a_measure_is_missing_and_excludes_nobody():
    table = measured(screen(1, (1, 2, 3, 4), "tie", seconds=None)).reset_index()
    row = table.iloc[0]
    for name in ("gold_share", "median_seconds", "side_bias", "self_consistency", "self_kappa"):
        assert math.isnan(row[name]), name
    rules = Exclusions(
        min_gold_share=1, min_median_seconds=99, max_side_bias=0, min_self_consistency=1
    )
    assert broken_rules(table, rules) == ()
    assert [one.rule for one in broken_rules(table, Exclusions(min_items=2))] == ["min_items"]


def test_an_empty_study_has_no_rows():
    assert len(measured()) == 0


def test_every_rule_of_a_plan_can_be_broken_and_kept():
    bad = [screen(n, (3, 3, 3, 3), "base", 1, seconds=2.0) for n in range(4)]
    bad += [screen(9, (0, 0, 0, 0), kind="repeat", item="item-0")]
    table = measured(*bad).reset_index()
    table["gold_share"], table["gold_n"] = 0.5, 2
    strict = {
        "min_gold_share": 0.6,
        "min_median_seconds": 3.0,
        "max_straight_line_share": 0.9,
        "min_self_consistency": 0.5,
        "max_side_bias": 0.4,
        "min_items": 5,
    }
    assert set(strict) == set(Exclusions.model_fields) - {"at_least"}
    broken = broken_rules(table, Exclusions(**strict))
    assert {one.rule for one in broken} == set(strict)
    assert str(broken[0]) == "P001: min_gold_share is 0.6, found 0.5 (n = 2)"
    exact = {
        "min_gold_share": 0.5,
        "min_median_seconds": 2.0,
        "max_straight_line_share": 1,
        "min_self_consistency": 0,
        "max_side_bias": 0.5,
        "min_items": 4,
    }
    assert broken_rules(table, Exclusions(**exact)) == ()


def test_a_rule_may_wait_for_enough_answers():
    few = [screen(n, (3, 3, 3, 3), who="P001", seconds=2.0) for n in range(5)]
    many = [screen(n, (3, 3, 3, 3), who="P002", seconds=2.0) for n in range(6)]
    table = measured(*few, *many).reset_index()
    rules = Exclusions(
        max_straight_line_share=0.8, min_median_seconds=3, at_least={"max_straight_line_share": 6}
    )
    assert [(one.participant, one.rule) for one in broken_rules(table, rules)] == [
        ("P001", "min_median_seconds"),
        ("P002", "min_median_seconds"),
        ("P002", "max_straight_line_share"),
    ]
    assert rules.words() == ("min_median_seconds 3", "max_straight_line_share 0.8 (from n = 6)")


@pytest.mark.parametrize(
    ("exclusions", "said"),
    [
        ({"at_least": {"min_gold_share": 2}}, "'min_gold_share'; rules with a value: none"),
        ({"min_items": 2, "at_least": {"min_items": 2}}, "min_items counts answers itself"),
        ({"max_side_bias": 0.3, "at_least": {"max_side_bias": 0}}, "at_least.max_side_bias"),
        ({"max_side_bias": 0.3, "at_least": {"max_side_bias": 4}}, "a session has 3 of them"),
        ({"max_side_bias": 0.3, "at_least": {"side_bias": 4}}, "names 'side_bias'"),
    ],
)
def test_what_a_rule_waits_for_must_be_possible(new_study, exclusions, said):
    primary = {"outcome": "preference", "arms": ["base", "lora"]}
    with pytest.raises(ConfigError, match=said):
        new_study(plan={"primary": primary, "participants": 6, "exclusions": exclusions})


def test_waiting_is_frozen_with_the_plan_and_its_absence_changes_no_hash(new_study):
    primary = {"outcome": "preference", "arms": ["base", "lora"]}
    plan = {"primary": primary, "participants": 6, "exclusions": {"max_side_bias": 0.3}}
    before = new_study(plan=plan).canonical
    assert "at_least" not in before["definition"]["plan"]["exclusions"]
    plan["exclusions"] = {"max_side_bias": 0.3, "at_least": {"max_side_bias": 2}}
    after = new_study(plan=plan).canonical
    assert differing(before, after) == ("definition.plan.exclusions.at_least",)


def test_the_plan_of_a_stored_study_leaves_out_whom_it_says(office):
    plan = {
        "primary": {"outcome": "preference", "arms": ["base", "lora"]},
        "participants": 2,
        "exclusions": {"min_gold_share": 1, "min_self_consistency": 0.5},
    }
    slug = office.found(
        item_lines(6), plan=plan, gold=[GOLD], session={"items": 3, "gold": 1, "repeats": 1}
    )
    for right in (True, False):
        rater = office.rater(slug)
        while (item := rater.screen().item) is not None:
            office.clock.advance(seconds=12)
            kind = office.kinds(rater)[-1][0]
            left = item.replies[0].startswith("I am so sorry")
            good = "1" if left else "2"
            wrong = "2" if left else "1"
            preference = (good if right else wrong) if kind == "gold" else "1"
            rater.submit(item, preference=preference)
    answers = read_answers(office.store, slug)
    table = answers.quality.set_index("participant")
    assert list(table["gold_share"]) == [1, 0]
    assert list(table["gold_n"]) == [1, 1]
    assert list(table["items"]) == [3, 3]
    assert list(table["self_consistency"]) == [1, 1]
    assert list(table["repeated_scores_n"]) == [8, 8]
    assert list(table["same_preference_share"]) == [0, 0]  # left twice, with the sides swapped
    assert list(table["median_seconds"]) == [12, 12]
    assert [(one.participant, one.rule) for one in answers.excluded] == [("P002", "min_gold_share")]
    kept = answers.analysed(answers.ratings)
    assert set(kept["participant"]) == {"P001"} and set(kept["kind"]) == {"main"}
    judge = answers.ratings.assign(rater_kind="judge")
    rules = answers.definition.plan.exclusions
    assert len(apply_exclusions(judge, answers.quality, rules)[0]) == len(judge)
    assert answers.excluded_by("P002") == "min_gold_share" and answers.excluded_by("P001") == ""
