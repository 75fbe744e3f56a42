"""Raters who work at the same time, and what they saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from annotations.studies.bench.rater import PATIENCE_S, Accepted, Call, Rater


class Crowd:
    """`raters` threads that work through `slugs`, moving on together when a study is full."""

    def __init__(
        self,
        address: tuple[str, int],
        slugs: Sequence[str],
        raters: int,
        think_s: tuple[float, float],
    ) -> None:
        """Nobody works yet. `think_s`: least and longest time that a rater looks at a screen."""
        self.address = address
        self.think_s = think_s
        self._slugs = list(slugs)
        self._at = 0
        self._raters = [Rater(self, number) for number in range(1, raters + 1)]
        self._lock = threading.Lock()
        self._until = 0.0
        self._over = threading.Event()
        self._accepted: list[Accepted] = []
        self._calls: list[Call] = []
        self._failures: list[str] = []
        self._finished = 0

    def start(self, seconds: float) -> None:
        """Let them work for so long."""
        self._until = time.monotonic() + seconds
        for rater in self._raters:
            rater.start()

    def extend(self, seconds: float) -> None:
        """Make up for time in which no server was there."""
        with self._lock:
            self._until += seconds

    def wait(self) -> None:
        """Until the time is up and everybody has an answer to what they sent last."""
        while (left := self._until - time.monotonic()) > 0 and any(
            rater.is_alive() for rater in self._raters
        ):
            time.sleep(min(left, 0.5))
        self._over.set()
        end = time.monotonic() + PATIENCE_S + 60
        for rater in self._raters:
            rater.join(max(end - time.monotonic(), 0.1))
            if rater.is_alive():
                self.failed(f"{rater.name} still waits for an answer")

    def going(self) -> bool:
        """Whether there is time left, and a study."""
        return time.monotonic() < self._until and self._at < len(self._slugs)

    def rest(self, seconds: float) -> None:
        """Look at the screen; no longer than the time lasts."""
        self._over.wait(seconds)

    def study(self) -> str:
        """The one that has places left."""
        return self._slugs[min(self._at, len(self._slugs) - 1)]

    def filled(self, slug: str) -> None:
        """Somebody was told that the study needs no more answers."""
        with self._lock:
            if self.study() == slug:
                self._at += 1

    def accepted(self, answer: Accepted) -> None:
        """Note what the server took."""
        with self._lock:
            self._accepted.append(answer)

    def called(self, call: Call) -> None:
        """Note how long a call took."""
        with self._lock:
            self._calls.append(call)

    def failed(self, text: str) -> None:
        """Note what should not happen."""
        with self._lock:
            self._failures.append(text)

    def finished(self) -> None:
        """Note that somebody came to the end of a session."""
        with self._lock:
            self._finished += 1

    @property
    def answers(self) -> tuple[Accepted, ...]:
        """All submissions that the server took."""
        with self._lock:
            return tuple(self._accepted)

    @property
    def calls(self) -> tuple[Call, ...]:
        """All answered calls."""
        with self._lock:
            return tuple(self._calls)

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that should not have happened."""
        with self._lock:
            return tuple(self._failures)

    @property
    def sessions(self) -> int:
        """Sessions that came to their end."""
        with self._lock:
            return self._finished

    @property
    def filled_studies(self) -> int:
        """Studies that became full."""
        return self._at
