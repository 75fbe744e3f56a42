"""Read an earlier conversation from a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esc_demo.dialogue import Role, Turn, clean_message
from esc_demo.errors import BadInput

_EXTES = {"User": Role.SEEKER, "AI": Role.SUPPORTER}
_SHAPES = '{"role": "seeker" or "supporter", "text": ...}, {"User": ...} or {"AI": ...}'


def load_history(path: Path) -> tuple[Turn, ...]:
    """The turns of a JSON array, oldest first.

    An item is `{"role": "seeker" | "supporter", "text": ...}` or an utterance in ExTES's
    schema, `{"User": ...}` or `{"AI Strategy": ..., "AI": ...}`.

    Raises:
        BadInput: not such a file; the text names the item.
    """
    try:
        items = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"Cannot read the history {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The history {path} is not valid JSON: {error}.") from error
    if not isinstance(items, list):
        raise BadInput(f"The history {path} must hold a JSON array of turns, each {_SHAPES}.")
    return tuple(_turn(item, f"{path}, item {index}") for index, item in enumerate(items))


def _turn(item: Any, where: str) -> Turn:
    """One item as a turn; `where` goes into errors."""
    role, text = _role_and_text(item)
    if role is None or not isinstance(text, str):
        raise BadInput(f"{where}: expected {_SHAPES}.")
    strategy = item.get("AI Strategy", item.get("strategy"))
    try:
        return Turn(role, clean_message(text), strategy if isinstance(strategy, str) else None)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def _role_and_text(item: Any) -> tuple[Role | None, Any]:
    """Speaker and text of an item, in either schema; the role is None when it is neither."""
    if not isinstance(item, Mapping):
        return None, None
    for key, role in _EXTES.items():
        if key in item:
            return role, item[key]
    name = item.get("role")
    return (Role(name) if name in tuple(Role) else None), item.get("text")
