"""Live mode: the two conversations behind one assignment, and their end."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, select

from annotations.schema import Conversation, Turn
from annotations.schema_study import (
    StudyAssignment,
    StudyParticipant,
    StudyReply,
    StudyTask,
)
from annotations.studies.errors import conflict
from annotations.studies.parts import Arm
from annotations.studies.people import refuse_withdrawn
from annotations.studies.stored import Opened, shown_arms
from annotations.studies.submissions import own_assignment
from annotations.studies.values import StudyMode
from annotations.values import AssignmentKind, AssignmentStatus, Origin


def own_chat(
    session: Session, study: Opened, person: StudyParticipant, assignment_id: str
) -> StudyAssignment:
    """The assignment, if it is a chat of this participant.

    Raises:
        StudyError: 403 not theirs; 409 it is no chat; 410 withdrawn.
    """
    refuse_withdrawn(person)
    row = own_assignment(session, person, assignment_id)
    if study.definition.mode is not StudyMode.LIVE or row.kind is not AssignmentKind.MAIN:
        raise conflict("This item is no chat.")
    return row


def arms(study: Opened, assignment: StudyAssignment) -> tuple[Arm, Arm]:
    """The two arms in the shown order; never sent to the page."""
    by_id = {arm.id: arm for arm in study.definition.arms}
    first, second = (by_id[name] for name in shown_arms(assignment))
    return first, second


def chats(assignment: StudyAssignment) -> tuple[str, str] | None:
    """The ids of the two conversations, or None before the first message."""
    if assignment.first_chat_id is None or assignment.second_chat_id is None:
        return None
    return assignment.first_chat_id, assignment.second_chat_id


def set_chats(
    session: Session, assignment: StudyAssignment, conversations: tuple[str, str]
) -> None:
    """Note which conversations belong to it; the same ones again change nothing.

    Raises:
        StudyError: 409, it has other ones, has ended, or they are not conversations of a study.
    """
    first, second = conversations
    if chats(assignment) == (first, second):
        return
    if chats(assignment) is not None or assignment.status is not AssignmentStatus.OPEN:
        raise conflict("This chat has begun elsewhere. Reload the page to go on with it.")
    for conversation in (first, second):
        row = session.get(Conversation, conversation)
        if row is None or row.origin is not Origin.STUDY:
            raise conflict("The chat could not be started. Reload the page and try again.")
    if first == second:
        raise conflict("The chat could not be started. Reload the page and try again.")
    assignment.first_chat_id, assignment.second_chat_id = first, second


def end(session: Session, study: Opened, assignment: StudyAssignment, now: datetime) -> None:
    """End the chat and make what is rated of it; a second time changes nothing.

    Raises:
        StudyError: 409, it has not begun or is too short.
    """
    if assignment.chat_ended_at is not None:
        return
    found, rules = chats(assignment), study.definition.live
    least = rules.least_turns if rules is not None else 1
    turns = 0
    if found is not None:
        counts = [
            session.exec(
                select(func.count(func.distinct(Turn.position))).where(
                    Turn.conversation_id == conversation
                )
            ).one()
            for conversation in found
        ]
        turns = min(counts)
    if turns < least:
        raise conflict(
            f"Please write at least {least} messages before you end the chat; there are {turns}."
        )
    assignment.chat_ended_at = now
    item = session.get_one(StudyTask, assignment.task_id).item_id
    sides = [("chat", arm) for arm in shown_arms(assignment)]
    for kind, arm in (*sides, ("seeker", "")):
        session.add(
            StudyReply(
                item_id=item,
                assignment_id=assignment.id,
                kind=kind,
                arm=arm,
                text="",
                created_at=now,
            )
        )
