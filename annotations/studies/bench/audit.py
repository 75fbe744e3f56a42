"""What simulated raters left in the database, held against what they were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd
from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.columns import utc_now
from annotations.frames import Keep, preferences_frame, ratings_frame
from annotations.schema_study import Study, StudyAssignment, StudySubmission, StudyTask
from annotations.store import Store
from annotations.studies.bench.material import BETTER, LEASE_MINUTES
from annotations.studies.bench.rater import Accepted
from annotations.studies.desk import Desk
from annotations.studies.forms import SubmissionForm
from annotations.transactions import Transactions
from annotations.upkeep import check_database
from annotations.values import AssignmentKind, AssignmentStatus, Choice, RatingStatus

_ALL = Keep(practice=True, gold=True, repeats=True, surplus=True)


@dataclass(frozen=True)
class Audit:
    """Counts of answers and of faults. Without a fault, all but the first two are 0."""

    accepted: int
    """Submissions that raters were told are stored."""
    surplus: int
    """Of these, answers that came when their place had been given away."""
    lost: int
    """Accepted, but not in the database."""
    twice: int
    """Further submissions of a screen: raters of the bench send each once and correct nothing."""
    unheard: int
    """Stored, although nobody was told so."""
    altered: int
    """Stored with other answers than were sent."""
    over_collected: int
    """Tasks with more counting answers than they need."""
    stuck_leases: int
    """Open assignments that would be held for longer than the study allows."""
    integrity: tuple[str, ...] = ()
    """What `annotations check` finds."""

    @property
    def clean(self) -> bool:
        """Whether there is no fault."""
        faults = (self.lost, self.twice, self.unheard, self.altered)
        return not any((*faults, self.over_collected, self.stuck_leases, self.integrity))


def audit(store: Store, slugs: Sequence[str], accepted: Sequence[Accepted]) -> Audit:
    """Compare the database with `accepted`, once nobody writes any more.

    Raises:
        StorageError: the database cannot be read.
    """
    with Session(store.engine) as session:
        rows = session.exec(
            select(StudySubmission.nonce, StudySubmission.assignment_id, StudySubmission.status)
            .join(StudyAssignment, col(StudyAssignment.id) == StudySubmission.assignment_id)
            .join(Study, col(Study.id) == StudyAssignment.study_id)
            .where(col(Study.slug).in_(slugs))
        ).all()
        latest = utc_now() + timedelta(minutes=LEASE_MINUTES)
        stuck = session.exec(
            select(func.count()).where(
                StudyAssignment.status == AssignmentStatus.OPEN,
                StudyAssignment.lease_expires_at > latest,
            )
        ).one()
    stored = {(nonce, assignment) for nonce, assignment, _ in rows}
    screens = Counter(assignment for _, assignment, _ in rows)
    told = {(answer.nonce, answer.assignment) for answer in accepted}
    return Audit(
        accepted=len(accepted),
        surplus=sum(status is AssignmentStatus.SURPLUS for _, _, status in rows),
        lost=len(told - stored),
        twice=sum(count - 1 for count in screens.values()),
        unheard=len(stored - told),
        altered=_altered(store, accepted),
        over_collected=len(miscollected(store, slugs, over=True)),
        stuck_leases=stuck,
        integrity=tuple(map(str, check_database(store.engine))),
    )


def miscollected(store: Store, slugs: Sequence[str], *, over: bool) -> list[str]:
    """Tasks with too many counting answers (`over`), or with too few."""
    count = func.count(col(StudyAssignment.id))
    wrong = count > StudyTask.needed if over else count < StudyTask.needed
    with Session(store.engine) as session:
        return list(
            session.exec(
                select(StudyTask.key)
                .join(Study, col(Study.id) == StudyTask.study_id)
                .outerjoin(
                    StudyAssignment,
                    (col(StudyAssignment.task_id) == StudyTask.id)
                    & (col(StudyAssignment.kind) == AssignmentKind.MAIN)
                    & (col(StudyAssignment.status) == AssignmentStatus.SUBMITTED),
                )
                .where(col(Study.slug).in_(slugs), StudyTask.kind == AssignmentKind.MAIN)
                .group_by(col(StudyTask.id), col(StudyTask.key), col(StudyTask.needed))
                .having(wrong)
            )
        )


def _altered(store: Store, accepted: Sequence[Accepted]) -> int:
    """Answers whose scores or preference differ from what was sent."""
    scores = _scores(ratings_frame(store, None, _ALL))
    choices = _choices(preferences_frame(store, None, _ALL))
    return sum(
        answer.assignment in scores
        and (
            scores[answer.assignment] != _sent(answer)
            or choices.get(answer.assignment) != answer.preference
        )
        for answer in accepted
    )


def _sent(answer: Accepted) -> set[tuple[int, str, object]]:
    return {
        (side, dimension, score)
        for side, given in enumerate(answer.scores, 1)
        for dimension, score in given.items()
    }


def _scores(frame: pd.DataFrame) -> dict[str, set[tuple[int, str, object]]]:
    """Side, dimension and score of every answer, by assignment."""
    found: dict[str, set[tuple[int, str, object]]] = {}
    columns = ["assignment", "side", "dimension", "status", "score"]
    for assignment, side, dimension, status, score in frame[columns].itertuples(index=False):
        value = int(score) if status == RatingStatus.SCORED.value else status
        found.setdefault(assignment, set()).add((int(side), dimension, value))
    return found


def _choices(frame: pd.DataFrame) -> dict[str, str]:
    """The preference in the shown order, by assignment."""
    found = {}
    columns = ["assignment", "choice", "arm_a", "side_a"]
    for assignment, choice, arm_a, side_a in frame[columns].itertuples(index=False):
        if choice not in (Choice.TIE.value, Choice.BOTH_BAD.value):
            choice = str(side_a if choice == arm_a else 3 - side_a)
        found[assignment] = choice
    return found


def fill_up(store: Store, slugs: Sequence[str]) -> list[str]:
    """Let new raters answer whatever is left, after all leases have ended.

    Returns:
        Tasks that then have too few answers or too many: their places were never given away, or
        given twice. Empty when all is well.

    Raises:
        StudyError: a rater who should be served was refused.
    """
    later = utc_now() + timedelta(minutes=LEASE_MINUTES + 1)
    desk = Desk(Transactions(store.engine), lambda: later)
    for slug in slugs:
        while _answer_all(desk, slug):
            pass
    return miscollected(store, slugs, over=True) + miscollected(store, slugs, over=False)


def _answer_all(desk: Desk, slug: str) -> bool:
    """One new rater's whole session; whether anything was left for them."""
    key = desk.enter(slug).key
    desk.consent(slug, key, 1)
    judged = False
    while True:
        screen = desk.current(slug, key)
        if screen.rest is not None:
            desk.resume_from_break(slug, key)
            continue
        item = screen.item
        if item is None:
            return judged
        judged = judged or not item.practice
        form = SubmissionForm.parse(
            {
                "assignment_id": item.assignment_id,
                "nonce": f"after-{item.assignment_id[:40]}",
                "scores": [{name.value: 3 for name in item.dimensions} for _ in item.replies],
                "preference": str(item.replies.index(BETTER) + 1)
                if BETTER in item.replies
                else "tie",
            }
        )
        desk.submit(slug, key, form)
