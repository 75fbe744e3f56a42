"""A copy of the whole database while everything runs.

SQLite's own backup copies one state of the database while others go on writing. A PostgreSQL
database is read in one REPEATABLE READ transaction into an SQLite file with the same tables, which
this program opens like any other; what is to go back into PostgreSQL itself is better copied with
pg_dump.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, insert, select

from annotations.database import explained, open_database, place
from annotations.schema import Rating
from esc_demo.errors import BadInput, StorageError

_TABLES = Rating.metadata.tables
"""All tables by name."""

_BATCH = 1000
"""Rows that are read and written at once."""


@dataclass(frozen=True)
class Backup:
    """A finished copy."""

    path: Path
    bytes: int
    rows: int
    """Rows of all tables."""
    key_file: Path | None
    """The key that hides names given by recruiting sites; it is not in the copy."""


def back_up(engine: Engine, target: Path, *, force: bool = False) -> Backup:
    """Copy the database into an SQLite file; nobody has to wait for it.

    The file appears under its name only once it is whole and has been checked.

    Raises:
        BadInput: the file is there already, or is the database itself.
        StorageError: the database cannot be read, or the copy cannot be written or is damaged.
    """
    source = _file_of(engine)
    if source is not None and target.exists() and os.path.samefile(source, target):
        raise BadInput(f"{target} is the database itself. Name another file.")
    if target.exists() and not force:
        raise BadInput(f"{target} is there already. Name another file, or use --force.")
    with _draft_of(target) as draft:
        if source is not None:
            _copy_pages(engine, draft)
        else:
            _copy_rows(engine, draft)
        rows = _checked(draft)
        os.replace(draft, target)
    key = None if source is None else Path(f"{source}.secret")
    return Backup(target, target.stat().st_size, rows, key if key and key.exists() else None)


def _file_of(engine: Engine) -> Path | None:
    """The SQLite file; None for PostgreSQL."""
    name = engine.url.database or ""
    return Path(name) if engine.dialect.name == "sqlite" else None


@contextmanager
def _draft_of(target: Path) -> Iterator[Path]:
    """A file beside the target that is gone afterwards, with whatever SQLite put beside it."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.touch(0o600)  # answers of people: for the owner's eyes
        yield draft
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"The copy {target} cannot be written: {error.strerror}.") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):  # most are not there, and nothing better can be done
                Path(f"{draft}{suffix}").unlink()


def _copy_pages(engine: Engine, draft: Path) -> None:
    """SQLite's online backup, on a connection of its own."""
    with explained(engine.url), engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        with closing(sqlite3.connect(draft)) as copy:
            raw.backup(copy)  # type: ignore[union-attr]
            # One file, to be carried about: nothing may lie beside it.
            copy.execute("PRAGMA journal_mode = DELETE")


def _copy_rows(engine: Engine, draft: Path) -> None:
    """All rows of one moment, table by table, into new tables."""
    copy = open_database(f"sqlite:///{draft}")
    try:
        reader = engine.execution_options(isolation_level="REPEATABLE READ")
        with (
            explained(engine.url),
            reader.connect() as source,
            explained(copy.url),
            copy.execution_options(esc_write=True).begin() as sink,
        ):
            # Tables refer to one another both ways; all is checked when the transaction ends.
            sink.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table in _TABLES.values():
                rows = source.execution_options(yield_per=_BATCH).execute(select(table))
                for batch in rows.mappings().partitions():
                    sink.execute(insert(table), [dict(row) for row in batch])
        with explained(copy.url), copy.connect() as connection:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        copy.dispose()
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _checked(draft: Path) -> int:
    """The number of rows in a copy that is sound."""
    with closing(sqlite3.connect(draft)) as copy:
        try:
            said = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            said = [str(error)]
        if said != ["ok"]:
            raise StorageError(
                f"The copy is damaged ({said[0]}) and was thrown away; the database may be, too."
                " Run `python -m annotations check`."
            )
        counts = [copy.execute(f'SELECT count(*) FROM "{name}"').fetchone() for name in _TABLES]
        return sum(number for (number,) in counts)


def dump_advice(engine: Engine) -> str:
    """How to copy a PostgreSQL database so that it can go back into one; empty for SQLite."""
    if engine.dialect.name == "sqlite":
        return ""
    url = engine.url.set(drivername="postgresql", password=None)
    return (
        "To restore into PostgreSQL, copy it with:"
        f" pg_dump --format=custom --file=esc.dump {url.render_as_string()}"
    )


def describe(engine: Engine, done: Backup) -> Iterator[str]:
    """What to tell the owner."""
    size = f"{done.bytes / 1e6:,.1f} MB"
    yield f"{place(engine.url)} is copied to {done.path} ({done.rows:,} rows, {size}, checked)."
    if done.key_file is not None:
        yield (
            f"The key {done.key_file} is not in it. Keep a copy of that elsewhere, or participants"
            " of recruiting sites cannot be recognised after a restore."
        )
    yield f"To use the copy, set ESC_DATABASE_URL=sqlite:///{done.path}"
    if advice := dump_advice(engine):
        yield advice
