"""NoStopwords: NLTK's English stopwords removed (paper B, section 4.3).

Words are split at white space and looked up in lower case without their outer punctuation,
so that the list's own contractions ("don't", "she'll") are found; a stopword goes together
with the punctuation that hangs on it. NLTK's list contains no, nor and not: the paper's
behaviour can turn a sentence round, and `keep_negation` exists to compare.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_OUTER = "\"'.,;:!?()[]{}<>*_~`…“”‘’-–—"  # noqa: RUF001 (typographic marks people type)
_NEGATIONS = frozenset({"no", "nor", "not"})


@lru_cache(maxsize=1)
def stopwords() -> frozenset[str]:
    """The 198 words of NLTK's English list, from the data file beside this one."""
    lines = (Path(__file__).parent / "data" / "stopwords_en.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _is_negation(word: str) -> bool:
    """Whether a listed stopword carries a negation."""
    return word in _NEGATIONS or word.endswith("n't")


def nostopwords(text: str, keep_negation: bool = False) -> str:
    """Return `text` without stopwords; with `keep_negation`, not, no, nor and n't forms stay."""
    kept: list[str] = []
    for written in text.split():
        word = written.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").strip(_OUTER).lower()
        if word in stopwords() and not (keep_negation and _is_negation(word)):
            continue
        kept.append(written)
    return " ".join(kept)
