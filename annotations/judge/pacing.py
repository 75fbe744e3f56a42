"""How many requests an endpoint bears at once: found out by asking, never above a limit.

Additive increase, multiplicative decrease (Chiu and Jain, 1989): every round of successes allows
one more, every sign of overload halves, and a `Retry-After` holds everybody back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST = 4
"""Requests at once before anything is known of the endpoint."""


class Stopped(Exception):
    """The run was stopped while a request waited for its turn."""


class Pace:
    """Shared by all threads that send requests to one endpoint."""

    def __init__(self, most: int, *, first: int = FIRST) -> None:
        """Begin with `first` requests at once; never more than `most`."""
        self._most = most
        self._allowed = min(first, most)
        self._changed = threading.Condition()
        self._under_way = 0
        self._round = 0
        self._well = 0
        self._open_at = 0.0

    @property
    def allowed(self) -> int:
        """Requests that may be under way now."""
        with self._changed:
            return self._allowed

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[int]:
        """Wait for one's turn and hold it; gives the number of the round it belongs to.

        Raises:
            Stopped: `stop` was set before it came.
        """
        with self._changed:
            while self._under_way >= self._allowed or time.monotonic() < self._open_at:
                if stop.is_set():
                    raise Stopped
                left = self._open_at - time.monotonic()
                self._changed.wait(min(0.1, left) if left > 0 else 0.1)  # `stop` cannot wake it
            if stop.is_set():
                raise Stopped
            self._under_way += 1
            mine = self._round
        try:
            yield mine
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify()

    def overloaded(self, mine: int, wait_s: float | None) -> None:
        """Allow half as many, and nobody for `wait_s` seconds.

        Requests that went out together come back together: only the first of a round halves.
        """
        with self._changed:
            if mine == self._round:
                self._round += 1
                self._well = 0
                self._allowed = max(1, self._allowed // 2)
            if wait_s is not None:
                self._open_at = max(self._open_at, time.monotonic() + wait_s)

    def went_well(self, mine: int) -> None:
        """After as many successes as are allowed at once, allow one more."""
        with self._changed:
            if mine != self._round:
                return  # sent before the last overload: says nothing of now
            self._well += 1
            if self._well >= self._allowed and self._allowed < self._most:
                self._well = 0
                self._allowed += 1
                self._changed.notify_all()
