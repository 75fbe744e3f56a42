"""NLPCC 2025 Task 8 to `Dialogue` values.

One object of `{key: {whole_dialog: ["seeker:...", "supporter:...", ...], character: {...}}}`,
where `character` is the seeker's profile. In the test file every supporter string is only
"supporter:", because replies are to be generated over one's own earlier replies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Any

from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile
from esc_demo.errors import BadInput
from finetune.data.parsing import Findings, object_with, parse_each, turns_of, utterance
from finetune.data.reading import Shape, Source, found_value

_TURNS = 20
_SPEAKER = re.compile(r"\s*(seeker|supporter)\s*:(.*)", re.IGNORECASE | re.DOTALL)
_PROFILE_FIELDS = tuple(field.name for field in fields(UserProfile))


def parse_nlpcc(
    source: Source, findings: Findings, *, allow_empty_replies: bool = False
) -> tuple[Dialogue, ...]:
    """Every dialogue of a Task 8 file, in file order; ids are the file's keys.

    With `allow_empty_replies` the test file is read too, supporter turns with the text "".

    Raises:
        BadInput: not such a file, or the test file without `allow_empty_replies`.
    """
    if source.shape is not Shape.OBJECT:
        raise BadInput(f"{source.path}: expected an object of dialogues, found {source.shape}.")
    test_form = _is_test_form(source.value)
    if test_form and not allow_empty_replies:
        raise BadInput(
            f"{source.path}: every supporter turn is empty. This is the task's test file, made for"
            " generating replies; there is nothing in it to train on."
        )

    def parse(where: str, item: Any) -> Dialogue:
        entry = object_with(where, item, "whole_dialog")
        key = where.removeprefix("dialogue ")
        return _dialogue(where, entry, key, findings, empty_replies=test_form)

    return parse_each(source, ((f"dialogue {k}", v) for k, v in source.value.items()), parse)


def _is_test_form(value: Mapping[str, Any]) -> bool:
    """Whether there are supporter strings and none of them says anything."""
    said = [
        match[2].strip()
        for item in value.values()
        if isinstance(item, Mapping) and isinstance(item.get("whole_dialog"), list)
        for text in item["whole_dialog"]
        if isinstance(text, str) and (match := _SPEAKER.fullmatch(text))
        if match[1].lower() == Role.SUPPORTER
    ]
    return bool(said) and not any(said)


def _dialogue(
    where: str, item: Mapping[str, Any], key: str, findings: Findings, *, empty_replies: bool
) -> Dialogue:
    """One conversation and its seeker."""
    findings.unknown_keys(where, item, ("whole_dialog", "character"))

    def parse(at: str, entry: Any) -> Turn:
        return _turn(at, entry, findings, empty_replies=empty_replies)

    turns = turns_of(where, item["whole_dialog"], parse)
    if len(turns) != _TURNS:
        findings.left(where, f"{len(turns)} turns; the task has {_TURNS}")
    if any(one.role is two.role for one, two in pairwise(turns)):
        findings.left(where, "one speaker twice in a row; the task alternates strictly")
    profile = _profile(where, item.get("character"), findings)
    return Dialogue(turns, profile.problem_type, profile.situation, key, profile)


def _turn(where: str, entry: Any, findings: Findings, *, empty_replies: bool) -> Turn:
    """One string with its speaker in front."""
    match = _SPEAKER.fullmatch(entry) if isinstance(entry, str) else None
    if match is None:
        found = found_value(entry)
        raise BadInput(f"{where}: expected 'seeker:...' or 'supporter:...', found {found}.")
    role = Role(match[1].lower())
    if role is Role.SUPPORTER and empty_replies:
        return Turn(role, "")
    return Turn(role, utterance(where, match[2], findings))


def _profile(where: str, character: Any, findings: Findings) -> UserProfile:
    """`character` with its keys as field names ("Education Background" and the like)."""
    if not isinstance(character, Mapping):
        findings.left(where, "no 'character'")
        return UserProfile()
    values: dict[str, str] = {}
    for key, raw in character.items():
        name = "_".join(key.lower().split())
        if name not in _PROFILE_FIELDS:
            findings.left(where, f"unknown key {key!r} in 'character', not read")
        elif isinstance(raw, list):
            values[name] = ", ".join(map(str, raw))
        elif isinstance(raw, str | int | float):
            values[name] = " ".join(str(raw).split())
        elif raw is not None:
            raise BadInput(f"{where}: expected a text under {key!r}, found {found_value(raw)}.")
    return UserProfile(**values)
