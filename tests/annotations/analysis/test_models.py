"""Agreement, strengths, mixed models and calibration against the libraries that define them."""

import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import approx_fprime
from sklearn.metrics import cohen_kappa_score
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from annotations.analysis.agreement import (
    agreements,
    alpha_estimate,
    kappa_estimate,
    ordinal_alpha,
    value_counts,
)
from annotations.analysis.bradley_terry import (
    RIDGE,
    bradley_terry,
    negative_log_likelihood,
    newton,
)
from annotations.analysis.calibration import calibrations
from annotations.analysis.judge_checks import judge_checks
from annotations.analysis.mixed import reml
from annotations.analysis.synthetic import Design, make_study
from annotations.analysis.tidy import tidy
from annotations.values import RaterKind


@pytest.fixture(scope="module")
def study():
    return make_study(Design(items=16, raters=6, per_task=3, missing=0.15), 7)


def table(replies=30, raters=4, seed=3):
    """Scores with gaps, replies (two an item) by raters."""
    random = np.random.default_rng(seed)
    base = random.normal(2.5, 1.0, (replies, 1))
    scores = np.clip(np.rint(base + random.normal(0, 0.8, (replies, raters))), 0, 5)
    scores[random.random(scores.shape) < 0.2] = np.nan
    index = pd.MultiIndex.from_tuples(
        [(f"i{at // 2}", "ab"[at % 2]) for at in range(replies)], names=["item", "arm"]
    )
    return pd.DataFrame(scores, index=index, columns=[f"r{at}" for at in range(raters)])


def test_alpha_is_krippendorffs_in_every_resample():
    data = table()
    counts = value_counts(data)
    wanted = krippendorff.alpha(value_counts=counts, level_of_measurement="ordinal")
    found = alpha_estimate(data, replicates=200, seed=0)
    assert found.value == pytest.approx(wanted)
    assert found.low < wanted < found.high
    shared = counts[counts.sum(axis=1) >= 2]
    weights = np.random.default_rng(0).integers(0, 3, (4, len(shared)))
    for weight, value in zip(weights, ordinal_alpha(shared, weights.astype(float)), strict=True):
        again = krippendorff.alpha(
            value_counts=np.repeat(shared, weight, axis=0), level_of_measurement="ordinal"
        )
        assert value == pytest.approx(again)


def test_kappa_of_two_raters_is_cohens():
    data = table(raters=2).dropna()
    wanted = cohen_kappa_score(data["r0"], data["r1"], weights="quadratic", labels=range(6))
    assert kappa_estimate(data, replicates=100, seed=0).value == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("a", "1", 3), ("a", "2", 4)], "one rater"),
        ([("a", "1", 3), ("b", "2", 4)], "no reply was scored by two"),
        ([("a", "1", 3), ("b", "1", 3)], "every score is the same"),
    ],
)
def test_undefined_agreement_says_why(rows, why):
    frame = pd.DataFrame(rows, columns=["rater", "item", "score"])
    found = agreements(tidy(frame.assign(arm="x", dimension="comforting")))[0]
    assert found.alpha.value is None and why in found.alpha.note


def test_davidson_gradient_and_both_optimisers_agree(study):
    random = np.random.default_rng(1)
    design, outcome = random.normal(size=(40, 2)), random.integers(0, 3, 40)
    weights, at = random.exponential(size=40), np.array([0.3, -0.2, 0.4])
    loss, gradient = negative_log_likelihood(at, design, outcome, weights)
    numeric = approx_fprime(at, lambda x: negative_log_likelihood(x, design, outcome, weights)[0])
    assert gradient == pytest.approx(numeric, abs=1e-4)
    best = newton(design, outcome, weights[None], np.zeros(3))[0]
    assert np.abs(negative_log_likelihood(best, design, outcome, weights)[1]).max() < 1e-5
    assert negative_log_likelihood(best, design, outcome, weights)[0] < loss


def test_two_arms_have_davidsons_closed_form():
    """With two arms: log-odds of the strengths is log(wins/losses); nu is ties/sqrt(both)."""
    wins, ties, losses = 30, 20, 10
    choice = ["x"] * wins + ["tie"] * (ties - 5) + ["both_bad"] * 5 + ["y"] * losses
    rows = pd.DataFrame({"choice": choice, "arm_a": "x", "arm_b": "y"})
    rows["item"], rows["rater"] = (
        [str(at % 15) for at in rows.index],
        [str(at % 7) for at in rows.index],
    )
    found = bradley_terry(tidy(None, rows), replicates=100)
    strengths = {arm: one.value for arm, one in found.strengths}
    assert strengths["x"] - strengths["y"] == pytest.approx(np.log(wins / losses), abs=20 * RIDGE)
    assert found.tie.value == pytest.approx(np.log(ties / np.sqrt(wins * losses)), abs=20 * RIDGE)
    assert found.strengths[0][1].low < strengths["x"] < found.strengths[0][1].high


@pytest.mark.parametrize(
    ("choices", "why", "fitted"),
    [(["tie"] * 6, "every comparison is a tie", False), (["x"] * 6, "won or lost every", True)],
)
def test_degenerate_comparisons_are_explained(choices, why, fitted):
    rows = pd.DataFrame({"choice": choices, "arm_a": "x", "arm_b": "y"})
    rows["item"], rows["rater"] = list("112233"), list("ababab")
    found = bradley_terry(tidy(None, rows))
    assert why in found.note
    assert bool(found.strengths) is fitted
    assert all(one.low is None for _, one in found.strengths)


def test_reml_is_statsmodels():
    random = np.random.default_rng(2)
    item, rater = np.repeat(np.arange(12), 5), np.tile(np.arange(5), 12)
    arm = random.integers(0, 2, 60).astype(float)
    y = 2 + 0.5 * arm + random.normal(0, 0.7, 12)[item] + random.normal(0, 0.6, 5)[rater]
    y += random.normal(0, 0.8, 60)
    fixed = np.stack([np.ones(60), arm], axis=1)
    parts = [np.eye(12)[item], np.eye(5)[rater]]
    names = [[[f"{at}" for at in range(part.shape[1])]] for part in parts]
    spec = VCSpec(["item", "rater"], names, [[part] for part in parts])
    wanted = MixedLM(y, fixed, groups=np.ones(60), exog_vc=spec).fit(reml=True)
    found = reml(y, fixed, parts)
    assert found.converged
    assert found.beta == pytest.approx(wanted.fe_params, abs=1e-4)
    # statsmodels' own errors come from a Hessian that mixes in the variances; this is GLS.
    inside = sum(v * part @ part.T for v, part in zip(wanted.vcomp, parts, strict=True))
    inverse = np.linalg.inv(inside + wanted.scale * np.eye(60))
    assert found.covariance == pytest.approx(np.linalg.inv(fixed.T @ inverse @ fixed), rel=1e-2)
    assert found.sds[:2] == pytest.approx(np.sqrt(wanted.vcomp), rel=1e-2)
    assert found.sds[2] == pytest.approx(np.sqrt(wanted.scale), rel=1e-2)


def test_calibration_is_scipys_and_finds_the_planted_bias(study):
    found = calibrations(study, replicates=60)
    assert [one.dimension for one in found] == list(study.dimensions)
    one = found[0]
    people, judge = np.array([point[:2] for point in one.points]).T
    assert one.spearman.value == pytest.approx(stats.spearmanr(people, judge).statistic)
    assert one.kendall.value == pytest.approx(stats.kendalltau(people, judge).statistic)
    assert one.bias.value == pytest.approx((judge - people).mean())
    assert one.spearman.low < one.spearman.value < one.spearman.high
    # The judge was made to add 0.4 points.
    assert np.mean([each.bias.value for each in found]) == pytest.approx(0.4, abs=0.15)
    people_rows = study.of(RaterKind.HUMAN).ratings
    scored = people_rows[(people_rows["dimension"] == one.dimension) & people_rows["score"].notna()]
    assert sum(map(sum, one.confusion)) == len(scored)


def test_checks_of_a_judge():
    """A judge that flips one order of four, repeats itself half the time, and favours its kin."""
    pairs = pd.DataFrame(
        [
            {"rater": "j", "rater_kind": "judge", "item": str(at), "arm_a": "x", "arm_b": "y",
             "side_a": side, "choice": "y" if at == 0 and side == "right" else "x"}
            for at in range(4)
            for side in ("left", "right")
        ]
    )  # fmt: skip
    rows = []
    for at in range(4):
        rows += [("p", "human", str(at), arm, 3, "", "", "", "") for arm in "xy"]
        rows += [("j", "judge", str(at), "x", 5, "0", "", "ours", "ours")]
        rows += [("j", "judge", str(at), "x", 5 - at % 2, "1", "", "ours", "ours")]
        rows += [("j", "judge", str(at), "y", 3, "0", "", "other", "ours")]
        rows += [("j", "judge", str(at), "g", 4, "0", "gold", "", "")]
        rows += [("j", "judge", str(at), "g2", 4 + (at == 3), "0", "generic", "", "")]
    names = ["rater", "rater_kind", "item", "arm", "score", "sample", "control"]
    ratings = pd.DataFrame(rows, columns=[*names, "arm_family", "rater_family"])
    found = judge_checks(tidy(ratings.assign(dimension="comforting"), pairs))
    values = {one.name: one.estimate.value for one in found if one.rater == "j"}
    assert values["order flips"] == pytest.approx(0.25)
    assert values["test-retest"] == pytest.approx(0.5)
    assert values["test-retest span"] == pytest.approx(0.5)
    assert values["own family"] == pytest.approx(1.75)
    assert values["control: generic"] == 0
    assert values["length"] is None
