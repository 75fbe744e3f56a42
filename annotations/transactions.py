"""Running work in transactions: patient with locks, and with one clear error when it fails."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session
from tenacity import RetryCallState, Retrying, stop_after_delay, wait_random_exponential

from annotations.database import explained, is_clash, is_locked, place
from esc_demo.errors import BadInput, StorageError

T = TypeVar("T")

PATIENCE_S = 6.0
"""How long a writer goes on trying when the database is locked."""

TURN_S = 30.0
"""How long a writer waits for the others of this process on SQLite."""

COURTESY_S = 1.0
"""The same on a server, which keeps the order itself."""

_CLASHES = 6
"""How often a write is tried when another one took its place in between."""


class _Turns:
    """A lock that is given to whoever waits longest."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def acquire(self, timeout_s: float) -> bool:
        """Wait for one's turn; False when it does not come in time."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._guard:
            if mine.is_set():  # it came just now
                return True
            self._waiting.remove(mine)
            return False

    def release(self) -> None:
        """Pass it on."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


_TURNS: dict[str, _Turns] = {}
_TURNS_GUARD = threading.Lock()


class Transactions:
    """Short sessions on one engine; may be shared by all threads."""

    def __init__(self, engine: Engine, patience_s: float = PATIENCE_S) -> None:
        """On `engine`; a writer that is locked out goes on trying for `patience_s` seconds."""
        self._engine = engine
        self._writer = engine.execution_options(esc_write=True)
        self._patience_s = patience_s
        with _TURNS_GUARD:
            self._turns = _TURNS.setdefault(str(engine.url), _Turns())

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self._engine

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state of the database.

        Raises:
            StorageError: the database cannot be read.
        """
        with explained(self._engine.url), Session(self._engine) as session:
            return work(session)

    def write(self, work: Callable[[Session], T], refused: str = "") -> T:
        """Run `work` in one transaction, again when it was locked out or came second.

        With `refused`, what the database's own rules forbid is the caller's bad input.

        Raises:
            StorageError: the database is locked, full or refuses; nothing was stored then.
            BadInput: it refuses, and `refused` is given.
        """

        def attempt() -> T:
            with Session(self._writer, expire_on_commit=False) as session, session.begin():
                return work(session)

        retrying = Retrying(
            retry=_worth_retrying,
            stop=stop_after_delay(self._patience_s),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        with explained(self._engine.url), self._my_turn():
            try:
                return retrying(attempt)
            except IntegrityError as error:
                kind = BadInput if refused else StorageError
                said = refused or "The database refused to store this"
                raise kind(f"{said}: {str(error.orig).splitlines()[0]}.") from error

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """SQLite takes one writer at a time, and whoever finds it locked looks again at random.

        With dozens of threads some would never come to it, so within a process they queue. A
        server sorts its writers out by itself, but whoever waits there holds a connection; so they
        queue here, too, but only for a moment: one that is held up must not hold up all others.
        """
        strict = self._engine.dialect.name == "sqlite"
        mine = self._turns.acquire(TURN_S if strict else COURTESY_S)
        if strict and not mine:
            raise StorageError(
                f"{place(self._engine.url)} is busy: too many are writing at once. Nothing was"
                " stored; try again in a moment."
            )
        try:
            yield
        finally:
            if mine:
                self._turns.release()


def _worth_retrying(state: RetryCallState) -> bool:
    """Locked: until patience ends. A clash with another writer: a few times."""
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        return False
    return is_locked(error) or (is_clash(error) and state.attempt_number < _CLASHES)
