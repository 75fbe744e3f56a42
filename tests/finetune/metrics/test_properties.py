"""What must hold for any text: the maximum, monotony, and that order does not matter."""

import random

import pytest

from finetune.metrics.bleu import bleu_counts, corpus_bleu, sentence_bleu
from finetune.metrics.distinct import Distinct, distinct, number_tokens
from finetune.metrics.embeddings import extrema_similarity, maximum_similarity
from finetune.metrics.pairs import Pair
from finetune.metrics.profiles import ProfileName
from finetune.metrics.rouge import lcs_length, rouge_l, rouge_l_beta
from finetune.metrics.scores import score
from finetune.metrics.tokens import NotTokens


def test_a_reply_equal_to_its_reference_scores_the_maximum(pairs, resources):
    same = [Pair(p.reference, p.reference, p.dialogue) for p in pairs if len(p.reference) > 60]
    for profile in ProfileName:
        values = score(same, profile, resources=resources).values
        for name in ("BLEU-1", "BLEU-4", "ROUGE-L", "Extrema", "Ext"):
            if name in values:
                assert values[name] == pytest.approx(100), (profile, name)
        if "METEOR" in values:
            assert values["METEOR"] > 99.9  # one chunk costs half the cube of 1 / matches


def test_more_overlap_never_lowers_bleu():
    import numpy as np

    draw = random.Random(3)
    for _ in range(60):
        reference = draw.choices("abcdefgh", k=draw.randint(1, 12))
        size = draw.randint(1, 12)
        before = -1.0, [-1.0] * 4
        for copied in range(min(size, len(reference)) + 1):
            mine = reference[:copied] + ["?"] * (size - copied)
            sums = np.array([bleu_counts(mine, reference).stats])
            now = (
                sentence_bleu(mine, reference),
                [float(corpus_bleu(sums, order)[0]) for order in range(1, 5)],
            )
            assert now[0] >= before[0]
            assert all(a >= b for a, b in zip(now[1], before[1], strict=True))
            before = now


@pytest.mark.parametrize("profile", list(ProfileName))
def test_the_order_of_samples_is_irrelevant(pairs, resources, profile):
    shuffled = random.Random(0).sample(pairs, len(pairs))
    first = score(pairs, profile, resources=resources).values
    second = score(shuffled, profile, resources=resources).values
    assert second == pytest.approx(first, abs=1e-9)


def test_two_processes_give_the_same_values(pairs, bare):
    first = score(pairs, ProfileName.NLPCC2025, resources=bare, workers=1)
    second = score(pairs, ProfileName.NLPCC2025, resources=bare, workers=2)
    assert second.values == first.values
    assert second.tokens == first.tokens


def test_lcs_is_the_table_s():
    draw = random.Random(1)
    for _ in range(200):
        left = draw.choices("abcde", k=draw.randint(0, 80))
        right = draw.choices("abcdef", k=draw.randint(0, 80))
        table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
        for i, a in enumerate(left):
            for j, b in enumerate(right):
                best = max(table[i][j + 1], table[i + 1][j])
                table[i + 1][j + 1] = table[i][j] + 1 if a == b else best
        assert lcs_length(left, right) == table[-1][-1] == lcs_length(right, left)


def test_distinct_counts_by_hand():
    replies = [["a", "b", "a", "b"], ["a", "b"], ["c"], []]
    assert distinct(replies, 1) == 3 / 7
    assert distinct(replies, 2) == 2 / 4
    assert distinct(replies, 3) == 2 / 2
    # ESConv's script leaves the last n-gram of every reply uncounted.
    assert distinct(replies, 1, drop_last=True) == 2 / 4
    assert distinct(replies, 2, drop_last=True) == 2 / 2
    assert distinct([], 2) == distinct([["a"]], 2) == 0


def word_table(draw, dialogues, order=2):
    """n-grams of dialogues that each use a few words of a skewed vocabulary again and again."""
    replies, groups = [], []
    for number in range(dialogues):
        own = [int(2000 ** draw.random()) for _ in range(40)]
        for _ in range(4):
            replies.append([str(word) for word in draw.choices(own, k=12)])
            groups.append(number)
    return Distinct("", order).table(number_tokens(replies), groups, dialogues)


@pytest.mark.parametrize("order", [1, 2])
def test_resampled_distinct_spreads_as_new_samples_do(order):
    import numpy as np

    draw = random.Random(5)
    tables = [word_table(draw, 40, order) for _ in range(60)]
    truth = np.std([table.value for table in tables])
    weights = np.random.default_rng(0).multinomial(40, [1 / 40] * 40, size=300)
    drawn = [table.resampled(weights) for table in tables[:12]]
    assert np.mean([one.std() for one in drawn]) == pytest.approx(truth, rel=0.4)
    for table, one in zip(tables, drawn, strict=False):
        assert one.mean() == pytest.approx(table.value, abs=truth / 4)
        assert table.resampled(np.ones((1, 40), int))[0] == pytest.approx(table.value)


def test_ext_and_extrema_by_hand(little_glove):
    """Maxima lose the sign that true extrema keep."""
    mine, reference = ["good", "bad"], ["day"]
    assert maximum_similarity(mine, reference, little_glove) == pytest.approx(1)  # (1, 1)
    expected = (-2 - 3) * 0.5 / (13**0.5 * 0.5**0.5)  # (-2, -3)
    assert extrema_similarity(mine, reference, little_glove) == pytest.approx(expected)
    # The look-up is cased, and no known word on a side is 0, not an error.
    assert maximum_similarity(["Good"], reference, little_glove) == 0
    assert extrema_similarity([], reference, little_glove) == 0


@pytest.mark.parametrize("both", [("good day", ["good", "day"]), (["good", "day"], "good day")])
def test_a_text_for_tokens_raises(both, little_glove):
    from finetune.metrics.meteor import Meteor

    for function in (bleu_counts, sentence_bleu, rouge_l, rouge_l_beta, Meteor(None)):
        with pytest.raises(NotTokens, match="list of tokens"):
            function(*both)
    for similarity in (maximum_similarity, extrema_similarity):
        with pytest.raises(TypeError, match="good day"):
            similarity(*both, little_glove)


def test_a_text_among_token_lists_raises():
    with pytest.raises(NotTokens):
        distinct(["good day"], 1)
    with pytest.raises(NotTokens):
        distinct("good day", 1)
