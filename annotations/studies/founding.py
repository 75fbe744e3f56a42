"""Creating, opening, pausing and closing a study."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func
from sqlmodel import Session, select

from annotations.columns import new_id
from annotations.schema_study import (
    Study,
    StudyAssignment,
    StudyInvitation,
    StudyItem,
    StudyReply,
    StudyTask,
)
from annotations.studies import retention
from annotations.studies.build import BuiltStudy, differing
from annotations.studies.errors import conflict
from annotations.studies.keys import code_hash
from annotations.studies.parts import GoldItem, PracticeItem
from annotations.studies.stored import (
    WRITTEN_ARMS,
    definition_json,
    definition_of,
    find_study,
    turns_json,
)
from annotations.studies.values import AssignmentStatus, StudyStatus, StudyView
from annotations.values import AssignmentKind

_SHOWN_KEYS = 12
_DROPPED = tuple(f"definition.recruitment.url_parameters.{name}" for name in ("study", "session"))
"""Keys that studies stored earlier have and that mean nothing any more."""


def create(session: Session, built: BuiltStudy, now: datetime) -> Study:
    """Store a study as a draft. A draft is replaced; an opened one only gains invitations.

    Raises:
        StudyError: 409, the study is open already and differs; the text names the keys.
    """
    slug = built.definition.slug
    row = session.exec(select(Study).where(Study.slug == slug).with_for_update()).first()
    if row is not None and row.status is not StudyStatus.DRAFT:
        refuse_differing(row, built)
        _invite(session, row, built.definition.recruitment.invitations, now)
        return row
    if row is not None:
        _clear(session, row)
    else:
        row = Study(slug=slug, status=StudyStatus.DRAFT, created_at=now, completion_key="")
    row.completion_key = secrets.token_hex(32)
    definition = built.definition
    row.title, row.mode = definition.title, definition.mode
    row.version, row.seed = definition.version, definition.seed
    row.content_hash = built.content_hash
    row.definition = definition_json(definition)
    row.canonical = json.dumps(built.canonical, ensure_ascii=False, sort_keys=True)
    row.scales_version = built.scales_version
    session.add(row)
    session.flush()
    _add_items(session, row, built, now)
    _add_written(session, row, AssignmentKind.PRACTICE, definition.practice, now)
    _add_written(session, row, AssignmentKind.GOLD, definition.gold, now)
    _invite(session, row, definition.recruitment.invitations, now)
    return row


def open_study(session: Session, slug: str, built: BuiltStudy | None, now: datetime) -> Study:
    """Let participants in; what the study asks is frozen from the first time on.

    Raises:
        StudyError: 404 unknown; 409 closed, or `built` differs from what is stored.
        ConfigError: replies are flagged and not accepted.
    """
    row = find_study(session, slug, lock=True)
    if row.status is StudyStatus.CLOSED:
        raise conflict(f"The study {slug} is closed, and that is final. Make a new one.")
    if built is not None:
        refuse_differing(row, built)
        if row.status is StudyStatus.DRAFT:
            built.ready()
        _invite(session, row, built.definition.recruitment.invitations, now)
    row.opened_at = row.opened_at or now
    row.status = StudyStatus.OPEN
    return row


def pause_study(session: Session, slug: str) -> Study:
    """Give out nothing more for now; what is held can still be answered.

    Raises:
        StudyError: 404; 409 not open.
    """
    row = find_study(session, slug, lock=True)
    if row.status not in (StudyStatus.OPEN, StudyStatus.PAUSED):
        raise conflict(f"The study {slug} is {row.status.value}; only an open one can be paused.")
    row.status = StudyStatus.PAUSED
    return row


def close_study(session: Session, slug: str, now: datetime) -> Study:
    """End it for good.

    Raises:
        StudyError: 404; 409 it never opened.
    """
    row = find_study(session, slug, lock=True)
    if row.status is StudyStatus.DRAFT:
        raise conflict(f"The study {slug} has never been open, so there is nothing to close.")
    if row.status is not StudyStatus.CLOSED:
        row.status, row.closed_at = StudyStatus.CLOSED, now
    return row


def refuse_differing(row: Study, built: BuiltStudy) -> None:
    """Nothing may have been edited since the study was stored.

    Raises:
        StudyError: 409; the text names the differing keys.
    """
    if row.content_hash == built.content_hash:
        return
    found = differing(json.loads(row.canonical), json.loads(json.dumps(built.canonical)))
    keys = [key for key in found if key not in _DROPPED]
    if not keys:
        return
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    advice = (
        "Run `study create` again to replace the draft."
        if row.status is StudyStatus.DRAFT
        else "What a study asks is frozen at opening: undo the edits, or give it a new slug."
    )
    raise conflict(
        f"The study {row.slug} was stored with other values of:"
        f" {', '.join(keys[:_SHOWN_KEYS])}{more}. {advice}"
    )


def view(session: Session, row: Study) -> StudyView:
    """The study as a value."""
    tasks, needed = session.exec(
        select(func.count(), func.coalesce(func.sum(StudyTask.needed), 0)).where(
            StudyTask.study_id == row.id, StudyTask.kind == AssignmentKind.MAIN
        )
    ).one()
    submitted = session.exec(
        select(func.count()).where(
            StudyAssignment.study_id == row.id,
            StudyAssignment.kind == AssignmentKind.MAIN,
            StudyAssignment.status == AssignmentStatus.SUBMITTED,
        )
    ).one()
    purged = retention.record(session, row)
    return StudyView(
        slug=row.slug,
        title=row.title,
        mode=row.mode,
        status=row.status,
        version=row.version,
        content_hash=row.content_hash,
        tasks=tasks,
        needed=int(needed),
        submitted=submitted,
        created_at=row.created_at,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        retention_days=definition_of(row).retention_days,
        purged_at=purged and purged.created_at,
        purged_rows=sum(purged.removed.values()) if purged else 0,
    )


def _clear(session: Session, row: Study) -> None:
    """Take out what hangs on a draft."""
    items = select(StudyItem.id).where(StudyItem.study_id == row.id)
    session.execute(delete(StudyReply).where(StudyReply.item_id.in_(items)))
    for table in (StudyTask, StudyItem, StudyInvitation):
        session.execute(delete(table).where(table.study_id == row.id))


def _add_items(session: Session, row: Study, built: BuiltStudy, now: datetime) -> None:
    ids = {}
    for position, item in enumerate(built.items):
        ids[item.id] = new_id()
        session.add(
            StudyItem(
                id=ids[item.id],
                study_id=row.id,
                kind=AssignmentKind.MAIN,
                key=item.id,
                position=position,
                stratum=item.stratum,
                situation=item.situation,
                reference=item.reference or None,
                crisis=item.crisis,
                history=turns_json(item.history),
                source=dict(item.source),
            )
        )
        for arm, text in item.replies.items():
            _add_reply(session, ids[item.id], arm, text, now)
    for position, task in enumerate(built.tasks):
        arm_a, arm_b = (*task.arms, None)[:2]
        session.add(
            StudyTask(
                study_id=row.id,
                item_id=ids[task.item],
                kind=AssignmentKind.MAIN,
                key=task.id,
                position=position,
                arm_a=arm_a,
                arm_b=arm_b,
                stratum=task.stratum,
                needed=built.definition.raters_per_item,
            )
        )


def _add_written(
    session: Session,
    row: Study,
    kind: AssignmentKind,
    items: Sequence[PracticeItem] | Sequence[GoldItem],
    now: datetime,
) -> None:
    """Practice or gold: an item and one task for it."""
    for position, item in enumerate(items):
        item_id = new_id()
        session.add(
            StudyItem(
                id=item_id,
                study_id=row.id,
                kind=kind,
                key=item.id,
                position=position,
                stratum="",
                situation="",
                history=turns_json(item.turns()),
                source={},
            )
        )
        for arm, text in zip(WRITTEN_ARMS, item.replies, strict=False):
            _add_reply(session, item_id, arm, text, now)
        session.add(
            StudyTask(
                study_id=row.id,
                item_id=item_id,
                kind=kind,
                key=item.id,
                position=position,
                arm_a=WRITTEN_ARMS[0],
                arm_b=WRITTEN_ARMS[1] if len(item.replies) > 1 else None,
                stratum=kind.value,
                needed=0,
            )
        )


def _add_reply(session: Session, item_id: str, arm: str, text: str, now: datetime) -> None:
    session.add(StudyReply(item_id=item_id, kind="written", arm=arm, text=text, created_at=now))


def _invite(session: Session, row: Study, codes: Sequence[str], now: datetime) -> None:
    """Add those codes that are not there yet; none is ever taken away."""
    hashes = {code_hash(code) for code in codes}
    known = session.exec(
        select(StudyInvitation.code_hash).where(StudyInvitation.study_id == row.id)
    ).all()
    for found in sorted(hashes - set(known)):
        session.add(StudyInvitation(study_id=row.id, code_hash=found, created_at=now))
