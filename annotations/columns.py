"""Kinds of columns and constraints that all tables share, named alike in every database."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Enum,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

# Names that do not depend on the database, so that later migrations can refer to them.
NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
SQLModel.metadata.naming_convention = NAMING

ID = String(64)
"""Our own ids are 32 hex digits; a nonce sent by a client may be up to 64 characters long."""

RATER_SQL = "length(rater_id) BETWEEN 1 AND 64"


def new_id() -> str:
    """A random id: 32 hex digits."""
    return uuid.uuid4().hex


def utc_now() -> datetime:
    """The present moment, with its time zone."""
    return datetime.now(UTC)


def enum_type(kind: type[StrEnum]) -> Enum:
    """A text column that reads back as `kind`; the CHECK constraint beside it is ours."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


def check(name: str, sql: str) -> CheckConstraint:
    """A named CHECK."""
    return CheckConstraint(sql, name=name)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """The column holds one of these words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return check(column, f"{column} IN ({listed})")


def at_least(column: str, least: int) -> CheckConstraint:
    """The column holds no less than that."""
    return check(column.strip('"'), f"{column} >= {least}")


def only_one(name: str, *columns: str, where: str) -> Index:
    """At most one row per key for which `where` holds."""
    sql = text(where)
    return Index(name, *columns, unique=True, sqlite_where=sql, postgresql_where=sql)


def first_only(name: str, *columns: str) -> Index:
    """At most one row per key supersedes nothing, so two first answers cannot both count."""
    return only_one(name, *columns, where="supersedes IS NULL")


def same_rater(
    table: str, *judged: str, study: bool = False
) -> tuple[ForeignKeyConstraint, UniqueConstraint]:
    """A row supersedes only an answer of the same rater about the same thing.

    The rest of the key goes along with the id, so nobody can take back another one's answer.
    A key with a NULL in it is not checked; so answers in studies have a second pair of their
    own, and of the two always one applies.
    """
    rest = (*judged, "rater_kind", "rater_id")
    mine = ("id", *rest)
    other = [f"{table}.{column}" for column in mine]
    key, unique = (f"fk_{table}_supersedes_study", f"uq_{table}_study") if study else (None, None)
    return (
        ForeignKeyConstraint(("supersedes", *rest), other, name=key),
        UniqueConstraint(*mine, name=unique),
    )


def text_field(**options: Any) -> Any:
    """A column for text of any length."""
    return Field(sa_type=Text, **options)


def json_field(**options: Any) -> Any:
    """A JSON column in which None is SQL's NULL, not JSON's null."""
    return Field(sa_type=JSON(none_as_null=True), **options)  # type: ignore[call-overload]
