"""What the loaders share: checks of one utterance, of one dialogue, and notes on what they found.

Places are counted from 0, as in the ids: "dialogue 3, utterance 5".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput
from finetune.data.dataset import Problem
from finetune.data.formats import DataFormat
from finetune.data.labels import LabelSet
from finetune.data.reading import Source, found_value

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# UTF-8 once read as Windows-1252 or Latin-1, and the replacement character.
_MOJIBAKE = re.compile(
    r"â€|â\x80|Ã[\x80-\xbf\u0192\u02c6\u201a-\u2122]|Â[\xa0-\xbf]|ðŸ|ð\x9f|ï»¿|\ufffd"
)


class Findings:
    """Collects problems while a file is read."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def fixed(self, where: str, what: str) -> None:
        """Note something that was put right."""
        self._problems.append(Problem(where, what, fixed=True))

    def left(self, where: str, what: str) -> None:
        """Note something that was left as it is."""
        self._problems.append(Problem(where, what, fixed=False))

    def unknown_keys(self, where: str, entry: Mapping[str, Any], known: Iterable[str]) -> None:
        """Note keys that are not read."""
        for key in sorted(set(entry) - set(known)):
            self.left(where, f"unknown key {key!r}, not read")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything noted so far, in order."""
        return tuple(self._problems)


def id_prefix(format_: DataFormat, path: Path) -> str:
    """`esconv-test` for test.jsonl, `extes` for ExTES.json: parts in files of their own differ."""
    stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    return format_.value if stem in ("", format_.value) else f"{format_.value}-{stem}"


def parse_each(
    source: Source, items: Iterable[tuple[str, Any]], parse: Callable[[str, Any], Dialogue]
) -> tuple[Dialogue, ...]:
    """`parse(where, item)` of every item; a refusal tells of the first and counts the rest.

    Raises:
        BadInput: some dialogue cannot be used.
    """
    dialogues: list[Dialogue] = []
    refused: list[str] = []
    for where, item in items:
        try:
            dialogues.append(_complete(parse(where, item), where))
        except BadInput as error:
            refused.append(str(error))
    if refused:
        more = len(refused) - 1
        rest = f" ({more:,} more dialogue{'s' * (more > 1)} cannot be read either.)" if more else ""
        raise BadInput(f"{source.path}, {refused[0]}{rest}")
    return tuple(dialogues)


def parse_listed(
    source: Source, key: str, parse: Callable[[str, Mapping[str, Any], int], Dialogue]
) -> tuple[Dialogue, ...]:
    """`parse(where, object, number)` of a file that lists objects with a list under `key`.

    Raises:
        BadInput: some dialogue cannot be used.
    """

    def numbered(where: str, item: Any) -> Dialogue:
        entry = object_with(where, item, key)
        return parse(where, entry, int(where.removeprefix("dialogue ")))

    items = ((f"dialogue {index}", item) for index, item in enumerate(source.records))
    return parse_each(source, items, numbered)


def object_with(where: str, item: Any, key: str) -> Mapping[str, Any]:
    """`item`, checked to be an object with a list under `key`.

    Raises:
        BadInput: it is not.
    """
    if not isinstance(item, Mapping):
        raise BadInput(f"{where}: expected an object with {key!r}, found {found_value(item)}.")
    if not isinstance(item.get(key), list):
        found = found_value(item.get(key)) if key in item else found_value(item)
        raise BadInput(f"{where}: expected an array under {key!r}, found {found}.")
    return item


def utterance(where: str, text: Any, findings: Findings) -> str:
    """The words as they were said, without outer white space; odd characters are noted.

    Raises:
        BadInput: no text, an empty one, or half of a character pair.
    """
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{where}: expected a non-empty text, found {found_value(text)}.")
    if _SURROGATE.search(text):
        raise BadInput(f"{where}: half of a character pair (an unpaired surrogate); mend the text.")
    if _CONTROL.search(text):
        findings.left(where, "control characters in the text")
    if _MOJIBAKE.search(text):
        findings.left(where, "mojibake: text that was once decoded with the wrong character set")
    return text.strip()


def strategy(where: str, raw: Any, labels: LabelSet, findings: Findings) -> str | None:
    """The strategy in its canonical spelling; one that is unknown is kept and noted."""
    if isinstance(raw, list) and raw and all(isinstance(name, str) for name in raw):
        raw = ", ".join(raw)
    if raw is None:
        return None
    if not isinstance(raw, str):
        findings.left(where, f"the strategy is {found_value(raw)}, read as none")
        return None
    if not raw.strip():
        findings.fixed(where, "empty strategy, read as none")
        return None
    known = labels.canonical(raw)
    if known is None:
        findings.left(
            where, f"strategy {raw.strip()!r} is not one of {labels.title}'s {len(labels.names)}"
        )
        return raw.strip()
    if known != raw:
        findings.fixed(where, f"strategy {raw!r} read as {known!r}")
    return known


def field_text(where: str, item: Mapping[str, Any], key: str, findings: Findings) -> str:
    """A describing field (situation, scene, ...) with white space evened out; "" if missing."""
    value = item.get(key)
    if isinstance(value, str) and value.strip():
        if _SURROGATE.search(value):
            raise BadInput(f"{where}: half of a character pair in {key!r}; mend the text.")
        return " ".join(value.split())
    findings.left(where, f"no {key!r}")
    return ""


def turns_of(where: str, entries: list[Any], parse: Callable[[str, Any], Turn]) -> tuple[Turn, ...]:
    """`parse` of every utterance with its place."""
    return tuple(parse(f"{where}, utterance {index}", entry) for index, entry in enumerate(entries))


def _complete(dialogue: Dialogue, where: str) -> Dialogue:
    """`dialogue`, checked to have something to learn from and something to answer."""
    if not dialogue.turns:
        raise BadInput(f"{where}: the dialogue is empty; expected utterances.")
    roles = {turn.role for turn in dialogue.turns}
    for role in Role:
        if role not in roles:
            raise BadInput(f"{where}: no {role} turn among {len(dialogue.turns)}.")
    return dialogue
