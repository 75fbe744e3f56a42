"""Opening the database: connection settings, migration to the newest tables, clear refusals."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from esc_demo.errors import ConfigError, StorageError

BUSY_MS = 5000
"""How long a connection waits for another one that is writing, in milliseconds."""

ELSEWHERE = "or set ESC_DATABASE_URL to another file"

_MIGRATION_LOCK = 0x65736364
"""Any number, the same in every process: the key of PostgreSQL's advisory lock."""


def open_database(url: str, busy_ms: int = BUSY_MS) -> Engine:
    """An engine on `url` whose tables are at the newest version; the parent folder is created.

    Processes that open a new database at the same moment wait for one another.

    Raises:
        ConfigError: the URL cannot be understood, or its driver is not installed.
        StorageError: not writable, full, locked, not a database, or written by newer code.
    """
    engine = open_engine(url, busy_ms)
    try:
        migrate_to_head(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_engine(url: str, busy_ms: int = BUSY_MS) -> Engine:
    """An engine on `url` with our connection settings, its tables left as they are.

    Raises:
        ConfigError: the URL cannot be understood, or its driver is not installed.
        StorageError: the parent folder cannot be created.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            _make_parent(parsed)
        engine = create_engine(
            parsed,
            pool_pre_ping=parsed.get_backend_name() != "sqlite",
            hide_parameters=True,  # errors go to the log, and people's words do not belong there
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"ESC_DATABASE_URL cannot be used: {error}. Write sqlite:///folder/file.db, or"
            " postgresql+psycopg://user:password@host/name with psycopg installed."
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, busy_ms)
    return engine


def migrate_to_head(engine: Engine) -> None:
    """Bring the tables to the newest version, in one transaction that only one process holds.

    Raises:
        StorageError: as for `open_database`.
    """
    config = migration_config()
    script = ScriptDirectory.from_config(config)
    with explained(engine.url), engine.execution_options(esc_write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        current = MigrationContext.configure(connection).get_current_revision()
        if current == script.get_current_head():
            # Changes nothing, but is a write: SQLite opens what it may only read without a word.
            connection.execute(text("DELETE FROM alembic_version WHERE 1 = 0"))
            return
        known = {revision.revision for revision in script.walk_revisions()}
        if current is not None and current not in known:
            raise StorageError(
                f"{place(engine.url)} was written by a newer version of this program (tables"
                f" {current!r}; this version knows up to {script.get_current_head()!r}). Update"
                f" the program, {ELSEWHERE}."
            )
        _upgrade(config, connection)


def _upgrade(config: Config, connection: Connection) -> None:
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StorageError(f"The tables cannot be brought up to date: {error}") from error


def migration_config() -> Config:
    """Alembic's configuration; needs no file and works from any folder."""
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def place(url: URL) -> str:
    """Where the database is, without a password: `The database data/esc.db`."""
    where = url.database if url.get_backend_name() == "sqlite" else None
    return f"The database {where or url.render_as_string(hide_password=True)}"


def _make_parent(url: URL) -> None:
    """Create the folder of an SQLite file."""
    name = url.database or ":memory:"
    if ":memory:" in name:
        raise ConfigError(
            "ESC_DATABASE_URL names a database in memory, which each thread would see"
            " differently. Name a file: sqlite:///data/esc.db"
        )
    if name.startswith("file:"):
        return
    parent = Path(name).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder {parent} for the database cannot be created: {error.strerror}. Make it"
            f" writable, {ELSEWHERE}."
        ) from error


def _prepare_sqlite(engine: Engine, busy_ms: int) -> None:
    """Set each new connection up, and let SQLAlchemy rather than sqlite3 begin transactions.

    Writers begin IMMEDIATE (execution option `esc_write`): they wait their turn at the start
    instead of failing halfway when two of them read first and write later.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        try:
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {int(busy_ms)}")
            _use_wal(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            # What people took back would stay readable in the freed parts of the file.
            connection.execute("PRAGMA secure_delete = ON")
            # Without it INSERT OR REPLACE would delete rows behind the back of the triggers.
            connection.execute("PRAGMA recursive_triggers = ON")
        except BaseException:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("esc_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def is_locked(error: BaseException) -> bool:
    """Whether `error` means that somebody else is writing just now."""
    if _postgresql_state(error) in {"40001", "40P01", "55P03"}:  # serialisation, deadlock, lock
        return True
    return sqlite_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_clash(error: BaseException) -> bool:
    """Whether `error` means that a row with the same key was already there."""
    return _postgresql_state(error) == "23505" or sqlite_name(error) in {
        "SQLITE_CONSTRAINT_PRIMARYKEY",
        "SQLITE_CONSTRAINT_UNIQUE",
    }


def _postgresql_state(error: BaseException) -> str | None:
    """PostgreSQL's code of the error; None for any other error."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


@retry(
    retry=retry_if_exception(is_locked),
    stop=stop_after_delay(5),
    wait=wait_random(0.01, 0.1),
    reraise=True,
)
def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers do not wait for writers. SQLite does not wait by itself for this change of mode."""
    connection.execute("PRAGMA journal_mode = WAL")


def sqlite_name(error: BaseException) -> str:
    """SQLite's name of the error, such as `SQLITE_BUSY`; empty for any other error."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    return getattr(origin, "sqlite_errorname", "")


_SQLITE_TEXTS = {
    "SQLITE_NOTADB": "is not a database. Move that file away, " + ELSEWHERE + ".",
    "SQLITE_CORRUPT": "is damaged. Restore a copy of it, " + ELSEWHERE + ".",
    "SQLITE_READONLY": "cannot be written. Make the file and its folder writable, "
    + ELSEWHERE
    + ".",
    "SQLITE_CANTOPEN": "cannot be opened or created. Make its folder writable, " + ELSEWHERE + ".",
    "SQLITE_PERM": "may not be opened. Make the file and its folder writable, " + ELSEWHERE + ".",
    "SQLITE_FULL": "cannot grow: the disk is full. Free some space and try again.",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error, or is full.",
    "SQLITE_BUSY": "is locked by another program. Close that program and try again.",
    "SQLITE_LOCKED": "is locked by another program. Close that program and try again.",
}


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn whatever the database raises into one clear `StorageError`."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        name = sqlite_name(error)
        for known, sentence in _SQLITE_TEXTS.items():
            if name.startswith(known):
                raise StorageError(f"{place(url)} {sentence}") from error
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StorageError(f"{place(url)} cannot be used: {reason}.") from error
