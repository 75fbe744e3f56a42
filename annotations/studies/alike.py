"""Replies as raters will see them: alike on the outside, and what was noticed about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from annotations.studies.definition import StudyDefinition
from annotations.studies.normalise import give_aways, normalised, telling_names
from annotations.studies.parts import WrittenItem
from annotations.studies.values import Flag, FlagKind, Item, Verdict
from esc_demo.dialogue import MAX_MESSAGE_CHARS

W = TypeVar("W", bound=WrittenItem)

_WHAT_WAS_DONE = {
    FlagKind.STRIPPED: "Special tokens, a role label or a tag were taken off.",
    FlagKind.UNFINISHED: "It does not end like a sentence.",
    FlagKind.CUT: "It was cut to items.max_chars.",
}
_PLACES = (Verdict.FIRST.value, Verdict.SECOND.value)
"""What stands for the arm in flags about practice and gold."""


def items_alike(
    definition: StudyDefinition, items: Sequence[Item]
) -> tuple[tuple[Item, ...], tuple[Flag, ...]]:
    """The items with normalised replies of the study's arms, and all that was noticed."""
    if definition.items is None:
        return tuple(items), ()
    flags: list[Flag] = []
    found = []
    for item in items:
        texts = [item.replies[arm] for arm in definition.arm_ids]
        shown = _alike(definition, item.id, definition.arm_ids, texts, flags)
        replies = dict(zip(definition.arm_ids, shown, strict=True))
        for pair in definition.arm_pairs:
            _flag_identical(item.id, pair, [replies[arm] for arm in pair], flags)
        source = {arm: item.source[arm] for arm in definition.arm_ids if arm in item.source}
        found.append(replace(item, replies=replies, source=source))
    return tuple(found), tuple(flags)


def written_alike(definition: StudyDefinition) -> tuple[StudyDefinition, tuple[Flag, ...]]:
    """The definition with the replies of practice and gold made alike as all others are.

    They stand among the others, so a token or a length of their own would give them away.
    """
    flags: list[Flag] = []

    def alike(item: W) -> W:
        texts = _alike(definition, item.id, _PLACES, item.replies, flags)
        if len(texts) > 1:
            _flag_identical(item.id, _PLACES, texts, flags)
        return item.model_copy(update={"replies": tuple(texts)})

    written = {
        "practice": tuple(map(alike, definition.practice)),
        "gold": tuple(map(alike, definition.gold)),
    }
    return definition.model_copy(update=written), tuple(flags)


def _alike(
    definition: StudyDefinition,
    item: str,
    arms: Sequence[str],
    texts: Sequence[str],
    flags: list[Flag],
) -> list[str]:
    """The texts as they are shown; `flags` gains what was noticed."""
    names = telling_names(definition.arms)
    longest = definition.items.max_chars if definition.items is not None else MAX_MESSAGE_CHARS
    shown = []
    for arm, given in zip(arms, texts, strict=False):
        text, done = normalised(given, longest)
        flags += [Flag(kind, item, arm, _WHAT_WAS_DONE[kind]) for kind in done]
        flags += give_aways(item, arm, text, names)
        shown.append(text)
    return shown


def _flag_identical(
    item: str, arms: Sequence[str], texts: Sequence[str], flags: list[Flag]
) -> None:
    left, right = arms
    if texts[0] and texts[0] == texts[1]:
        words = f"{left} and {right} say the same."
        flags.append(Flag(FlagKind.IDENTICAL, item, f"{left}+{right}", words))
