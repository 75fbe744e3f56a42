"""What a study shows: its tasks, items and written replies, which never change once it opened.

Every request needs them, so they are read once for each study and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session, col, select

from annotations.schema_study import Study, StudyItem, StudyReply, StudyTask
from annotations.studies.kept import Kept
from annotations.values import AssignmentKind, StudyStatus
from esc_demo.dialogue import Role, Turn


@dataclass(frozen=True)
class GivenTask:
    """A task as it is stored: what `needed` participants answer (0 for practice and gold)."""

    id: str
    item_id: str
    kind: AssignmentKind
    key: str
    position: int
    arms: tuple[str, ...]
    stratum: str
    needed: int


@dataclass(frozen=True)
class ItemText:
    """What precedes the replies of an item."""

    situation: str
    history: tuple[Turn, ...]


@dataclass(frozen=True)
class ReplyText:
    """A reply as it is shown and rated."""

    id: str
    arm: str
    text: str


@dataclass(frozen=True)
class Content:
    """`tasks`, in the study file's order, and `items` by id; `written` replies by item and arm.

    Where chats are held nothing is written beforehand.
    """

    tasks: Mapping[str, GivenTask]
    items: Mapping[str, ItemText]
    written: Mapping[str, Mapping[str, ReplyText]]

    def of(self, kind: AssignmentKind) -> tuple[GivenTask, ...]:
        """The tasks of one kind, in the order of the study file."""
        return tuple(task for task in self.tasks.values() if task.kind is kind)


_CONTENTS: Kept[Content] = Kept()


def content_of(session: Session, study: Study) -> Content:
    """The content of a study; a draft's is read anew each time, because it may be replaced."""
    if study.status is StudyStatus.DRAFT:
        return _read(session, study)
    # A copy of the database may hold the same study with other rows. The key is new with each.
    return _CONTENTS.get(study.completion_key, lambda: _read(session, study))


def _read(session: Session, study: Study) -> Content:
    items = session.exec(
        select(StudyItem.id, StudyItem.situation, StudyItem.history).where(
            StudyItem.study_id == study.id
        )
    ).all()
    replies = session.exec(
        select(StudyReply.item_id, StudyReply.id, StudyReply.arm, StudyReply.text)
        .join(StudyItem, col(StudyItem.id) == StudyReply.item_id)
        .where(StudyItem.study_id == study.id, col(StudyReply.assignment_id).is_(None))
    ).all()
    tasks = session.exec(
        select(StudyTask).where(StudyTask.study_id == study.id).order_by(col(StudyTask.position))
    ).all()
    written: dict[str, dict[str, ReplyText]] = {}
    for item_id, reply_id, arm, text in replies:
        written.setdefault(item_id, {})[arm] = ReplyText(reply_id, arm, text)
    return Content(
        tasks={task.id: _task(task) for task in tasks},
        items={key: ItemText(situation, turns_of(turns)) for key, situation, turns in items},
        written=written,
    )


def _task(row: StudyTask) -> GivenTask:
    return GivenTask(
        id=row.id,
        item_id=row.item_id,
        kind=row.kind,
        key=row.key,
        position=row.position,
        arms=arms_of(row),
        stratum=row.stratum,
        needed=row.needed,
    )


def arms_of(task: StudyTask) -> tuple[str, ...]:
    """The arms in the written order."""
    return (task.arm_a,) if task.arm_b is None else (task.arm_a, task.arm_b)


def turns_of(values: list[dict[str, str]]) -> tuple[Turn, ...]:
    """A history from JSON values."""
    return tuple(Turn(Role(value["role"]), value["text"]) for value in values)
