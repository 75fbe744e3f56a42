"""What lies behind a number: one item's conversation and replies, and what was said about them.

Scores are not read here; they come from the frames that the number itself was made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session, col, select

from annotations.schema import Generation, Preference, RatingSubmission, unsuperseded
from annotations.schema import Turn as ChatTurn
from annotations.schema_judge import JudgeCall
from annotations.schema_study import (
    StudyAssignment,
    StudyItem,
    StudyParticipant,
    StudyReply,
    StudySubmission,
    StudyTask,
)
from annotations.store import Store
from annotations.studies.content import turns_of
from annotations.studies.people import pseudonym
from annotations.studies.stored import find_study, shown_arms
from annotations.transactions import Transactions
from annotations.values import AssignmentKind, AssignmentStatus, RaterKind, StudyMode
from esc_demo.dialogue import Role, Turn
from esc_demo.errors import BadInput


@dataclass(frozen=True)
class Comment:
    """Words of a rater: about a screen (`arm` empty), or about one arm's reply."""

    rater: str
    kind: RaterKind
    arm: str
    text: str


@dataclass(frozen=True)
class Chat:
    """One side of a live chat: what a participant and an arm said to each other."""

    rater: str
    arm: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Behind:
    """One item as it was shown. A live study has chats instead of a history and replies."""

    item: str
    situation: str
    history: tuple[Turn, ...]
    replies: tuple[tuple[str, str], ...]
    """Arm and text, in the order of the arms' names."""
    chats: tuple[Chat, ...]
    comments: tuple[Comment, ...]


def read_behind(store: Store, slug: str, item: str) -> Behind:
    """The texts behind the answers to one main item.

    Chats and people's comments may be personal: they are for the study's owner.

    Raises:
        StudyError: 404, no such study.
        BadInput: the study has no such item.
        StorageError: the database cannot be read.
    """

    def work(session: Session) -> Behind:
        study = find_study(session, slug)
        # A live study's answers are named by the item and the person who chatted (`chat_item`).
        live = study.mode is StudyMode.LIVE
        key, _, person = item.rpartition("/") if live else (item, "", "")
        found = session.exec(
            select(StudyItem).where(
                StudyItem.study_id == study.id,
                StudyItem.kind == AssignmentKind.MAIN,
                StudyItem.key == key,
            )
        ).first()
        if found is None:
            raise BadInput(f"The study {slug} has no item {item[:64]!r}. Choose one of the list.")
        written = session.exec(
            select(StudyReply)
            .where(StudyReply.item_id == found.id, col(StudyReply.assignment_id).is_(None))
            .order_by(StudyReply.arm)
        )
        screens = [
            (screen, who)
            for screen, who in _screens(session, found)
            if person in ("", pseudonym(who))
        ]
        return Behind(
            item,
            found.situation,
            turns_of(found.history),
            tuple((reply.arm, reply.text) for reply in written),
            tuple(_chats(session, screens)),
            (*_people(session, screens), *_judges(session, found, screens)),
        )

    return Transactions(store.engine).read(work)


Screens = list[tuple[StudyAssignment, StudyParticipant]]


def _screens(session: Session, item: StudyItem) -> Screens:
    """The answers to an item that count, with who gave them."""
    query = (
        select(StudyAssignment, StudyParticipant)
        .join(StudyTask, col(StudyTask.id) == StudyAssignment.task_id)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .where(
            StudyTask.item_id == item.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.status == AssignmentStatus.SUBMITTED,
        )
        .order_by(col(StudyParticipant.number))
    )
    return list(session.exec(query))


def _people(session: Session, screens: Screens) -> Iterator[Comment]:
    """What each person wrote last about a screen, if anything."""
    for assignment, person in screens:
        last = session.exec(
            select(StudySubmission.comment)
            .where(StudySubmission.assignment_id == assignment.id)
            .order_by(col(StudySubmission.number).desc())
        ).first()
        if last and last.strip():
            yield Comment(pseudonym(person), RaterKind.HUMAN, "", last)


def _judges(session: Session, item: StudyItem, screens: Screens) -> Iterator[Comment]:
    """The reasons that judges gave, about the item or about the chats on these screens."""
    here = [screen.id for screen, _ in screens]
    replies = select(StudyReply.id, StudyReply.arm).where(
        StudyReply.item_id == item.id,
        col(StudyReply.assignment_id).is_(None) | col(StudyReply.assignment_id).in_(here),
    )
    arms = {row.id: row.arm for row in session.exec(replies)}
    scores = (
        select(RatingSubmission)
        .where(col(RatingSubmission.reply_id).in_(list(arms)), RatingSubmission.comment != "")
        .where(RatingSubmission.rater_kind == RaterKind.JUDGE, unsuperseded(RatingSubmission))
        .order_by(RatingSubmission.rater_id, RatingSubmission.id)
    )
    for row in session.exec(scores):
        yield Comment(row.rater_id, RaterKind.JUDGE, arms[row.reply_id or ""], row.comment)
    choices = (
        select(Preference)
        .join(JudgeCall, col(JudgeCall.id) == Preference.judge_call_id)
        .join(StudyTask, col(StudyTask.id) == JudgeCall.task_id)
        .where(StudyTask.item_id == item.id, Preference.comment != "")
        .order_by(Preference.rater_id, Preference.id)
    )
    for choice in session.exec(choices):
        if set(choice.compared) <= set(arms):  # planted controls are nobody's replies
            about = " and ".join(arms[reply] for reply in choice.compared)
            yield Comment(choice.rater_id, RaterKind.JUDGE, about, choice.comment)


def _chats(session: Session, screens: Screens) -> Iterator[Chat]:
    """Both sides of every live chat about the item."""
    for assignment, person in screens:
        sides = (assignment.first_chat_id, assignment.second_chat_id)
        for arm, conversation in zip(shown_arms(assignment), sides, strict=False):
            if conversation is not None:
                yield Chat(pseudonym(person), arm, tuple(_said(session, conversation)))


def _said(session: Session, conversation: str) -> Iterator[Turn]:
    """The newest version of each message, each with the last reply that has words."""
    newest = {
        turn.position: turn
        for turn in session.exec(
            select(ChatTurn)
            .where(ChatTurn.conversation_id == conversation)
            .order_by(ChatTurn.position, ChatTurn.revision)
        )
    }
    for turn in newest.values():
        yield Turn(Role.SEEKER, turn.seeker_text)
        replies = session.exec(
            select(Generation.reply)
            .where(Generation.turn_id == turn.id, Generation.reply != "")
            .order_by(col(Generation.attempt).desc())
        )
        reply = replies.first()
        if reply:
            yield Turn(Role.SUPPORTER, reply)
