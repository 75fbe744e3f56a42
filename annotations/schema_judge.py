"""The tables of judges: with what a model was asked to rate a study, and every call of it.

Its answers lie in the rating tables (`schema.py`), each beside the call it was read from. Calls
are append-only. What was said in a chat of somebody who has withdrawn is the one thing that goes.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlmodel import Field, SQLModel

from annotations.columns import (
    ID,
    RATER_SQL,
    at_least,
    check,
    enum_type,
    json_field,
    new_id,
    one_of,
    only_one,
    text_field,
    utc_now,
)
from annotations.schema_study import HASH
from annotations.values import JudgeStatus

PLACE = String(200)
"""What was asked, within a run."""

ANSWER_SQL = "status <> 'api_error'"
"""An endpoint that failed has not answered; every other ending is an answer to be kept."""


class JudgeRun(SQLModel, table=True):
    """One judge over one study: a protocol, a model and how it is asked.

    The same settings are the same run, however often it is begun. `rater_id` is the judge's name
    among the raters of its study.
    """

    __tablename__ = "judge_run"
    __table_args__ = (
        UniqueConstraint("study_id", "spec_hash"),
        UniqueConstraint("study_id", "rater_id"),
        check("rater_id", RATER_SQL),
        at_least("samples", 1),
    )

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    study_id: str = Field(foreign_key="study.id", sa_type=ID)
    rater_id: str = Field(sa_type=String(64))
    protocol: str = Field(sa_type=String(64))
    protocol_version: int
    protocol_hash: str = Field(sa_type=HASH)
    dimensions: list[str] = json_field(nullable=False)
    aspects: list[str] = json_field(nullable=False)
    model: str = text_field()
    endpoint: str = text_field()
    asking: dict[str, Any] = json_field(nullable=False)
    samples: int
    with_reference: bool
    controls: list[str] = json_field(nullable=False)
    spec_hash: str = Field(sa_type=HASH)
    created_at: datetime = Field(default_factory=utc_now)
    finished_at: datetime | None = None


class JudgeCall(SQLModel, table=True):
    """One question and how it ended: the exact prompt, the raw reply, what it used.

    `attempt` counts the times that a place was asked, from 0; only the last may be an answer.
    `candidates` is in the shown order: `{"reply": id}` or `{"control": word}`. `assignment_id`
    names the chat that was judged, for those who take back what they said in it. `verdict` is
    what was read from `raw`. A `cached` call was answered by an earlier one and cost nothing.
    """

    __tablename__ = "judge_call"
    __table_args__ = (
        UniqueConstraint("run_id", "place", "attempt"),
        only_one("uq_judge_call_answer", "run_id", "place", where=ANSWER_SQL),
        one_of("status", JudgeStatus),
        *(at_least(name, 0) for name in ("sample", "attempt", "cost", "requests", "seconds")),
        *(at_least(name, 0) for name in ("prompt_tokens", "completion_tokens")),
        check("verdict", "(status = 'ok') = (verdict IS NOT NULL)"),
        check("cached", "NOT cached OR (status <> 'api_error' AND cost = 0 AND requests = 0)"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, sa_type=ID)
    run_id: str = Field(foreign_key="judge_run.id", sa_type=ID)
    task_id: str = Field(foreign_key="study_task.id", sa_type=ID)
    assignment_id: str | None = Field(
        default=None, foreign_key="study_assignment.id", sa_type=ID, index=True
    )
    place: str = Field(sa_type=PLACE)
    sample: int
    attempt: int
    key: str = Field(sa_type=HASH, index=True)
    candidates: list[dict[str, str]] = json_field(nullable=False)
    status: JudgeStatus = Field(sa_type=enum_type(JudgeStatus))
    messages: list[dict[str, str]] = json_field(nullable=False)
    raw: str = text_field()
    verdict: dict[str, Any] | None = json_field(default=None, nullable=True)
    error: str = text_field()
    cached: bool
    prompt_tokens: int
    completion_tokens: int
    cost: float
    requests: int
    seconds: float
    created_at: datetime = Field(default_factory=utc_now)


class JudgeClaim(SQLModel, table=True):
    """A question whose request is about to go out or under way: whose it is, and since when.

    One row a key, so that equal questions of two runs are asked once. The row goes in the
    transaction that stores the answer. What a killed process leaves may have been charged:
    `cost` and the tokens are the most it can have come to. There is no text in it.
    """

    __tablename__ = "judge_claim"
    __table_args__ = tuple(
        at_least(name, 0) for name in ("sample", "prompt_tokens", "completion_tokens", "cost")
    )

    key: str = Field(primary_key=True, sa_type=HASH)
    run_id: str = Field(foreign_key="judge_run.id", sa_type=ID, index=True)
    task_id: str = Field(foreign_key="study_task.id", sa_type=ID)
    place: str = Field(sa_type=PLACE)
    sample: int
    candidates: list[dict[str, str]] = json_field(nullable=False)
    prompt_tokens: int
    completion_tokens: int
    cost: float
    claimed_at: datetime = Field(default_factory=utc_now)
