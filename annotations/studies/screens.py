"""What a participant's page shows now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from annotations.schema_study import StudyAssignment, StudyParticipant, StudySubmission
from annotations.studies.errors import conflict, gone
from annotations.studies.leases import (
    give_next,
    is_short,
    may_come_free,
    next_practice,
    renew,
    still_held,
)
from annotations.studies.people import completion_code, pseudonym
from annotations.studies.standing import ANSWERED, Standing, standing_of
from annotations.studies.stored import Opened, replies_of
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


def pace(study: Opened, standing: Standing) -> Pace:
    """Screens behind the participant, and the time at all they were shown.

    An item counts no longer than its lease, so a night between two items is no time at the task.
    """
    longest = study.definition.session.lease_minutes * 60.0
    return Pace(standing.behind, standing.seconds(longest))


def stage_of(study: Opened, person: StudyParticipant, standing: Standing) -> Stage:
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
    held = standing.open
    if status is StudyStatus.PAUSED and held is None:
        return Stage.PAUSED
    now = pace(study, standing)
    if now.answered >= rules.screens:
        return Stage.DONE
    if held is None and now.seconds >= rules.most_minutes * 60:  # what was begun may be finished
        return Stage.CAPPED
    if person.practised_at is None and study.definition.practice:
        return Stage.PRACTICE
    due = now.answered > 0 and now.answered % rules.break_every == 0
    if held is None and due and person.rested_after < now.answered:
        return Stage.BREAK
    return Stage.RATING


def show(session: Session, study: Opened, person: StudyParticipant, now: datetime) -> Screen:
    """The screen; gives out the next item when it is time for one."""
    person.seen_at = now
    standing = standing_of(session, person)
    stage = stage_of(study, person, standing)
    assignment: StudyAssignment | None = None
    if stage is Stage.PRACTICE:
        assignment = next_practice(session, study, person, standing, now)
        if assignment is None:
            person.practised_at = now
            stage = stage_of(study, person, standing)
    if stage is Stage.RATING:
        assignment = still_held(session, study, standing, now)
        if assignment is None and study.row.status is StudyStatus.PAUSED:
            stage = Stage.PAUSED
        elif assignment is None:
            if standing.open is not None:  # its place was given away just now
                standing = standing_of(session, person)
            assignment = give_next(session, study, person, standing, now)
            if assignment is None:
                free = may_come_free(session, study, standing)
                stage = Stage.WAITING if free else Stage.FULL
    done = pace(study, standing)
    if stage in ENDS and person.ended_as is None and (done.answered or stage is not Stage.FULL):
        # Who was told so is not called back; who has not begun may find a free place later.
        person.ended_as, person.ended_at = stage.value, now
    return Screen(
        stage=stage,
        title=study.row.title,
        pseudonym=pseudonym(person),
        withdrawal=study.definition.withdrawal,
        known_by=study.definition.recruitment.known_by,
        consent=_consent(study) if stage is Stage.CONSENT else None,
        item=assignment and item_view(session, study, standing, assignment),
        rest=_rest(study, done) if stage is Stage.BREAK else None,
        debrief=_debrief(study, person, stage, done) if _is_over(stage, person, done) else None,
        can_correct=_last_answered(study, person, standing),
        answered=done.answered,
        of=study.definition.session.screens,
    )


def item_view(
    session: Session, study: Opened, standing: Standing, assignment: StudyAssignment
) -> ItemView:
    """One screen of judging, with nothing in it that tells an arm."""
    content = study.content(session)
    task = content.tasks[assignment.task_id]
    item, asked = content.items[task.item_id], study.asked(assignment.kind)
    practice = assignment.kind is AssignmentKind.PRACTICE
    live = study.definition.live if not practice else None
    chat = live is not None
    return ItemView(
        assignment_id=assignment.id,
        mode=StudyMode.PAIRS if study.row.mode is StudyMode.LIVE and not chat else study.row.mode,
        practice=practice,
        position=(task.position if practice else standing.before(assignment.number)) + 1,
        of=len(study.definition.practice) if practice else study.definition.session.screens,
        history=item.history,
        replies=()
        if chat
        else tuple(reply.text for reply in replies_of(session, study, assignment)),
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
    replies = replies_of(session, study, assignment)
    seeker = seeker_reply(session, study, assignment)
    scores = tuple(stored_scores(session, ratings.get(reply.id)) for reply in replies)
    last = session.exec(
        select(StudySubmission)
        .where(StudySubmission.assignment_id == assignment.id)
        .order_by(col(StudySubmission.number).desc())
    ).first()
    asked = study.asked(assignment.kind)
    return AnsweredView(
        item=item_view(session, study, standing_of(session, person), assignment),
        scores=scores if asked.dimensions else (),
        once=stored_scores(session, ratings.get(seeker.id)) if seeker else {},
        preference=shown_choice(preference, replies),
        comment=last.comment if last else "",
    )


def keep_draft(
    session: Session,
    study: Opened,
    assignment: StudyAssignment,
    draft: dict[str, object],
    now: datetime,
) -> None:
    """Store what is filled in so far, and hold the item longer; again, if its lease ran out.

    Raises:
        StudyError: 409, answered or skipped, or its place was given away in the meantime.
    """
    held = assignment.status is AssignmentStatus.OPEN
    if not (
        held and (assignment.lease_expires_at > now or is_short(session, study, assignment, now))
    ):
        raise conflict("This item is no longer open. Reload the page to see the next one.")
    assignment.draft = draft
    renew(study, assignment, now)


def _last_answered(study: Opened, person: StudyParticipant, standing: Standing) -> str | None:
    """What may still be corrected."""
    over = study.row.status is StudyStatus.CLOSED or person.withdrawn_at is not None
    return None if over else standing.last_answered


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


def _debrief(study: Opened, person: StudyParticipant, stage: Stage, done: Pace) -> DebriefView:
    """With a code for those who have something behind them, if only practice that took too long."""
    if not done.answered and stage is not Stage.CAPPED:
        return DebriefView(study.definition.debrief, "", "")
    code = completion_code(study, person)
    url = study.definition.recruitment.completion_url or ""
    return DebriefView(study.definition.debrief, code, url.replace("{code}", code))
