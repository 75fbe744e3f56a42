"""What an owner looks up: problems, whom a code means, whether completion codes are real.

A code is confirmed without a pseudonym: who holds it may be known by name to whoever pays, and
the answers under a pseudonym must not be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.schema_study import (
    StudyAssignment,
    StudyInvitation,
    StudyParticipant,
    StudyProblem,
)
from annotations.studies.errors import conflict, not_found
from annotations.studies.keys import code_hash, keyed_hash
from annotations.studies.people import completion_code, pseudonym, receipt_code
from annotations.studies.standing import ANSWERED, BEHIND
from annotations.studies.stored import Opened
from annotations.studies.values import Stage, StudyStatus
from annotations.values import AssignmentKind

MOST_CODES = 1000
"""Codes looked up at once; the rest is left out."""


@dataclass(frozen=True)
class Problem:
    """What a participant reported. `screen` counts what they were given, 0 outside of an item."""

    pseudonym: str
    text: str
    screen: int
    created_at: datetime


@dataclass(frozen=True)
class Named:
    """Whose code it is, and what would go with a withdrawal (`how`: delete or anonymise)."""

    pseudonym: str
    answers: int
    how: str
    withdrawn: bool


class CodeVerdict(StrEnum):
    """What a completion code stands for."""

    FINISHED = "finished"
    EARLY = "early"
    """Sent home with thanks: no time or no item was left, or the study closed."""
    UNFINISHED = "unfinished"
    WITHDRAWN = "withdrawn"
    SHARED = "shared"
    """The study's one code for all; it tells nothing about anybody."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CodeCheck:
    """One code as it was typed. `screens` were answered; None where nobody can be meant."""

    code: str
    verdict: CodeVerdict
    screens: int | None
    times: int
    """How often it was listed."""


def problems(session: Session, study: Opened) -> tuple[Problem, ...]:
    """What was reported, the newest first."""
    rows = session.exec(
        select(StudyProblem, StudyParticipant, StudyAssignment.number)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyProblem.participant_id)
        .outerjoin(StudyAssignment, col(StudyAssignment.id) == StudyProblem.assignment_id)
        .where(StudyProblem.study_id == study.row.id)
        .order_by(col(StudyProblem.created_at).desc())
    ).all()
    return tuple(
        Problem(pseudonym(person), problem.text, number or 0, problem.created_at)
        for problem, person, number in rows
    )


def check_codes(session: Session, study: Opened, given: Sequence[str]) -> tuple[CodeCheck, ...]:
    """Look up at most `MOST_CODES` codes; case and hyphens do not matter."""
    typed = [code.strip() for code in given if code.strip()][:MOST_CODES]
    times = Counter(map(_signs, typed))
    shown = {_signs(code): code for code in reversed(typed)}
    people = session.exec(
        select(StudyParticipant).where(StudyParticipant.study_id == study.row.id)
    ).all()
    fixed = study.definition.recruitment.completion_code
    by_code = {} if fixed else {_signs(completion_code(study, one)): one for one in people}
    found = []
    for signs, count in times.items():
        person = by_code.get(signs)
        if person is not None:
            verdict = _verdict(study, person)
        elif fixed and signs == _signs(fixed):
            verdict = CodeVerdict.SHARED
        else:
            verdict = CodeVerdict.UNKNOWN
        screens = None if person is None else _screens(session, person)
        found.append(CodeCheck(shown[signs], verdict, screens, count))
    return tuple(found)


def find_rater(
    session: Session, study: Opened, code: str, secret: str, *, imported: bool
) -> StudyParticipant:
    """Who is meant by a pseudonym, resume or completion code, invitation, or a site's name.

    A receipt of a withdrawal leads to who withdrew. With `imported`, the code is a name in an
    imported file and nothing else. `secret` is the key of names; without it none is looked up.

    Raises:
        StudyError: 404, nobody is meant; 409, more than one.
    """
    typed = code.strip()
    mine = select(StudyParticipant).where(StudyParticipant.study_id == study.row.id)
    meant: list[StudyParticipant] = []
    if not imported:
        meant += (one for one in session.exec(mine) if _is_meant(study, one, typed))
        meant += session.exec(
            mine.join(
                StudyInvitation, col(StudyInvitation.participant_id) == StudyParticipant.id
            ).where(StudyInvitation.code_hash == code_hash(typed))
        )
    if secret:
        kind = "import" if imported else "external"
        name = keyed_hash(secret, kind, study.row.id, typed)
        meant += session.exec(mine.where(StudyParticipant.external_hash == name))
    if len(found := {one.id: one for one in meant}) > 1:
        names = " and ".join(sorted(map(pseudonym, found.values())))
        raise conflict(
            f"{typed[:64]!r} may mean {names}. Give a resume code or a completion code instead."
        )
    if not found:
        where = "No rater of an imported file" if imported else "Nobody"
        other = "without --imported" if imported else "a name in an imported file with --imported"
        raise not_found(
            f"{where} in {study.row.slug} goes by {typed[:64]!r}. Give a pseudonym (P001), a"
            f" resume code, a completion code, an invitation or a receipt; or {other}."
        )
    return meant[0]


def _is_meant(study: Opened, person: StudyParticipant, typed: str) -> bool:
    """Whether a code that was typed is one of this participant's."""
    signs = _signs(typed)
    if not signs:
        return False
    codes = [pseudonym(person), receipt_code(study, person)]
    if study.definition.recruitment.completion_code is None:
        codes.append(completion_code(study, person))
    return person.key_hash == code_hash(typed) or signs in map(_signs, codes)


def named(session: Session, study: Opened, person: StudyParticipant) -> Named:
    """What an owner is told before somebody's answers go."""
    answers = session.exec(
        select(func.count()).where(
            StudyAssignment.participant_id == person.id,
            col(StudyAssignment.status).in_(ANSWERED),
        )
    ).one()
    how = person.withdrawal or study.definition.withdrawal
    return Named(pseudonym(person), answers, how, person.withdrawn_at is not None)


def _signs(code: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", code.upper())


def _verdict(study: Opened, person: StudyParticipant) -> CodeVerdict:
    if person.withdrawn_at is not None:
        return CodeVerdict.WITHDRAWN
    if person.ended_as is None:
        closed = study.row.status is StudyStatus.CLOSED
        return CodeVerdict.EARLY if closed else CodeVerdict.UNFINISHED
    return CodeVerdict.FINISHED if person.ended_as == Stage.DONE else CodeVerdict.EARLY


def _screens(session: Session, person: StudyParticipant) -> int:
    return session.exec(
        select(func.count()).where(
            StudyAssignment.participant_id == person.id,
            StudyAssignment.kind != AssignmentKind.PRACTICE,
            col(StudyAssignment.status).in_(BEHIND),
        )
    ).one()
