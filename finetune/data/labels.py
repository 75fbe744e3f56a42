"""Names of strategies, problems and scenes, and the one spelling of each."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("labels.yaml")


@dataclass(frozen=True)
class LabelSet:
    """The names that one format knows, each in its canonical spelling."""

    title: str
    names: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def canonical(self, text: str) -> str | None:
        """The canonical spelling of `text`, or None where it is no name of this set.

        Case, white space, punctuation and '&' for 'and' do not count, so "UncertAInty" and
        "uncertainty" are one word.
        """
        return self._by_key().get(_key(text))

    def nearest(self, text: str) -> str | None:
        """The most similar name, for a hint in a message; None where nothing is close."""
        by_key = self._by_key()
        close = difflib.get_close_matches(_key(text), list(by_key), n=1, cutoff=0.7)
        return by_key[close[0]] if close else None

    def _by_key(self) -> dict[str, str]:
        """Canonical names by the form in which they are compared."""
        return _keys(self.names, tuple(self.aliases.items()))


@cache
def _keys(names: tuple[str, ...], aliases: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """`_key(name) -> name`, aliases included."""
    return {_key(name): name for name in names} | {_key(also): name for also, name in aliases}


def _key(text: str) -> str:
    """Letters and digits only, without case; '&' reads as 'and'."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("&", " and ")
    return "".join(char for char in plain if char.isalnum())


@cache
def _file() -> dict[str, Any]:
    """The label file, read once."""
    loaded: dict[str, Any] = yaml.safe_load(_FILE.read_text("utf-8"))
    return loaded


def esconv_strategies() -> LabelSet:
    """ESConv's eight support strategies."""
    return LabelSet("ESConv", tuple(_file()["esconv_strategies"]))


def esconv_problems() -> LabelSet:
    """ESConv's thirteen problem types, in lower case."""
    return LabelSet("ESConv", tuple(_file()["esconv_problems"]))


def extes_strategies() -> LabelSet:
    """ExTES's sixteen response strategies."""
    return LabelSet("ExTES", tuple(_file()["extes_strategies"]))


def extes_scenes() -> LabelSet:
    """ExTES's 36 scenarios."""
    return LabelSet("ExTES", tuple(_file()["extes_scenes"]), _file()["extes_scene_aliases"])


def all_strategies() -> LabelSet:
    """The strategies of ESConv and ExTES together, for data that may follow either."""
    names: Iterable[str] = (*esconv_strategies().names, *extes_strategies().names)
    return LabelSet("ESConv or ExTES", tuple(dict.fromkeys(names)))
