"""What is to be generated and compared: the supporter's replies of a set of dialogues.

The merged protocol joins adjacent turns of one speaker, so that a reply is all a supporter says
before the seeker speaks again; unmerged, each turn is a reply. Results state which they used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esc_demo.dialogue import Dialogue, Role, Turn, merge_same_speaker
from finetune.generate.items import reply_places


@dataclass(frozen=True)
class ReplyItem:
    """A reply to generate."""

    dialogue: str
    """Id of the dialogue."""
    index: int
    """Which turn of the (merged) dialogue it is, from 0."""
    turns: int
    """How many turns the (merged) dialogue has."""
    history: tuple[Turn, ...]
    """The turns before it, as they really were."""
    reference: str
    strategy: str | None = None

    @property
    def last_seeker_turn(self) -> str:
        """What the reply answers."""
        return next(turn.text for turn in reversed(self.history) if turn.role is Role.SEEKER)


def reply_items(dialogues: Sequence[Dialogue], *, merged: bool = True) -> tuple[ReplyItem, ...]:
    """Every supporter turn that comes after a seeker has spoken, in order.

    Merged, these are `finetune.generate.items_of` but for the items nothing can be compared
    with. A supporter's opening answers nobody and is left out, as in ESConv's own scripts; so are
    turns without text (the test file of NLPCC 2025 Task 8 has only those).
    """
    items: list[ReplyItem] = []
    for number, dialogue in enumerate(dialogues):
        turns = merge_same_speaker(dialogue.turns) if merged else dialogue.turns
        for index in reply_places(turns):
            turn = turns[index]
            if text := turn.text.strip():
                items.append(
                    ReplyItem(
                        dialogue.id or f"dialogue {number}",
                        index,
                        len(turns),
                        turns[:index],
                        text,
                        turn.strategy,
                    )
                )
    return tuple(items)
