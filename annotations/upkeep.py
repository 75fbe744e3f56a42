"""Whether what is stored holds together: rules that a database can be asked about at any time.

Most of them are constraints, too; here they are asked once more, because a damaged file, a
restored copy or another program's writing can break what constraints promised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Engine, ForeignKeyConstraint, and_, case, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col, select

from annotations.columns import utc_now
from annotations.database import explained, sqlite_name
from annotations.importing import IMPORTED
from annotations.schema import Preference, Rating, RatingSubmission
from annotations.schema_judge import JudgeCall, JudgeRun
from annotations.schema_study import (
    Study,
    StudyAssignment,
    StudyItem,
    StudyParticipant,
    StudySubmission,
    StudyTask,
)
from annotations.studies.standing import ANSWERED
from annotations.values import AssignmentKind, AssignmentStatus, JudgeStatus

SLACK = timedelta(minutes=1)
"""Clocks of two servers may differ by so much."""


@dataclass(frozen=True)
class Finding:
    """Something that does not hold together."""

    rule: str
    where: str
    text: str

    def __str__(self) -> str:
        """`over-collection: first-study: task item-1 base lora has 4 answers, 3 are needed`."""
        return f"{self.rule}: {self.where}: {self.text}"


def check_database(engine: Engine, now: datetime | None = None) -> tuple[Finding, ...]:
    """All that is wrong; nothing is changed. One consistent state of the database is looked at.

    Raises:
        StorageError: the database cannot be read at all.
    """
    reader = engine
    if engine.dialect.name == "postgresql":
        reader = engine.execution_options(isolation_level="REPEATABLE READ")
    moment = now or utc_now()
    with explained(engine.url), reader.connect() as connection:
        try:
            return tuple(one for rule in _RULES for one in rule(connection, moment))
        except Exception as error:
            if sqlite_name(error) != "SQLITE_CORRUPT":
                raise
            return (Finding("damaged", "database", str(getattr(error, "orig", error))),)


def _pages(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """SQLite's own look at its file."""
    if connection.dialect.name == "sqlite":
        for (said,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if said != "ok":
                yield Finding("damaged", "database", said)


def _references(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """Every reference leads to a row."""
    for table in SQLModel.metadata.tables.values():
        for key in sorted(table.foreign_key_constraints, key=lambda one: str(one.name)):
            target = key.referred_table.alias("target")
            pairs = [(e.parent, target.c[e.column.name]) for e in key.elements]
            there = select(*target.primary_key).where(and_(*(a == b for a, b in pairs)))
            lost = select(func.count()).select_from(table)
            lost = lost.where(*(column.is_not(None) for column, _ in pairs), ~there.exists())
            if number := connection.execute(lost).scalar_one():
                yield Finding("lost reference", table.name, _lost_text(key, number))


def _lost_text(key: ForeignKeyConstraint, number: int) -> str:
    columns: list[Column[object]] = list(key.columns)
    named = ", ".join(column.name for column in columns)
    return f"{number} rows refer by {named} to a row of {key.referred_table.name} that is not there"


def _over_collected(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """No task has more answers that count than it needs."""
    answers = func.count(col(StudyAssignment.id))
    query = (
        select(Study.slug, StudyTask.key, answers, StudyTask.needed)
        .join(StudyTask, col(StudyTask.study_id) == Study.id)
        .join(StudyAssignment, col(StudyAssignment.task_id) == StudyTask.id)
        .where(
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.status == AssignmentStatus.SUBMITTED,
        )
        .group_by(Study.slug, StudyTask.id, StudyTask.key, StudyTask.needed)
        .having(answers > StudyTask.needed)
    )
    for slug, key, found, needed in connection.execute(query):
        yield Finding("over-collection", slug, f"{key} has {found} answers, {needed} are needed")


def _stuck_leases(connection: Connection, now: datetime) -> Iterator[Finding]:
    """No item is held longer than the study says, or for somebody who is no longer there.

    A lease that ran out is not stuck: its place is free though its row still says open.
    """
    query = (
        select(
            Study.slug,
            Study.definition,
            StudyParticipant.number,
            StudyParticipant.withdrawn_at,
            StudyAssignment.lease_expires_at,
        )
        .join(Study, col(Study.id) == StudyAssignment.study_id)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .where(StudyAssignment.status == AssignmentStatus.OPEN)
    )
    for slug, definition, number, withdrawn, ends in connection.execute(query):
        minutes = definition["session"]["lease_minutes"]
        who = _who(number)
        if withdrawn is not None:
            yield Finding("stuck lease", slug, f"{who} has withdrawn but still holds an item")
        elif _aware(ends, now) > now + timedelta(minutes=minutes) + SLACK:
            yield Finding(
                "stuck lease",
                slug,
                f"{who} holds an item until {_aware(ends, now):%Y-%m-%d %H:%M} UTC, longer than"
                f" {minutes} minutes from now; was the clock set back?",
            )


def _who(number: int) -> str:
    return f"P{number:03}"


def _aware(moment: datetime, like: datetime) -> datetime:
    """SQLite gives times back without their zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=like.tzinfo)


def _answers(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """Whatever counts as answered has a submission and something in it, and the reverse."""
    rated = select(RatingSubmission.id).where(RatingSubmission.assignment_id == StudyAssignment.id)
    preferred = select(Preference.id).where(Preference.assignment_id == StudyAssignment.id)
    sent = select(StudySubmission.id).where(
        StudySubmission.assignment_id == StudyAssignment.id, StudySubmission.number == 0
    )
    answered = col(StudyAssignment.status).in_(ANSWERED)
    kept = or_(answered, col(StudyAssignment.status) == AssignmentStatus.WITHDRAWN)
    given = or_(rated.exists(), preferred.exists(), sent.exists())
    here = col(StudyAssignment.id).startswith(IMPORTED)  # the time of these may be unknown
    for condition, text in (
        (and_(answered, ~rated.exists(), ~preferred.exists()), "answered, but without any rating"),
        (and_(answered, ~sent.exists(), ~here), "answered, but without a submission"),
        (and_(~kept, given), "not answered, but with ratings or a submission"),
    ):
        query = (
            select(Study.slug, func.count())
            .select_from(StudyAssignment)
            .join(Study, col(Study.id) == StudyAssignment.study_id)
            .where(condition)
            .group_by(Study.slug)
        )
        for slug, number in connection.execute(query):
            yield Finding("answers", slug, f"{number} assignments are {text}")


def _empty_submissions(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """A rating submission holds at least one rating."""
    empty = ~select(Rating.id).where(Rating.submission_id == RatingSubmission.id).exists()
    query = select(func.count()).select_from(RatingSubmission).where(empty)
    if number := connection.execute(query).scalar_one():
        yield Finding("answers", "rating_submission", f"{number} submissions hold no rating")


def _withdrawn(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """Of those who withdrew with deletion nothing is left."""
    for table in (RatingSubmission, Preference, StudySubmission):
        query = (
            select(Study.slug, func.count())
            .select_from(table)
            .join(StudyAssignment, col(StudyAssignment.id) == table.assignment_id)
            .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
            .join(Study, col(Study.id) == StudyAssignment.study_id)
            .where(StudyParticipant.withdrawal == "delete")
            .group_by(Study.slug)
        )
        for slug, number in connection.execute(query):
            name = table.__tablename__
            yield Finding("withdrawal", slug, f"{number} rows of {name} should have been deleted")


def _met_twice(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """Nobody answers an item twice, planned repeats aside."""
    other, other_task = aliased(StudyAssignment), aliased(StudyTask)
    given = (*ANSWERED, AssignmentStatus.OPEN)
    query = (
        select(Study.slug, StudyParticipant.number, StudyItem.key)
        .select_from(StudyAssignment)
        .join(StudyTask, col(StudyTask.id) == StudyAssignment.task_id)
        .join(StudyItem, col(StudyItem.id) == StudyTask.item_id)
        .join(other, col(other.participant_id) == StudyAssignment.participant_id)
        .join(other_task, col(other_task.id) == other.task_id)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .join(Study, col(Study.id) == StudyAssignment.study_id)
        .where(
            StudyTask.item_id == other_task.item_id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            other.kind == AssignmentKind.MAIN,
            StudyAssignment.id < other.id,
            col(StudyAssignment.status).in_(given),
            col(other.status).in_(given),
        )
    )
    for slug, number, item in connection.execute(query):
        who = _who(number)
        yield Finding("met twice", slug, f"{who} was given {item} twice")


def _judged(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """A judge's call has answers exactly when it is ok, under its name, about what was shown."""
    ok = JudgeCall.status == JudgeStatus.OK
    rated = select(RatingSubmission.id).where(RatingSubmission.judge_call_id == JudgeCall.id)
    preferred = select(Preference.id).where(Preference.judge_call_id == JudgeCall.id)
    given = or_(rated.exists(), preferred.exists())
    others = [
        select(table.id)
        .where(table.judge_call_id == JudgeCall.id, table.rater_id != JudgeRun.rater_id)
        .exists()
        for table in (RatingSubmission, Preference)
    ]
    for condition, text in (
        (and_(ok, ~given), "are ok, but without any answer"),
        (and_(~ok, given), "failed, but have answers"),
        (or_(*others), "have answers under another judge's name"),
    ):
        query = (
            select(Study.slug, func.count())
            .select_from(JudgeCall)
            .join(JudgeRun, col(JudgeRun.id) == JudgeCall.run_id)
            .join(Study, col(Study.id) == JudgeRun.study_id)
            .where(condition)
            .group_by(Study.slug)
        )
        for slug, number in connection.execute(query):
            yield Finding("judge", slug, f"{number} calls {text}")
    for slug, number in _misplaced(connection).items():
        yield Finding("judge", slug, f"{number} answers are not about what their call showed")


def _misplaced(connection: Connection) -> Counter[str]:
    """By study: answers that name replies other than those their call showed."""
    calls = (
        select(Study.slug, JudgeCall.candidates, RatingSubmission.reply_id, Preference.compared)
        .select_from(JudgeCall)
        .join(JudgeRun, col(JudgeRun.id) == JudgeCall.run_id)
        .join(Study, col(Study.id) == JudgeRun.study_id)
        .outerjoin(RatingSubmission, col(RatingSubmission.judge_call_id) == JudgeCall.id)
        .outerjoin(Preference, col(Preference.judge_call_id) == JudgeCall.id)
        .where(JudgeCall.status == JudgeStatus.OK)
    )
    wrong: Counter[str] = Counter()
    for slug, candidates, reply, compared in connection.execute(calls):
        shown = [one.get("reply") or f"control:{one.get('control')}" for one in candidates]
        named = compared if compared is not None else [reply or shown[0]]
        wrong[slug] += named != shown
    return +wrong


def _asked_again(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """Attempts are counted without a gap, and only the last of a place can be an answer."""
    answers = func.sum(case((JudgeCall.status == JudgeStatus.API_ERROR, 0), else_=1))
    attempts, last = func.count(col(JudgeCall.id)), func.max(JudgeCall.attempt)
    places = (
        select(JudgeCall.run_id)
        .group_by(JudgeCall.run_id, JudgeCall.place)
        .having(or_(attempts != last + 1, answers > 1))
        .subquery()
    )
    query = (
        select(Study.slug, func.count())
        .select_from(places)
        .join(JudgeRun, col(JudgeRun.id) == places.c.run_id)
        .join(Study, col(Study.id) == JudgeRun.study_id)
        .group_by(Study.slug)
    )
    for slug, number in connection.execute(query):
        yield Finding("judge", slug, f"{number} places have lost a call or have two answers")


def _judged_chats(connection: Connection, _now: datetime) -> Iterator[Finding]:
    """No prompt holds what was said by somebody who has withdrawn."""
    query = (
        select(Study.slug, func.count())
        .select_from(JudgeCall)
        .join(StudyAssignment, col(StudyAssignment.id) == JudgeCall.assignment_id)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .join(Study, col(Study.id) == StudyAssignment.study_id)
        .where(col(StudyParticipant.withdrawn_at).is_not(None))
        .group_by(Study.slug)
    )
    for slug, number in connection.execute(query):
        yield Finding("withdrawal", slug, f"{number} rows of judge_call should have been deleted")


_RULES: tuple[Callable[[Connection, datetime], Iterator[Finding]], ...] = (
    *(_pages, _references, _over_collected, _stuck_leases),
    *(_answers, _empty_submissions, _withdrawn, _met_twice),
    *(_judged, _asked_again, _judged_chats),
)
