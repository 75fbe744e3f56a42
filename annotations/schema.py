"""The tables. Every rule that keeps the data honest is also a constraint of the database.

Table models do not validate what they are given: forms do, at the border (`forms.py`), and
the CHECK constraints here refuse whatever slips past them. `migrations` builds the same
tables; a test compares the two. The tables of studies are in `schema_study.py`.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import aliased
from sqlmodel import Field, SQLModel, select

import annotations.schema_judge
import annotations.schema_study  # noqa: F401  ratings refer to the tables of both
from annotations.columns import (
    ID,
    RATER_SQL,
    at_least,
    check,
    enum_type,
    first_only,
    json_field,
    new_id,
    one_of,
    same_rater,
    text_field,
    utc_now,
)
from annotations.judge.values import Control
from annotations.values import (
    Choice,
    GenerationStatus,
    Origin,
    RaterKind,
    RatingStatus,
    StudyDimension,
)
from esc_demo.contexts import ContextKind, Scope
from esc_demo.engine import HistoryPolicy
from esc_demo.models import FinishReason


class Conversation(SQLModel, table=True):
    """One conversation, on the page or in a study."""

    __tablename__ = "conversation"
    __table_args__ = (one_of("origin", Origin), one_of("history_policy", HistoryPolicy))

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    created_at: datetime = Field(default_factory=utc_now)
    app_version: str = Field(sa_type=String(64))
    origin: Origin = Field(sa_type=enum_type(Origin))
    history_policy: HistoryPolicy = Field(sa_type=enum_type(HistoryPolicy))


class Turn(SQLModel, table=True):
    """One message of the seeker. An edited message is a new revision; the old one stays.

    Only `chosen_generation_id` may change afterwards: triggers refuse the rest.
    """

    __tablename__ = "turn"
    __table_args__ = (
        UniqueConstraint("conversation_id", "position", "revision"),
        one_of("history_policy", HistoryPolicy),
        at_least("position", 0),
        at_least("revision", 0),
        # Only an edited message supersedes another one.
        check("edited", "(revision = 0) = (supersedes IS NULL)"),
        check("not_empty", "length(seeker_text) > 0"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    conversation_id: str = Field(foreign_key="conversation.id", sa_type=ID)
    position: int
    revision: int = 0
    seeker_text: str = text_field()
    history_policy: HistoryPolicy = Field(sa_type=enum_type(HistoryPolicy))
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
        one_of("status", GenerationStatus),
        one_of("context_kind", ContextKind),
        one_of("scope", Scope),
        one_of("history_policy", HistoryPolicy),
        one_of("finish_reason", FinishReason),
        check("pane", "pane BETWEEN 0 AND 3"),
        at_least("attempt", 0),
        at_least("last_k", 1),
        check("temperature", "temperature BETWEEN 0 AND 2"),
        check("top_p", "top_p > 0 AND top_p <= 1"),
        check("top_k", "top_k BETWEEN 0 AND 1000"),
        check("max_new_tokens", "max_new_tokens BETWEEN 1 AND 1024"),
        at_least("seed", 0),
        *(
            at_least(column, 0)
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
        check("error", "(status = 'failed') = (error IS NOT NULL)"),
        check("done_has_end", "status <> 'done' OR finish_reason IS NOT NULL"),
        check("done_has_prompt", "status <> 'done' OR messages IS NOT NULL"),
        # What is known of the prompt and of the ending is known as a whole or not at all.
        *(
            check(f"{column.strip(chr(34))}_known", f"({column} IS NULL) = ({whole} IS NULL)")
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
    status: GenerationStatus = Field(sa_type=enum_type(GenerationStatus))
    model_id: str = Field(sa_type=String(128))
    model_revision: str | None = Field(default=None, sa_type=String(128))
    template_hash: str | None = Field(default=None, sa_type=String(128))
    prompt_hash: str = Field(sa_type=String(64))
    prompt_parts: dict[str, str] = json_field(nullable=False)
    messages: list[dict[str, str]] | None = json_field(default=None, nullable=True)
    raw_turns: list[dict[str, str]] = json_field(nullable=False)
    profile: dict[str, str] = json_field(nullable=False)
    context_kind: ContextKind = Field(sa_type=enum_type(ContextKind))
    keep_negation: bool
    scope: Scope = Field(sa_type=enum_type(Scope))
    last_k: int | None = None
    history_policy: HistoryPolicy = Field(sa_type=enum_type(HistoryPolicy))
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    seed: int = Field(sa_type=BigInteger)
    reply: str = text_field()
    finish_reason: FinishReason | None = Field(default=None, sa_type=enum_type(FinishReason))
    error: str | None = text_field(default=None)
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


ONE_PLACE_SQL = (
    "CASE WHEN {page} IS NULL THEN 0 ELSE 1 END"
    " + CASE WHEN assignment_id IS NULL THEN 0 ELSE 1 END"
    " + CASE WHEN judge_call_id IS NULL THEN 0 ELSE 1 END = 1"
)
"""An answer was given on the page, on a participant's screen, or by a judge in one of its calls."""

OF_JUDGE_SQL = "judge_call_id IS NULL OR (rater_kind = 'judge' AND supersedes IS NULL)"


class RatingSubmission(SQLModel, table=True):
    """One rater's answers about one reply. Append-only; a later one may supersede it.

    The reply is a generation of the page, or a reply of a study within one assignment or judged
    by a model; a `control` was planted for judges and is nobody's reply.
    """

    __tablename__ = "rating_submission"
    __table_args__ = (
        one_of("rater_kind", RaterKind),
        check("rater_id", RATER_SQL),
        check("comment", "length(comment) <= 2000"),
        check("not_itself", "supersedes <> id"),
        check("one_place", ONE_PLACE_SQL.format(page="generation_id")),
        check("on_page", "generation_id IS NULL OR reply_id IS NULL"),
        check("in_study", "assignment_id IS NULL OR reply_id IS NOT NULL"),
        check("of_judge", OF_JUDGE_SQL),
        one_of("control", Control),
        check(
            "planted",
            "(judge_call_id IS NOT NULL AND reply_id IS NULL) = (control IS NOT NULL)",
        ),
        first_only("uq_rating_submission_first", "generation_id", "rater_kind", "rater_id"),
        first_only(
            "uq_rating_submission_study_first",
            *("assignment_id", "reply_id", "rater_kind", "rater_id"),
        ),
        *same_rater("rating_submission", "generation_id"),
        *same_rater("rating_submission", "assignment_id", "reply_id", study=True),
    )

    id: str = Field(primary_key=True, sa_type=ID)
    generation_id: str | None = Field(
        default=None, foreign_key="generation.id", sa_type=ID, index=True
    )
    assignment_id: str | None = Field(
        default=None, foreign_key="study_assignment.id", sa_type=ID, index=True
    )
    judge_call_id: str | None = Field(
        default=None, foreign_key="judge_call.id", sa_type=ID, unique=True
    )
    reply_id: str | None = Field(default=None, foreign_key="study_reply.id", sa_type=ID, index=True)
    control: Control | None = Field(default=None, sa_type=enum_type(Control))
    rater_id: str = Field(sa_type=String(64))
    rater_kind: RaterKind = Field(sa_type=enum_type(RaterKind))
    comment: str = text_field()
    scales_version: int
    supersedes: str | None = Field(default=None, unique=True, sa_type=ID)
    created_at: datetime = Field(default_factory=utc_now)


class Rating(SQLModel, table=True):
    """The answer on one dimension."""

    __tablename__ = "rating"
    __table_args__ = (
        UniqueConstraint("submission_id", "dimension"),
        one_of("dimension", StudyDimension),
        # IN rather than BETWEEN, because SQLite would take 4.5 for an integer column.
        check(
            "score",
            "(status = 'scored' AND score IS NOT NULL AND score IN (0, 1, 2, 3, 4, 5))"
            " OR (status = 'cannot_judge' AND score IS NULL)",
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    submission_id: str = Field(foreign_key="rating_submission.id", sa_type=ID)
    dimension: StudyDimension = Field(sa_type=enum_type(StudyDimension))
    status: RatingStatus = Field(sa_type=enum_type(RatingStatus))
    score: int | None = None


class Preference(SQLModel, table=True):
    """Which of several replies to one message a rater prefers. Append-only.

    In a study `compared` and `preferred_reply_id` are ids of study replies, in the shown order.
    A judge may be shown planted controls, too (`control:gold` among those compared), and may be
    asked for one `aspect` after another; the empty one is the reply as a whole.
    """

    __tablename__ = "preference"
    __table_args__ = (
        one_of("rater_kind", RaterKind),
        one_of("choice", Choice),
        check("rater_id", RATER_SQL),
        check("comment", "length(comment) <= 2000"),
        check("not_itself", "supersedes <> id"),
        check("one_place", ONE_PLACE_SQL.format(page="turn_id")),
        check("of_judge", OF_JUDGE_SQL),
        check(
            "judges_only",
            "judge_call_id IS NOT NULL OR (aspect = '' AND preferred_control IS NULL)",
        ),
        one_of("preferred_control", Control),
        UniqueConstraint("judge_call_id", "aspect"),
        check(
            "preferred",
            "(choice = 'generation' AND turn_id IS NOT NULL)"
            " = (preferred_generation_id IS NOT NULL)",
        ),
        check(
            "preferred_reply",
            "(choice = 'generation' AND turn_id IS NULL)"
            " = (preferred_reply_id IS NOT NULL OR preferred_control IS NOT NULL)",
        ),
        check("one_preferred", "preferred_reply_id IS NULL OR preferred_control IS NULL"),
        first_only("uq_preference_first", "turn_id", "rater_kind", "rater_id"),
        first_only("uq_preference_study_first", "assignment_id", "rater_kind", "rater_id"),
        *same_rater("preference", "turn_id"),
        *same_rater("preference", "assignment_id", study=True),
    )

    id: str = Field(primary_key=True, sa_type=ID)
    turn_id: str | None = Field(default=None, foreign_key="turn.id", sa_type=ID, index=True)
    assignment_id: str | None = Field(
        default=None, foreign_key="study_assignment.id", sa_type=ID, index=True
    )
    judge_call_id: str | None = Field(default=None, foreign_key="judge_call.id", sa_type=ID)
    aspect: str = Field(
        default="", sa_type=String(64), sa_column_kwargs={"server_default": text("''")}
    )
    rater_id: str = Field(sa_type=String(64))
    rater_kind: RaterKind = Field(sa_type=enum_type(RaterKind))
    choice: Choice = Field(sa_type=enum_type(Choice))
    preferred_generation_id: str | None = Field(
        default=None, foreign_key="generation.id", sa_type=ID
    )
    preferred_reply_id: str | None = Field(default=None, foreign_key="study_reply.id", sa_type=ID)
    preferred_control: Control | None = Field(default=None, sa_type=enum_type(Control))
    compared: list[str] = json_field(nullable=False)
    comment: str = text_field()
    scales_version: int
    supersedes: str | None = Field(default=None, unique=True, sa_type=ID)
    created_at: datetime = Field(default_factory=utc_now)


def unsuperseded(table: type[RatingSubmission] | type[Preference]) -> ColumnElement[bool]:
    """The condition that no later row supersedes a row of `table`."""
    later = aliased(table)
    return ~select(later.id).where(later.supersedes == table.id).exists()
