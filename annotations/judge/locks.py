"""Which run is being asked for by a living process: a lock that goes when its process does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Engine, text

from annotations.database import explained
from esc_demo.errors import StorageError

_PATIENCE_S = 0.3
"""Somebody who only looks whether a file is locked holds it for a moment."""


@contextmanager
def held(engine: Engine, name: str) -> Iterator[bool]:
    """Hold the lock `name` of a database while the block lasts; False when another has it.

    Raises:
        StorageError: the database cannot be read, or no lock can lie beside it.
    """
    locked = _file_held if engine.dialect.name == "sqlite" else _session_held
    with locked(engine, name) as mine:
        yield mine


def is_held(engine: Engine, name: str) -> bool:
    """Whether anybody holds it just now, this process included.

    Raises:
        StorageError: the database or the lock cannot be read.
    """
    if engine.dialect.name != "sqlite":
        return _session_is_held(engine, name)
    path = _path(engine, name)
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError as error:
        raise StorageError(f"The lock {path} cannot be read: {error.strerror}.") from error
    lock.release()
    return False


def _path(engine: Engine, name: str) -> Path:
    """The lock's file, beside the database's."""
    with explained(engine.url), engine.connect() as connection:
        query = text("SELECT file FROM pragma_database_list WHERE name = 'main'")
        file = Path(connection.execute(query).scalar_one())
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return file.with_name(f".{file.name}.judge-{digest}.lock")


@contextmanager
def _file_held(engine: Engine, name: str) -> Iterator[bool]:
    """A locked file; the system lets go of it when the process ends."""
    lock = FileLock(_path(engine, name))
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StorageError(
            f"The lock {lock.lock_file} cannot be made: {error.strerror}. Make its folder writable."
        ) from error
    try:
        yield True
    finally:
        lock.release()


def _number(name: str) -> int:
    """The lock's key on a server: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def _session_held(engine: Engine, name: str) -> Iterator[bool]:
    """A lock of the server that lasts as long as the connection that took it."""
    key = {"key": _number(name)}
    with explained(engine.url):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with explained(engine.url):
            mine = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one()
        yield bool(mine)
    finally:
        connection.invalidate()  # ends it, and the lock with it, be it whole or broken
        connection.close()


def _session_is_held(engine: Engine, name: str) -> bool:
    """The server lists its locks, so looking needs none."""
    query = text(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = :key"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
    with explained(engine.url), engine.connect() as connection:
        return bool(connection.execute(query, {"key": _number(name)}).scalar_one())
