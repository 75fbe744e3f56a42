"""METEOR (Lavie and Agarwal, 2007) as nltk computes it, with its look-ups remembered.

nltk asks WordNet for the synonyms of the *stems* of words that matched neither exactly nor by
stem; that is kept, because the published figures were made so.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from finetune.metrics.tokens import Tokens, require_tokens, stem

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
"""nltk's defaults."""

_Item = tuple[int, str]
_Match = tuple[int, int]


class Meteor:
    """Scores with one WordNet; safe to share between threads."""

    def __init__(self, wordnet: Any) -> None:
        """`wordnet` is a reader of nltk's."""
        self.wordnet = wordnet
        self._synonyms: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()  # the reader seeks in files it keeps open

    def __call__(self, hypothesis: Tokens, reference: Tokens) -> float:
        """METEOR of one pair, 0 to 1; tokens are lower-cased here.

        Raises:
            NotTokens: a text instead of tokens.
        """
        require_tokens(hypothesis, reference)
        mine = [(i, token.lower()) for i, token in enumerate(hypothesis)]
        theirs = [(i, token.lower()) for i, token in enumerate(reference)]
        matches, mine, theirs = _equal(mine, theirs)
        if mine and theirs:
            more, mine, theirs = _equal(_stemmed(mine), _stemmed(theirs))
            matches += more
        if mine and theirs:
            matches += self._synonymous(mine, theirs)
        if not matches:
            return 0.0
        precision, recall = len(matches) / len(hypothesis), len(matches) / len(reference)
        mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
        return (1 - GAMMA * float((_chunks(matches) / len(matches)) ** BETA)) * mean

    def synonyms(self, word: str) -> frozenset[str]:
        """The word and the single-word lemmas of all its synsets."""
        known = self._synonyms.get(word)
        if known is None:
            with self._lock:
                names = {
                    lemma.name() for found in self.wordnet.synsets(word) for lemma in found.lemmas()
                }
            known = frozenset(name for name in names if "_" not in name) | {word}
            self._synonyms[word] = known
        return known

    def _synonymous(self, mine: Sequence[_Item], theirs: Sequence[_Item]) -> list[_Match]:
        """Matches by synonym: from the last word on, each with the last free one that fits."""
        places = _places(theirs)
        matches: list[_Match] = []
        for index, word in reversed(mine):
            fitting = [
                free for name in self.synonyms(word) & places.keys() if (free := places[name])
            ]
            if fitting:
                latest = max(fitting, key=lambda free: free[-1])
                matches.append((index, latest.pop()))
        return matches


def _equal(
    mine: Sequence[_Item], theirs: Sequence[_Item]
) -> tuple[list[_Match], list[_Item], list[_Item]]:
    """Matches of equal words, from the last on, and what is left on either side."""
    places = _places(theirs)
    matches: list[_Match] = []
    left: list[_Item] = []
    for item in reversed(mine):
        free = places.get(item[1])
        if free:
            matches.append((item[0], free.pop()))
        else:
            left.append(item)
    left.reverse()
    used = {place for _, place in matches}
    return matches, left, [item for item in theirs if item[0] not in used]


def _places(items: Sequence[_Item]) -> dict[str, list[int]]:
    """Positions of each word, ascending."""
    places: dict[str, list[int]] = {}
    for index, word in items:
        places.setdefault(word, []).append(index)
    return places


def _stemmed(items: Sequence[_Item]) -> list[_Item]:
    """The same positions with stems."""
    return [(index, stem(word)) for index, word in items]


def _chunks(matches: list[_Match]) -> int:
    """Runs of matches that are adjacent on both sides."""
    ordered = sorted(matches)
    return 1 + sum(after != (before[0] + 1, before[1] + 1) for before, after in pairwise(ordered))
