"""Intervals: their arithmetic where a textbook has it, their coverage where truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from annotations.analysis.coverage import DESIGNS, MAIN, check, kept, report
from annotations.analysis.differences import differences, holm
from annotations.analysis.estimate import mean, share
from annotations.analysis.synthetic import (
    Design,
    draw_choices,
    draw_scores,
    expected_score,
    expected_wins,
    make_study,
)
from annotations.analysis.tidy import tidy
from annotations.values import RaterKind


def test_one_answer_an_item_and_rater_gives_the_t_interval():
    scores = np.array([3.0, 4, 2, 5, 1, 4, 4])
    found = mean(scores, range(7), ["one"] * 7, null=3.0)
    low, high = stats.t.interval(0.95, 6, scores.mean(), stats.sem(scores))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(scores, 3.0).pvalue)
    assert found.raters == 1 and found.note == "holds for this rater only"


def test_two_way_variance_is_the_three_cluster_sums():
    random = np.random.default_rng(4)
    items, raters = np.repeat(np.arange(5), 3), np.tile(np.arange(3), 5)
    y = 2 * random.normal(size=5)[items] + 4 * random.normal(size=3)[raters]
    y += random.normal(size=15)
    e = (y - y.mean()) / 15
    by_item = 5 / 4 * sum(e[items == at].sum() ** 2 for at in range(5))
    by_rater = 3 / 2 * sum(e[raters == at].sum() ** 2 for at in range(3))
    by_cell = 15 / 14 * (e**2).sum()
    assert by_cell < min(by_item, by_rater)  # else one clustering alone is wider
    assert mean(y, items, raters).se ** 2 == pytest.approx(by_item + by_rater - by_cell)


def test_a_share_over_single_answers_is_clopper_and_pearsons_near():
    hits = np.array([1] * 7 + [0] * 13)
    found = share(hits, range(20), ["one"] * 20)
    # The variance has n - 1 in it, so the effective number is 19 rather than 20.
    wanted = proportion_confint(0.35 * 19, 19, method="beta")
    assert (found.low, found.high) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("items", "raters", "smaller"),
    [([0, 0, 1, 1, 2, 2], [0, 1] * 3, 2), ([0, 1, 2, 3], [0] * 4, 4)],
)
def test_unanimous_answers_still_have_an_interval(items, raters, smaller):
    found = share(np.ones(len(items)), items, raters)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / smaller))


def test_holm_keeps_the_order_and_leaves_out_what_has_no_p():
    p = {"a": 0.01, "b": 0.04, "none": None, "c": 0.03, "d": 0.2}
    corrected = holm(p)
    assert list(corrected) == list(p) and corrected.pop("none") is None
    # The smallest of four by 4, the next by 3; then never below the one before.
    assert corrected == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.2})
    assert holm({"a": 0.02, "b": None}) == {"a": 0.02, "b": None}
    assert holm({"a": None}) == {"a": None} and holm({}) == {}


def test_expected_scores_are_those_drawn():
    design = Design(effects={"base": 0.0, "lora": 1.5}, side_bias=0.7, missing=0.0)
    drawn = draw_scores(design, 4000, 5).mean(axis=(0, 1))
    wanted = [expected_score(design, arm) for arm in ("base", "lora")]
    assert drawn == pytest.approx(wanted, abs=0.03)


def test_expected_wins_are_those_drawn():
    design = Design(effects={"base": 0.0, "lora": 1.0}, side_bias=0.5)
    drawn = draw_choices(design, 2000, 5)
    for first, sign in (("lora", 1), ("base", -1)):
        wanted = expected_wins(design, first, {"lora": "base", "base": "lora"}[first])
        won = np.nanmean(np.where(np.isnan(drawn), np.nan, drawn == sign))
        assert won == pytest.approx(wanted, abs=0.01)
    assert np.isnan(drawn).mean() == pytest.approx(design.missing, abs=0.005)


@pytest.mark.parametrize("name", ["main", "many raters", "raters differ much"])
def test_intervals_cover_and_nothing_is_found_in_nothing(name):
    """1000 studies put the standard error at 0.7 points, and the naive interval must fail."""
    found = check(name, DESIGNS[name], studies=1000, seed=11)
    assert 0.93 <= found.covered <= 0.97
    assert 0.03 <= found.false_positives <= 0.07
    assert found.mean == pytest.approx(found.truth, abs=0.02)
    assert found.naive_covered < 0.925
    assert abs(found.mean_covered - 0.95) <= 3 * found.error
    # Korn and Graubard's interval errs on the wide side, most where there are few raters.
    assert 0.95 - 3 * found.error <= found.wins_covered <= 0.99


def test_the_bench_tells_of_differences_means_and_wins_and_says_when_a_promise_is_broken():
    text, fine = report(studies=60, seed=0)
    rows = {line[:31].strip(): line[31:].split() for line in text.splitlines()}
    assert set(DESIGNS) <= set(rows)
    shares = [float(cell.rstrip("%")) for cell in rows[MAIN][5:]]
    covered = (shares[0], *shares[2:4])
    most = 300 * (0.95 * 0.05 / 60) ** 0.5  # three standard errors, in points
    assert len(shares) == 5 and all(abs(one - 95) <= most for one in covered)
    assert ("NOT kept" in text) is not fine
    one = check(MAIN, DESIGNS[MAIN], studies=60)
    good = replace(one, covered=0.95, mean_covered=0.95, wins_covered=0.95, false_positives=0.05)
    assert kept(good)
    for broken in ({"mean_covered": 0.92}, {"wins_covered": 0.98}, {"false_positives": 0.08}):
        assert not kept(replace(good, **broken))


@pytest.mark.parametrize("name", ["two raters alike, all items", "three raters alike, all items"])
def test_few_raters_of_every_item_do_not_narrow_the_interval(name):
    """Two or three judges rate all there is: what raters add must not be taken below zero."""
    found = check(name, DESIGNS[name], studies=400, seed=11)
    assert 0.94 <= found.covered <= 0.98
    assert found.false_positives <= 0.06


def test_frames_and_the_batch_agree():
    """The path a report takes gives the numbers whose coverage was measured."""
    from annotations.analysis.differences import difference_batch
    from annotations.analysis.synthetic import layout, rating_frame

    design = Design(items=10, raters=6, per_task=3, missing=0.2)
    scores, plan = draw_scores(design, 3, 8), layout(design)
    means, spread = difference_batch(scores[:, :, ::-1], plan.items, plan.raters)
    for at in range(3):
        found = differences(tidy(rating_frame(design, scores[at], "comforting")))[0]
        assert (found.first, found.second) == ("lora", "base")
        assert found.difference.value == pytest.approx(means[at])
        assert found.difference.se**2 == pytest.approx(spread.variance[at])
        assert found.difference.df == pytest.approx(spread.df[at])


def test_one_reply_at_a_time_is_paired_within_items():
    frames = make_study(Design(items=12, raters=8, per_task=4, missing=0), 2).of(RaterKind.HUMAN)
    rows = frames.ratings[frames.ratings["dimension"] == "comforting"]
    odd = rows["rater"].isin(["P001", "P003", "P005", "P007"])
    single = rows[(rows["arm"] == "base") == odd]
    found = differences(tidy(single))[0]
    both = single.groupby(["item", "arm"])["score"].mean().unstack().dropna()
    assert "means of its raters" in found.how
    assert found.difference.value == pytest.approx((both["lora"] - both["base"]).mean())
    assert found.difference.low < found.difference.value < found.difference.high
