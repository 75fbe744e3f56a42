"""Equality with nltk, rouge_score and sacrebleu, to 1e-9."""

import random

import pytest

from finetune.metrics.bleu import bleu_counts, corpus_bleu, sentence_bleu
from finetune.metrics.profiles import ProfileName
from finetune.metrics.rouge import rouge_l
from finetune.metrics.tokens import rouge_stems, treebank, whitespace

EXACT = 1e-9


@pytest.mark.parametrize("profile", list(ProfileName))
def test_every_metric_of_a_profile_equals_the_plain_loop(pairs, resources, profile):
    from finetune.metrics.plain import plain_scores
    from finetune.metrics.resources import Missing, load_glove, load_meteor
    from finetune.metrics.scores import score

    words, glove = resources.wordnet, resources.glove
    wordnet = None if isinstance(words, Missing) else load_meteor(words).wordnet
    vectors = None if isinstance(glove, Missing) else load_glove(glove)
    ours = score(pairs, profile, resources=resources).values
    plain = plain_scores(pairs, profile, wordnet, vectors)
    assert len(plain) >= 4
    for name, value in plain.items():
        assert ours[name] == pytest.approx(value, abs=EXACT), name


def test_treebank_tokens(pairs):
    from nltk.tokenize import TreebankWordTokenizer

    theirs = TreebankWordTokenizer().tokenize
    texts = {text for pair in pairs for text in (pair.hypothesis, pair.reference)}
    texts |= {text.lower() for text in texts}
    texts |= {"a\x1c.", "end. \x1f", "``quoted''", "Lemme wanna, gimme; more'n CANNOT", "x--y"}
    # What text may hold in any order, so that every rule meets every other.
    parts = [*"\"'`.,:;?!()[]{}<>@#$%&-\n\t x3", "n't", "'ll", "...", "--", "''", "``"]
    parts += ["cannot", "Gotta", "'twas", "d'ye", "gonna", "wanna", "lemme", "\u212aannot", "\xa0"]
    draw = random.Random(0)
    texts |= {"".join(draw.choices(parts, k=draw.randint(1, 12))) for _ in range(1500)}
    for text in texts:
        assert list(treebank(text)) == theirs(text), repr(text)


def test_rouge_tokens_and_scores(pairs):
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    tokenizer, scorer = DefaultTokenizer(True), RougeScorer(["rougeL"], use_stemmer=True)
    for pair in pairs:
        mine, theirs = rouge_stems(pair.hypothesis), rouge_stems(pair.reference)
        assert list(mine) == tokenizer.tokenize(pair.hypothesis)
        expected = scorer.score(pair.reference, pair.hypothesis)["rougeL"].fmeasure
        assert rouge_l(mine, theirs) == pytest.approx(expected, abs=EXACT)


def test_sentence_bleu(pairs):
    from nltk.translate.bleu_score import SmoothingFunction
    from nltk.translate.bleu_score import sentence_bleu as theirs

    smooth = SmoothingFunction().method1
    for pair in pairs:
        mine, reference = whitespace(pair.hypothesis), whitespace(pair.reference)
        expected = theirs([reference], mine, smoothing_function=smooth)
        assert sentence_bleu(mine, reference) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_corpus_bleu_with_few_matches(pairs, count):
    """Small corpora have orders without a match, which smoothing is about."""
    import numpy as np
    from nltk.translate.bleu_score import SmoothingFunction
    from nltk.translate.bleu_score import corpus_bleu as theirs

    for start in range(0, 60, 3):
        chosen = pairs[start : start + count]
        mine = [whitespace(pair.hypothesis) for pair in chosen]
        references = [whitespace(pair.reference) for pair in chosen]
        counts = [bleu_counts(*both).stats for both in zip(mine, references, strict=True)]
        sums = np.sum(counts, axis=0)[None].astype(float)
        for order in range(1, 5):
            expected = theirs(
                [[one] for one in references],
                mine,
                weights=tuple([1 / order] * order),
                smoothing_function=SmoothingFunction().method3,
            )
            assert corpus_bleu(sums, order)[0] == pytest.approx(expected, abs=EXACT)


def test_corpus_bleu_is_sacrebleus_on_the_same_tokens(pairs):
    """sacrebleu without its tokenizer and smoothing, where every order has a match."""
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

    chosen = [pair for pair in pairs if len(whitespace(pair.hypothesis)) >= 4]
    mine = [whitespace(pair.hypothesis) for pair in chosen]
    references = [whitespace(pair.reference) for pair in chosen]
    counts = [bleu_counts(*both).stats for both in zip(mine, references, strict=True)]
    sums = np.sum(counts, axis=0)[None].astype(float)
    assert sums[0, 3] > 0
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    joined = [" ".join(one) for one in mine], [[" ".join(one) for one in references]]
    expected = metric.corpus_score(*joined).score
    assert 100 * corpus_bleu(sums, 4)[0] == pytest.approx(expected, abs=EXACT)


def test_meteor(pairs, wordnet):
    from nltk.translate.meteor_score import meteor_score

    from finetune.metrics.meteor import Meteor

    meteor = Meteor(wordnet)
    synonyms = ("The child was glad to purchase an auto", "The kid was happy to buy a car")
    texts = [(pair.hypothesis, pair.reference) for pair in pairs] + [synonyms, synonyms[::-1]]
    for mine, reference in texts:
        tokens = whitespace(mine), whitespace(reference)
        expected = meteor_score([tokens[1]], tokens[0], wordnet=wordnet)
        assert meteor(*tokens) == pytest.approx(expected, abs=EXACT)


def test_synonyms_count(wordnet):
    from finetune.metrics.meteor import Meteor

    meteor = Meteor(wordnet)
    assert "automobile" in meteor.synonyms("car")
    assert meteor(["kid"], ["child"]) > 0 == meteor(["kid"], ["banana"])
    # nltk looks up stems, and "purchas" is no word; the published figures have this too.
    assert meteor(["purchase"], ["buy"]) == 0


def test_cross_checks_name_their_settings(pairs):
    from finetune.metrics.crosscheck import cross_checks

    found = {one.name: one for one in cross_checks(pairs)}
    assert "tok:13a" in found["sacrebleu BLEU"].signature
    ours = sum(rouge_l(rouge_stems(pair.hypothesis), rouge_stems(pair.reference)) for pair in pairs)
    assert found["rouge_score rougeL"].value == pytest.approx(100 * ours / len(pairs), abs=EXACT)
