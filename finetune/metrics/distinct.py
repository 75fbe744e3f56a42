"""Distinct-n (Li et al., 2016) over a whole corpus: different n-grams by all n-grams.

It is not additive: an n-gram of two dialogues counts once. Resampling dialogues as they are would
be wrong twice, because a copy adds text and no new n-gram: every value would be too low, and the
spread of the number of copies would go into the interval (three times too wide for distinct-2 of
100 dialogues in a simulation). What a dialogue contributes is measured by leaving it out (the
jackknife), and a resample adds up these contributions; that came within a sixth of the true
spread.

Distinct-n falls with the amount of text, so compare it at equal counts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from finetune.metrics.tokens import Tokens, require_tokens

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NgramTable:
    """Every n-gram of a corpus as a number: equal numbers are equal n-grams."""

    grams: Ints
    """[n-grams]"""
    groups: Ints
    """[n-grams] number of the dialogue each is from."""
    size: int
    """How many dialogues there are."""

    @property
    def value(self) -> float:
        """Distinct-n, 0 to 1; 0 without any n-gram."""
        return len(np.unique(self.grams)) / len(self.grams) if len(self.grams) else 0.0

    def resampled(self, weights: Ints) -> Floats:
        """Replicates where dialogue d occurs `weights[b, d]` times; returns shape [b].

        Not distinct-n of the copies: see the top of this file.
        """
        return np.clip(self.value + (weights - 1) @ self._influence, 0.0, 1.0)

    @cached_property
    def _influence(self) -> Floats:
        """By how much each dialogue moves the value, from leaving each out in turn.

        Centred, so that the shorter text of every leave-one-out corpus does not count.
        """
        if self.size < 2:
            return np.zeros(self.size)
        _, numbers = np.unique(self.grams, return_inverse=True)
        different, dialogues = np.divmod(np.unique(numbers * self.size + self.groups), self.size)
        alone = np.bincount(different)[different] == 1 if len(different) else different == 0
        own = np.bincount(dialogues[alone], minlength=self.size)
        left = len(self.grams) - np.bincount(self.groups, minlength=self.size)
        without = (len(np.unique(different)) - own) / np.maximum(left, 1)
        return np.asarray((self.size - 1) / self.size * (without.mean() - without))


@dataclass(frozen=True)
class NumberedTokens:
    """Replies as numbers, one after another."""

    words: Ints
    """[tokens] equal numbers are equal tokens, below `kinds`."""
    lengths: Ints
    """[replies]"""
    kinds: int


def number_tokens(replies: Sequence[Tokens]) -> NumberedTokens:
    """Number the tokens of `replies`.

    Raises:
        NotTokens: a text instead of tokens.
    """
    if isinstance(replies, str | bytes):
        require_tokens(replies)
    require_tokens(*replies)
    numbers: dict[str, int] = {}
    words = [numbers.setdefault(token, len(numbers)) for reply in replies for token in reply]
    lengths = [len(reply) for reply in replies]
    return NumberedTokens(np.array(words, np.int64), np.array(lengths, np.int64), len(numbers))


@dataclass(frozen=True)
class Distinct:
    """Distinct-n of lower-cased tokens.

    `drop_last` leaves out the last n-gram of every reply, as ESConv's script does by an
    off-by-one; figures copied from papers that used it are comparable only with that.
    """

    name: str
    order: int
    drop_last: bool = False

    def table(self, corpus: NumberedTokens, groups: Sequence[int], size: int) -> NgramTable:
        """The n-grams of a corpus; `groups` numbers the dialogue of each reply, below `size`."""
        width = self.order + self.drop_last  # an n-gram must leave so many tokens in its reply
        kept = np.maximum(corpus.lengths - width + 1, 0)
        first = np.repeat(np.cumsum(corpus.lengths) - corpus.lengths, kept)
        starts = first + np.arange(len(first)) - np.repeat(np.cumsum(kept) - kept, kept)
        grams = np.zeros(len(starts), np.int64)
        for offset in range(self.order):  # three words of two million kinds fit 64 bits
            grams = grams * max(corpus.kinds, 1) + corpus.words[starts + offset]
        return NgramTable(grams, np.repeat(np.asarray(groups, np.int64), kept), size)


def distinct(replies: Sequence[Tokens], order: int, *, drop_last: bool = False) -> float:
    """Distinct-`order` of token lists, 0 to 1.

    Raises:
        NotTokens: a text instead of tokens.
    """
    corpus = number_tokens(replies)
    return Distinct("", order, drop_last).table(corpus, [0] * len(replies), 1).value
