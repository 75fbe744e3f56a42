"""Similarity of word vectors: Ext of NLPCC 2025 Task 8, and true vector extrema."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finetune.metrics.tokens import Tokens, require_tokens


@dataclass(frozen=True)
class WordVectors:
    """A vocabulary with a vector a word; `vectors` has shape [words, dimensions]."""

    name: str
    index: dict[str, int]
    vectors: npt.NDArray[np.float32]

    def of(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Vectors of the tokens that are in the vocabulary as they are written.

        Shape [found tokens, dimensions].

        Raises:
            NotTokens: a text instead of tokens.
        """
        require_tokens(tokens)
        rows = [row for token in tokens if (row := self.index.get(token)) is not None]
        return np.asarray(self.vectors[rows])


def maximum_similarity(hypothesis: Tokens, reference: Tokens, vectors: WordVectors) -> float:
    """Cosine of the element-wise maxima over found words; 0 where a side has none.

    This is what NLPCC 2025 Task 8 calls vector extrema.
    """
    return _compare(hypothesis, reference, vectors, extrema=False)


def extrema_similarity(hypothesis: Tokens, reference: Tokens, vectors: WordVectors) -> float:
    """Cosine of the vector extrema (Forgues et al., 2014); 0 where a side has no known word.

    For each dimension the value of larger magnitude counts, with its sign.
    """
    return _compare(hypothesis, reference, vectors, extrema=True)


def _compare(
    hypothesis: Tokens, reference: Tokens, vectors: WordVectors, *, extrema: bool
) -> float:
    """Cosine of two pooled sides in double precision."""
    mine, theirs = vectors.of(hypothesis), vectors.of(reference)
    if not len(mine) or not len(theirs):
        return 0.0
    left, right = _pooled(mine, extrema), _pooled(theirs, extrema)
    norms = float(np.sqrt(left @ left) * np.sqrt(right @ right))
    return float(left @ right) / norms if norms else 0.0


def _pooled(rows: npt.NDArray[np.float32], extrema: bool) -> npt.NDArray[np.float64]:
    """One vector for several."""
    high: npt.NDArray[np.float64] = rows.max(axis=0).astype(np.float64)
    if not extrema:
        return high
    low: npt.NDArray[np.float64] = rows.min(axis=0).astype(np.float64)
    return np.where(high >= -low, high, low)
