"""Values of a conversation. They know nothing of storage, models or pages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Literal

from esc_demo.errors import BadInput

MAX_MESSAGE_CHARS = 4000
"""Longest accepted message. About 1,000 English tokens: half of the default context window."""


class Role(StrEnum):
    """Who speaks, in the terms of the ESC literature (Liu et al., 2021)."""

    SEEKER = "seeker"
    SUPPORTER = "supporter"


@dataclass(frozen=True)
class Turn:
    """One utterance exactly as it was said; contexts render views of it and never alter it."""

    role: Role
    text: str
    strategy: str | None = None


@dataclass(frozen=True)
class ViewedTurn:
    """A raw turn and the text a model is shown for it."""

    raw: Turn
    text: str

    @property
    def changed(self) -> bool:
        """Whether the representation altered the words."""
        return self.text != self.raw.text


@dataclass(frozen=True)
class Message:
    """One message as it is sent to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class UserProfile:
    """What is known about the seeker; the fields of NLPCC 2025 Task 8's `character`."""

    name: str = ""
    sex: str = ""
    nickname: str = ""
    age: str = ""
    occupation: str = ""
    hobby: str = ""
    appearance: str = ""
    education_background: str = ""
    emotion_type: str = ""
    problem_type: str = ""
    situation: str = ""

    def lines(self) -> list[str]:
        """`Field: value` for each field that is filled, in the order of the schema."""
        return [
            f"{field.name.replace('_', ' ').capitalize()}: {' '.join(value.split())}"
            for field in fields(self)
            if (value := getattr(self, field.name)).strip()
        ]


@dataclass(frozen=True)
class Dialogue:
    """A whole conversation with the situation it is about."""

    turns: tuple[Turn, ...]
    scene: str = ""
    situation: str = ""
    id: str = ""
    """Name within its data set; empty where nobody asks for it."""
    profile: UserProfile = UserProfile()


def clean_message(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return `text` ready to be stored and sent, or say why it cannot be.

    Outer white space and control characters other than newline and tab go; everything
    else stays as typed, right-to-left text and markup included.

    Raises:
        BadInput: empty, longer than `limit` characters, or with unpaired surrogates.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise BadInput(
            "The message contains half of a character pair (an unpaired surrogate), which cannot"
            " be stored. Delete the odd symbol and send it again."
        )
    lines = re.sub(r"\r\n?", "\n", text)
    cleaned = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", lines).strip()
    # Format characters (zero width, direction marks) alone say nothing.
    if not any(unicodedata.category(char) not in {"Cf", "Zs", "Cc"} for char in cleaned):
        raise BadInput("The message is empty. Write a few words and send it again.")
    if len(cleaned) > limit:
        raise BadInput(
            f"The message has {len(cleaned):,} characters; at most {limit:,} fit. Shorten it, or"
            " send it in parts."
        )
    return cleaned


def merge_same_speaker(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Join adjacent turns of one speaker with a newline; the strategy of the last one is kept."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role is turn.role:
            merged[-1] = Turn(turn.role, f"{merged[-1].text}\n{turn.text}", turn.strategy)
        else:
            merged.append(turn)
    return tuple(merged)
