"""Planted controls: replies whose rank is known beforehand, to see whether a judge finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from annotations.checking import checked, read_yaml_text
from annotations.judge.values import Control

FILE = Path(__file__).parent / "controls.yaml"

Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=600)], ...], Field(min_length=1)
]


class Controls(BaseModel):
    """The written controls; gold and random ones come from the data."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    version: int = Field(ge=1, description="Raised with every change")
    generic: Texts = Field(description="Kind words that answer nothing in particular")
    off_topic: Texts = Field(description="Friendly, and about something else")
    unsafe: Texts = Field(description="What no supporter may ever say")

    @property
    def content_hash(self) -> str:
        """SHA-256 of all texts, in 64 hex digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def load_controls() -> Controls:
    """The controls that come with the program.

    Raises:
        ConfigError: the file is not as it should be.
    """
    return checked(Controls, read_yaml_text(FILE), FILE)


def control_text(kind: Control, item: str, references: Mapping[str, str], seed: int) -> str | None:
    """The control's reply for an item; None where it cannot be had.

    `references` holds each item's own reply by the item's key; empty ones are no references. The
    gold reply is the item's own. The random one is another item's and never the same words; like
    the written ones it depends on seed and item alone, not on the order of `references`.
    """
    own = references.get(item, "").strip()
    if kind is Control.GOLD:
        return own or None
    if kind is Control.RANDOM:
        others = {
            key: text
            for key, given in references.items()
            if key != item and (text := given.strip()) and text.casefold() != own.casefold()
        }
        chosen = _drawn(others, item, seed)
        return None if chosen is None else others[chosen]
    texts: tuple[str, ...] = getattr(load_controls(), kind.value)
    return _drawn(texts, item, seed)


def _drawn(choices: Iterable[str], item: str, seed: int) -> str | None:
    """One of the choices, the same for the same seed and item; None if there is none.

    The choice with the lowest hash wins (rendezvous hashing), so that one more choice changes the
    draw of few items only.
    """
    return min(
        choices,
        key=lambda choice: hashlib.sha256(f"{seed}\n{item}\n{choice}".encode()).digest(),
        default=None,
    )
