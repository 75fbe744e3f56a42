"""How far a study is, told so that nothing gives the outcome away."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from statistics import median

from sqlalchemy import case, func
from sqlmodel import Session, col, select

from annotations.schema import Generation
from annotations.schema_study import (
    StudyAssignment,
    StudyItem,
    StudyParticipant,
    StudyProblem,
    StudySubmission,
    StudyTask,
)
from annotations.studies.content import arms_of
from annotations.studies.normalise import give_aways, normalised, telling_names
from annotations.studies.screens import stage_of
from annotations.studies.standing import Standing, standings_of
from annotations.studies.stored import Opened
from annotations.studies.values import Stage, Stratum, StratumProgress, StudyMode, StudyProgress
from annotations.values import AssignmentKind, AssignmentStatus
from esc_demo.dialogue import MAX_MESSAGE_CHARS


def progress(session: Session, study: Opened, now: datetime) -> StudyProgress:
    """Counts by stratum, by stage, and the median time at an item."""
    in_time = case((col(StudyAssignment.lease_expires_at) > now, 1), else_=0)
    rows = session.exec(
        select(
            StudyAssignment.task_id,
            StudyAssignment.status,
            func.count(),
            func.sum(in_time),
        )
        .where(
            StudyAssignment.study_id == study.row.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
        )
        .group_by(StudyAssignment.task_id, StudyAssignment.status)
    ).all()
    submitted: Counter[str] = Counter()
    held: Counter[str] = Counter()
    others: Counter[AssignmentStatus] = Counter()
    for task_id, status, count, leased in rows:
        others[status] += count
        if status is AssignmentStatus.SUBMITTED:
            submitted[task_id] += count
        elif status is AssignmentStatus.OPEN:
            held[task_id] += leased
    strata = _strata(session, study, submitted, held)
    people = session.exec(
        select(StudyParticipant).where(StudyParticipant.study_id == study.row.id)
    ).all()
    standings, nothing = standings_of(session, study.row.id), Standing(())
    stages = Counter(
        stage_of(study, person, standings.get(person.id, nothing)) for person in people
    )
    return StudyProgress(
        slug=study.row.slug,
        status=study.row.status,
        strata=strata,
        participants={stage: stages[stage] for stage in Stage if stages[stage]},
        submitted=submitted.total(),
        needed=sum(entry.stratum.needed for entry in strata),
        surplus=others[AssignmentStatus.SURPLUS],
        skipped=others[AssignmentStatus.SKIPPED],
        median_seconds=_median_seconds(session, study),
        problems=session.exec(
            select(func.count()).where(StudyProblem.study_id == study.row.id)
        ).one(),
        telling=_telling(session, study) if study.row.mode is StudyMode.LIVE else None,
    )


def _telling(session: Session, study: Opened) -> int:
    """Replies of chats, as they were shown, that name a model or say that a machine writes."""
    chats = (StudyAssignment.first_chat_id, StudyAssignment.second_chat_id)
    replies = session.exec(
        select(Generation.reply)
        .join(StudyAssignment, col(Generation.conversation_id).in_(chats))
        .where(StudyAssignment.study_id == study.row.id)
    ).all()
    names = telling_names(study.definition.arms)
    shown = (normalised(reply, MAX_MESSAGE_CHARS)[0] for reply in replies)
    return sum(bool(text and give_aways("", "", text, names)) for text in shown)


def _strata(
    session: Session, study: Opened, submitted: Counter[str], held: Counter[str]
) -> tuple[StratumProgress, ...]:
    """The strata in the order in which they first occur."""
    tasks = session.exec(
        select(StudyTask, StudyItem.stratum)
        .join(StudyItem, col(StudyItem.id) == StudyTask.item_id)
        .where(StudyTask.study_id == study.row.id, StudyTask.kind == AssignmentKind.MAIN)
        .order_by(col(StudyTask.position))
    ).all()
    members: dict[str, list[tuple[StudyTask, str]]] = {}
    for task, label in tasks:
        members.setdefault(task.stratum, []).append((task, label))
    return tuple(
        StratumProgress(
            Stratum(
                id=name,
                arms=arms_of(within[0][0]),
                label=within[0][1],
                tasks=len(within),
                needed=sum(task.needed for task, _ in within),
            ),
            submitted=sum(submitted[task.id] for task, _ in within),
            open=sum(held[task.id] for task, _ in within),
        )
        for name, within in members.items()
    )


def _median_seconds(session: Session, study: Opened) -> float | None:
    """The median time at a main item; None before the first."""
    seconds = session.exec(
        select(StudySubmission.seconds)
        .join(StudyAssignment, col(StudyAssignment.id) == StudySubmission.assignment_id)
        .where(
            StudyAssignment.study_id == study.row.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudySubmission.number == 0,
        )
    ).all()
    return median(seconds) if seconds else None
