"""What a participant's page shows now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.schema_study import (
    StudyAssignment,
    StudyParticipant,
    StudySubmission,
    StudyTask,
)
from annotations.studies.errors import conflict, gone
from annotations.studies.leases import (
    ANSWERED,
    BEHIND,
    give_next,
    may_come_free,
    next_practice,
    open_assignment,
    renew,
    still_held,
)
from annotations.studies.people import completion_code, pseudonym
from annotations.studies.stored import Opened, item_of, replies_of, turns_of
from annotations.studies.submissions import in_force, seeker_reply, shown_choice, stored_scores
from annotations.studies.values import (
    ENDS,
    AnsweredView,
    BreakView,
    ConsentView,
    DebriefView,
    ItemView,
    Screen,
    Stage,
    StudyMode,
    StudyStatus,
)
from annotations.values import AssignmentKind, AssignmentStatus


@dataclass(frozen=True)
class Pace:
    """How far a participant is: screens behind, and seconds at them."""

    answered: int
    seconds: float


def pace(session: Session, study: Opened, person: StudyParticipant) -> Pace:
    """Screens behind the participant, and the time at them.

    An item counts no longer than its lease, so a night between two items is no time at the task.
    """
    main = (
        StudyAssignment.participant_id == person.id,
        StudyAssignment.kind != AssignmentKind.PRACTICE,
    )
    answered = session.exec(
        select(func.count()).where(*main, col(StudyAssignment.status).in_(BEHIND))
    ).one()
    longest = study.definition.session.lease_minutes * 60.0
    seconds = session.exec(
        select(StudySubmission.seconds)
        .join(StudyAssignment, col(StudyAssignment.id) == StudySubmission.assignment_id)
        .where(*main, StudySubmission.number == 0)
    ).all()
    return Pace(answered, sum(min(value, longest) for value in seconds))


def stage_of(session: Session, study: Opened, person: StudyParticipant) -> Stage:
    """Where a participant stands. That no task is left is only known once one is looked for."""
    rules, status = study.definition.session, study.row.status
    if person.withdrawn_at is not None:
        return Stage.WITHDRAWN
    if person.ended_as is not None:
        return Stage(person.ended_as)
    if status is StudyStatus.CLOSED:
        return Stage.CLOSED
    if person.consented_at is None:
        return Stage.CONSENT
    held = open_assignment(session, person)
    if status is StudyStatus.PAUSED and held is None:
        return Stage.PAUSED
    if person.practised_at is None and study.definition.practice:
        return Stage.PRACTICE
    now = pace(session, study, person)
    if now.answered >= rules.screens:
        return Stage.DONE
    if now.seconds >= rules.most_minutes * 60:
        return Stage.CAPPED
    due = now.answered > 0 and now.answered % rules.break_every == 0
    if person.resting or (held is None and due and person.rested_after < now.answered):
        return Stage.BREAK
    return Stage.RATING


def show(session: Session, study: Opened, person: StudyParticipant, now: datetime) -> Screen:
    """The screen; gives out the next item when it is time for one."""
    person.seen_at = now
    stage = stage_of(session, study, person)
    assignment: StudyAssignment | None = None
    if stage is Stage.PRACTICE:
        assignment = next_practice(session, study, person, now)
        if assignment is None:
            person.practised_at = now
            session.flush()
            stage = stage_of(session, study, person)
    if stage is Stage.RATING:
        assignment = still_held(session, study, person, now)
        if assignment is None and study.row.status is StudyStatus.PAUSED:
            stage = Stage.PAUSED
        elif assignment is None:
            assignment = give_next(session, study, person, now)
            if assignment is None:
                free = may_come_free(session, study, person)
                stage = Stage.WAITING if free else Stage.FULL
    done = pace(session, study, person)
    if stage in ENDS and person.ended_as is None and (done.answered or stage is not Stage.FULL):
        # Who was told so is not called back; who has not begun may find a free place later.
        person.ended_as, person.ended_at = stage.value, now
    return Screen(
        stage=stage,
        title=study.row.title,
        pseudonym=pseudonym(person),
        consent=_consent(study) if stage is Stage.CONSENT else None,
        item=assignment and item_view(session, study, person, assignment),
        rest=_rest(study, done) if stage is Stage.BREAK else None,
        debrief=_debrief(study, person, done) if _is_over(stage, person, done) else None,
        can_correct=_last_answered(session, study, person),
        answered=done.answered,
        of=study.definition.session.screens,
    )


def item_view(
    session: Session, study: Opened, person: StudyParticipant, assignment: StudyAssignment
) -> ItemView:
    """One screen of judging, with nothing in it that tells an arm."""
    task = session.get_one(StudyTask, assignment.task_id)
    item, asked = item_of(session, task), study.asked(assignment.kind)
    practice = assignment.kind is AssignmentKind.PRACTICE
    live = study.definition.live if not practice else None
    chat = live is not None
    return ItemView(
        assignment_id=assignment.id,
        mode=StudyMode.PAIRS if study.row.mode is StudyMode.LIVE and not chat else study.row.mode,
        practice=practice,
        position=task.position + 1 if practice else _place(session, person, assignment),
        of=len(study.definition.practice) if practice else study.definition.session.screens,
        history=turns_of(item.history),
        replies=() if chat else tuple(row.text for row in replies_of(session, assignment)),
        dimensions=asked.dimensions,
        once=asked.once,
        preference=asked.preference,
        draft=assignment.draft,
        lease_expires_at=assignment.lease_expires_at,
        situation=item.situation,
        least_turns=live.least_turns if live else 0,
        most_turns=live.most_turns if live else 0,
        chat_ended=assignment.chat_ended_at is not None,
    )


def answered_view(
    session: Session, study: Opened, person: StudyParticipant, assignment: StudyAssignment
) -> AnsweredView:
    """An answer as it stands.

    Raises:
        StudyError: 409 not answered; 410 withdrawn.
    """
    if assignment.status is AssignmentStatus.WITHDRAWN:
        raise gone("You have withdrawn from this study; your answers are no longer here.")
    if assignment.status not in ANSWERED:
        raise conflict("This item has not been answered yet.")
    ratings, preference = in_force(session, assignment)
    replies, seeker = replies_of(session, assignment), seeker_reply(session, assignment)
    scores = tuple(stored_scores(session, ratings.get(reply.id)) for reply in replies)
    last = session.exec(
        select(StudySubmission)
        .where(StudySubmission.assignment_id == assignment.id)
        .order_by(col(StudySubmission.number).desc())
    ).first()
    asked = study.asked(assignment.kind)
    return AnsweredView(
        item=item_view(session, study, person, assignment),
        scores=scores if asked.dimensions else (),
        once=stored_scores(session, ratings.get(seeker.id)) if seeker else {},
        preference=shown_choice(preference, replies),
        comment=last.comment if last else "",
    )


def keep_draft(
    study: Opened, assignment: StudyAssignment, draft: dict[str, object], now: datetime
) -> None:
    """Store what is filled in so far, and hold the item longer.

    Raises:
        StudyError: 409, answered, skipped or given away in the meantime.
    """
    if assignment.status is not AssignmentStatus.OPEN:
        raise conflict("This item is no longer open. Reload the page to see the next one.")
    assignment.draft = draft
    if assignment.lease_expires_at > now:
        renew(study, assignment, now)


def _place(session: Session, person: StudyParticipant, assignment: StudyAssignment) -> int:
    """Which screen of the session it is, from 1."""
    before = session.exec(
        select(func.count()).where(
            StudyAssignment.participant_id == person.id,
            StudyAssignment.kind != AssignmentKind.PRACTICE,
            StudyAssignment.number < assignment.number,
            col(StudyAssignment.status).in_(BEHIND),
        )
    ).one()
    return before + 1


def _last_answered(session: Session, study: Opened, person: StudyParticipant) -> str | None:
    if study.row.status is StudyStatus.CLOSED or person.withdrawn_at is not None:
        return None
    return session.exec(
        select(StudyAssignment.id)
        .where(
            StudyAssignment.participant_id == person.id,
            StudyAssignment.kind != AssignmentKind.PRACTICE,
            col(StudyAssignment.status).in_(ANSWERED),
        )
        .order_by(col(StudyAssignment.number).desc())
    ).first()


def _consent(study: Opened) -> ConsentView:
    consent = study.definition.consent
    return ConsentView(consent.version, consent.text, study.definition.content_note)


def _rest(study: Opened, done: Pace) -> BreakView:
    rules, minutes = study.definition.session, int(done.seconds // 60)
    left = max(rules.most_minutes - minutes, 0)
    return BreakView(done.answered, rules.screens, minutes, left)


def _is_over(stage: Stage, person: StudyParticipant, done: Pace) -> bool:
    """Whether it is time for the debrief: a closed study owes it to all who took part."""
    took_part = person.consented_at is not None and done.answered > 0
    return stage in ENDS or (stage is Stage.CLOSED and took_part)


def _debrief(study: Opened, person: StudyParticipant, done: Pace) -> DebriefView:
    """With a code for those who have something behind them."""
    if not done.answered:
        return DebriefView(study.definition.debrief, "", "")
    code = completion_code(study, person)
    url = study.definition.recruitment.completion_url or ""
    return DebriefView(study.definition.debrief, code, url.replace("{code}", code))
