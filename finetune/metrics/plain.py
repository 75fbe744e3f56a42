"""The same metrics as anyone would write them: one loop over nltk and rouge_score.

It is what the fast code is measured against, and the source of the values it must equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from finetune.metrics.embeddings import WordVectors
from finetune.metrics.pairs import Pair
from finetune.metrics.profiles import ProfileName
from finetune.metrics.rouge import ESCONV_BETA
from finetune.metrics.tokens import Tokens


def plain_scores(
    pairs: Sequence[Pair], profile: ProfileName, wordnet: Any, glove: WordVectors | None
) -> dict[str, float]:
    """Every metric of a profile in percent.

    `wordnet` is a reader of nltk's; without it METEOR is left out, without `glove` Ext and
    Extrema.
    """
    if profile is ProfileName.NLPCC2025:
        return _nlpcc(pairs, wordnet, glove)
    return _esconv(pairs, wordnet, glove)


def _nlpcc(pairs: Sequence[Pair], wordnet: Any, glove: WordVectors | None) -> dict[str, float]:
    """As the script of NLPCC 2025 Task 8."""
    from nltk.translate.bleu_score import (  # noqa: PLC0415 (slow to import)
        SmoothingFunction,
        sentence_bleu,
    )
    from nltk.translate.meteor_score import meteor_score  # noqa: PLC0415
    from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415

    smooth = SmoothingFunction().method1
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    meteor, bleu, rouge, ext = [], [], [], []
    for pair in pairs:
        hypothesis, reference = pair.hypothesis.split(), pair.reference.split()
        if wordnet is not None:
            meteor.append(meteor_score([reference], hypothesis, wordnet=wordnet))
        bleu.append(sentence_bleu([reference], hypothesis, smoothing_function=smooth))
        rouge.append(scorer.score(pair.reference, pair.hypothesis)["rougeL"].fmeasure)
        if glove is not None:
            ext.append(_cosine(_highest(hypothesis, glove), _highest(reference, glove)))
    replies = [pair.hypothesis.lower().split() for pair in pairs]
    found = {"METEOR": meteor, "BLEU-4": bleu, "ROUGE-L": rouge, "Ext": ext}
    values = {name: 100 * sum(scores) / len(scores) for name, scores in found.items() if scores}
    return values | {f"D-{n}": 100 * _distinct(replies, n) for n in (2, 3)}


def _esconv(pairs: Sequence[Pair], wordnet: Any, glove: WordVectors | None) -> dict[str, float]:
    """As ESConv's script."""
    from nltk.tokenize import TreebankWordTokenizer  # noqa: PLC0415 (slow to import)
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu  # noqa: PLC0415
    from nltk.translate.meteor_score import meteor_score  # noqa: PLC0415

    cut = TreebankWordTokenizer().tokenize
    hypotheses = [cut(pair.hypothesis.lower()) for pair in pairs]
    references = [cut(pair.reference.lower()) for pair in pairs]
    weights = [tuple([1 / n] * n) for n in range(1, 5)]
    bleu = corpus_bleu(
        [[one] for one in references],
        hypotheses,
        weights=weights,
        smoothing_function=SmoothingFunction().method3,
    )
    meteor, rouge, extrema = [], [], []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        if wordnet is not None:
            meteor.append(meteor_score([reference], hypothesis, wordnet=wordnet))
        rouge.append(_rouge_l(hypothesis, reference))
        if glove is not None:
            extrema.append(_cosine(_extreme(hypothesis, glove), _extreme(reference, glove)))
    found = {"ROUGE-L": rouge, "METEOR": meteor, "Extrema": extrema}
    values = {f"BLEU-{n}": 100 * value for n, value in enumerate(bleu, start=1)}
    values |= {name: 100 * sum(scores) / len(scores) for name, scores in found.items() if scores}
    for n in (1, 2, 3):
        values[f"Distinct-{n}"] = 100 * _distinct(hypotheses, n)
        values[f"Distinct-{n} (ESConv script)"] = 100 * _distinct(hypotheses, n, short=1)
    values["Length"] = sum(len(one) for one in hypotheses) / len(hypotheses)
    return values


def _rouge_l(hypothesis: Tokens, reference: Tokens) -> float:
    """ROUGE-L with the usual table."""
    table = [[0] * (len(reference) + 1) for _ in range(len(hypothesis) + 1)]
    for i, mine in enumerate(hypothesis):
        for j, theirs in enumerate(reference):
            if mine == theirs:
                table[i + 1][j + 1] = table[i][j] + 1
            else:
                table[i + 1][j + 1] = max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    if not common:
        return 0.0
    precision, recall = common / len(hypothesis), common / len(reference)
    square = ESCONV_BETA**2
    return (1 + square) * precision * recall / (recall + square * precision)


def _distinct(replies: Sequence[Tokens], order: int, short: int = 0) -> float:
    """Different n-grams by all; `short` leaves out so many at the end of each reply."""
    grams = [
        tuple(reply[start : start + order])
        for reply in replies
        for start in range(len(reply) - order + 1 - short)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def _highest(tokens: Tokens, glove: WordVectors) -> Any:
    """Element-wise maximum of the found words' vectors."""
    found = [glove.vectors[glove.index[token]] for token in tokens if token in glove.index]
    return np.max(found, axis=0) if found else None


def _extreme(tokens: Tokens, glove: WordVectors) -> Any:
    """Per dimension the value of larger magnitude."""
    found = [glove.vectors[glove.index[token]] for token in tokens if token in glove.index]
    if not found:
        return None
    high, low = np.max(found, axis=0), np.min(found, axis=0)
    return np.where(high >= -low, high, low)


def _cosine(left: Any, right: Any) -> float:
    """Cosine; 0 where a side is missing."""
    if left is None or right is None:
        return 0.0
    left, right = left.astype(np.float64), right.astype(np.float64)
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
