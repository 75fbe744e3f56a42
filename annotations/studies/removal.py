"""Taking out what participants wrote: the one way that the database's triggers let pass.

They do so because the row of the participant says by then that the answers were taken back.
Every function takes the assignments it is about as a query for their ids.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, select

from annotations.schema import Conversation, Generation, Preference, Rating, RatingSubmission, Turn
from annotations.schema_judge import JudgeCall
from annotations.schema_study import StudyAssignment, StudyReply, StudySubmission

_AT_ONCE = 500
"""Chats named in one statement; databases take only so many values."""


class Removed(Counter[str]):
    """How many rows went, by table."""

    def rows(self, session: Session, table: Any, *where: Any) -> None:
        """Delete the rows of a table for which `where` holds."""
        self[table.__tablename__] += session.execute(delete(table).where(*where)).rowcount


def delete_answers(session: Session, mine: Any) -> Removed:
    """Ratings, preferences, submissions, and what was rated of chats."""
    gone = Removed()
    submissions = select(RatingSubmission.id).where(RatingSubmission.assignment_id.in_(mine))
    gone.rows(session, Rating, Rating.submission_id.in_(submissions))
    for table in (RatingSubmission, Preference, StudySubmission, StudyReply):
        gone.rows(session, table, table.assignment_id.in_(mine))
    return gone


def empty_texts(session: Session, mine: Any) -> None:
    """Free text may tell who wrote it."""
    for table in (RatingSubmission, Preference):
        session.execute(update(table).where(table.assignment_id.in_(mine)).values(comment=""))
    session.execute(
        update(StudySubmission)
        .where(StudySubmission.assignment_id.in_(mine))
        .values(comment="", reason="")
    )


def delete_judgements(session: Session, mine: Any) -> Removed:
    """What judges said about the chats, whose texts stand in their prompts."""
    gone = Removed()
    calls = select(JudgeCall.id).where(JudgeCall.assignment_id.in_(mine))
    submissions = select(RatingSubmission.id).where(RatingSubmission.judge_call_id.in_(calls))
    gone.rows(session, Rating, Rating.submission_id.in_(submissions))
    for table in (RatingSubmission, Preference):
        gone.rows(session, table, table.judge_call_id.in_(calls))
    gone.rows(session, JudgeCall, JudgeCall.assignment_id.in_(mine))
    return gone


def delete_chats(session: Session, mine: Any) -> Removed:
    """What was said in the chats."""
    rows = session.exec(
        select(StudyAssignment.first_chat_id, StudyAssignment.second_chat_id).where(
            StudyAssignment.id.in_(mine), StudyAssignment.first_chat_id.is_not(None)
        )
    ).all()
    chats = [chat for pair in rows for chat in pair]
    gone = Removed()
    for start in range(0, len(chats), _AT_ONCE):
        some = chats[start : start + _AT_ONCE]
        here = Turn.conversation_id.in_(some)
        session.execute(update(Turn).where(here).values(chosen_generation_id=None))
        gone.rows(session, Generation, Generation.conversation_id.in_(some))
        gone.rows(session, Turn, here)
    if chats:
        session.execute(
            update(StudyAssignment)
            .where(StudyAssignment.id.in_(mine))
            .values(first_chat_id=None, second_chat_id=None)
        )
    for start in range(0, len(chats), _AT_ONCE):
        gone.rows(session, Conversation, Conversation.id.in_(chats[start : start + _AT_ONCE]))
    return gone
