"""Texts as tokens, exactly as nltk and rouge_score cut them, only faster.

Speed comes from three things: a text is cut once, because results are remembered; Porter stems
are remembered; and a Treebank rule runs only where a character it needs occurs in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from esc_demo.errors import BadInput

Tokens = Sequence[str]


class NotTokens(BadInput, TypeError):
    """A text stands where a list of tokens is expected: its characters would be compared."""


def require_tokens(*given: Tokens) -> None:
    """Refuse texts where lists of tokens belong.

    Iterating a text yields characters, and a BLEU of characters looks like a plausible number.

    Raises:
        NotTokens: an argument is a text or bytes.
    """
    for tokens in given:
        if isinstance(tokens, str | bytes):
            raise NotTokens(
                f"Expected a list of tokens, found the text {tokens[:40]!r}. Cut it first, for"
                " instance with finetune.metrics.tokens.whitespace."
            )


@lru_cache(maxsize=1 << 16)
def whitespace(text: str) -> tuple[str, ...]:
    """The words between white space, as they are."""
    return tuple(text.split())


@lru_cache(maxsize=1 << 16)
def treebank(text: str) -> tuple[str, ...]:
    """Tokens of nltk's TreebankWordTokenizer; the text is taken as one sentence."""
    if _ODD_SPACE.search(text):  # the two engines disagree on whether these are white space
        return tuple(_nltk_treebank().tokenize(text))
    opening, closing, contractions = _treebank_rules()
    text = f" {_apply(opening, text)} "
    text = _apply(closing, text)
    if any(part in text.lower() for part in _CONTRACTED):
        text = _apply(contractions, text)
    return tuple(text.split())


@lru_cache(maxsize=1 << 16)
def rouge_stems(text: str) -> tuple[str, ...]:
    """Tokens of rouge_score with `use_stemmer=True`: letters and digits, longer ones stemmed."""
    words = _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()
    stemmed = (stem(word) if len(word) > 3 else word for word in words)
    return tuple(word for word in stemmed if word)


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """Porter stem of a word as nltk makes it with its default extensions."""
    return str(_porter().stem(word))


_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_ODD_SPACE = re.compile("[\x1c-\x1f]")
_CONTRACTED = ("'", "annot", "mme", "onna", "otta", "anna")
"""One of these is in every contraction that the tokenizer cuts (cannot, gimme, gonna, 'tis)."""

_NEEDED = {
    "STARTING_QUOTES": (('"',), ("``",), ('"', "''")),
    "PUNCTUATION": (
        (":", ","),
        (":", ","),
        ("...",),
        tuple(";@#$%&"),
        (".",),
        ("?", "!"),
        ("'",),
    ),
    "PARENS_BRACKETS": (tuple("[](){}<>"),),
    "DOUBLE_DASHES": (("--",),),
    "ENDING_QUOTES": (("''",), ('"',), ("'",), ("'",)),
}
"""For each rule of nltk's tokenizer: without one of these in the text it does nothing."""


class _Rule(NamedTuple):
    """A substitution and what must occur for it to matter."""

    needed: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str


def _apply(rules: Sequence[_Rule], text: str) -> str:
    """Run the rules in order."""
    for needed, pattern, replacement in rules:
        for part in needed:
            if part in text:
                text = pattern.sub(replacement, text)
                break
    return text


@lru_cache(maxsize=1)
def _treebank_rules() -> tuple[list[_Rule], list[_Rule], list[_Rule]]:
    """nltk's own rules, compiled with the standard library, which has no time limit to watch.

    Returned are those before and those after the text is padded with spaces, and contractions.
    """
    tokenizer = _nltk_treebank()
    found: dict[str, list[_Rule]] = {}
    for name, needed in _NEEDED.items():
        rules = getattr(tokenizer, name)
        rules = [rules] if isinstance(rules, tuple) else rules
        if len(rules) != len(needed):  # another nltk than the one these were read from
            needed = (("",),) * len(rules)
        found[name] = [
            _Rule(parts, re.compile(pattern.pattern), replacement)
            for parts, (pattern, replacement) in zip(needed, rules, strict=True)
        ]
    closing = found.pop("ENDING_QUOTES")
    contractions = [
        _Rule(("",), re.compile(pattern.pattern), r" \1 \2 ")
        for pattern in [*tokenizer.CONTRACTIONS2, *tokenizer.CONTRACTIONS3]
    ]
    return [rule for rules in found.values() for rule in rules], closing, contractions


@lru_cache(maxsize=1)
def _nltk_treebank() -> Any:
    """nltk's tokenizer."""
    from nltk.tokenize import TreebankWordTokenizer  # noqa: PLC0415 (nltk is slow to import)

    return TreebankWordTokenizer()


@lru_cache(maxsize=1)
def _porter() -> Any:
    """nltk's stemmer."""
    from nltk.stem.porter import PorterStemmer  # noqa: PLC0415 (nltk is slow to import)

    return PorterStemmer()
