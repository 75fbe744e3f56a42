"""Giving out tasks, one at a time, each held for a while.

All of it runs while the study's row is locked, so what is counted stays true until the end of
the transaction. A lease ends by the server's clock alone; nothing has to run for that.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.schema_study import StudyAssignment, StudyParticipant, StudyTask
from annotations.studies.design import (
    Answered,
    Candidate,
    Past,
    choose_repeat,
    choose_sides,
    choose_task,
    plan_session,
)
from annotations.studies.stored import Opened, arms_of, shown_arms
from annotations.values import AssignmentKind, AssignmentStatus

ANSWERED = (AssignmentStatus.SUBMITTED, AssignmentStatus.SURPLUS)
BEHIND = (*ANSWERED, AssignmentStatus.SKIPPED)
"""What counts as a screen that is behind a participant."""


def holds(now: datetime) -> object:
    """The condition that an assignment takes up a place of its task."""
    return (col(StudyAssignment.status) == AssignmentStatus.SUBMITTED) | (
        (col(StudyAssignment.status) == AssignmentStatus.OPEN)
        & (col(StudyAssignment.lease_expires_at) > now)
    )


def open_assignment(session: Session, person: StudyParticipant) -> StudyAssignment | None:
    """What the participant was given and has not answered yet."""
    return session.exec(
        select(StudyAssignment).where(
            StudyAssignment.participant_id == person.id,
            StudyAssignment.status == AssignmentStatus.OPEN,
        )
    ).first()


def is_short(session: Session, assignment: StudyAssignment, now: datetime) -> bool:
    """Whether its task still lacks answers, this assignment's own aside."""
    if assignment.kind is not AssignmentKind.MAIN:
        return True
    task = session.get_one(StudyTask, assignment.task_id)
    others = session.exec(
        select(func.count()).where(
            StudyAssignment.task_id == task.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.id != assignment.id,
            holds(now),
        )
    ).one()
    return others < task.needed


def renew(study: Opened, assignment: StudyAssignment, now: datetime) -> None:
    """Hold it for the whole time again."""
    minutes = study.definition.session.lease_minutes
    assignment.lease_expires_at = now + timedelta(minutes=minutes)


def still_held(
    session: Session, study: Opened, person: StudyParticipant, now: datetime
) -> StudyAssignment | None:
    """The open assignment, its lease renewed; marked as expired if its place was given away."""
    found = open_assignment(session, person)
    if found is None:
        return None
    if found.lease_expires_at > now or is_short(session, found, now):
        renew(study, found, now)
        return found
    found.status = AssignmentStatus.EXPIRED
    session.flush()
    return None


def give_next(
    session: Session, study: Opened, person: StudyParticipant, now: datetime
) -> StudyAssignment | None:
    """The next screen of the session, or None when no task is left for this participant."""
    rules, seed = study.definition.session, study.row.seed
    mine = _mine(session, person)
    behind = sum(
        row.status in BEHIND and row.kind is not AssignmentKind.PRACTICE for row, _ in mine
    )
    plan = plan_session(seed, person.number, rules.items, rules.gold, rules.repeats)
    kind = plan[behind] if behind < len(plan) else AssignmentKind.MAIN
    given = None
    if kind is AssignmentKind.REPEAT:
        given = _repeat(session, study, person, mine, now)
    elif kind is AssignmentKind.GOLD:
        given = _gold(session, study, person, mine, now)
    return given or _main(session, study, person, mine, now)


def may_come_free(session: Session, study: Opened, person: StudyParticipant) -> bool:
    """Whether a task this participant has not met still lacks answers, however many hold it."""
    counted = session.exec(
        select(StudyAssignment.task_id, func.count())
        .where(
            StudyAssignment.study_id == study.row.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.status == AssignmentStatus.SUBMITTED,
        )
        .group_by(col(StudyAssignment.task_id))
    ).all()
    submitted = {row[0]: row[1] for row in counted}
    met = {task.item_id for _, task in _mine(session, person)}
    return any(
        submitted.get(task.id, 0) < task.needed and task.item_id not in met
        for task in _tasks(session, study, AssignmentKind.MAIN)
    )


def next_practice(
    session: Session, study: Opened, person: StudyParticipant, now: datetime
) -> StudyAssignment | None:
    """The practice item to be done now, or None when practice is over.

    An item that must be passed comes again, as a new assignment, until it is.
    """
    tasks = _tasks(session, study, AssignmentKind.PRACTICE)
    mine = _mine(session, person)
    for task in tasks:
        tries = [row for row, _ in mine if row.task_id == task.id and row.status in ANSWERED]
        must = getattr(study.written(task.key), "must_pass", False)
        if any(row.passed or not must for row in tries):
            continue
        held = open_assignment(session, person)
        if held is not None:
            renew(study, held, now)
            return held
        return _give(session, study, person, task, AssignmentKind.PRACTICE, arms_of(task), now)
    return None


def _mine(session: Session, person: StudyParticipant) -> list[tuple[StudyAssignment, StudyTask]]:
    """Everything the participant was given, in order."""
    return list(
        session.exec(
            select(StudyAssignment, StudyTask)
            .join(StudyTask, col(StudyTask.id) == StudyAssignment.task_id)
            .where(StudyAssignment.participant_id == person.id)
            .order_by(col(StudyAssignment.number))
        )
    )


def _tasks(session: Session, study: Opened, kind: AssignmentKind) -> list[StudyTask]:
    return list(
        session.exec(
            select(StudyTask)
            .where(StudyTask.study_id == study.row.id, StudyTask.kind == kind)
            .order_by(col(StudyTask.position))
        )
    )


def _candidate(task: StudyTask, firsts: Counter[str] | None = None) -> Candidate:
    firsts = firsts or Counter()
    return Candidate(
        id=task.key,
        item=task.item_id,
        stratum=task.stratum,
        arms=arms_of(task),
        needed=task.needed,
        taken=firsts.total(),
        firsts=firsts,
    )


def _past(mine: list[tuple[StudyAssignment, StudyTask]], kind: AssignmentKind) -> Past:
    counted = [
        (row, task)
        for row, task in mine
        if row.kind is kind and row.status in (*ANSWERED, AssignmentStatus.OPEN)
    ]
    return Past(
        met=frozenset(task.item_id for _, task in mine),
        strata=Counter(task.stratum for _, task in counted),
        firsts=Counter((task.stratum, row.first_arm) for row, task in counted),
    )


def _main(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    mine: list[tuple[StudyAssignment, StudyTask]],
    now: datetime,
) -> StudyAssignment | None:
    firsts: dict[str, Counter[str]] = {}
    counted = session.exec(
        select(StudyAssignment.task_id, StudyAssignment.first_arm, func.count())
        .where(
            StudyAssignment.study_id == study.row.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            holds(now),
        )
        .group_by(StudyAssignment.task_id, StudyAssignment.first_arm)
    )
    for task_id, arm, count in counted:
        firsts.setdefault(task_id, Counter())[arm] = count
    tasks = _tasks(session, study, AssignmentKind.MAIN)
    by_key = {task.key: task for task in tasks}
    past = _past(mine, AssignmentKind.MAIN)
    candidates = [_candidate(task, firsts.get(task.id)) for task in tasks]
    chosen = choose_task(candidates, past, study.row.seed, person.number)
    if chosen is None:
        return None
    sides = choose_sides(chosen, past, study.row.seed, person.number)
    task = by_key[chosen.id]
    given = _give(session, study, person, task, AssignmentKind.MAIN, sides, now)
    _give_away(session, task, chosen.taken + 1, now)
    return given


def _give_away(session: Session, task: StudyTask, taken: int, now: datetime) -> None:
    """Mark as expired those whose place is taken by now, the longest expired first."""
    late = session.exec(
        select(StudyAssignment)
        .where(
            StudyAssignment.task_id == task.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.status == AssignmentStatus.OPEN,
            col(StudyAssignment.lease_expires_at) <= now,
        )
        .order_by(col(StudyAssignment.lease_expires_at))
    ).all()
    for row in late[: max(taken + len(late) - task.needed, 0)]:
        row.status = AssignmentStatus.EXPIRED


def _gold(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    mine: list[tuple[StudyAssignment, StudyTask]],
    now: datetime,
) -> StudyAssignment | None:
    met = {row.task_id for row, _ in mine}
    tasks = {
        task.key: task for task in _tasks(session, study, AssignmentKind.GOLD) if task.id not in met
    }
    past = _past(mine, AssignmentKind.GOLD)
    # One is wanted of each, so that the rule for main tasks picks one by chance.
    candidates = [
        Candidate(task.key, task.item_id, task.stratum, arms_of(task), needed=1)
        for task in tasks.values()
    ]
    chosen = choose_task(candidates, past, study.row.seed, person.number)
    if chosen is None:
        return None
    sides = choose_sides(chosen, past, study.row.seed, person.number)
    return _give(session, study, person, tasks[chosen.id], AssignmentKind.GOLD, sides, now)


def _repeat(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    mine: list[tuple[StudyAssignment, StudyTask]],
    now: datetime,
) -> StudyAssignment | None:
    answered = [
        Answered(task.id, shown_arms(row))
        for row, task in mine
        if row.kind is AssignmentKind.MAIN and row.status in ANSWERED
    ]
    repeated = [row.task_id for row, _ in mine if row.kind is AssignmentKind.REPEAT]
    chosen = choose_repeat(answered, repeated, study.row.seed, person.number)
    if chosen is None:
        return None
    task = session.get_one(StudyTask, chosen.task)
    sides = tuple(reversed(chosen.shown))
    return _give(session, study, person, task, AssignmentKind.REPEAT, sides, now)


def _give(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    task: StudyTask,
    kind: AssignmentKind,
    sides: tuple[str, ...],
    now: datetime,
) -> StudyAssignment:
    """Store the assignment."""
    last = session.exec(
        select(func.max(StudyAssignment.number)).where(StudyAssignment.participant_id == person.id)
    ).one()
    row = StudyAssignment(
        study_id=study.row.id,
        participant_id=person.id,
        task_id=task.id,
        kind=kind,
        status=AssignmentStatus.OPEN,
        number=(last or 0) + 1,
        first_arm=sides[0],
        second_arm=sides[1] if len(sides) > 1 else None,
        leased_at=now,
        lease_expires_at=now + timedelta(minutes=study.definition.session.lease_minutes),
    )
    session.add(row)
    session.flush()
    return row
