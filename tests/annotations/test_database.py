"""Opening a database: settings, races, migrations, and one clear line when it cannot be."""

import io
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

import annotations
from annotations import Store
from annotations.database import (
    migrate_to_head,
    migration_config,
    open_database,
    open_engine,
)
from esc_demo.errors import ConfigError, StorageError

ROOT = Path(annotations.__file__).parent.parent
HEAD = ScriptDirectory.from_config(migration_config()).get_current_head()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'new' / 'folder' / 'esc.db'}"


@pytest.fixture
def engine(url):
    engine = open_database(url)
    yield engine
    engine.dispose()


def test_migrations_build_what_the_tables_say(engine):
    refuse_differences(engine)


def refuse_differences(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrations_build_what_the_tables_say_on_postgresql(postgresql):
    name = postgresql.new_database()
    engine = open_database(postgresql.url(name))
    refuse_differences(engine)
    found = inspect(engine)
    for table in SQLModel.metadata.sorted_tables:
        wanted = {c.name for c in table.constraints if isinstance(c, CheckConstraint)}
        assert {c["name"] for c in found.get_check_constraints(table.name)} == wanted
    engine.dispose()
    postgresql.drop(name)


def test_migrations_build_the_same_checks(engine, tmp_path):
    plain = open_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    SQLModel.metadata.create_all(plain)

    def checks(of):
        found = inspect(of)
        return {
            table: {(c["name"], c["sqltext"]) for c in found.get_check_constraints(table)}
            for table in SQLModel.metadata.tables
        }

    wanted = checks(plain)
    plain.dispose()
    assert sum(map(len, wanted.values())) > 50
    assert checks(engine) == wanted


def test_the_migration_can_be_written_for_postgresql():
    config = migration_config()
    config.output_buffer = io.StringIO()
    config.attributes["dialect"] = "postgresql"
    command.upgrade(config, "head", sql=True)
    script = config.output_buffer.getvalue()
    assert script.count("_no_truncate BEFORE TRUNCATE") == 12
    assert "BEFORE UPDATE OF id, conversation_id" in script
    assert "BEFORE UPDATE ON generation" in script
    assert "BEFORE DELETE ON generation" in script
    assert "FOREIGN KEY(chosen_generation_id)" in script
    assert "CREATE VIEW current_rating" in script
    assert "RAISE(ABORT" not in script


def test_connections_are_set_up(engine):
    with engine.connect() as connection:
        pragma = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


def test_processes_that_open_a_new_database_at_once_do_not_collide(url, tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "from annotations import Store\n"
        "go = pathlib.Path(sys.argv[2])\n"
        "print('ready', flush=True)\n"
        "while not go.exists(): time.sleep(0.001)\n"
        "with Store(sys.argv[1]) as store:\n"
        "    store.open_conversation(origin='page', policy='shared', app_version='1')\n"
    )
    go = tmp_path / "go"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, str(go)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdout.readline()
    go.touch()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT count(*) FROM conversation").fetchone() == (3,)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_opening_works_from_any_folder(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Store("sqlite:///here.db").close()
    assert (tmp_path / "here.db").stat().st_size > 0


def test_what_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("These are my notes, and no database at all. " * 50)
    with pytest.raises(StorageError, match=r"notes\.db is not a database"):
        Store(f"sqlite:///{path}")
    assert path.read_text().startswith("These are my notes")


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError, match=r"The folder .*below for the database cannot be created"
    ):
        Store(f"sqlite:///{tmp_path / 'file' / 'below' / 'esc.db'}")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(StorageError, match="cannot be opened or created"):
        Store(f"sqlite:///{tmp_path}")


NOBODY = 65534


def run_as_plain_user(code, *arguments):
    """Run Python code without the rights of the superuser, who may write anywhere."""
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        **identity,
    )


@pytest.fixture
def plain_folder():
    """A new folder of the user that `run_as_plain_user` uses; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def test_a_read_only_folder_is_refused(plain_folder):
    try:
        probe = run_as_plain_user(
            "import os, sys, annotations; os.listdir(sys.argv[1])", plain_folder
        )
    except PermissionError as error:
        pytest.skip(f"a plain user may not run this Python: {error}")
    if probe.returncode:
        pytest.skip(f"a plain user cannot read the program: {probe.stderr.splitlines()[-1]}")
    code = "import sys; from annotations import Store; Store(sys.argv[1]).close()"
    writable = run_as_plain_user(code, f"sqlite:///{plain_folder / 'first.db'}")
    assert writable.returncode == 0, writable.stderr
    plain_folder.chmod(0o500)
    refused = run_as_plain_user(code, f"sqlite:///{plain_folder / 'second.db'}")
    plain_folder.chmod(0o700)
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("esc_demo.errors.StorageError: ")
    assert "second.db cannot be opened or created. Make its folder writable" in last
    assert not (plain_folder / "second.db").exists()


def test_a_read_only_file_is_refused_at_the_start(engine, url):
    engine.dispose()
    path = url.removeprefix("sqlite:///")
    with pytest.raises(StorageError, match=r"cannot be written\. Make the file and its folder"):
        Store(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_a_full_disk_is_named_and_leaves_nothing_half_made(url):
    engine = open_engine(url)

    @event.listens_for(engine, "connect")
    def _small(connection, _record):
        connection.execute("PRAGMA max_page_count = 6")

    with pytest.raises(StorageError, match="the disk is full"):
        migrate_to_head(engine)
    engine.dispose()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    Store(url).close()


def test_a_database_newer_than_the_code_is_refused_and_untouched(engine, url):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match=rf"newer version.*'9999'.*'{HEAD}'"):
        Store(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == (
            "9999"
        )


def test_a_locked_database_is_named(engine, url):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as lock:
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program"):
            open_database(url, busy_ms=10)


def test_an_error_in_the_log_names_no_words_of_a_person(engine, caplog):
    statement, words = text("INSERT INTO nowhere VALUES (:words)"), " ".join(["my", "sister"])
    with engine.begin() as connection, pytest.raises(SQLAlchemyError) as failed:
        connection.execute(statement, {"words": words})
    logging.getLogger("study").error("not stored", exc_info=failed.value)
    assert "INSERT INTO nowhere" in caplog.text
    assert words not in caplog.text


@pytest.mark.parametrize("bad", ["nonsense", "sqlite://", "sqlite:///:memory:", "oddsql://x/y"])
def test_an_unusable_address_is_a_setting_error(bad):
    with pytest.raises(ConfigError, match="ESC_DATABASE_URL"):
        Store(bad)


def test_alembic_agrees_that_nothing_is_left_to_do(engine):
    config = migration_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.check(config)
