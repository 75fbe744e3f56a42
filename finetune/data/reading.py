"""Bytes to JSON values, and which format they are in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from esc_demo.errors import BadInput
from finetune.data.formats import DataFormat


class Shape(StrEnum):
    """How a file holds its dialogues."""

    ARRAY = "a JSON array"
    OBJECT = "a JSON object"
    LINES = "one JSON value a line"


@dataclass(frozen=True)
class Source:
    """A parsed file."""

    path: Path
    sha256: str
    shape: Shape
    value: Any
    """The array, the object, or the list of the lines' values."""

    @property
    def records(self) -> list[Any]:
        """The dialogues of an array or of lines; a lone object is one line."""
        return list(self.value) if self.shape is not Shape.OBJECT else [self.value]


def read_source(path: Path) -> Source:
    """Read and parse a file.

    Raises:
        BadInput: missing, a folder, empty, not UTF-8 or not JSON; an object with one key twice.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name one of its files.")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}."
            " Save it as UTF-8."
        ) from error
    if not text.strip():
        raise BadInput(f"{path} is empty; expected dialogues.")
    shape, value = _parse(text, path)
    if not value:
        raise BadInput(f"{path} holds no dialogue: {shape} without entries.")
    return Source(path, hashlib.sha256(raw).hexdigest(), shape, value)


def sniff(source: Source) -> DataFormat:
    """The format of a file by what its first dialogue looks like.

    Raises:
        BadInput: none of the known formats; the text lists what was looked for.
    """
    first = source.records[0]
    if isinstance(first, Mapping):
        for key, format_ in (
            ("dialog", DataFormat.ESCONV),
            ("content", DataFormat.EXTES),
            ("turns", DataFormat.JSONL),
        ):
            if key in first:
                return format_
        inner = next(iter(first.values()), None)
        if source.shape is Shape.OBJECT and isinstance(inner, Mapping) and "whole_dialog" in inner:
            return DataFormat.NLPCC
        keys = ", ".join(repr(key) for key in list(first)[:8])
        found = f"{source.shape} whose first dialogue has the keys {keys}"
    else:
        found = f"{source.shape} whose first entry is {found_value(first)}"
    raise BadInput(
        f"{source.path}: not a known format. Found {found}; expected dialogues with 'dialog'"
        " (ESConv), 'content' (ExTES) or 'turns' (own data, one a line), or an object of"
        " dialogues with 'whole_dialog' (NLPCC Task 8)."
    )


def found_value(value: object) -> str:
    """A JSON value in words, for 'found ...'."""
    if isinstance(value, str):
        return "an empty text" if not value.strip() else f"the text {value.strip()[:40]!r}"
    if isinstance(value, Mapping):
        return f"an object with the keys {', '.join(map(repr, list(value)[:6])) or '(none)'}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "nothing" if value is None else f"the value {json.dumps(value)}"


def _parse(text: str, path: Path) -> tuple[Shape, Any]:
    """The whole text as one value or, failing that, each line as one."""
    try:
        value = _loads(text)
    except json.JSONDecodeError as whole:
        return Shape.LINES, _parse_lines(text, path, whole)
    except _TwiceError as error:
        raise BadInput(f"{path}: the key {error.key!r} occurs twice in one object.") from error
    if isinstance(value, list):
        return Shape.ARRAY, value
    if isinstance(value, dict):
        return Shape.OBJECT, value
    raise BadInput(f"{path}: expected a JSON array or object, found {found_value(value)}.")


def _parse_lines(text: str, path: Path, whole: json.JSONDecodeError) -> list[Any]:
    """The values of the lines; `whole` is why the text is no single value."""
    values: list[Any] = []
    # Only newlines end a record: str.splitlines would also cut at U+2028 inside a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values.append(_loads(line))
        except json.JSONDecodeError as error:
            # A file whose first line already fails was never meant as one value a line.
            if not values:
                raise BadInput(f"{path} is not valid JSON: {whole}.") from error
            raise BadInput(f"{path}, line {number}: not valid JSON: {error}.") from error
        except _TwiceError as error:
            raise BadInput(f"{path}, line {number}: the key {error.key!r} occurs twice.") from error
    return values


class _TwiceError(Exception):
    """One object has a key twice; the json module would keep the last without a word."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _loads(text: str) -> Any:
    """`json.loads` that refuses doubled keys."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                raise _TwiceError(key)
            made[key] = value
        return made

    return json.loads(text, object_pairs_hook=once)
