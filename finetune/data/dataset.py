"""A set of dialogues as it was read: what was found in the file, and hashes of what it says.

All hashes here are the first 12 hex digits of a SHA-256. A dialogue's digest covers all that
a prompt may hold: id, scene, situation, profile, and role, text and strategy of every turn.
`set_hash` sorts the digests, so that it names the same dialogues in whatever order;
`part_hash` keeps them in order, because the order of a part decides a training run.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from esc_demo.dialogue import Dialogue, merge_same_speaker
from finetune.data.formats import DataFormat

HASH_DIGITS = 12


@dataclass(frozen=True)
class Problem:
    """Something odd in a file that was read all the same."""

    where: str
    what: str
    fixed: bool
    """Whether the loader put it right; otherwise it is in the dialogues as it was."""


@dataclass(frozen=True)
class DataSet:
    """Dialogues of one file, or of one part of a split."""

    name: str
    format: DataFormat
    dialogues: tuple[Dialogue, ...]
    problems: tuple[Problem, ...]
    content_hash: str
    """`set_hash` of the dialogues."""
    source_sha256: str
    """SHA-256 of the file's bytes, all 64 digits."""


def set_hash(dialogues: Iterable[Dialogue]) -> str:
    """Hash of the dialogues in whatever order they come."""
    return short_hash(sorted(_digest(dialogue) for dialogue in dialogues))


def part_hash(dialogues: Sequence[Dialogue]) -> str:
    """Hash of the dialogues in their order."""
    return short_hash([_digest(dialogue) for dialogue in dialogues])


def content_key(dialogue: Dialogue) -> str:
    """Equal for dialogues in which the same is said, whatever their ids and labels.

    Case, white space, compatibility forms of characters, and where one speaker's turns are
    cut do not count.
    """
    said = [
        (turn.role.value, " ".join(unicodedata.normalize("NFKC", turn.text).casefold().split()))
        for turn in merge_same_speaker(dialogue.turns)
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _digest(dialogue: Dialogue) -> str:
    """SHA-256 of one dialogue with everything that is known about it."""
    turns = [(turn.role.value, turn.text, turn.strategy) for turn in dialogue.turns]
    told = (dialogue.id, dialogue.scene, dialogue.situation, astuple(dialogue.profile), turns)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def short_hash(digests: Sequence[str]) -> str:
    """One hash over several, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:HASH_DIGITS]
