"""Bringing externally collected answers into a study: all of the files, or nothing.

Each rater becomes a participant, known again in later files by a keyed hash of the name given
there; the name itself is not stored. Answers beyond those a task needs are kept as surplus, as
late ones are. The ids of imported assignments carry a hash of the study and the files, so
importing the same files again changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.columns import new_id, utc_now
from annotations.import_files import Files, Problems, read_files
from annotations.import_screens import Screen, Shelf, screens_of
from annotations.rows import rating_rows
from annotations.schema import Preference, RatingSubmission
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
from annotations.studies.content import arms_of
from annotations.studies.errors import conflict
from annotations.studies.keys import code_hash, keyed_hash, new_code, outside_secret
from annotations.studies.leases import places_taken
from annotations.studies.stored import opened
from annotations.studies.values import StudyMode, StudyStatus
from annotations.transactions import Transactions
from annotations.values import AssignmentKind, AssignmentStatus, Choice, RaterKind
from esc_demo.errors import BadInput

IMPORTED = "import-"
"""How ids of imported assignments begin; then follow the hash of the files and a number."""

_HASH_SIGNS = 32


@dataclass(frozen=True)
class Imported:
    """What an import stored. `again`: the same files had been imported before."""

    again: bool
    raters: int
    new_raters: int
    screens: int
    surplus: int
    scores: int
    preferences: int
    unused: tuple[str, ...]
    """Columns that were not read, as `FILE: COLUMN`."""


def import_files(store: Store, slug: str, paths: Sequence[Path]) -> Imported:
    """Store the answers of one or more CSV files; the columns are those of `import_files`.

    Raises:
        BadInput: any line is wrong; the text numbers the lines, and nothing is stored.
        StudyError: 404 no such study; 409 a draft, closed, or live.
        ConfigError: PostgreSQL without the setting ESC_STUDY_SECRET.
        StorageError: the database cannot be written.
    """
    now = utc_now()
    files = read_files(paths, slug, now)
    secret = outside_secret(store.engine)

    def work(session: Session) -> Imported:
        study = opened(session, slug, lock=True)
        _refuse_unfit(study.row)
        prefix = _prefix(study.row, files)
        if _is_there(session, study.row, prefix):
            return Imported(True, 0, 0, 0, 0, 0, 0, files.unused)
        tasks = _tasks(session, study.row)
        by_arms = {(item, frozenset(arms_of(task))): task.id for task, item in tasks}
        problems = Problems(files.problems.names, list(files.problems.found))
        copy = Files(files.answers, files.content_hash, files.unused, problems)
        screens = screens_of(copy, Shelf(study.definition, by_arms))
        desk = _ImportDesk(session, study.row, {task.id: task for task, _ in tasks}, secret, now)
        desk.check(screens, problems)
        problems.refuse()
        if not screens:
            raise BadInput(f"{', '.join(problems.names)}: a heading and no answers.")
        return desk.store(screens, prefix, files.unused)

    return Transactions(store.engine).write(work)


def _prefix(study: Study, files: Files) -> str:
    """How the ids of these files' assignments begin; other studies may import the same files."""
    found = hashlib.sha256(f"{study.id}\n{files.content_hash}".encode()).hexdigest()
    return f"{IMPORTED}{found[:_HASH_SIGNS]}-"


def _refuse_unfit(study: Study) -> None:
    if study.mode is StudyMode.LIVE:
        raise conflict("Chats of a live study cannot be imported, only ratings of written replies.")
    if study.status is StudyStatus.DRAFT:
        raise conflict(
            f"The study {study.slug} is a draft and may still change. Open it first:"
            " `python -m annotations study open FILE`."
        )
    if study.status is StudyStatus.CLOSED:
        raise conflict(f"The study {study.slug} is closed, so its answers are final.")


def _is_there(session: Session, study: Study, prefix: str) -> bool:
    found = select(StudyAssignment.id).where(
        StudyAssignment.study_id == study.id, col(StudyAssignment.id).startswith(prefix)
    )
    return session.exec(found.limit(1)).first() is not None


def _tasks(session: Session, study: Study) -> list[tuple[StudyTask, str]]:
    """Main tasks, each with the name of its item."""
    return list(
        session.exec(
            select(StudyTask, StudyItem.key)
            .join(StudyItem, col(StudyItem.id) == StudyTask.item_id)
            .where(StudyTask.study_id == study.id, StudyTask.kind == AssignmentKind.MAIN)
        )
    )


class _ImportDesk:
    """The study within the transaction of an import."""

    def __init__(
        self,
        session: Session,
        study: Study,
        tasks: dict[str, StudyTask],
        secret: str,
        now: datetime,
    ) -> None:
        self._session, self._study, self._tasks, self._now = session, study, tasks, now
        self._secret = secret
        people = session.exec(
            select(StudyParticipant).where(StudyParticipant.study_id == study.id)
        ).all()
        self._people = {row.external_hash: row for row in people if row.external_hash}
        self._last = max((row.number for row in people), default=0)

    def check(self, screens: Iterable[Screen], problems: Problems) -> None:
        """Nobody who withdrew comes back, and nobody answers an item twice."""
        met: dict[str, set[str]] = {}
        given = select(StudyAssignment.participant_id, StudyTask.item_id).join(
            StudyTask, col(StudyTask.id) == StudyAssignment.task_id
        )
        rows = self._session.exec(given.where(StudyAssignment.study_id == self._study.id))
        for person, item in rows:
            met.setdefault(person, set()).add(item)
        for screen in screens:
            person_row = self._people.get(self._hash(screen.rater))
            if person_row is None:
                continue
            if person_row.withdrawn_at is not None:
                problems.add(screen.at, "this rater has withdrawn from the study")
            elif self._tasks[screen.task].item_id in met.get(person_row.id, ()):
                problems.add(
                    screen.at,
                    f"this rater was given {screen.item} before; what belongs to one screen has to"
                    " be imported at once",
                )

    def store(self, screens: list[Screen], prefix: str, unused: tuple[str, ...]) -> Imported:
        """Add all rows; whatever others refer to goes first."""
        before = self._last
        people = {name: self._person(name) for name in dict.fromkeys(s.rater for s in screens)}
        self._session.flush()
        assignments = self._assignments(screens, people, prefix)
        self._session.flush()
        self._answers(screens, assignments)
        return Imported(
            again=False,
            raters=len(people),
            new_raters=self._last - before,
            screens=len(screens),
            surplus=sum(row.status is AssignmentStatus.SURPLUS for row in assignments),
            scores=sum(len(scores) for one in screens for scores in one.scores.values()),
            preferences=sum(bool(screen.choice) for screen in screens),
            unused=unused,
        )

    def _hash(self, rater: str) -> str:
        return keyed_hash(self._secret, "import", self._study.id, rater)

    def _person(self, rater: str) -> StudyParticipant:
        """The participant; a new one counts as done, and holds a key that nobody knows."""
        found = self._people.get(self._hash(rater))
        if found is not None:
            return found
        self._last += 1
        row = StudyParticipant(
            study_id=self._study.id,
            number=self._last,
            key_hash=code_hash(new_code()),
            external_hash=self._hash(rater),
            ended_as="done",
            ended_at=self._now,
            created_at=self._now,
            seen_at=self._now,
        )
        self._session.add(row)
        return row

    def _assignments(
        self, screens: list[Screen], people: dict[str, StudyParticipant], prefix: str
    ) -> list[StudyAssignment]:
        held = places_taken(self._session, self._study.id, self._now)
        taken = Counter({task: sides.total() for task, sides in held.items()})
        numbers = select(StudyAssignment.participant_id, func.max(StudyAssignment.number))
        mine = numbers.where(StudyAssignment.study_id == self._study.id)
        last = Counter(
            dict(self._session.exec(mine.group_by(StudyAssignment.participant_id)).all())
        )
        rows = []
        for place, screen in enumerate(screens, 1):
            person = people[screen.rater]
            last[person.id] += 1
            counts = taken[screen.task] < self._tasks[screen.task].needed
            taken[screen.task] += counts
            moment = screen.submitted_at or self._now
            rows.append(
                StudyAssignment(
                    id=f"{prefix}{place:06}",
                    study_id=self._study.id,
                    participant_id=person.id,
                    task_id=screen.task,
                    kind=AssignmentKind.MAIN,
                    status=AssignmentStatus.SUBMITTED if counts else AssignmentStatus.SURPLUS,
                    number=last[person.id],
                    first_arm=screen.arms[0],
                    second_arm=screen.arms[1] if len(screen.arms) > 1 else None,
                    leased_at=moment,
                    lease_expires_at=moment,
                    submitted_at=moment,
                )
            )
        self._session.add_all(rows)
        return rows

    def _answers(self, screens: list[Screen], assignments: list[StudyAssignment]) -> None:
        replies = self._replies()
        ratings = []
        for screen, row in zip(screens, assignments, strict=True):
            shown = [replies[self._tasks[screen.task].item_id, arm] for arm in screen.arms]
            common = {
                "assignment_id": row.id,
                "rater_id": row.participant_id,
                "rater_kind": RaterKind.HUMAN,
                "comment": "",
                "scales_version": self._study.scales_version,
                "created_at": row.submitted_at,
            }
            if screen.seconds is not None:  # without it the time is unknown, not nothing
                self._session.add(_submission(row, screen.seconds))
            for arm, scores in screen.scores.items():
                reply = shown[screen.arms.index(arm)]
                submission = RatingSubmission(id=new_id(), reply_id=reply, **common)
                self._session.add(submission)
                ratings += rating_rows(submission.id, scores)
            if screen.choice:
                chosen = screen.choice in screen.arms
                self._session.add(
                    Preference(
                        id=new_id(),
                        choice=Choice.GENERATION if chosen else Choice(screen.choice),
                        preferred_reply_id=shown[screen.arms.index(screen.choice)]
                        if chosen
                        else None,
                        compared=shown,
                        **common,
                    )
                )
        self._session.flush()
        self._session.add_all(ratings)
        self._session.flush()

    def _replies(self) -> dict[tuple[str, str], str]:
        """Ids of the written replies by item and arm."""
        found = (
            select(StudyReply.item_id, StudyReply.arm, StudyReply.id)
            .join(StudyItem, col(StudyItem.id) == StudyReply.item_id)
            .where(StudyItem.study_id == self._study.id, col(StudyReply.assignment_id).is_(None))
        )
        return {(item, arm): reply for item, arm, reply in self._session.exec(found)}


def _submission(row: StudyAssignment, seconds: float) -> StudySubmission:
    return StudySubmission(
        assignment_id=row.id,
        nonce=row.id,
        number=0,
        status=row.status,
        seconds=seconds,
        comment="",
        reason="",
        created_at=row.submitted_at,
    )
