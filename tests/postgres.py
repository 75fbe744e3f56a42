"""A PostgreSQL of the tests' own, on loopback, in a folder that is gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

_START_S = 60
_PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian puts initdb and postgres, one folder a version; they are not on the PATH."""


def find_programs() -> Path | None:
    """The folder of the newest PostgreSQL server, or None."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(
        (path for path in _PROGRAMS.glob("*/bin/initdb") if path.parts[-3].isdigit()),
        key=lambda path: int(path.parts[-3]),
    )
    return versions[-1].parent if versions else None


class Cluster:
    """A running server. Each test gets a database of its own."""

    def __init__(self, programs: Path) -> None:
        """Make the folder and start the server; root hands it to the user postgres."""
        self._folder = Path(tempfile.mkdtemp(prefix="esc-pg-"))
        self._identity = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = self._folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "esc", "-A", "trust", "-E", "UTF8", "-N"],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **self._identity,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # nothing here has to survive the machine
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._log = (self._folder / "log").open("w")
        self._server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(self._port), *settings],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            **self._identity,
        )
        self._wait()

    def _wait(self) -> None:
        import psycopg  # a laptop without it skips these tests

        until = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self._address("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise
                time.sleep(0.05)

    def _address(self, database: str) -> str:
        return f"postgresql://esc@127.0.0.1:{self._port}/{database}"

    def url(self, database: str) -> str:
        """The address of a database as `ESC_DATABASE_URL` wants it."""
        return self._address(database).replace("postgresql:", "postgresql+psycopg:", 1)

    def new_database(self, template: str = "template0") -> str:
        """The name of a new database, empty or a copy of `template`."""
        name = f"esc_{uuid.uuid4().hex}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, database: str) -> None:
        """Delete a database, whoever is connected to it."""
        self._run(f'DROP DATABASE "{database}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        self._server.send_signal(signal.SIGINT)  # the quick way: ends the connections that are left
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
