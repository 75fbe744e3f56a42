"""In which entries two records differ, named for people."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def differences(
    old: dict[str, Any], new: dict[str, Any], *, leave_out: Collection[str] = ()
) -> list[str]:
    """Each entry that differs as `name was OLD, now NEW`; nested ones have dotted names."""
    before, after = flat(old), flat(new)
    return [
        f"{name} was {before.get(name)}, now {after.get(name)}"
        for name in dict.fromkeys([*before, *after])
        if name not in leave_out and before.get(name) != after.get(name)
    ]


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested entries under dotted names."""
    found: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            found |= flat(entry, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = entry
    return found
