"""What metrics look at: both texts of a pair as tokens, and what several metrics share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from finetune.metrics.bleu import BleuCounts, bleu_counts
from finetune.metrics.pairs import Pair
from finetune.metrics.tokens import Tokens, rouge_stems, treebank, whitespace

NLPCC_PREFIX = "supporter:"
"""What stands before every reply in NLPCC 2025 Task 8's files; it is no part of the reply."""


class View:
    """One pair under a profile's tokenizer; counts are made when first asked for."""

    def __init__(self, hypothesis: str, reference: str, tokenize: Callable[[str], Tokens]) -> None:
        """Cut both texts."""
        self._texts = hypothesis, reference
        self.hypothesis = tokenize(hypothesis)
        self.reference = tokenize(reference)

    @cached_property
    def bleu(self) -> BleuCounts:
        """Shared n-grams and lengths."""
        return bleu_counts(self.hypothesis, self.reference)

    @cached_property
    def stems(self) -> tuple[Tokens, Tokens]:
        """Hypothesis and reference as rouge_score cuts them."""
        hypothesis, reference = self._texts
        return rouge_stems(hypothesis), rouge_stems(reference)


def nlpcc_view(pair: Pair) -> View:
    """Words between white space, with their case."""
    return View(
        pair.hypothesis.removeprefix(NLPCC_PREFIX),
        pair.reference.removeprefix(NLPCC_PREFIX),
        whitespace,
    )


def esconv_view(pair: Pair) -> View:
    """Lower-cased Treebank tokens."""
    return View(pair.hypothesis.lower(), pair.reference.lower(), treebank)


def lower_words(view: View) -> Tokens:
    """The hypothesis's tokens in lower case."""
    return [token.lower() for token in view.hypothesis]


def as_they_are(view: View) -> Tokens:
    """The hypothesis's tokens."""
    return view.hypothesis
