"""Giving out tasks, one at a time, each held for a while.

All of it runs while the study's row is locked, so what is counted stays true until the end of
the transaction. A lease ends by the server's clock alone; nothing has to run for that.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, func
from sqlmodel import Session, col, select

from annotations.schema_study import StudyAssignment, StudyParticipant
from annotations.studies.content import Content, GivenTask
from annotations.studies.design import (
    Answered,
    Candidate,
    Past,
    choose_repeat,
    choose_sides,
    choose_task,
    part_of,
    plan_session,
)
from annotations.studies.standing import ANSWERED, Standing
from annotations.studies.stored import Opened, shown_arms
from annotations.values import AssignmentKind, AssignmentStatus

_HOLDS = (col(StudyAssignment.status) == AssignmentStatus.SUBMITTED) | (
    (col(StudyAssignment.status) == AssignmentStatus.OPEN)
    & (col(StudyAssignment.lease_expires_at) > bindparam("now"))
)
"""The condition that an assignment takes up a place of its task `now`."""

_MAIN = select(StudyAssignment.task_id, StudyAssignment.first_arm, func.count()).where(
    col(StudyAssignment.study_id) == bindparam("study"),
    col(StudyAssignment.kind) == AssignmentKind.MAIN,
)
_BY_SIDE = (StudyAssignment.task_id, StudyAssignment.first_arm)
# Made once: building and hashing a statement takes longer than running it.
_IN_PART = col(StudyAssignment.place).between(bindparam("first"), bindparam("last"))
_TAKEN = _MAIN.add_columns(func.sum(case((_IN_PART, 1), else_=0))).where(_HOLDS).group_by(*_BY_SIDE)
_SUBMITTED = _MAIN.where(col(StudyAssignment.status) == AssignmentStatus.SUBMITTED).group_by(
    *_BY_SIDE
)
_OTHERS = select(func.count()).where(
    col(StudyAssignment.task_id) == bindparam("task"),
    col(StudyAssignment.kind) == AssignmentKind.MAIN,
    col(StudyAssignment.id) != bindparam("own"),
    _HOLDS,
)


def places_taken(session: Session, study_id: str, now: datetime) -> dict[str, Counter[str]]:
    """By main task: how many are answered or held, by the arm that is shown first."""
    return _taken(session, study_id, now, range(1))[0]


def _taken(
    session: Session, study_id: str, now: datetime, part: range
) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """As `places_taken`, and how many of them are in a part of their session, by task."""
    taken: dict[str, Counter[str]] = {}
    here: Counter[str] = Counter()
    parameters = {"study": study_id, "now": now, "first": part[0], "last": part[-1]}
    for task_id, arm, count, in_part in session.execute(_TAKEN, parameters):
        taken.setdefault(task_id, Counter())[arm] = count
        here[task_id] += in_part
    return taken, here


def is_short(session: Session, study: Opened, assignment: StudyAssignment, now: datetime) -> bool:
    """Whether its task still lacks answers, this assignment's own aside."""
    if assignment.kind is not AssignmentKind.MAIN:
        return True
    task = study.content(session).tasks[assignment.task_id]
    parameters = {"task": task.id, "own": assignment.id, "now": now}
    return int(session.execute(_OTHERS, parameters).scalar_one()) < task.needed


def renew(study: Opened, assignment: StudyAssignment, now: datetime) -> None:
    """Hold it for the whole time again."""
    minutes = study.definition.session.lease_minutes
    assignment.lease_expires_at = now + timedelta(minutes=minutes)


def still_held(
    session: Session, study: Opened, standing: Standing, now: datetime
) -> StudyAssignment | None:
    """The open assignment, its lease renewed; marked as expired if its place was given away."""
    if standing.open is None:
        return None
    found = session.get_one(StudyAssignment, standing.open.id)
    if found.lease_expires_at > now or is_short(session, study, found, now):
        renew(study, found, now)
        return found
    found.status = AssignmentStatus.EXPIRED
    session.flush()
    return None


def give_next(
    session: Session, study: Opened, person: StudyParticipant, standing: Standing, now: datetime
) -> StudyAssignment | None:
    """The next screen of the session, or None when no task is left for this participant."""
    rules, seed = study.definition.session, study.row.seed
    plan = plan_session(seed, person.number, rules.items, rules.gold, rules.repeats)
    kind = plan[standing.behind] if standing.behind < len(plan) else AssignmentKind.MAIN
    given = None
    if kind is AssignmentKind.REPEAT:
        given = _repeat(session, study, person, standing, now)
    elif kind is AssignmentKind.GOLD:
        given = _gold(session, study, person, standing, now)
    return given or _main(session, study, person, standing, now)


def may_come_free(session: Session, study: Opened, standing: Standing) -> bool:
    """Whether a task this participant has not met still lacks answers, however many hold it."""
    submitted: Counter[str] = Counter()
    for task_id, _, count in session.execute(_SUBMITTED, {"study": study.row.id}):
        submitted[task_id] += count
    content = study.content(session)
    met = _met(content, standing)
    return any(
        submitted[task.id] < task.needed and task.item_id not in met
        for task in content.of(AssignmentKind.MAIN)
    )


def next_practice(
    session: Session, study: Opened, person: StudyParticipant, standing: Standing, now: datetime
) -> StudyAssignment | None:
    """The practice item to be done now, or None when practice is over.

    An item that must be passed comes again, as a new assignment, until it is.
    """
    practised = standing.answered(AssignmentKind.PRACTICE)
    for task in study.content(session).of(AssignmentKind.PRACTICE):
        tries = [one for one in practised if one.task_id == task.id]
        must = getattr(study.written(task.key), "must_pass", False)
        if any(one.passed or not must for one in tries):
            continue
        if standing.open is not None:
            held = session.get_one(StudyAssignment, standing.open.id)
            renew(study, held, now)
            return held
        return _give(
            session, study, person, standing, task, AssignmentKind.PRACTICE, task.arms, now
        )
    return None


def _candidate(task: GivenTask, firsts: Counter[str] | None, here: int) -> Candidate:
    firsts = firsts or Counter()
    return Candidate(
        id=task.key,
        item=task.item_id,
        stratum=task.stratum,
        arms=task.arms,
        needed=task.needed,
        taken=firsts.total(),
        firsts=firsts,
        here=here,
    )


def _past(content: Content, standing: Standing, kind: AssignmentKind) -> Past:
    """What the participant was given of one kind, and every item met."""
    counted = [
        (one, content.tasks[one.task_id].stratum)
        for one in standing.given
        if one.kind is kind and one.status in (*ANSWERED, AssignmentStatus.OPEN)
    ]
    return Past(
        met=_met(content, standing),
        strata=Counter(stratum for _, stratum in counted),
        firsts=Counter((stratum, one.first_arm) for one, stratum in counted),
    )


def _met(content: Content, standing: Standing) -> frozenset[str]:
    """The items that a participant was given; practice and gold have items of their own."""
    return frozenset(content.tasks[one.task_id].item_id for one in standing.given)


def _main(
    session: Session, study: Opened, person: StudyParticipant, standing: Standing, now: datetime
) -> StudyAssignment | None:
    rules = study.definition
    place = standing.behind_of(AssignmentKind.MAIN) + 1
    part = part_of(place, rules.session.items, rules.raters_per_item)
    firsts, here = _taken(session, study.row.id, now, part)
    content = study.content(session)
    tasks, past = content.of(AssignmentKind.MAIN), _past(content, standing, AssignmentKind.MAIN)
    candidates = [_candidate(task, firsts.get(task.id), here[task.id]) for task in tasks]
    chosen = choose_task(candidates, past, study.row.seed, person.number)
    if chosen is None:
        return None
    sides = choose_sides(chosen, past, study.row.seed, person.number)
    task = next(task for task in tasks if task.key == chosen.id)
    given = _give(session, study, person, standing, task, AssignmentKind.MAIN, sides, now, place)
    _give_away(session, task, chosen.taken + 1, now)
    return given


def _give_away(session: Session, task: GivenTask, taken: int, now: datetime) -> None:
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
    session: Session, study: Opened, person: StudyParticipant, standing: Standing, now: datetime
) -> StudyAssignment | None:
    met = {one.task_id for one in standing.given}
    content = study.content(session)
    tasks, past = content.of(AssignmentKind.GOLD), _past(content, standing, AssignmentKind.GOLD)
    # One is wanted of each, so that the rule for main tasks picks one by chance.
    candidates = [
        Candidate(task.key, task.item_id, task.stratum, task.arms, needed=1)
        for task in tasks
        if task.id not in met
    ]
    chosen = choose_task(candidates, past, study.row.seed, person.number)
    if chosen is None:
        return None
    sides = choose_sides(chosen, past, study.row.seed, person.number)
    task = next(task for task in tasks if task.key == chosen.id)
    return _give(session, study, person, standing, task, AssignmentKind.GOLD, sides, now)


def _repeat(
    session: Session, study: Opened, person: StudyParticipant, standing: Standing, now: datetime
) -> StudyAssignment | None:
    answered = [
        Answered(one.task_id, shown_arms(one)) for one in standing.answered(AssignmentKind.MAIN)
    ]
    repeated = [one.task_id for one in standing.given if one.kind is AssignmentKind.REPEAT]
    chosen = choose_repeat(answered, repeated, study.row.seed, person.number)
    if chosen is None:
        return None
    task = study.content(session).tasks[chosen.task]
    sides = tuple(reversed(chosen.shown))
    return _give(session, study, person, standing, task, AssignmentKind.REPEAT, sides, now)


def _give(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    standing: Standing,
    task: GivenTask,
    kind: AssignmentKind,
    sides: tuple[str, ...],
    now: datetime,
    place: int | None = None,
) -> StudyAssignment:
    """Store the assignment; `place` counts the main items of the session from 1."""
    row = StudyAssignment(
        study_id=study.row.id,
        participant_id=person.id,
        task_id=task.id,
        kind=kind,
        status=AssignmentStatus.OPEN,
        number=standing.last_number + 1,
        place=place,
        first_arm=sides[0],
        second_arm=sides[1] if len(sides) > 1 else None,
        leased_at=now,
        lease_expires_at=now + timedelta(minutes=study.definition.session.lease_minutes),
    )
    session.add(row)
    session.flush()
    return row
