"""Last-k window: only the newest utterances."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def last_k(turns: tuple[T, ...], k: int | None) -> tuple[T, ...]:
    """The newest `k` of `turns`, or all of them when `k` is None."""
    return turns if k is None else turns[-k:]
