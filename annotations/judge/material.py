"""What a judge is asked about a stored study, in an order that never changes.

Only the texts of a `Question` ever reach a prompt; the names of arms stay beside them, for the
ledger. Of a written study each arm's reply to an item is asked about once, even where people met
it in several pairs; pairs are asked about in both orders.

Beside planted replies no reference is shown: the gold one is that reference, and whoever sees it
need only compare the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from sqlmodel import Session, col, select

from annotations.judge.controls import control_text
from annotations.judge.protocol import Protocol
from annotations.judge.values import Candidate, Control, Question, Target
from annotations.schema import Generation, Turn
from annotations.schema_study import (
    StudyAssignment,
    StudyItem,
    StudyParticipant,
    StudyReply,
    StudyTask,
)
from annotations.store import Store
from annotations.studies.content import arms_of, turns_of
from annotations.studies.normalise import normalised
from annotations.studies.people import pseudonym
from annotations.studies.stored import Opened, opened, shown_arms
from annotations.studies.values import StudyMode
from annotations.transactions import Transactions
from annotations.values import AssignmentKind, AssignmentStatus
from esc_demo.dialogue import MAX_MESSAGE_CHARS, Role
from esc_demo.dialogue import Turn as Utterance
from esc_demo.errors import BadInput

Shown = tuple[str, tuple[Candidate, ...]]
"""The id of a task, and what is shown, in this order."""


def questions(
    store: Store,
    slug: str,
    protocol: Protocol,
    *,
    samples: int = 1,
    controls: Sequence[Control] = (),
    limit: int | None = None,
    with_reference: bool = True,
) -> list[Question]:
    """Everything to be asked: all of the first sample, then all of the next.

    `limit` keeps the first items (in live mode the first pairs of chats) with all that belongs to
    them, and changes nothing of what is asked about these. Practice and gold items are not asked
    about. A chat is one question whose history is the whole chat and whose candidate has no text
    of its own.

    Raises:
        StudyError: 404, no such study.
        BadInput: protocol, controls and study do not go together; the text says why.
        StorageError: the database cannot be read.
    """
    for name, number in (("samples", samples), ("limit", limit)):
        if number is not None and number < 1:
            raise BadInput(f"{name} is {number}; it must be 1 or more.")
    if protocol.reference == "required" and not with_reference:
        raise BadInput(
            f"The protocol {protocol.name} compares with a reference. Choose another protocol, or"
            " let it see the references."
        )
    kinds = tuple(kind for kind in Control if kind in controls)

    def work(session: Session) -> list[Question]:
        study = opened(session, slug)
        if study.definition.mode is StudyMode.LIVE:
            _refuse_live(protocol, kinds)
            return list(_of_chats(session, study, limit))
        items = _items(session, study)
        planted = _planted_texts(study, items, kinds)
        return list(_of_items(study, items[:limit], protocol, planted, with_reference))

    once = Transactions(store.engine).read(work)
    return [replace(question, sample=number) for number in range(samples) for question in once]


@dataclass(frozen=True)
class _Item:
    """An item of a written study with its tasks in their order and its replies by arm."""

    row: StudyItem
    tasks: tuple[StudyTask, ...]
    replies: dict[str, StudyReply]

    @property
    def reference(self) -> str:
        """What the supporter of the data said; empty where it is not known."""
        return (self.row.reference or "").strip()

    def candidate(self, arm: str) -> Candidate:
        """The reply of an arm."""
        return Candidate(self.replies[arm].text, arm, self.replies[arm].id)

    def task_of(self, *arms: str) -> str:
        """The first task in which these arms are."""
        return next(task.id for task in self.tasks if set(arms) <= set(arms_of(task)))


def _items(session: Session, study: Opened) -> list[_Item]:
    query = (
        select(StudyItem)
        .where(StudyItem.study_id == study.row.id, StudyItem.kind == AssignmentKind.MAIN)
        .order_by(col(StudyItem.position))
    )
    rows = session.exec(query).all()
    tasks: dict[str, list[StudyTask]] = {row.id: [] for row in rows}
    replies: dict[str, dict[str, StudyReply]] = {row.id: {} for row in rows}
    of_study = (StudyTask.study_id == study.row.id, StudyTask.kind == AssignmentKind.MAIN)
    for task in session.exec(select(StudyTask).where(*of_study).order_by(StudyTask.position)):
        tasks.setdefault(task.item_id, []).append(task)
    found = select(StudyReply).join(StudyItem, col(StudyItem.id) == StudyReply.item_id)
    for reply in session.exec(found.where(StudyItem.study_id == study.row.id)):
        replies.setdefault(reply.item_id, {})[reply.arm] = reply
    return [_Item(row, tuple(tasks[row.id]), replies[row.id]) for row in rows]


def _planted_texts(
    study: Opened, items: Sequence[_Item], controls: Sequence[Control]
) -> dict[Control, dict[str, str]]:
    """The planted replies by kind and item; `items` are all, a random reply may be of any."""
    references = {item.row.key: item.reference for item in items if item.reference}
    return {
        kind: {
            item.row.key: text
            for item in items
            if (text := control_text(kind, item.row.key, references, study.row.seed))
        }
        for kind in controls
    }


def _of_items(
    study: Opened,
    items: Sequence[_Item],
    protocol: Protocol,
    texts: Mapping[Control, Mapping[str, str]],
    with_reference: bool,
) -> Iterator[Question]:
    if protocol.reference == "required":
        _refuse_without(protocol, items)
    had = [kind for kind, found in texts.items() if any(item.row.key in found for item in items)]
    _refuse_vain(protocol, tuple(texts), had)
    shows_reference = with_reference and protocol.reference != "none"
    for item in items:
        planted = {
            kind: Candidate(found[item.row.key], control=kind)
            for kind, found in texts.items()
            if item.row.key in found
        }
        for task, shown in (*_arms(study, item, protocol), *_planted(item, planted, protocol)):
            yield Question(
                task_id=task,
                item=item.row.key,
                situation=item.row.situation,
                history=turns_of(item.row.history),
                reference=item.reference if shows_reference and _bears(protocol, shown) else "",
                shown=shown,
            )


def _arms(study: Opened, item: _Item, protocol: Protocol) -> Iterator[Shown]:
    """The replies of the arms, one by one or two at a time."""
    met = {arm for task in item.tasks for arm in arms_of(task)}
    arms = [arm for arm in study.definition.arm_ids if arm in met]
    if protocol.target is not Target.PAIR:
        for arm in arms:
            yield item.task_of(arm), (item.candidate(arm),)
    elif study.definition.mode is StudyMode.PAIRS:
        for task in item.tasks:
            yield from _both_orders(task.id, *map(item.candidate, arms_of(task)))
    else:
        if len(arms) < 2:
            raise BadInput(
                f"The study {study.row.slug} has one arm, so there is nothing to compare. Choose a"
                " protocol that scores single replies."
            )
        for first, second in combinations(arms, 2):
            pair = item.candidate(first), item.candidate(second)
            yield from _both_orders(item.task_of(first), *pair)


def _planted(item: _Item, planted: dict[Control, Candidate], protocol: Protocol) -> Iterator[Shown]:
    """Controls one by one; of a pair always the good one beside one of the others."""
    task = item.tasks[0].id
    if protocol.target is not Target.PAIR:
        for candidate in planted.values():
            yield task, (candidate,)
        return
    gold = planted.get(Control.GOLD)
    for kind, candidate in planted.items():
        if gold is not None and kind is not Control.GOLD:
            yield from _both_orders(task, gold, candidate)


def _bears(protocol: Protocol, shown: Sequence[Candidate]) -> bool:
    """Whether the reference may stand beside what is shown; where it must, it does."""
    return protocol.reference == "required" or all(one.control is None for one in shown)


def _both_orders(task: str, first: Candidate, second: Candidate) -> Iterator[Shown]:
    yield task, (first, second)
    yield task, (second, first)


def _refuse_without(protocol: Protocol, items: Sequence[_Item]) -> None:
    """The protocol needs a reference to every item."""
    without = [item.row.key for item in items if not item.reference]
    if without:
        raise BadInput(
            f"The protocol {protocol.name} compares with a reference, and {len(without)} of"
            f" {len(items)} items have none, {without[0]} first. Choose another protocol, or make"
            " the study of items with a `reference`."
        )


def _refuse_vain(protocol: Protocol, asked: Sequence[Control], had: Sequence[Control]) -> None:
    """Whoever asks for a control gets it, on one item at least."""
    if protocol.target is Target.PAIR and asked and (Control.GOLD not in asked or len(asked) < 2):
        raise BadInput(
            f"The protocol {protocol.name} compares two replies, so controls are compared with"
            " gold: name gold and at least one other."
        )
    if lost := [kind.value for kind in asked if kind not in had]:
        raise BadInput(
            f"The controls {', '.join(lost)} cannot be planted: the study's items have no"
            " `reference`. Leave these controls out, or make the study of items with references."
        )


def _refuse_live(protocol: Protocol, controls: Sequence[Control]) -> None:
    """Chats are judged as wholes, and nothing can be planted in them."""
    if protocol.target is not Target.DIALOGUE:
        raise BadInput(
            f"The protocol {protocol.name} judges {protocol.target.value}s; in a live study every"
            " chat is a conversation of its own. Choose a protocol for whole dialogues."
        )
    if protocol.reference == "required":
        raise BadInput(
            f"The protocol {protocol.name} compares with a reference, and a chat has none. Choose"
            " one without."
        )
    if controls:
        raise BadInput("Controls cannot be planted in the chats of a live study; leave them out.")


def _of_chats(session: Session, study: Opened, limit: int | None) -> Iterator[Question]:
    """Both sides of every chat that ended and counts."""
    query = (
        select(StudyAssignment, StudyTask, StudyItem, StudyParticipant)
        .join(StudyTask, col(StudyTask.id) == StudyAssignment.task_id)
        .join(StudyItem, col(StudyItem.id) == StudyTask.item_id)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .where(
            StudyAssignment.study_id == study.row.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.status == AssignmentStatus.SUBMITTED,
        )
        .order_by(col(StudyTask.position), col(StudyParticipant.number))
        .limit(limit)
    )
    for assignment, task, item, person in session.exec(query).all():
        replies = {
            row.arm: row.id
            for row in session.exec(
                select(StudyReply).where(
                    StudyReply.assignment_id == assignment.id, StudyReply.kind == "chat"
                )
            )
        }
        sides = [
            _exchanges(session, chat)
            for chat in (assignment.first_chat_id, assignment.second_chat_id)
        ]
        both = min(map(len, sides))  # what one side alone answered was never shown
        for arm, side in zip(shown_arms(assignment), sides, strict=True):
            if both:
                yield Question(
                    task_id=task.id,
                    item=chat_item(item.key, pseudonym(person)),
                    situation=item.situation,
                    history=tuple(turn for exchange in side[:both] for turn in exchange),
                    reference="",
                    shown=(Candidate("", arm, replies[arm]),),
                )


def chat_item(item: str, person: str) -> str:
    """The name of one participant's chats; the item itself only says what they may be about."""
    return f"{item}/{person}"


def _exchanges(session: Session, conversation: str | None) -> list[tuple[Utterance, ...]]:
    """Each message of the seeker with the newest reply to it, as the participant read it."""
    query = (
        select(Turn.position, Turn.seeker_text, Generation.reply)
        .join(Generation, col(Generation.turn_id) == Turn.id)
        .where(Turn.conversation_id == conversation)
        .order_by(
            col(Turn.position), col(Turn.revision), col(Generation.pane), col(Generation.attempt)
        )
    )
    newest = {place: (said, reply) for place, said, reply in session.exec(query)}
    found = []
    for said, reply in newest.values():
        shown = normalised(reply, MAX_MESSAGE_CHARS)[0]
        answer = (Utterance(Role.SUPPORTER, shown),) if shown else ()
        found.append((Utterance(Role.SEEKER, said), *answer))
    return found
