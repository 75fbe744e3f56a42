"""ExTES-shaped dialogues to `Dialogue` values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput

_STRATEGY_KEYS = ("AI Strategy", "AI strategy", "strategy")


def load_extes(path: Path) -> list[Dialogue]:
    """Read a file in ExTES's schema: `[{scene, description, content: [{User}|{AI Strategy, AI}]}]`.

    Raises:
        BadInput: not such a file; the text names the dialogue and the utterance.
    """
    try:
        raw = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise BadInput(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(raw, list) or not raw:
        raise BadInput(f"{path} must hold a JSON array of dialogues.")
    return [_dialogue(item, f"{path}, dialogue {index}") for index, item in enumerate(raw)]


def _dialogue(item: Any, where: str) -> Dialogue:
    """One dialogue; `where` goes into errors."""
    if not isinstance(item, Mapping) or not isinstance(item.get("content"), list):
        raise BadInput(f"{where}: expected an object with scene, description and content.")
    turns = tuple(
        _turn(entry, f"{where}, utterance {index}") for index, entry in enumerate(item["content"])
    )
    if not turns:
        raise BadInput(f"{where}: the dialogue is empty.")
    return Dialogue(turns, str(item.get("scene", "")), str(item.get("description", "")))


def _turn(entry: Any, where: str) -> Turn:
    """One utterance of either speaker."""
    role, text = Role.SEEKER, None
    if isinstance(entry, Mapping):
        if "User" in entry:
            text = entry["User"]
        elif "AI" in entry:
            role, text = Role.SUPPORTER, entry["AI"]
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{where}: expected a non-empty 'User' or 'AI' text.")
    strategy = next((entry[key] for key in _STRATEGY_KEYS if entry.get(key)), None)
    return Turn(role, text.strip(), strategy)
