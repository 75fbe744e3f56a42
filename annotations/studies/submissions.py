"""Taking an answer: once, whole, and from the one it was asked of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, insert
from sqlmodel import Session, col, select

from annotations.columns import new_id
from annotations.rows import rating_values
from annotations.schema import Preference, Rating, RatingSubmission, unsuperseded
from annotations.schema_study import (
    StudyAssignment,
    StudyParticipant,
    StudyReply,
    StudySubmission,
)
from annotations.studies.content import ReplyText
from annotations.studies.errors import conflict, forbidden, unusable
from annotations.studies.forms import SubmissionForm, once_of, verdict_of
from annotations.studies.leases import is_short
from annotations.studies.people import refuse_withdrawn
from annotations.studies.standing import ANSWERED
from annotations.studies.stored import Opened, replies_of
from annotations.studies.values import Scores, StudyDimension, StudyMode, StudyStatus
from annotations.values import (
    AssignmentKind,
    AssignmentStatus,
    Choice,
    RaterKind,
    RatingStatus,
    Score,
)

ANSWERED_ELSEWHERE = (
    "This screen was already answered differently elsewhere. The first answer stands; you can"
    " still change it if you give a reason."
)
NOT_YOURS = (
    "This item was not given to you, or is no longer there. Reload the page to see the one that"
    " is yours."
)

_SENT_BEFORE = select(StudySubmission).where(
    col(StudySubmission.assignment_id) == bindparam("assignment"),
    col(StudySubmission.nonce) == bindparam("nonce"),
)


def own_assignment(
    session: Session, person: StudyParticipant, assignment_id: str
) -> StudyAssignment:
    """The assignment, if it was given to this participant.

    Raises:
        StudyError: 403; the same words whether it is unknown or another one's.
    """
    row = session.get(StudyAssignment, str(assignment_id))
    if row is None or row.participant_id != person.id:
        raise forbidden(NOT_YOURS)
    return row


def is_repeated(
    session: Session, study: Opened, assignment: StudyAssignment, form: SubmissionForm
) -> bool:
    """Whether the same was sent before: sending it again changes nothing.

    Raises:
        StudyError: 409, other answers were stored under this nonce.
    """
    sent = {"assignment": assignment.id, "nonce": form.nonce}
    earlier = session.exec(_SENT_BEFORE, params=sent).first()
    if earlier is None:
        return False
    same = _says_the_same(session, study, assignment, earlier, form)
    if earlier.comment != form.comment or not same:
        raise conflict(ANSWERED_ELSEWHERE)
    return True


def _says_the_same(
    session: Session,
    study: Opened,
    assignment: StudyAssignment,
    earlier: StudySubmission,
    form: SubmissionForm,
) -> bool:
    """Whether the scores and the preference of a form are those of a submission."""
    replies = replies_of(session, study, assignment)
    seeker = seeker_reply(session, study, assignment)
    ratings, preference = _stored_as(session, assignment, earlier.number)
    scores = [stored_scores(session, ratings.get(reply.id)) for reply in replies]
    once = stored_scores(session, ratings.get(seeker.id)) if seeker else {}
    return (
        [dict(answers) for answers in form.scores if answers] == [part for part in scores if part]
        and dict(form.once) == once
        and form.preference == shown_choice(preference, replies)
    )


def submit(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    assignment: StudyAssignment,
    form: SubmissionForm,
    now: datetime,
) -> None:
    """Store the first answer to an assignment.

    In time, or late while the task is still short, it counts; else it is kept as surplus.

    Raises:
        StudyError: 409 answered before or skipped; 410 withdrawn; 422 not what was asked.
    """
    refuse_withdrawn(person)
    if assignment.status in ANSWERED:
        raise conflict(
            "You have already answered this item. To change your answer, use Correct; otherwise"
            " go on with the next one."
        )
    if assignment.status is AssignmentStatus.SKIPPED:
        raise conflict("You have skipped this item. Go on with the next one.")
    study.asked(assignment.kind).check(form)
    if _is_chat(study, assignment) and assignment.chat_ended_at is None:
        raise conflict("The chat has not ended yet. End it first, then answer.")
    wanted = study.row.status is not StudyStatus.CLOSED
    held = assignment.status is AssignmentStatus.OPEN and assignment.lease_expires_at > now
    counts = wanted and (held or is_short(session, study, assignment, now))
    assignment.status = AssignmentStatus.SUBMITTED if counts else AssignmentStatus.SURPLUS
    assignment.submitted_at = now
    assignment.draft = None
    if assignment.kind in (AssignmentKind.PRACTICE, AssignmentKind.GOLD):
        assignment.passed = not missed(session, study, assignment, form)
    seconds = max((now - assignment.leased_at).total_seconds(), 0.0)
    _store(session, study, person, assignment, form, 0, seconds, "", now)


def correct(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    assignment: StudyAssignment,
    form: SubmissionForm,
    reason: str,
    now: datetime,
) -> None:
    """Append a correction; the earlier answer stays and is superseded.

    Raises:
        StudyError: 409 not answered yet, practice, or the study is closed; 410; 422.
    """
    refuse_withdrawn(person)
    if assignment.kind is AssignmentKind.PRACTICE:
        raise conflict("Practice answers are not kept for the study, so none has to be corrected.")
    if assignment.status not in ANSWERED:
        raise conflict("This item has not been answered yet, so there is nothing to correct.")
    if study.row.status is StudyStatus.CLOSED:
        raise conflict("The study is closed; answers can no longer be corrected.")
    if not reason:
        raise unusable("Say in a few words why you change your answer.")
    study.asked(assignment.kind).check(form)
    last, began = session.exec(
        select(func.max(StudySubmission.number), func.max(StudySubmission.created_at)).where(
            StudySubmission.assignment_id == assignment.id
        )
    ).one()
    if assignment.kind is AssignmentKind.GOLD:
        assignment.passed = not missed(session, study, assignment, form)
    seconds = max((now - began).total_seconds(), 0.0)
    _store(session, study, person, assignment, form, last + 1, seconds, reason, now)


def skip(person: StudyParticipant, assignment: StudyAssignment, reason: str, now: datetime) -> None:
    """Give the item back; a second time changes nothing. The lease ends with it.

    Raises:
        StudyError: 409 answered before, or practice; 410.
    """
    refuse_withdrawn(person)
    if assignment.status is AssignmentStatus.SKIPPED:
        return
    if assignment.kind is AssignmentKind.PRACTICE:
        raise conflict(
            "Practice shows how the scales are meant and cannot be skipped. If it is too much,"
            " you can stop or withdraw at any time."
        )
    if assignment.status in ANSWERED:
        raise conflict("You have already answered this item, so it cannot be skipped.")
    assignment.status = AssignmentStatus.SKIPPED
    assignment.skip_reason, assignment.draft = reason, None
    assignment.lease_expires_at = max(now, assignment.leased_at)  # tells how long it was looked at


def missed(
    session: Session, study: Opened, assignment: StudyAssignment, form: SubmissionForm
) -> tuple[str, ...]:
    """Where a practice or gold answer differs from what is expected."""
    task = study.content(session).tasks[assignment.task_id]
    swapped = assignment.first_arm != task.arms[0]
    scores = study.asked(assignment.kind).scores(form)
    written = tuple(reversed(scores)) if swapped else scores
    verdict = verdict_of(form.preference, swapped)
    return study.written(task.key).expected.misses(written, verdict)


def in_force(
    session: Session, assignment: StudyAssignment
) -> tuple[dict[str, RatingSubmission], Preference | None]:
    """The answers that nothing supersedes: submissions by reply, and the preference."""
    rows = session.exec(
        select(RatingSubmission).where(
            RatingSubmission.assignment_id == assignment.id,
            RatingSubmission.rater_kind == RaterKind.HUMAN,
            unsuperseded(RatingSubmission),
        )
    ).all()
    preference = session.exec(
        select(Preference).where(
            Preference.assignment_id == assignment.id,
            Preference.rater_kind == RaterKind.HUMAN,
            unsuperseded(Preference),
        )
    ).first()
    return {row.reply_id: row for row in rows if row.reply_id}, preference


def _stored_as(
    session: Session, assignment: StudyAssignment, number: int
) -> tuple[dict[str, RatingSubmission], Preference | None]:
    """The rows of one submission: each correction supersedes those of the one before."""
    ratings = session.exec(
        select(RatingSubmission).where(
            RatingSubmission.assignment_id == assignment.id,
            RatingSubmission.rater_kind == RaterKind.HUMAN,
        )
    ).all()
    preferences = session.exec(
        select(Preference).where(
            Preference.assignment_id == assignment.id, Preference.rater_kind == RaterKind.HUMAN
        )
    ).all()
    of_reply = {row.reply_id: row for row in ratings if row.reply_id and row.supersedes is None}
    chosen = next((row for row in preferences if row.supersedes is None), None)
    later_ratings = {row.supersedes: row for row in ratings}
    later_choices = {row.supersedes: row for row in preferences}
    for _ in range(number):
        of_reply = {
            reply: later_ratings[row.id]
            for reply, row in of_reply.items()
            if row.id in later_ratings
        }
        chosen = later_choices.get(chosen.id) if chosen else None
    return of_reply, chosen


def stored_scores(session: Session, row: RatingSubmission | None) -> dict[StudyDimension, Score]:
    """The scores about one reply, in the order in which they are asked."""
    if row is None:
        return {}
    found = session.exec(select(Rating).where(Rating.submission_id == row.id)).all()
    by_name = {
        answer.dimension: RatingStatus.CANNOT_JUDGE.value if answer.score is None else answer.score
        for answer in found
    }
    return {name: by_name[name] for name in StudyDimension if name in by_name}


def shown_choice(preference: Preference | None, replies: list[ReplyText]) -> str | None:
    """A preference as the page sends it: the number of the shown reply, or a word."""
    if preference is None:
        return None
    preferred = preference.preferred_reply_id
    if preferred is None:
        return preference.choice.value
    return str([reply.id for reply in replies].index(preferred) + 1)


def seeker_reply(session: Session, study: Opened, assignment: StudyAssignment) -> StudyReply | None:
    """What the questions asked once a chat belong to."""
    if not _is_chat(study, assignment):
        return None
    return session.exec(
        select(StudyReply).where(
            StudyReply.assignment_id == assignment.id, col(StudyReply.kind) == "seeker"
        )
    ).first()


def _is_chat(study: Opened, assignment: StudyAssignment) -> bool:
    return study.definition.mode is StudyMode.LIVE and assignment.kind is AssignmentKind.MAIN


def _store(
    session: Session,
    study: Opened,
    person: StudyParticipant,
    assignment: StudyAssignment,
    form: SubmissionForm,
    number: int,
    seconds: float,
    reason: str,
    now: datetime,
) -> None:
    """The submission, a rating row for each answer, and the preference."""
    session.add(
        StudySubmission(
            assignment_id=assignment.id,
            nonce=form.nonce,
            number=number,
            status=assignment.status,
            seconds=seconds,
            client_ms=form.client_ms,
            comment=form.comment,
            reason=reason,
            created_at=now,
        )
    )
    session.flush()  # a second one with this number or nonce is refused here
    ratings, preference = in_force(session, assignment) if number else ({}, None)
    rater = {
        "assignment_id": assignment.id,
        "rater_id": person.id,
        "rater_kind": RaterKind.HUMAN,
        "comment": "",
        "scales_version": study.row.scales_version,
        "created_at": now,
    }
    replies = replies_of(session, study, assignment)
    scored = zip(replies, study.asked(assignment.kind).scores(form), strict=False)
    answers: list[tuple[str, Scores]] = [(reply.id, scores) for reply, scores in scored]
    seeker = seeker_reply(session, study, assignment)
    if form.once and seeker is not None:
        answers.append((seeker.id, once_of(form)))
    rows = []
    for reply_id, scores in answers:
        earlier = ratings.get(reply_id)
        row = RatingSubmission(
            id=new_id(), reply_id=reply_id, supersedes=earlier and earlier.id, **rater
        )
        session.add(row)
        rows += rating_values(row.id, scores)
    session.flush()  # what the rating rows refer to comes first
    if rows:
        # All in one statement: nobody needs the numbers that the rows are given.
        session.execute(insert(Rating), rows)
    if form.preference is not None:
        numbered = form.preference in ("1", "2")
        session.add(
            Preference(
                id=new_id(),
                choice=Choice.GENERATION if numbered else Choice(form.preference),
                preferred_reply_id=replies[int(form.preference) - 1].id if numbered else None,
                compared=[reply.id for reply in replies],
                supersedes=preference and preference.id,
                **rater,
            )
        )
    session.flush()
