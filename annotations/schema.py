"""The tables. Every rule that keeps the data honest is also a constraint of the database.

Table models do not validate what they are given: forms do, at the border (`forms.py`), and
the CHECK constraints here refuse whatever slips past them. `migrations` builds the same
tables; a test compares the two.
"""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from annotations.values import (
    Choice,
    Dimension,
    GenerationStatus,
    Origin,
    RaterKind,
    RatingStatus,
)
from esc_demo.contexts import ContextKind, Scope
from esc_demo.engine import HistoryPolicy
from esc_demo.models import FinishReason

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


def _enum(kind: type[StrEnum]) -> Enum:
    """A text column that reads back as `kind`; the CHECK constraint beside it is ours."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


def _check(name: str, sql: str) -> CheckConstraint:
    return CheckConstraint(sql, name=name)


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return _check(column, f"{column} IN ({listed})")


def _at_least(column: str, least: int) -> CheckConstraint:
    return _check(column.strip('"'), f"{column} >= {least}")


def _first_only(name: str, *columns: str) -> Index:
    """At most one row per key supersedes nothing, so two first answers cannot both count."""
    where = text("supersedes IS NULL")
    return Index(name, *columns, unique=True, sqlite_where=where, postgresql_where=where)


def _same_rater(table: str, judged: str) -> tuple[ForeignKeyConstraint, UniqueConstraint]:
    """A row supersedes only an answer of the same rater about the same thing.

    The rest of the key goes along with the id, so nobody can take back another one's answer.
    """
    rest = (judged, "rater_kind", "rater_id")
    mine = ("id", *rest)
    other = [f"{table}.{column}" for column in mine]
    return ForeignKeyConstraint(("supersedes", *rest), other), UniqueConstraint(*mine)


def _text(**options: Any) -> Any:
    return Field(sa_type=Text, **options)


def _json(**options: Any) -> Any:
    """A JSON column in which None is SQL's NULL, not JSON's null."""
    return Field(sa_type=JSON(none_as_null=True), **options)  # type: ignore[call-overload]


class Conversation(SQLModel, table=True):
    """One conversation, on the page or in a study."""

    __tablename__ = "conversation"
    __table_args__ = (_one_of("origin", Origin), _one_of("history_policy", HistoryPolicy))

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    created_at: datetime = Field(default_factory=utc_now)
    app_version: str = Field(sa_type=String(64))
    origin: Origin = Field(sa_type=_enum(Origin))
    history_policy: HistoryPolicy = Field(sa_type=_enum(HistoryPolicy))


class Turn(SQLModel, table=True):
    """One message of the seeker. An edited message is a new revision; the old one stays.

    Only `chosen_generation_id` may change afterwards: triggers refuse the rest.
    """

    __tablename__ = "turn"
    __table_args__ = (
        UniqueConstraint("conversation_id", "position", "revision"),
        _one_of("history_policy", HistoryPolicy),
        _at_least("position", 0),
        _at_least("revision", 0),
        # Only an edited message supersedes another one.
        _check("edited", "(revision = 0) = (supersedes IS NULL)"),
        _check("not_empty", "length(seeker_text) > 0"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    conversation_id: str = Field(foreign_key="conversation.id", sa_type=ID)
    position: int
    revision: int = 0
    seeker_text: str = _text()
    history_policy: HistoryPolicy = Field(sa_type=_enum(HistoryPolicy))
    supersedes: str | None = Field(default=None, foreign_key="turn.id", sa_type=ID)
    chosen_generation_id: str | None = Field(
        default=None,
        sa_column=Column(
            "chosen_generation_id",
            ID,
            # The two tables refer to each other; one key has to be added afterwards.
            ForeignKey("generation.id", use_alter=True, name="fk_turn_chosen_generation_id"),
            nullable=True,
        ),
    )
    created_at: datetime = Field(default_factory=utc_now)


class Generation(SQLModel, table=True):
    """One reply, finished, stopped or failed, with everything needed to write it again.

    `raw_turns` is the history as it was said, `messages` exactly what was sent, and
    `prompt_parts` the texts of the prompt before the profile was filled in. A generation that
    ended before its prompt was known has NULL for what was never known. Append-only, so that
    a rating never ends up attached to other words.
    """

    __tablename__ = "generation"
    __table_args__ = (
        UniqueConstraint("turn_id", "pane", "attempt"),
        _one_of("status", GenerationStatus),
        _one_of("context_kind", ContextKind),
        _one_of("scope", Scope),
        _one_of("history_policy", HistoryPolicy),
        _one_of("finish_reason", FinishReason),
        _check("pane", "pane BETWEEN 0 AND 3"),
        _at_least("attempt", 0),
        _at_least("last_k", 1),
        _check("temperature", "temperature BETWEEN 0 AND 2"),
        _check("top_p", "top_p > 0 AND top_p <= 1"),
        _check("top_k", "top_k BETWEEN 0 AND 1000"),
        _check("max_new_tokens", "max_new_tokens BETWEEN 1 AND 1024"),
        _at_least("seed", 0),
        *(
            _at_least(column, 0)
            for column in (
                "new_tokens",
                "prompt_tokens",
                "prompt_tokens_raw",
                "dropped_turns",
                '"window"',
                "queued_s",
                "prefill_s",
                "decode_s",
                "seconds",
            )
        ),
        _check("error", "(status = 'failed') = (error IS NOT NULL)"),
        _check("done_has_end", "status <> 'done' OR finish_reason IS NOT NULL"),
        _check("done_has_prompt", "status <> 'done' OR messages IS NOT NULL"),
        # What is known of the prompt and of the ending is known as a whole or not at all.
        *(
            _check(f"{column.strip(chr(34))}_known", f"({column} IS NULL) = ({whole} IS NULL)")
            for whole, columns in (
                (
                    "messages",
                    (
                        "model_revision",
                        "template_hash",
                        "prompt_tokens",
                        "prompt_tokens_raw",
                        "dropped_turns",
                        '"window"',
                    ),
                ),
                ("finish_reason", ("new_tokens", "queued_s", "prefill_s", "decode_s")),
            )
            for column in columns
        ),
    )

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    conversation_id: str = Field(foreign_key="conversation.id", sa_type=ID, index=True)
    turn_id: str = Field(foreign_key="turn.id", sa_type=ID)
    pane: int
    attempt: int
    status: GenerationStatus = Field(sa_type=_enum(GenerationStatus))
    model_id: str = Field(sa_type=String(128))
    model_revision: str | None = Field(default=None, sa_type=String(128))
    template_hash: str | None = Field(default=None, sa_type=String(128))
    prompt_hash: str = Field(sa_type=String(64))
    prompt_parts: dict[str, str] = _json(nullable=False)
    messages: list[dict[str, str]] | None = _json(default=None, nullable=True)
    raw_turns: list[dict[str, str]] = _json(nullable=False)
    profile: dict[str, str] = _json(nullable=False)
    context_kind: ContextKind = Field(sa_type=_enum(ContextKind))
    keep_negation: bool
    scope: Scope = Field(sa_type=_enum(Scope))
    last_k: int | None = None
    history_policy: HistoryPolicy = Field(sa_type=_enum(HistoryPolicy))
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    seed: int = Field(sa_type=BigInteger)
    reply: str = _text()
    finish_reason: FinishReason | None = Field(default=None, sa_type=_enum(FinishReason))
    error: str | None = _text(default=None)
    new_tokens: int | None = None
    prompt_tokens: int | None = None
    prompt_tokens_raw: int | None = None
    dropped_turns: int | None = None
    window: int | None = None
    queued_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    seconds: float
    created_at: datetime = Field(default_factory=utc_now)


class RatingSubmission(SQLModel, table=True):
    """One rater's answers about one generation. Append-only; a later one may supersede it."""

    __tablename__ = "rating_submission"
    __table_args__ = (
        _one_of("rater_kind", RaterKind),
        _check("rater_id", RATER_SQL),
        _check("comment", "length(comment) <= 2000"),
        _check("not_itself", "supersedes <> id"),
        _first_only("uq_rating_submission_first", "generation_id", "rater_kind", "rater_id"),
        *_same_rater("rating_submission", "generation_id"),
    )

    id: str = Field(primary_key=True, sa_type=ID)
    generation_id: str = Field(foreign_key="generation.id", sa_type=ID, index=True)
    rater_id: str = Field(sa_type=String(64))
    rater_kind: RaterKind = Field(sa_type=_enum(RaterKind))
    comment: str = _text()
    scales_version: int
    supersedes: str | None = Field(default=None, unique=True, sa_type=ID)
    created_at: datetime = Field(default_factory=utc_now)


class Rating(SQLModel, table=True):
    """The answer on one dimension."""

    __tablename__ = "rating"
    __table_args__ = (
        UniqueConstraint("submission_id", "dimension"),
        _one_of("dimension", Dimension),
        # IN rather than BETWEEN, because SQLite would take 4.5 for an integer column.
        _check(
            "score",
            "(status = 'scored' AND score IS NOT NULL AND score IN (0, 1, 2, 3, 4, 5))"
            " OR (status = 'cannot_judge' AND score IS NULL)",
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    submission_id: str = Field(foreign_key="rating_submission.id", sa_type=ID)
    dimension: Dimension = Field(sa_type=_enum(Dimension))
    status: RatingStatus = Field(sa_type=_enum(RatingStatus))
    score: int | None = None


class Preference(SQLModel, table=True):
    """Which of several replies to one message a rater prefers. Append-only."""

    __tablename__ = "preference"
    __table_args__ = (
        _one_of("rater_kind", RaterKind),
        _one_of("choice", Choice),
        _check("rater_id", RATER_SQL),
        _check("comment", "length(comment) <= 2000"),
        _check("preferred", "(choice = 'generation') = (preferred_generation_id IS NOT NULL)"),
        _check("not_itself", "supersedes <> id"),
        _first_only("uq_preference_first", "turn_id", "rater_kind", "rater_id"),
        *_same_rater("preference", "turn_id"),
    )

    id: str = Field(primary_key=True, sa_type=ID)
    turn_id: str = Field(foreign_key="turn.id", sa_type=ID, index=True)
    rater_id: str = Field(sa_type=String(64))
    rater_kind: RaterKind = Field(sa_type=_enum(RaterKind))
    choice: Choice = Field(sa_type=_enum(Choice))
    preferred_generation_id: str | None = Field(
        default=None, foreign_key="generation.id", sa_type=ID
    )
    compared: list[str] = _json(nullable=False)
    comment: str = _text()
    scales_version: int
    supersedes: str | None = Field(default=None, unique=True, sa_type=ID)
    created_at: datetime = Field(default_factory=utc_now)
