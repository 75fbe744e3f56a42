"""Hypotheses beside their references, and reading them from a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esc_demo.errors import BadInput


@dataclass(frozen=True)
class Pair:
    """A generated reply and the reply it is compared with."""

    hypothesis: str
    reference: str
    dialogue: str = ""
    """Id of the dialogue both belong to; intervals are drawn over dialogues."""
    context: str | None = None
    """The utterance before the reply."""

    def __post_init__(self) -> None:
        """An empty hypothesis is a bad reply and scores 0; an empty reference is bad data.

        Raises:
            BadInput: the reference is empty.
        """
        if not self.reference.strip():
            raise BadInput("The reference is empty; nothing can be compared with it.")

    @property
    def empty(self) -> bool:
        """Whether the model said nothing."""
        return not self.hypothesis.strip()


@dataclass(frozen=True)
class SkippedLine:
    """A line of a file that is no pair."""

    number: int
    why: str


@dataclass(frozen=True)
class PairFile:
    """What a file of pairs holds."""

    path: Path
    pairs: tuple[Pair, ...]
    skipped: tuple[SkippedLine, ...]


def make_pairs(
    hypotheses: Sequence[str], references: Sequence[str], dialogues: Sequence[str] = ()
) -> tuple[Pair, ...]:
    """Pair up two lists.

    Raises:
        BadInput: their lengths differ, or a reference is empty.
    """
    lists = {"hypotheses": hypotheses, "references": references}
    if dialogues:
        lists["dialogue ids"] = dialogues
    for name, given in lists.items():
        if isinstance(given, str):
            raise BadInput(f"One text was given as the {name}; give a list of texts.")
    if len({len(given) for given in lists.values()}) > 1:
        counts = ", ".join(f"{len(given)} {name}" for name, given in lists.items())
        raise BadInput(f"The counts differ: {counts}. Every reply needs its own reference.")
    ids = dialogues or [""] * len(references)
    return tuple(Pair(*row) for row in zip(hypotheses, references, ids, strict=True))


def read_pairs(path: Path, *, strict: bool = False) -> PairFile:
    """Read JSON lines with `hypothesis`, `reference` and perhaps `dialogue` and `context`.

    Other keys are allowed, so that the output of a generation run can be scored as it is. A
    corrupted line is skipped and named unless `strict`.

    Raises:
        BadInput: no such file, no usable line, or with `strict` the first corrupted one.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    pairs: list[Pair] = []
    skipped: list[SkippedLine] = []
    # Only newlines end a record: str.splitlines would also cut at U+2028 inside a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            pairs.append(_pair(line))
        except BadInput as error:
            if strict:
                raise BadInput(f"{path}, line {number}: {error}") from error
            skipped.append(SkippedLine(number, str(error)))
    if not pairs:
        first = f" Line {skipped[0].number}: {skipped[0].why}" if skipped else ""
        raise BadInput(f"{path} holds no pair of hypothesis and reference.{first}")
    return PairFile(path, tuple(pairs), tuple(skipped))


def dialogue_keys(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The dialogue of every pair; without any ids each pair counts as a dialogue of its own.

    Raises:
        BadInput: some pairs have an id and others have none.
    """
    unnamed = [index for index, pair in enumerate(pairs) if not pair.dialogue]
    if not unnamed:
        return tuple(pair.dialogue for pair in pairs)
    if len(unnamed) == len(pairs):
        return tuple(f"pair {index}" for index in range(len(pairs)))
    raise BadInput(
        f"{len(unnamed)} of {len(pairs)} pairs name no dialogue (the first is number"
        f" {unnamed[0] + 1}). Give all of them a dialogue id, or none."
    )


def _pair(line: str) -> Pair:
    """One line as a pair."""
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"not valid JSON: {error}.") from error
    if not isinstance(item, dict):
        raise BadInput("not a JSON object.")
    context = item.get("context")
    return Pair(
        _text(item, "hypothesis"),
        _text(item, "reference"),
        _dialogue(item.get("dialogue")),
        context if isinstance(context, str) else None,
    )


def _text(item: dict[str, Any], key: str) -> str:
    """A required text."""
    if key not in item:
        raise BadInput(f"{key!r} is missing.")
    if not isinstance(item[key], str):
        raise BadInput(f"{key!r} is not a text but {type(item[key]).__name__}.")
    return str(item[key])


def _dialogue(value: object) -> str:
    """The id; numbers are as good as texts."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(f"'dialogue' is not a text or a number but {type(value).__name__}.")
    return str(value)
