"""The end of a study's retention: what people wrote goes, and the record that it went stays.

`retention_days` are counted from the closing, because until then answers still come in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, update
from sqlmodel import Session, select

from annotations.schema_study import (
    Study,
    StudyAssignment,
    StudyInvitation,
    StudyParticipant,
    StudyProblem,
    StudyPurge,
    StudyWithdrawal,
)
from annotations.studies import removal
from annotations.studies.errors import conflict
from annotations.studies.stored import Opened
from annotations.studies.values import StudyStatus, StudyView, retention_end


@dataclass(frozen=True)
class Purged:
    """What went, or would go: people, and rows by table (the record of each person included)."""

    slug: str
    at: datetime
    participants: int
    removed: Mapping[str, int]
    scrubbed: bool = True
    """Whether the database's files were cleared of traces, too."""

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(self.removed.values())


def record(session: Session, study: Study) -> StudyPurge | None:
    """The record, if the study was purged."""
    return session.exec(select(StudyPurge).where(StudyPurge.study_id == study.id)).first()


def purge(session: Session, study: Opened, now: datetime, *, dry_run: bool = False) -> Purged:
    """Delete everything that participants wrote or that leads to them, imported ones too.

    What the study asked stays, and so does what judges said about its written replies. A dry
    run does the same within a savepoint and takes it back.

    Raises:
        StudyError: 409, it is not closed, its retention has not ended, or it was purged before.
    """
    _refuse_early(session, study, now)
    savepoint = session.begin_nested()
    participants = session.exec(
        select(func.count()).where(StudyParticipant.study_id == study.row.id)
    ).one()
    removed = _remove(session, study.row, now)
    found = Purged(study.row.slug, now, participants, dict(removed))
    if dry_run:
        savepoint.rollback()
        return found
    session.add(
        StudyPurge(
            study_id=study.row.id,
            participants=participants,
            removed=dict(removed),
            created_at=now,
        )
    )
    savepoint.commit()
    return found


def scrub(engine: Engine) -> bool:
    """Clear SQLite's files of what was deleted; False where others kept it from that.

    Its log holds every page as it was, and pages freed by an earlier version their old content.
    """
    if engine.dialect.name != "sqlite":
        return True  # VACUUM is for the administrator of the server
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("VACUUM")
        busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return not busy


def _refuse_early(session: Session, study: Opened, now: datetime) -> None:
    row, days = study.row, study.definition.retention_days
    if row.status is not StudyStatus.CLOSED or row.closed_at is None:
        raise conflict(
            f"The study {row.slug} is {row.status.value}; its retention of {days} days begins when"
            f" it closes: `python -m annotations study close {row.slug}`."
        )
    if (done := record(session, row)) is not None:
        raise conflict(f"The study {row.slug} was purged on {done.created_at:%Y-%m-%d} already.")
    ends = retention_end(row.closed_at, days)
    if now < ends:
        raise conflict(
            f"The study {row.slug} closed on {row.closed_at:%Y-%m-%d} and keeps its answers for"
            f" {days} days, until {ends:%Y-%m-%d %H:%M} UTC. Nothing was deleted."
        )


def _remove(session: Session, row: Study, now: datetime) -> removal.Removed:
    """Everybody counts as withdrawn with deletion, and then goes as a whole."""
    session.execute(
        update(StudyParticipant)
        .where(StudyParticipant.study_id == row.id)
        .values(
            withdrawal="delete",
            withdrawn_at=func.coalesce(StudyParticipant.withdrawn_at, now),
        )
    )
    mine = select(StudyAssignment.id).where(StudyAssignment.study_id == row.id)
    gone = removal.Removed()
    gone.rows(session, StudyProblem, StudyProblem.study_id == row.id)
    for take_out in (removal.delete_judgements, removal.delete_chats, removal.delete_answers):
        gone.update(take_out(session, mine))
    for table in (StudyAssignment, StudyWithdrawal, StudyInvitation, StudyParticipant):
        gone.rows(session, table, table.study_id == row.id)
    return gone


def overdue(view: StudyView, now: datetime) -> bool:
    """Whether the answers should be gone and are not."""
    return view.retention_ends is not None and view.purged_at is None and view.retention_ends <= now


def retention_text(view: StudyView, now: datetime) -> str:
    """How long answers are kept, and whether it is time for them to go."""
    days = f"{view.retention_days:,} days from the closing"
    if view.purged_at is not None:
        return f"ended; {view.purged_rows:,} rows were deleted on {view.purged_at:%Y-%m-%d}"
    if view.retention_ends is None:
        return days
    ends = f"{view.retention_ends:%Y-%m-%d}"
    if not overdue(view, now):
        return f"{days}, until {ends}"
    return (
        f"overdue since {ends} ({days}): delete the answers with `python -m annotations study"
        f" purge {view.slug}`"
    )
