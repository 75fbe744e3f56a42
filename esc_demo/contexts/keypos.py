"""KeyPOS: only words of nine universal parts of speech are kept (paper B, section 4.3).

Nouns, verbs, adjectives, adverbs, adpositions, proper nouns, numerals, subordinating
conjunctions and pronouns stay; auxiliaries, determiners, coordinating conjunctions,
particles, interjections and punctuation go. "Not" is a particle, so the paper's behaviour
drops it; `keep_negation` keeps it (and "no", "nor", "neither", "never", "none") for comparison.
"""

from __future__ import annotations

import logging
import threading
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

from esc_demo.errors import AssetError
from esc_demo.settings import get_settings

if TYPE_CHECKING:
    from spacy.language import Language

KEPT = frozenset({"NOUN", "VERB", "ADJ", "ADV", "ADP", "PROPN", "NUM", "SCONJ", "PRON"})
"""Universal POS tags that survive."""

TAGGER = "en_core_web_sm-3.8.0"
"""Folder of the tagger inside the cache; also its name in records."""

_NEGATIONS = frozenset({"not", "n't", "no", "nor", "neither", "never", "none"})
_LOCK = threading.Lock()
_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def _load() -> Language:
    """Load the tagger from the cache, or the same model installed as a package."""
    import spacy  # noqa: PLC0415 (slow: not at import time of the page)

    folder = get_settings().cache_dir / TAGGER
    exclude = ["parser", "ner", "lemmatizer"]
    try:
        with warnings.catch_warnings():
            # The model was packed for 3.8.0 and says so on every later patch release.
            warnings.filterwarnings("ignore", message=r".*\[W095\].*")
            return spacy.load(folder if folder.exists() else "en_core_web_sm", exclude=exclude)
    except (OSError, ValueError) as error:
        _log.info("tagger: %s", error)
        found = folder.exists()
        raise AssetError(
            f"The part-of-speech tagger for KeyPOS is {'damaged' if found else 'missing'}"
            f" ({folder}). {'Delete that folder and run' if found else 'Run'}"
            " `python -m esc_demo setup`; until then use Raw or NoStopwords."
        ) from error


def warm_up() -> None:
    """Load the tagger now, so that the first KeyPOS reply need not wait for it."""
    _tags("Hello there.")


@lru_cache(maxsize=4096)
def _tags(text: str) -> tuple[tuple[str, str], ...]:
    """(word, universal tag) of each token of `text`."""
    with _LOCK:  # spaCy pipelines are not documented as safe for several threads
        return tuple((token.text, token.pos_) for token in _load()(text))


def keypos(text: str, keep_negation: bool = False) -> str:
    """Return the kept words of `text` joined by spaces.

    With `keep_negation`, negations stay and a contracted "n't" is written "not".

    Raises:
        AssetError: the tagger is not installed.
    """
    kept: list[str] = []
    for word, tag in _tags(text):
        lower = word.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
        if keep_negation and lower in _NEGATIONS:
            kept.append("not" if lower == "n't" else word)
        elif tag in KEPT:
            kept.append(word)
    return " ".join(kept)
