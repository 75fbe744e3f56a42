"""Tidy tables of what people and judges answered: the one place that filters and deduplicates.

One row is one answer on one dimension, or one preference. What is left out, and by which option
it can be had, is said in `Keep`; nothing else leaves anything out. Excluding participants by the
rules of a plan is the business of `annotations.studies.quality`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Engine, Select, and_, case
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from annotations.database import explained
from annotations.schema import Preference, Rating, RatingSubmission, unsuperseded
from annotations.schema_study import (
    Study,
    StudyAssignment,
    StudyItem,
    StudyParticipant,
    StudyReply,
    StudySubmission,
    StudyTask,
)
from annotations.store import Store
from annotations.values import AssignmentKind, AssignmentStatus, Choice

RATING_COLUMNS = (
    *("study", "participant", "rater_kind", "kind", "item", "stratum", "crisis"),
    *("arm", "other_arm", "side", "dimension", "status", "score", "seconds", "submitted_at"),
    *("reply_words", "assignment", "scales_version", "in_force", "counted"),
)
"""`side` is 1 for the reply shown first (left), 2 for the other. `seconds` is the server's time
between showing and answering the screen. `score` is missing when `status` is `cannot_judge`.
`counted` is the assignment's status: submitted, surplus or withdrawn. `arm` is empty for questions
about the seeker. `crisis` is yes, no, or empty where the item is not marked. `item` and
`assignment` are the same for all answers of one screen."""

PREFERENCE_COLUMNS = (
    *("study", "participant", "rater_kind", "kind", "item", "stratum", "crisis"),
    *("arm_a", "arm_b", "side_a", "choice", "seconds", "submitted_at", "words_a", "words_b"),
    *("assignment", "scales_version", "in_force", "counted"),
)
"""`arm_a` and `arm_b` are in the order in which the study's file names the pair; `side_a` says
where `arm_a` was shown. `choice` is the preferred arm, `tie` or `both_bad`."""


@dataclass(frozen=True)
class Keep:
    """What is in a frame beside the answers in force to main items that count."""

    practice: bool = False
    gold: bool = False
    repeats: bool = False
    surplus: bool = False
    """Answers that came when their place had been given away."""
    withdrawn: bool = False
    """Anonymised answers of those who withdrew."""
    superseded: bool = False
    """Earlier answers that a correction replaced; `in_force` tells them apart."""

    @property
    def kinds(self) -> list[AssignmentKind]:
        """The kinds of assignments that are in."""
        chosen = {
            AssignmentKind.MAIN: True,
            AssignmentKind.PRACTICE: self.practice,
            AssignmentKind.GOLD: self.gold,
            AssignmentKind.REPEAT: self.repeats,
        }
        return [kind for kind, kept in chosen.items() if kept]

    @property
    def statuses(self) -> list[AssignmentStatus]:
        """The statuses of assignments that are in."""
        chosen = {
            AssignmentStatus.SUBMITTED: True,
            AssignmentStatus.SURPLUS: self.surplus,
            AssignmentStatus.WITHDRAWN: self.withdrawn,
        }
        return [status for status, kept in chosen.items() if kept]


def ratings_frame(
    source: Engine | Store, study: str | None = None, keep: Keep | None = None
) -> pd.DataFrame:
    """The scores given in a study, or in all of them; columns as in `RATING_COLUMNS`.

    Raises:
        StorageError: the database cannot be read.
    """
    keep = keep or Keep()
    in_force = unsuperseded(RatingSubmission)
    second = col(StudyReply.arm) == StudyAssignment.second_arm
    other = case((second, StudyAssignment.first_arm), else_=StudyAssignment.second_arm)
    about_reply = StudyReply.arm != ""
    query = (
        _screens(RatingSubmission)
        .add_columns(
            col(StudyReply.arm).label("arm"),
            case((about_reply, other)).label("other_arm"),
            case((about_reply, case((second, 2), else_=1))).label("side"),
            Rating.dimension,
            Rating.status,
            Rating.score,
            col(StudyReply.text).label("text"),
            in_force.label("in_force"),
        )
        .join(StudyReply, col(StudyReply.id) == RatingSubmission.reply_id)
        .join(Rating, col(Rating.submission_id) == RatingSubmission.id)
        .order_by(RatingSubmission.created_at, RatingSubmission.id, Rating.id)
    )
    frame = _frame(source, _kept(query, keep, study, in_force))
    frame["reply_words"] = _words(frame.pop("text"))
    frame["score"] = frame["score"].astype("Int64")
    frame["side"] = frame["side"].astype("Int64")
    return frame[list(RATING_COLUMNS)]


def preferences_frame(
    source: Engine | Store, study: str | None = None, keep: Keep | None = None
) -> pd.DataFrame:
    """The preferences of a study, or of all of them; columns as in `PREFERENCE_COLUMNS`.

    Raises:
        StorageError: the database cannot be read.
    """
    keep = keep or Keep()
    in_force = unsuperseded(Preference)
    chosen, text_a, text_b = aliased(StudyReply), aliased(StudyReply), aliased(StudyReply)
    query = (
        _screens(Preference)
        .add_columns(
            col(StudyTask.arm_a).label("arm_a"),
            col(StudyTask.arm_b).label("arm_b"),
            case((col(StudyAssignment.first_arm) == StudyTask.arm_a, 1), else_=2).label("side_a"),
            Preference.choice,
            col(chosen.arm).label("chosen"),
            col(text_a.text).label("text_a"),
            col(text_b.text).label("text_b"),
            in_force.label("in_force"),
        )
        .outerjoin(chosen, col(chosen.id) == Preference.preferred_reply_id)
        .outerjoin(text_a, _written(text_a, StudyTask.arm_a))
        .outerjoin(text_b, _written(text_b, StudyTask.arm_b))
        .order_by(Preference.created_at, Preference.id)
    )
    frame = _frame(source, _kept(query, keep, study, in_force))
    chosen_arm = frame.pop("chosen")
    frame["choice"] = chosen_arm.where(frame["choice"] == Choice.GENERATION.value, frame["choice"])
    for letter in ("a", "b"):
        frame[f"words_{letter}"] = _words(frame.pop(f"text_{letter}"))
    return frame[list(PREFERENCE_COLUMNS)]


def _screens(table: type[RatingSubmission] | type[Preference]) -> Select:
    """What ratings and preferences have in common: who answered which screen, and when."""
    return (
        select(
            col(Study.slug).label("study"),
            StudyParticipant.number,
            table.rater_kind,
            table.rater_id,
            StudyAssignment.kind,
            col(StudyItem.key).label("item"),
            StudyTask.stratum,
            StudyItem.crisis,
            col(StudyAssignment.id).label("assignment"),
            col(StudyAssignment.status).label("counted"),
            col(StudySubmission.seconds).label("seconds"),
            col(table.created_at).label("submitted_at"),
            table.scales_version,
        )
        .select_from(table)
        .join(StudyAssignment, col(StudyAssignment.id) == table.assignment_id)
        .join(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .join(Study, col(Study.id) == StudyAssignment.study_id)
        .join(StudyTask, col(StudyTask.id) == StudyAssignment.task_id)
        .join(StudyItem, col(StudyItem.id) == StudyTask.item_id)
        .outerjoin(
            StudySubmission,
            and_(
                col(StudySubmission.assignment_id) == StudyAssignment.id,
                # The time at the item is that of the first answer, also after a correction.
                col(StudySubmission.number) == 0,
            ),
        )
    )


def _written(reply: type[StudyReply], arm: object) -> object:
    """The written reply of an arm to the task's item."""
    return and_(
        col(reply.item_id) == StudyTask.item_id,
        col(reply.arm) == arm,
        col(reply.assignment_id).is_(None),
    )


def _kept(query: Select, keep: Keep, study: str | None, in_force: object) -> Select:
    query = query.where(
        col(StudyAssignment.kind).in_(keep.kinds), col(StudyAssignment.status).in_(keep.statuses)
    )
    if study is not None:
        query = query.where(Study.slug == study)
    return query if keep.superseded else query.where(in_force)


def _frame(source: Engine | Store, query: Select) -> pd.DataFrame:
    """The rows, with words instead of enums and pseudonyms instead of numbers."""
    engine = source.engine if isinstance(source, Store) else source
    with explained(engine.url), engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    names = [column["name"] for column in query.column_descriptions]
    frame = pd.DataFrame(
        [{name: _plain(row[name]) for name in names} for row in rows], columns=names
    )
    human = [f"P{number:03}" for number in frame.pop("number")]
    kinds, raters = frame["rater_kind"], frame.pop("rater_id")
    frame["participant"] = [
        name if kind == "human" else rater
        for name, kind, rater in zip(human, kinds, raters, strict=True)
    ]
    frame["submitted_at"] = pd.to_datetime(frame["submitted_at"], utc=True)
    frame["in_force"] = frame["in_force"].astype(bool)
    frame["crisis"] = [crisis_word(flag) for flag in frame["crisis"]]
    frame["seconds"] = frame["seconds"].astype("Float64")
    return frame


def crisis_word(flag: object) -> str:
    """`yes`, `no`, or nothing where an item is not marked."""
    return "" if flag is None or pd.isna(flag) else ("yes" if flag else "no")


def _plain(value: object) -> object:
    """An enum's word; anything else as it is."""
    return getattr(value, "value", value)


def _words(texts: pd.Series) -> pd.Series:
    """Words in each text; missing where there is none (a chat)."""
    counts = [len(text.split()) if isinstance(text, str) and text else None for text in texts]
    return pd.Series(counts, index=texts.index, dtype="Int64")
