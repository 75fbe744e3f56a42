"""Reading YAML so that an error can name its file, line and key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from esc_demo.errors import ConfigError

Location = tuple[str | int, ...]
"""The way to a value: keys of mappings and places in lists."""

TEXTS = frozenset({"text", "debrief", "content_note", "feedback", "notes"})
"""Keys whose value may be `{file: NAME}`."""

_OWN = {"missing": "is missing", "extra_forbidden": "is not a key that is known here"}
_SHOWN_CHARS = 60


@dataclass(frozen=True)
class Source:
    """The values of a YAML file, and the line of each."""

    path: Path
    values: dict[str, Any]
    lines: dict[Location, int]

    def resolved(self, folder: Path) -> dict[str, Any]:
        """The values with texts read from files and with paths put behind `folder`.

        Raises:
            ConfigError: a text cannot be read.
        """
        found: dict[str, Any] = self._texts(self.values, (), folder)
        if isinstance(items := found.get("items"), dict):
            found["items"] = items = dict(items)
            if isinstance(items.get("file"), str):
                items["file"] = folder / items["file"]
            if isinstance(runs := items.get("runs"), dict):
                items["runs"] = {
                    arm: folder / path if isinstance(path, str) else path
                    for arm, path in runs.items()
                }
        return found

    def _texts(self, value: Any, at: Location, folder: Path) -> Any:
        """`value` with each `{file: NAME}` below it read."""
        if isinstance(value, list):
            return [self._texts(part, (*at, place), folder) for place, part in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if at and at[-1] in TEXTS and set(value) == {"file"} and isinstance(value["file"], str):
            try:
                return (folder / value["file"]).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(self._about(at, f"{value['file']} cannot be read")) from error
        return {key: self._texts(part, (*at, key), folder) for key, part in value.items()}

    def sentence(self, location: Location, kind: str, message: str, given: object) -> str:
        """What pydantic found, as `FILE, line N, KEY: what is wrong`."""
        if kind in _OWN:
            return self._about(location, f"{_OWN[kind]}.")
        text = message.removeprefix("Value error, ").rstrip(".")
        if isinstance(given, str | int | float | bool) or given is None:
            shown = repr(given)
            text += f" (it is {shown[:_SHOWN_CHARS]}{'...' * (len(shown) > _SHOWN_CHARS)})"
        return self._about(location, f"{text}.")

    def _about(self, location: Location, text: str) -> str:
        """A sentence with its place; what is missing has the line of what it is missing from."""
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in location)
        line = self.lines.get(known, 1)
        return f"{self.path}, line {line}{', ' + key if key else ''}: {text}"


def read_yaml(path: Path) -> Source:
    """The mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, is no mapping, or names a key twice.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read: {reason}.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_walk(node, (), path)) if node is not None else {}
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: this is no YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}, line 1: a study is a mapping of keys to values.")
    return Source(path, values, lines)


def _walk(node: yaml.Node, at: Location, path: Path) -> Iterator[tuple[Location, int]]:
    """Each value's place and line; safe_load would silently keep the last of two equal keys."""
    if isinstance(node, yaml.SequenceNode):
        for place, part in enumerate(node.value):
            yield (*at, place), part.start_mark.line + 1
            yield from _walk(part, (*at, place), path)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, part in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise ConfigError(
                    f"{path}, line {line}, {'.'.join(map(str, (*at, name)))}: was given in line"
                    f" {seen[name]} already. Delete one of them."
                )
            seen[name] = line
            yield (*at, name), line
            yield from _walk(part, (*at, name), path)
