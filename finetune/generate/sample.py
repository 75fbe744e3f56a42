"""A part of the data that stands for the whole: evenly spaced, and the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from esc_demo.dialogue import Dialogue
from esc_demo.errors import BadInput
from finetune.generate.items import Mode, ReplyItem


@dataclass(frozen=True)
class Sample:
    """What of the data is answered; None is all of it.

    Raises:
        BadInput: the first ones and evenly spaced ones together, or a number below 1.
    """

    first: int | None = None
    """The first dialogues of the file."""
    dialogues: int | None = None
    """Dialogues, evenly spaced over the file."""
    per_dialogue: int | None = None
    """Replies of each, evenly spaced over those it has."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.first is not None and self.dialogues is not None:
            raise BadInput("The first dialogues or evenly spaced ones: leave out one of the two.")
        if any(number is not None and number < 1 for number in vars(self).values()):
            raise BadInput("A sample holds at least one dialogue and one reply of each.")

    def cut(self, dialogues: Sequence[Dialogue]) -> tuple[Dialogue, ...]:
        """The dialogues in use."""
        if self.dialogues is None:
            return tuple(dialogues[: self.first])
        return tuple(dialogues[at] for at in spread(len(dialogues), self.dialogues))

    def items(self, items: Sequence[ReplyItem], mode: Mode) -> tuple[ReplyItem, ...]:
        """The items in use.

        Raises:
            BadInput: some of a dialogue's, when each answers after the model's earlier ones.
        """
        if self.per_dialogue is None:
            return tuple(items)
        if mode is Mode.AUTO:
            raise BadInput(
                "In the mode auto every reply follows the model's earlier ones, so none can be"
                " left out. Leave out the number of replies per dialogue, or use --mode forced."
            )
        groups = [tuple(group) for _, group in groupby(items, key=lambda one: one.key.dialogue)]
        return tuple(group[at] for group in groups for at in spread(len(group), self.per_dialogue))

    def protocol(self, whole: int) -> dict[str, Any]:
        """Entries for a header's protocol; `whole` is the file's number of dialogues.

        Nothing where nothing is spaced, so that headers written before this was offered stay
        valid.
        """
        found: dict[str, Any] = {}
        if self.dialogues is not None:
            found["evenly_spaced_of"] = whole
        if self.per_dialogue is not None:
            found["per_dialogue"] = self.per_dialogue
        return found


def spread(count: int, wanted: int) -> tuple[int, ...]:
    """`wanted` different places among `count`, each in the middle of its share; all if fewer."""
    if wanted >= count:
        return tuple(range(count))
    return tuple((2 * index + 1) * count // (2 * wanted) for index in range(wanted))


def answered(dialogues: Sequence[Dialogue], protocol: Mapping[str, Any]) -> tuple[Dialogue, ...]:
    """The dialogues of a file that a run with this protocol answered."""
    count = int(protocol["dialogues"])
    spaced = "evenly_spaced_of" in protocol
    return (Sample(dialogues=count) if spaced else Sample(first=count)).cut(dialogues)
