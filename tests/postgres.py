"""Databases of their own for tests, in one PostgreSQL server on loopback."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine, make_url, text

from annotations.studies.bench.postgres import local_postgres


class Cluster:
    """A running server. Each test gets a database of its own."""

    def __init__(self, url: str) -> None:
        """`url` is that of any database of the server."""
        self._url = make_url(url)

    def url(self, database: str) -> str:
        """The address of a database as `ESC_DATABASE_URL` wants it."""
        return self._url.set(database=database).render_as_string(hide_password=False)

    def new_database(self, template: str = "template0") -> str:
        """The name of a new database, empty or a copy of `template`."""
        name = f"esc_{uuid.uuid4().hex}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, database: str) -> None:
        """Delete a database, whoever is connected to it."""
        self._run(f'DROP DATABASE "{database}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        engine = create_engine(self._url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server in a folder that is gone afterwards."""
    with (
        TemporaryDirectory(prefix="esc-pg-", ignore_cleanup_errors=True) as folder,
        local_postgres(Path(folder), durable=False) as url,
    ):
        yield Cluster(url)
