"""Raw SQL on either database, as somebody with another program would write it."""

import sqlite3
from contextlib import closing


class Refused(Exception):
    """The database said no; the text begins with the kind of rule, the same for both."""


_KINDS = {"23514": "CHECK", "23503": "FOREIGN KEY", "23505": "UNIQUE", "23502": "NOT NULL"}
"""PostgreSQL's codes."""


def run(url, statement, *values):
    """The rows of one statement, committed; `?` marks values. Foreign keys are on.

    Raises:
        Refused: a constraint or a trigger forbids it.
    """
    if url.startswith("sqlite:///"):
        return _sqlite(url.removeprefix("sqlite:///"), statement, values)
    import psycopg

    address = url.replace("postgresql+psycopg:", "postgresql:", 1)
    with psycopg.connect(address) as connection:
        try:
            cursor = connection.execute(statement.replace("%", "%%").replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise Refused(f"{_KINDS.get(error.sqlstate, 'OTHER')} {error}") from error


def _sqlite(path, statement, values):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            rows = connection.execute(statement, values).fetchall()
            connection.commit()
        except sqlite3.IntegrityError as error:
            raise Refused(str(error)) from error
        return rows


def columns(url, table):
    """The names of a table's columns."""
    if url.startswith("sqlite:///"):
        return [row[1] for row in run(url, f"PRAGMA table_info({table})")]
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
        " AND table_schema = 'public' ORDER BY ordinal_position"
    )
    return [name for (name,) in run(url, query, table)]
