"""BLEU (Papineni et al., 2002) from clipped counts, equal to nltk's to the last digits.

Everything a corpus BLEU needs is additive over pairs, which makes its bootstrap a matrix
product: see `BleuCounts`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune.metrics.tokens import Tokens, require_tokens

ORDERS = 4
EPSILON = 0.1
"""Chen and Cherry (2014), smoothing method 1: stands for a count of zero matches."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BleuCounts:
    """Counts of one pair; sums over pairs are those of the corpus."""

    matches: tuple[int, ...]
    """Clipped n-gram matches for n = 1..4."""
    totals: tuple[int, ...]
    """n-grams of the hypothesis, at least 1 for each n, as nltk counts them."""
    hypothesis: int
    reference: int
    """Lengths in tokens."""

    @property
    def stats(self) -> tuple[float, ...]:
        """All ten numbers in a row."""
        return (*self.matches, *self.totals, self.hypothesis, self.reference)


def bleu_counts(hypothesis: Tokens, reference: Tokens) -> BleuCounts:
    """Count what `hypothesis` shares with `reference`.

    Raises:
        NotTokens: a text instead of tokens.
    """
    require_tokens(hypothesis, reference)
    matches: list[int] = []
    for order in range(1, ORDERS + 1):
        # A shared n-gram holds a shared (n-1)-gram, and most replies share no trigram.
        if matches and not matches[-1]:
            matches.append(0)
            continue
        left = Counter(zip(*(reference[start:] for start in range(order)), strict=False))
        count = 0
        for gram in zip(*(hypothesis[start:] for start in range(order)), strict=False):
            if left.get(gram, 0):
                left[gram] -= 1
                count += 1
        matches.append(count)
    size = len(hypothesis)
    totals = tuple(max(1, size - order) for order in range(ORDERS))
    return BleuCounts(tuple(matches), totals, size, len(reference))


def sentence_bleu_of(counts: BleuCounts) -> float:
    """BLEU-4 of one pair, 0 to 1, smoothing method 1, as nltk's `sentence_bleu`."""
    if not counts.matches[0]:
        return 0.0
    logs = (
        math.log((match or EPSILON) / total) / ORDERS
        for match, total in zip(counts.matches, counts.totals, strict=True)
    )
    return _brevity(counts.hypothesis, counts.reference) * math.exp(math.fsum(logs))


def sentence_bleu(hypothesis: Tokens, reference: Tokens) -> float:
    """`sentence_bleu_of` the counts of two token lists.

    Raises:
        NotTokens: a text instead of tokens.
    """
    return sentence_bleu_of(bleu_counts(hypothesis, reference))


def corpus_bleu(sums: Floats, order: int) -> Floats:
    """BLEU-`order` of whole corpora, 0 to 1, smoothing method 3 (NIST), as nltk's `corpus_bleu`.

    `sums` has shape [corpora, 10]: `BleuCounts.stats`, summed. Returns shape [corpora].
    """
    matches, totals = sums[:, :order], sums[:, ORDERS : ORDERS + order]
    hypothesis, reference = sums[:, 2 * ORDERS], sums[:, 2 * ORDERS + 1]
    none = matches == 0
    halvings = np.cumsum(none, axis=1)  # the first order without a match counts 1/2, the next 1/4
    precision = np.where(none, 0.5**halvings, matches) / np.maximum(totals, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shortness = np.where(hypothesis > 0, 1 - reference / hypothesis, -np.inf)
    brevity = np.where(hypothesis > reference, 1.0, np.exp(np.minimum(shortness, 0.0)))
    scores = brevity * np.exp(np.log(precision).mean(axis=1))
    return np.where(matches[:, 0] > 0, scores, 0.0)


def _brevity(hypothesis: int, reference: int) -> float:
    """Penalty for being shorter than the reference."""
    return 1.0 if hypothesis > reference else math.exp(1 - reference / hypothesis)
