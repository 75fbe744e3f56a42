"""How far participants are: everything they were given, read once in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Row, and_, bindparam, case
from sqlmodel import Session, col, select

from annotations.schema_study import StudyAssignment, StudyParticipant, StudySubmission
from annotations.values import AssignmentKind, AssignmentStatus

ANSWERED = (AssignmentStatus.SUBMITTED, AssignmentStatus.SURPLUS)
BEHIND = (*ANSWERED, AssignmentStatus.SKIPPED)
"""What counts as a screen that is behind a participant."""


@dataclass(frozen=True)
class Given:
    """One screen that a participant was given. `seconds` to the answer or the skip; None before."""

    id: str
    task_id: str
    kind: AssignmentKind
    status: AssignmentStatus
    number: int
    first_arm: str
    second_arm: str | None
    passed: bool | None
    seconds: float | None

    @property
    def is_behind(self) -> bool:
        """Whether it is a screen of the session that was answered or skipped."""
        return self.kind is not AssignmentKind.PRACTICE and self.status in BEHIND


@dataclass(frozen=True)
class Standing:
    """All that a participant was given, in order, as it was when it was read."""

    given: tuple[Given, ...]

    @cached_property
    def open(self) -> Given | None:
        """What has neither been answered nor given back."""
        return next((one for one in self.given if one.status is AssignmentStatus.OPEN), None)

    @cached_property
    def behind(self) -> int:
        """Screens of the session that are behind the participant."""
        return sum(one.is_behind for one in self.given)

    def behind_of(self, kind: AssignmentKind) -> int:
        """How many of one kind are behind the participant."""
        return sum(one.is_behind for one in self.given if one.kind is kind)

    @property
    def last_number(self) -> int:
        """The number given out last; 0 before the first."""
        return self.given[-1].number if self.given else 0

    def seconds(self, longest: float) -> float:
        """Time spent at screens, practice and skipped ones too, none counted as over `longest`.

        So a night between two screens is no time at the task.
        """
        return sum(min(one.seconds, longest) for one in self.given if one.seconds is not None)

    def before(self, number: int) -> int:
        """Screens behind that were given before that number."""
        return sum(one.is_behind for one in self.given if one.number < number)

    def answered(self, kind: AssignmentKind) -> list[Given]:
        """What was answered of one kind, in order."""
        return [one for one in self.given if one.kind is kind and one.status in ANSWERED]

    @property
    def last_answered(self) -> str | None:
        """The assignment of the session that was answered last."""
        answered = (
            one.id
            for one in reversed(self.given)
            if one.kind is not AssignmentKind.PRACTICE and one.status in ANSWERED
        )
        return next(answered, None)


_COLUMNS = (
    StudyAssignment.id,
    StudyAssignment.task_id,
    StudyAssignment.kind,
    StudyAssignment.status,
    StudyAssignment.number,
    StudyAssignment.first_arm,
    StudyAssignment.second_arm,
    StudyAssignment.passed,
    StudySubmission.seconds,
    *(
        case((col(StudyAssignment.status) == AssignmentStatus.SKIPPED, moment))
        for moment in (StudyAssignment.leased_at, StudyAssignment.lease_expires_at)
    ),
)
_FIRST = and_(
    col(StudySubmission.assignment_id) == StudyAssignment.id, col(StudySubmission.number) == 0
)
_ALL = (
    select(StudyAssignment.participant_id, *_COLUMNS)
    .outerjoin(StudySubmission, _FIRST)
    .order_by(col(StudyAssignment.participant_id), col(StudyAssignment.number))
)
# Made once: building and hashing a statement takes longer than running this one.
_OF_ONE = _ALL.where(col(StudyAssignment.participant_id) == bindparam("person"))
_OF_STUDY = _ALL.where(col(StudyAssignment.study_id) == bindparam("study"))


def standing_of(session: Session, person: StudyParticipant) -> Standing:
    """How far one participant is."""
    return _standing(session.execute(_OF_ONE, {"person": person.id}).all())


def standings_of(session: Session, study_id: str) -> dict[str, Standing]:
    """How far everybody is who was given anything, by participant."""
    rows: dict[str, list[Row]] = {}
    for row in session.execute(_OF_STUDY, {"study": study_id}):
        rows.setdefault(row[0], []).append(row)
    return {person: _standing(theirs) for person, theirs in rows.items()}


def _standing(rows: Sequence[Row]) -> Standing:
    return Standing(tuple(_given(*row[1:]) for row in rows))


def _given(*values: Any) -> Given:
    """A row as a value. What was skipped has no submission, but its lease ended with the skip."""
    *rest, seconds, given_at, skipped_at = values
    if skipped_at is not None:
        seconds = (skipped_at - given_at).total_seconds()
    return Given(*rest, seconds)
