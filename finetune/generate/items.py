"""Which replies are asked for, what goes before each, and in which order they are written.

Adjacent turns of one speaker are merged. Every supporter turn that follows a message of the
seeker is one item; a supporter who opens a dialogue answers nobody and is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile, merge_same_speaker
from esc_demo.errors import BadInput


class Mode(StrEnum):
    """Whose replies stand in the history.

    `forced`: the reference's (teacher forcing). `auto`: the model's own earlier ones, as NLPCC
    2025 Task 8 demands for its test part, which holds no others.
    """

    FORCED = "forced"
    AUTO = "auto"


class ItemKey(NamedTuple):
    """The dialogue's id, and the number of the reply within it, from 0."""

    dialogue: str
    number: int


@dataclass(frozen=True)
class ReplyItem:
    """One reply to be written. `turns` are the merged turns of the reference before it."""

    key: ItemKey
    of: int
    """Replies of the dialogue."""
    turns: tuple[Turn, ...]
    reference: str
    strategy: str | None
    scene: str
    profile: UserProfile

    def history(self, own: Sequence[str] | None = None) -> tuple[Turn, ...]:
        """The conversation before the reply, ending with the seeker.

        With `own`, the texts of the earlier items of this dialogue, these stand in the place
        of the reference's. An empty one is left out: nothing was said, and an empty message
        means nothing to a chat template.
        """
        if own is None:
            return self.turns
        replies = iter(own)
        turns: list[Turn] = []
        for place, turn in enumerate(self.turns):
            if turn.role is Role.SEEKER or place == 0:
                turns.append(turn)
            elif text := next(replies):
                turns.append(Turn(Role.SUPPORTER, text))
        return tuple(turns)


def items_of(dialogues: Sequence[Dialogue], mode: Mode) -> tuple[ReplyItem, ...]:
    """Every item of `dialogues`, in their order.

    Raises:
        BadInput: there is none, or `mode` is forced and the data holds no replies.
    """
    items = tuple(item for dialogue in dialogues for item in _of_one(dialogue))
    if not items:
        raise BadInput(
            f"There is no reply to write: in {len(dialogues):,} dialogues no supporter answers a"
            " seeker. Check the roles in the data file."
        )
    if mode is Mode.FORCED and not any(item.reference for item in items):
        raise BadInput(
            "The supporter's turns of this data are empty, so there is no history to force. Use"
            " --mode auto, in which a model answers after its own earlier replies."
        )
    return items


def reply_places(turns: Sequence[Turn]) -> list[int]:
    """Where a supporter answers: every supporter turn after a seeker's first one."""
    roles = [turn.role for turn in turns]
    heard = roles.index(Role.SEEKER) if Role.SEEKER in roles else len(roles)
    return [place for place in range(heard, len(roles)) if roles[place] is Role.SUPPORTER]


def _of_one(dialogue: Dialogue) -> list[ReplyItem]:
    """The items of one dialogue."""
    turns = merge_same_speaker(dialogue.turns)
    places = reply_places(turns)
    profile = dialogue.profile
    if not profile.situation:
        profile = replace(profile, situation=dialogue.situation)
    return [
        ReplyItem(
            ItemKey(dialogue.id, index),
            len(places),
            turns[:place],
            turns[place].text.strip(),
            turns[place].strategy,
            dialogue.scene,
            profile,
        )
        for index, place in enumerate(places)
    ]


def item_seed(seed: int, key: ItemKey) -> int:
    """The seed of one reply, from 0 to 2^31 - 1, whatever was written before or beside it."""
    digest = hashlib.sha256(f"{seed}\n{key.number}\n{key.dialogue}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def chains(items: Sequence[ReplyItem], mode: Mode) -> list[tuple[ReplyItem, ...]]:
    """The items in working order; those of one chain must be written one after another.

    Dialogues of similar length come together, the longest first, so that no long one is left
    alone at the end; within a dialogue each prompt begins like the one before it, and models
    that remember what they have read (the local ones, and most servers) read only the rest.
    """
    dialogues = [tuple(group) for _, group in groupby(items, key=lambda item: item.key.dialogue)]
    dialogues.sort(key=_length, reverse=True)
    if mode is Mode.AUTO:
        return dialogues
    return [(item,) for dialogue in dialogues for item in dialogue]


def _length(dialogue: Sequence[ReplyItem]) -> int:
    """Characters of the longest history of a dialogue."""
    return sum(len(turn.text) for turn in dialogue[-1].turns)
