"""Intervals that cover, paired differences, Holm's correction, and what is refused."""

import random

import pytest

from esc_demo.errors import BadInput
from finetune.metrics.bootstrap import differences, holm, intervals, two_sided_p
from finetune.metrics.pairs import Pair
from finetune.metrics.profiles import ProfileName
from finetune.metrics.scores import score

NLPCC = ProfileName.NLPCC2025


def one_word_scores(means, bare, seed, replies=3):
    """Dialogues whose replies are right (ROUGE-L 100) with a dialogue's own chance."""
    draw = random.Random(seed)
    pairs = [
        Pair("yes" if draw.random() < mean else "no", "yes", f"d{number}")
        for number, mean in enumerate(means)
        for _ in range(replies)
    ]
    return score(pairs, NLPCC, resources=bare)


def test_the_interval_covers_the_truth(bare):
    """Half of the dialogues are easy (.9), half hard (.1): the truth is 50."""
    covered = naive = 0
    rounds = 60
    for seed in range(rounds):
        draw = random.Random(1000 + seed)
        means = [draw.choice((0.1, 0.9)) for _ in range(40)]
        scores = one_word_scores(means, bare, seed, replies=8)
        found = intervals(scores, replicates=400, seed=seed)["ROUGE-L"]
        covered += found.low <= 50 <= found.high
        assert found.low <= found.value <= found.high
        # What drawing replies instead of dialogues would give: far too narrow.
        share = found.value / 100
        half = 196 * (share * (1 - share) / 320) ** 0.5
        naive += abs(found.value - 50) <= half
    assert covered / rounds >= 0.85
    assert naive < covered


def test_a_distinct_interval_lies_around_its_value(pairs, bare):
    found = intervals(score(pairs, NLPCC, resources=bare), replicates=300)
    for name in ("D-2", "D-3"):
        assert found[name].low < found[name].value < found[name].high
        assert found[name].high - found[name].low < 9  # copies of dialogues would make it 17


def test_totals_have_intervals_where_all_columns_are_there(pairs, resources):
    scores = score(pairs, NLPCC, resources=resources, g_score=80.0)
    found = intervals(scores, replicates=200)
    if "Total" in scores.missing:
        pytest.skip(scores.missing["Total"])
    assert found["Total"].value == pytest.approx(found["Total without G"].value + 8)
    assert found["Total"].low < found["Total"].value < found["Total"].high


def test_the_same_seed_gives_the_same_interval(pairs, bare):
    scores = score(pairs, ProfileName.ESCONV, resources=bare)
    first = intervals(scores, replicates=200, seed=7)
    assert intervals(scores, replicates=200, seed=7) == first
    assert intervals(scores, replicates=200, seed=8) != first


def test_pairing_finds_what_two_intervals_hide(bare):
    """A small gain in every dialogue beside large differences between dialogues."""
    draw = random.Random(0)
    first, second = [], []
    for number in range(40):
        right = draw.randint(1, 9)
        for index in range(10):
            reference, dialogue = f"word{number} {index}", f"d{number}"
            first.append(Pair(reference if index < right else "?", reference, dialogue))
            second.append(Pair(reference if index < right + 1 else "?", reference, dialogue))
    draw.shuffle(second)  # in whatever order the other file has them
    ours = score(first, NLPCC, resources=bare)
    theirs = score(second, NLPCC, resources=bare)
    mine, other = intervals(ours)["ROUGE-L"], intervals(theirs)["ROUGE-L"]
    assert mine.high > other.low  # seen apart, nothing
    found = differences(theirs, ours, metrics=["ROUGE-L", "BLEU-4"])
    gain = found["ROUGE-L"]
    assert gain.value == pytest.approx(10)
    assert gain.low > 0 and gain.p < 0.01 and gain.p <= gain.p_holm <= 2 * gain.p
    back = differences(ours, theirs, metrics=["ROUGE-L"])["ROUGE-L"]
    assert back.value == pytest.approx(-gain.value) and back.p == pytest.approx(gain.p)


def test_a_system_does_not_differ_from_itself(pairs, bare):
    scores = score(pairs, NLPCC, resources=bare)
    for found in differences(scores, scores, replicates=200).values():
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_p_is_never_zero():
    import numpy as np

    assert two_sided_p(np.full(1999, 3.0)) == 2 / 2000
    assert two_sided_p(np.array([-1.0, 1.0] * 500)) == 1


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    with pytest.raises(BadInput, match=r"b = 1\.2"):
        holm({"a": 0.5, "b": 1.2})


def test_one_dialogue_has_no_interval(bare):
    scores = score([Pair("a", "b", "d"), Pair("c", "d", "d")], NLPCC, resources=bare)
    with pytest.raises(BadInput, match="two or more"):
        intervals(scores)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"replicates": 10}, "too few"), ({"level": 95}, r"between 0 and 1")],
)
def test_unusable_options(pairs, bare, options, said):
    with pytest.raises(BadInput, match=said):
        intervals(score(pairs, NLPCC, resources=bare), **options)


def test_only_the_same_items_are_compared(bare):
    def scored(*rows, profile=NLPCC):
        return score([Pair(*row) for row in rows], profile, resources=bare)

    first = scored(("a", "r", "d1"), ("a", "s", "d2"))
    for other, said in (
        (scored(("a", "r", "d1"), ("a", "s", "d3")), "only one of them has 'd2'"),
        (scored(("a", "r", "d1"), ("a", "r", "d1"), ("a", "s", "d2")), "1 and 2 replies.*'d1'"),
        (scored(("a", "r", "d1"), ("a", "t", "d2")), "other references in dialogue 'd2'"),
        (scored(("a", "r", "d1"), ("a", "s", "d2"), profile=ProfileName.ESCONV), "one profile"),
    ):
        with pytest.raises(BadInput, match=said):
            differences(first, other)
    with pytest.raises(BadInput, match="'Total' was not measured"):
        differences(first, first, metrics=["Total"])
