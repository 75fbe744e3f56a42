"""Objects and lists as language models write them, read without mending them first.

One small reader for JSON and what comes close to it: single, curly or no quotes, trailing commas,
keys in a list (`["engagement": 4]`, as paper B's Figure 7 prints it), bare words (4/5). It never
invents: a value that is not there is `None`, and a structure that breaks off or is malformed is
reported, not completed. Numbers stay text; what they mean is for the caller to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_DEEPEST = 20
_CUT = "breaks off before its end"
_MALFORMED = "is not well formed"
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
_CLOSERS = {"{": "}", "[": "]"}
_AFTER_STRING = re.compile(r"\s*(?:[,:}\]]|$)")
_OPEN_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)"')  # one that no backslash escapes
_SPACE = re.compile(r"(?:\s|//[^\n]*)*")  # some models comment their JSON
_BARE = re.compile(r"(?:(?!//)[^,:{}\[\]\n\"\u201c\u201d])+")
# A bracket in prose ("[sic]", ":{") opens nothing: after it a value or a key must begin.
_OPENER = re.compile(r"""[{\[](?=\s*(?:["'\u201c\u2018`{\[\]}]|-?\d|[A-Za-z_][\w /-]{0,40}:))""")


@dataclass(frozen=True)
class Bare:
    """A value without quotes, as it was written: a number, null, 4/5."""

    text: str


@dataclass(frozen=True)
class Entries:
    """What stands between two brackets: items, those with a key as pairs, doubles and all."""

    items: tuple[tuple[str | None, Value], ...]


Value = Entries | Bare | str | None
"""`None` where a key has no value."""


@dataclass(frozen=True)
class Found:
    """The outermost structures of a text in order, up to the first that cannot be read."""

    structures: tuple[Entries, ...]
    flaw: str = ""
    """What is wrong with that one, as the end of "the JSON ..."; empty if there is none."""
    unread: str = ""
    """The text from that one on."""


class _Flaw(Exception):
    """A structure that cannot be read; the text says why."""


def structures(text: str) -> Found:
    """All that stands between brackets in a text, up to the first structure that is flawed.

    Nothing inside or after that one is looked at: it is unknown where it ends, and what looks like
    a structure there may be a quotation.
    """
    found: list[Entries] = []
    place = 0
    while opener := _OPENER.search(text, place):
        try:
            entries, place = _entries(text, opener.start(), 0)
        except _Flaw as flaw:
            return Found(tuple(found), str(flaw), text[opener.start() :])
        found.append(entries)
    return Found(tuple(found))


def inner(entries: Entries) -> Iterator[Entries]:
    """The structures directly inside one."""
    return (value for _, value in entries.items if isinstance(value, Entries))


def _entries(text: str, start: int, depth: int) -> tuple[Entries, int]:
    """The structure that opens at `start`, and the place after it."""
    if depth > _DEEPEST:
        raise _Flaw("is nested too deeply")
    closer = _CLOSERS[text[start]]
    items: list[tuple[str | None, Value]] = []
    place = _skip(text, start + 1)
    while text[place] != closer:
        if text[place] == ",":
            place = _skip(text, place + 1)
            continue
        value, place = _value(text, place, depth)
        key = None
        if text[place] == ":" and isinstance(value, str | Bare):
            key = value if isinstance(value, str) else value.text
            place = _skip(text, place + 1)
            value = None
            if text[place] not in f",{closer}":
                value, place = _value(text, place, depth)
        items.append((key, value))
        if text[place] not in f",{closer}":
            raise _Flaw(_MALFORMED)
    return Entries(tuple(items)), place + 1


def _value(text: str, place: int, depth: int) -> tuple[Value, int]:
    """The value at `place`, and the place of the next sign after it that is no space."""
    value: Value
    if text[place] in _CLOSERS:
        value, place = _entries(text, place, depth + 1)
    elif text[place] in _QUOTES:
        value, place = _string(text, place)
    elif bare := _BARE.match(text, place):
        value, place = Bare(bare.group().strip()), bare.end()
    else:
        raise _Flaw(_MALFORMED)
    return value, _skip(text, place)


def _string(text: str, start: int) -> tuple[str, int]:
    """The quoted text at `start`, and the place after its closing quote.

    A quote closes only before what may follow a string, so that "It's" and unescaped quotes
    within a sentence do not end it.
    """
    closing = _QUOTES[text[start]]
    place = start + 1
    while place < len(text):
        if text[place] == "\\":
            place += 2
        elif text[place] == closing and _AFTER_STRING.match(text, place + 1):
            return _unescaped(text[start + 1 : place]), place + 1
        else:
            place += 1
    raise _Flaw(_CUT)


def _unescaped(body: str) -> str:
    """The text that JSON's escapes stand for; as written where they are none of JSON's."""
    if "\\" not in body:
        return body
    inside = _OPEN_QUOTE.sub(r'\1\\"', body)
    try:
        return str(json.loads(f'"{inside}"', strict=False))
    except ValueError:
        return body


def _skip(text: str, place: int) -> int:
    """The place of the next sign that is no space.

    Raises:
        _Flaw: there is none.
    """
    found = _SPACE.match(text, place)
    place = found.end() if found else place
    if place >= len(text):
        raise _Flaw(_CUT)
    return place
