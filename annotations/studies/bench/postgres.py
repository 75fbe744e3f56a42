"""A PostgreSQL server for one run, on loopback: for the load bench and for tests."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from annotations.studies.bench.server import HOST, free_port
from esc_demo.errors import StorageError

_START_S = 60
_PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian puts initdb and postgres, one folder a version; they are not on the PATH."""

_FORGETFUL = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=32MB",
)
"""For data that need not survive the machine."""


def why_not() -> str:
    """Why no server can be started here; empty if one can."""
    if find_programs() is None:
        return "there is no PostgreSQL server here (scripts/ensure_postgresql.sh installs one)"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is missing (pip install -r requirements-dev.txt)"
    return ""


def find_programs() -> Path | None:
    """The folder of the newest PostgreSQL server, or None."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(
        (path for path in _PROGRAMS.glob("*/bin/initdb") if path.parts[-3].isdigit()),
        key=lambda path: int(path.parts[-3]),
    )
    return versions[-1].parent if versions else None


@contextmanager
def local_postgres(folder: Path, *, durable: bool = True) -> Iterator[str]:
    """The URL of a new server's database `postgres`; the server ends with the context.

    Without `durable` it is quicker and would lose what a crash of the machine interrupts.

    Raises:
        StorageError: the server does not start.
    """
    programs = find_programs()
    assert programs is not None, "ask why_not first"
    identity = _identity()
    if identity:  # the server refuses to run as root
        folder.chmod(0o711)
        shutil.chown(_made(folder / "postgres"), "postgres", "postgres")
    data, port = _made(folder / "postgres") / "data", free_port()
    hurry = [] if durable else ["-N"]
    initdb = [programs / "initdb", "-D", data, "-U", "esc", "-A", "trust", "-E", "UTF8", *hurry]
    _run(initdb, identity)
    settings = [f"listen_addresses={HOST}", "unix_socket_directories=", "max_connections=200"]
    settings += [] if durable else _FORGETFUL
    options = [part for setting in settings for part in ("-c", setting)]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=data.parent,
        **identity,
    )
    url = f"postgresql+psycopg://esc@{HOST}:{port}/postgres"
    try:
        _wait(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # the quick way: ends connections that are left
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _identity() -> dict[str, Any]:
    """As whom the server runs: as us, unless we are root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError as error:
        raise StorageError(
            "PostgreSQL does not run as root, and there is no user postgres. Run as another user."
        ) from error
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _made(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def _run(command: list[Any], identity: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, cwd=command[2].parent, **identity)
    if done.returncode:
        raise StorageError(f"initdb failed: {done.stderr.decode(errors='replace')[-500:]}")


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    until = time.monotonic() + _START_S
    try:
        while True:
            try:
                with engine.connect() as connection:
                    connection.execute(text("SELECT 1"))
                return
            except SQLAlchemyError as error:
                if server.poll() is not None or time.monotonic() > until:
                    raise StorageError(f"PostgreSQL did not start: {error}") from error
                time.sleep(0.1)
    finally:
        engine.dispose()
