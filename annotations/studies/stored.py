"""A study as it is stored, and what every transaction about it begins with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from annotations.schema_study import Study, StudyAssignment, StudyParticipant, StudyReply
from annotations.studies.content import Content, ReplyText, content_of
from annotations.studies.definition import StudyDefinition
from annotations.studies.errors import not_found
from annotations.studies.forms import Asked
from annotations.studies.kept import Kept
from annotations.studies.keys import code_hash
from annotations.studies.parts import GoldItem, PracticeItem
from annotations.studies.standing import Given
from annotations.studies.values import StudyMode
from annotations.values import AssignmentKind
from esc_demo.dialogue import Turn

WRITTEN_ARMS = ("first", "second")
"""Names of the replies of practice and gold items, which no arm wrote."""

_DEFINITIONS: Kept[StudyDefinition] = Kept()

_INVITED = "kept-as-hashes"
"""Stands for the invitations in the stored definition; their codes are kept as hashes only."""


@dataclass(frozen=True)
class Opened:
    """A study within a transaction: its row and its definition."""

    row: Study
    definition: StudyDefinition

    def asked(self, kind: AssignmentKind) -> Asked:
        """What a screen of this kind asks."""
        mode, scales = self.definition.mode, self.definition.scales
        written = kind in (AssignmentKind.PRACTICE, AssignmentKind.GOLD)
        once = mode is StudyMode.LIVE and not written
        return Asked(
            replies=1 if mode is StudyMode.SINGLE else 2,
            dimensions=scales.per_reply,
            once=scales.once if once else (),
            preference=scales.preference,
        )

    def content(self, session: Session) -> Content:
        """Its tasks, items and written replies."""
        return content_of(session, self.row)

    def written(self, key: str) -> PracticeItem | GoldItem:
        """The practice or gold item of that id."""
        found = (*self.definition.practice, *self.definition.gold)
        return next(item for item in found if item.id == key)


def definition_json(definition: StudyDefinition) -> dict[str, object]:
    """The definition as JSON values, less the invitations' codes."""
    values = definition.model_dump(mode="json")
    if values["recruitment"]["invitations"]:
        values["recruitment"]["invitations"] = [_INVITED]
    return values


def definition_of(row: Study) -> StudyDefinition:
    """The definition of a stored study; its invitations are not in it.

    Every request needs it, so it is read once for each content.
    """
    key = (row.completion_key, row.content_hash)
    return _DEFINITIONS.get(key, lambda: StudyDefinition.model_validate(row.definition))


# The two long columns are read only when somebody asks for them.
_STUDY = (
    select(Study)
    .where(col(Study.slug) == bindparam("slug"))
    .options(defer(Study.definition), defer(Study.canonical))
)
_STUDY_LOCKED = _STUDY.with_for_update()
_PARTICIPANT = select(StudyParticipant).where(
    col(StudyParticipant.study_id) == bindparam("study"),
    col(StudyParticipant.key_hash) == bindparam("key"),
)


def find_study(session: Session, slug: str, lock: bool = False) -> Study:
    """The study's row. With `lock`, transactions about it take turns (SQLite's always do).

    Raises:
        StudyError: 404.
    """
    query = _STUDY_LOCKED if lock else _STUDY
    row = session.exec(query, params={"slug": str(slug)}).first()
    if row is None:
        raise not_found(f"There is no study {str(slug)[:64]!r}. Check the link you were given.")
    return row


def opened(session: Session, slug: str, lock: bool = False) -> Opened:
    """The study with its definition; raises as `find_study` does."""
    row = find_study(session, slug, lock)
    return Opened(row, definition_of(row))


def find_participant(session: Session, study: Study, key: str) -> StudyParticipant:
    """Who holds the key.

    Raises:
        StudyError: 404.
    """
    row = session.exec(_PARTICIPANT, params={"study": study.id, "key": code_hash(str(key))}).first()
    if row is None:
        raise not_found(
            "Nobody in this study goes by that code. Check it sign by sign, or open the link of"
            " your invitation again."
        )
    return row


def replies_of(session: Session, study: Opened, assignment: StudyAssignment) -> list[ReplyText]:
    """What the assignment shows, in the shown order; for a chat that has not ended, nothing."""
    content = study.content(session)
    by_arm = content.written.get(content.tasks[assignment.task_id].item_id)
    if by_arm is None:
        by_arm = {
            row.arm: ReplyText(row.id, row.arm, row.text)
            for row in session.exec(
                select(StudyReply).where(StudyReply.assignment_id == assignment.id)
            )
        }
    return [by_arm[arm] for arm in shown_arms(assignment) if arm in by_arm]


def shown_arms(assignment: StudyAssignment | Given) -> tuple[str, ...]:
    """The arms in the shown order."""
    if assignment.second_arm is None:
        return (assignment.first_arm,)
    return (assignment.first_arm, assignment.second_arm)


def turns_json(turns: Iterable[Turn]) -> list[dict[str, str]]:
    """A history as JSON values."""
    return [{"role": turn.role.value, "text": turn.text} for turn in turns]
