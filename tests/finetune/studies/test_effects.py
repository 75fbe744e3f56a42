"""Differences against sums done by hand, and the words chosen for them."""

from dataclasses import replace

import numpy as np
import pytest

from esc_demo.contexts import ContextKind, ContextSpec
from finetune.studies.conditions import Condition
from finetune.studies.effects import (
    Effect,
    Estimate,
    Question,
    differences,
    ends,
    estimate,
    planned,
    sign_flip_p,
)
from finetune.studies.outcomes import BITS, OUTCOMES, Measured
from finetune.studies.reading import Verdict, _little_loss, sentence, verdict

RAW, SHORT = ContextSpec(), ContextSpec(ContextKind.KEYPOS)
NEGATION = replace(SHORT, keep_negation=True)
ROUGE = OUTCOMES[1]


def grid(contexts=(RAW, SHORT)):
    """Two models, prompt on and off."""
    return tuple(
        Condition(model, prompt, context)
        for model in ("base", "lora")
        for prompt in (True, False)
        for context in contexts
    )


def test_effects_are_means_over_the_other_factors_within_a_dialogue():
    # Cells: base on (raw, short), base off, lora on, lora off; two dialogues.
    values = np.array(
        [[10, 1], [8, 2], [6, 3], [4, 4], [20, 5], [16, 6], [12, 7], [8, 8]], dtype=float
    )
    by_label = {one.label: one for one in planned(grid())}
    assert list(by_label) == [
        "prompt on minus off, base",
        "prompt on minus off, lora",
        "lora minus base, prompt on",
        "lora minus base, prompt off",
        "KeyPOS minus Raw",
    ]
    by_hand = {
        "prompt on minus off, base": [4, -2],  # (10-6 + 8-4) / 2, (1-3 + 2-4) / 2
        "lora minus base, prompt on": [9, 4],  # (20-10 + 16-8) / 2, (5-1 + 6-2) / 2
        "KeyPOS minus Raw": [-3, 1],  # (-2-2-4-4) / 4, (1+1+1+1) / 4
    }
    for label, expected in by_hand.items():
        assert differences(values, by_label[label]).tolist() == expected
    found = estimate(Measured(grid(), {ROUGE.name: values}, {}), replicates=500)
    prompt = found[0]
    assert (prompt.value, prompt.second, prompt.dialogues) == (1.0, 4.25, 2)
    assert len(found) == 5 and all(one.p_holm >= one.p for one in found)


def test_negation_is_compared_with_its_plain_context_and_absent_factors_with_nothing():
    labels = [one.label for one in planned(grid((RAW, SHORT, NEGATION)))]
    assert labels[-2:] == ["KeyPOS minus Raw", "KeyPOS + negation minus KeyPOS"]
    alone = [Condition("base", True, context) for context in (SHORT, NEGATION)]
    assert [one.question for one in planned(alone)] == [Question.NEGATION]


def test_p_counts_the_flips_and_intervals_are_wider_than_percentiles():
    # Of 2^4 sign patterns only the observed one and its mirror reach the sum of 1+2+3+4.
    assert sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0]), 100, 0) == 2 / 16
    assert sign_flip_p(np.array([1.0, -1.0]), 100, 0) == 1.0
    assert sign_flip_p(np.ones(20), 999, 0) == pytest.approx(1 / 1000, abs=0.002)
    drawn = np.random.default_rng(0).normal(size=20_000)
    low, high = ends(drawn, 5)
    assert high > 2.7 and low < -2.7
    assert ends(drawn, 1000)[1] == pytest.approx(1.96, abs=0.1)


def made(outcome, value, low, high, p_holm):
    effect = Effect(Question.PROMPT, "on minus off", ((0, 1),))
    return Estimate(effect, outcome, value, low, high, p_holm, p_holm, 2.0, 9)


def test_words_follow_sign_interval_and_correction():
    better = made(BITS, -0.5, -0.8, -0.2, 0.01)
    assert better.direction == better.held == 1 and sentence(better).endswith(": better")
    assert "-0.500 [-0.800, -0.200], -25.0%" in sentence(better)
    worse = made(ROUGE, -0.5, -0.8, -0.2, 0.2)
    assert (worse.direction, worse.held) == (-1, 0)
    assert sentence(worse).endswith("worse, but not after Holm's correction")
    assert sentence(made(ROUGE, 0.5, -0.1, 1.0, 0.9)).endswith("no difference can be told")
    assert [verdict(found) for found in ([1, 0], [-1, 0], [1, -1], [0, 0], [])] == [
        Verdict.AGREES,
        Verdict.DISAGREES,
        Verdict.MIXED,
        Verdict.OPEN,
        Verdict.NOT_MEASURED,
    ]


def test_that_no_cost_shows_is_agreement_only_where_a_large_one_is_ruled_out():
    # Raw scores 2: an interval down to -0.1 rules out a loss of a tenth, one to -0.6 does not.
    narrow, wide = made(ROUGE, 0.0, -0.1, 0.1, 1.0), made(ROUGE, -0.1, -0.6, 0.4, 1.0)
    assert _little_loss([narrow]).verdict is Verdict.AGREES
    assert _little_loss([narrow, wide]).verdict is Verdict.OPEN
    lost = made(ROUGE, -0.2, -0.3, -0.1, 0.01)
    assert _little_loss([narrow, lost]).verdict is Verdict.DISAGREES
    assert "-10.0% of Raw's ROUGE-L" in _little_loss([lost]).evidence[-1]
