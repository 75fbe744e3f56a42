"""The tables of studies: what is judged, by whom, and what was given to whom.

The answers themselves lie in the rating tables (`schema.py`), where those of the page and of
judges lie too. What a study asks is frozen once it has opened: triggers refuse changes to
`study`, `study_item`, `study_reply` and `study_task` from then on.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from annotations.columns import (
    ID,
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
from annotations.values import AssignmentKind, AssignmentStatus, StudyMode, StudyStatus

HASH = String(64)
KEY = String(200)
"""Names given by the owner of a study."""

WRITTEN_KINDS = (AssignmentKind.MAIN, AssignmentKind.GOLD, AssignmentKind.PRACTICE)
REPLY_KINDS = ("written", "chat", "seeker")
ENDINGS = ("done", "capped", "full")
WITHDRAWALS = ("delete", "anonymise")


def _id() -> Any:
    return Field(default_factory=new_id, primary_key=True, sa_type=ID)


def _ref(table: str, **options: Any) -> Any:
    return Field(foreign_key=f"{table}.id", sa_type=ID, **options)


class Study(SQLModel, table=True):
    """A study: its definition as it was read, and where it stands."""

    __tablename__ = "study"
    __table_args__ = (
        one_of("mode", StudyMode),
        one_of("status", StudyStatus),
        at_least("version", 1),
        check("opened", "status = 'draft' OR opened_at IS NOT NULL"),
        check("closed", "(status = 'closed') = (closed_at IS NOT NULL)"),
    )

    id: str = _id()
    slug: str = Field(sa_type=String(64), unique=True)
    title: str = text_field()
    mode: StudyMode = Field(sa_type=enum_type(StudyMode))
    status: StudyStatus = Field(sa_type=enum_type(StudyStatus))
    version: int
    seed: int = Field(sa_type=BigInteger)
    content_hash: str = Field(sa_type=HASH)
    definition: dict[str, Any] = json_field(nullable=False)
    canonical: str = text_field()
    scales_version: int
    completion_key: str = Field(sa_type=HASH)
    created_at: datetime = Field(default_factory=utc_now)
    opened_at: datetime | None = None
    closed_at: datetime | None = None


class StudyItem(SQLModel, table=True):
    """A conversation to be judged; in live mode only what the chat may be about.

    `reference` is what the supporter of the data said here; participants never see it. `crisis`
    is whether whoever made the items marked it as about a crisis; NULL where nobody said.
    """

    __tablename__ = "study_item"
    __table_args__ = (
        UniqueConstraint("study_id", "kind", "key"),
        one_of("kind", WRITTEN_KINDS),
        at_least("position", 0),
    )

    id: str = _id()
    study_id: str = _ref("study")
    kind: AssignmentKind = Field(sa_type=enum_type(AssignmentKind))
    key: str = Field(sa_type=KEY)
    position: int
    stratum: str = Field(sa_type=KEY)
    situation: str = text_field()
    reference: str | None = text_field(default=None)
    crisis: bool | None = None
    history: list[dict[str, str]] = json_field(nullable=False)
    source: dict[str, str] = json_field(nullable=False)


class StudyReply(SQLModel, table=True):
    """What is rated: a written reply of an arm, or one side of a chat (its text is the chat).

    `seeker` stands for the participant's own part in a chat, to which the questions asked once
    belong; it has no arm.
    """

    __tablename__ = "study_reply"
    __table_args__ = (
        UniqueConstraint("assignment_id", "arm"),
        only_one("uq_study_reply_written", "item_id", "arm", where="assignment_id IS NULL"),
        one_of("kind", REPLY_KINDS),
        check("written", "(kind = 'written') = (assignment_id IS NULL)"),
        check("arm", "(kind = 'seeker') = (arm = '')"),
    )

    id: str = _id()
    item_id: str = _ref("study_item")
    assignment_id: str | None = _ref("study_assignment", default=None)
    kind: str = Field(sa_type=String(16))
    arm: str = Field(sa_type=String(64))
    text: str = text_field()
    created_at: datetime = Field(default_factory=utc_now)


class StudyTask(SQLModel, table=True):
    """What `needed` participants answer: an item with two arms, or with one."""

    __tablename__ = "study_task"
    __table_args__ = (
        UniqueConstraint("study_id", "kind", "key"),
        one_of("kind", WRITTEN_KINDS),
        at_least("position", 0),
        check("needed", "(kind = 'main' AND needed >= 1) OR (kind <> 'main' AND needed = 0)"),
        check("arms", "arm_b IS NULL OR arm_a <> arm_b"),
    )

    id: str = _id()
    study_id: str = _ref("study")
    item_id: str = _ref("study_item")
    kind: AssignmentKind = Field(sa_type=enum_type(AssignmentKind))
    key: str = Field(sa_type=KEY)
    position: int
    arm_a: str = Field(sa_type=String(64))
    arm_b: str | None = Field(default=None, sa_type=String(64))
    stratum: str = Field(sa_type=KEY)
    needed: int


class StudyParticipant(SQLModel, table=True):
    """Somebody who takes part, known by a number. What could name them is kept as a hash only."""

    __tablename__ = "study_participant"
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        UniqueConstraint("study_id", "external_hash"),
        at_least("number", 1),
        at_least("rested_after", 0),
        one_of("ended_as", ENDINGS),
        one_of("withdrawal", WITHDRAWALS),
        check("consent", "(consent_version IS NULL) = (consented_at IS NULL)"),
        check("ended", "(ended_as IS NULL) = (ended_at IS NULL)"),
        check("withdrawn", "(withdrawal IS NULL) = (withdrawn_at IS NULL)"),
    )

    id: str = _id()
    study_id: str = _ref("study")
    number: int
    key_hash: str = Field(sa_type=HASH, unique=True)
    external_hash: str | None = Field(default=None, sa_type=HASH)
    consent_version: int | None = None
    consented_at: datetime | None = None
    practised_at: datetime | None = None
    rested_after: int = 0
    ended_as: str | None = Field(default=None, sa_type=String(16))
    ended_at: datetime | None = None
    withdrawal: str | None = Field(default=None, sa_type=String(16))
    withdrawn_at: datetime | None = None
    created_at: datetime = Field(default_factory=utc_now)
    seen_at: datetime = Field(default_factory=utc_now)


class StudyInvitation(SQLModel, table=True):
    """One code of the owner's list; used by at most one participant."""

    __tablename__ = "study_invitation"
    __table_args__ = (UniqueConstraint("study_id", "code_hash"),)

    id: str = _id()
    study_id: str = _ref("study")
    code_hash: str = Field(sa_type=HASH)
    participant_id: str | None = _ref("study_participant", default=None, unique=True)
    created_at: datetime = Field(default_factory=utc_now)


class StudyAssignment(SQLModel, table=True):
    """One task given to one participant, with the sides on which its replies are shown.

    `number` counts everything a participant was given, `place` the main items of a session from
    1 (one whose lease ran out is given out again). Whether a lease still holds follows from
    `lease_expires_at` and the server's clock; nothing has to run for it to end.
    """

    __tablename__ = "study_assignment"
    __table_args__ = (
        UniqueConstraint("participant_id", "number"),
        only_one("uq_study_assignment_open", "participant_id", where="status = 'open'"),
        only_one("uq_study_assignment_main", "participant_id", "task_id", where="kind = 'main'"),
        one_of("kind", AssignmentKind),
        one_of("status", AssignmentStatus),
        at_least("number", 1),
        check("sides", "second_arm IS NULL OR first_arm <> second_arm"),
        check(
            "answered",
            "(status IN ('submitted', 'surplus') AND submitted_at IS NOT NULL)"
            " OR (status NOT IN ('submitted', 'surplus') AND submitted_at IS NULL)",
        ),
        check("chats", "(first_chat_id IS NULL) = (second_chat_id IS NULL)"),
    )

    id: str = _id()
    study_id: str = _ref("study", index=True)
    participant_id: str = _ref("study_participant")
    task_id: str = _ref("study_task", index=True)
    kind: AssignmentKind = Field(sa_type=enum_type(AssignmentKind))
    status: AssignmentStatus = Field(sa_type=enum_type(AssignmentStatus))
    number: int
    place: int | None = None
    first_arm: str = Field(sa_type=String(64))
    second_arm: str | None = Field(default=None, sa_type=String(64))
    leased_at: datetime
    lease_expires_at: datetime
    submitted_at: datetime | None = None
    draft: dict[str, Any] | None = json_field(default=None, nullable=True)
    skip_reason: str = text_field(default="")
    passed: bool | None = None
    first_chat_id: str | None = _ref("conversation", default=None)
    second_chat_id: str | None = _ref("conversation", default=None)
    chat_ended_at: datetime | None = None


class StudySubmission(SQLModel, table=True):
    """One time that a screen was sent: the first answer (number 0), then corrections.

    The nonce makes a repeated sending harmless. Durations are between this server's serving
    and receiving; `client_ms` is what the page counted, stored and never relied upon.
    """

    __tablename__ = "study_submission"
    __table_args__ = (
        UniqueConstraint("assignment_id", "nonce"),
        UniqueConstraint("assignment_id", "number"),
        at_least("number", 0),
        at_least("seconds", 0),
        at_least("client_ms", 0),
        one_of("status", (AssignmentStatus.SUBMITTED, AssignmentStatus.SURPLUS)),
        check("comment", "length(comment) <= 2000"),
    )

    id: str = _id()
    assignment_id: str = _ref("study_assignment")
    nonce: str = Field(sa_type=ID)
    number: int
    status: AssignmentStatus = Field(sa_type=enum_type(AssignmentStatus))
    seconds: float
    client_ms: int | None = Field(default=None, sa_type=BigInteger)
    comment: str = text_field()
    reason: str = text_field()
    created_at: datetime = Field(default_factory=utc_now)


class StudyProblem(SQLModel, table=True):
    """What a participant reported."""

    __tablename__ = "study_problem"

    id: str = _id()
    study_id: str = _ref("study", index=True)
    participant_id: str = _ref("study_participant")
    assignment_id: str | None = _ref("study_assignment", default=None)
    text: str = text_field()
    created_at: datetime = Field(default_factory=utc_now)


class StudyWithdrawal(SQLModel, table=True):
    """That somebody took their answers back; the receipt is kept as a hash."""

    __tablename__ = "study_withdrawal"
    __table_args__ = (one_of("how", WITHDRAWALS), at_least("answers", 0))

    id: str = _id()
    study_id: str = _ref("study", index=True)
    participant_id: str = _ref("study_participant", unique=True)
    how: str = Field(sa_type=String(16))
    answers: int
    code_hash: str = Field(sa_type=HASH)
    created_at: datetime = Field(default_factory=utc_now)


class StudyPurge(SQLModel, table=True):
    """That a study's retention was carried out: when, and how many rows of each table went."""

    __tablename__ = "study_purge"
    __table_args__ = (at_least("participants", 0),)

    id: str = _id()
    study_id: str = _ref("study", unique=True)
    participants: int
    removed: dict[str, int] = json_field(nullable=False)
    created_at: datetime = Field(default_factory=utc_now)
