"""Questions that are being asked just now: each by one run, and none forgotten after a kill.

A row is written before a request goes out and goes with the transaction that stores its answer.
A run's rows are alive while a process holds the run's lock; without it they are what a process
left that was killed, and may have been charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, delete, func, select, update

from annotations.judge.locks import is_held
from annotations.judge.rows import answered_of, candidates_json, judged, place_of
from annotations.judge.values import BROKEN_OFF, Answered, Question, Usage
from annotations.schema_judge import JudgeCall, JudgeClaim, JudgeRun
from annotations.schema_study import Study
from annotations.studies.stored import find_study
from annotations.transactions import Transactions
from annotations.values import JudgeStatus


@dataclass(frozen=True)
class Busy:
    """An equal question is under way in a run that is being asked for."""

    rater: str
    slug: str


@dataclass(frozen=True)
class Owed:
    """Requests of which nobody knows whether they were charged, and at most for how much."""

    requests: int = 0
    cost: float = 0.0
    """US dollars."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.requests > 0


@dataclass(frozen=True)
class _Claim:
    """One claim: a run that was begun again may claim the same key anew."""

    key: str
    claimed_at: datetime


@dataclass(frozen=True)
class _Owner:
    """Who holds a claim."""

    run_id: str
    rater: str
    slug: str
    lock: str
    claim: _Claim


def lock_name(slug: str, spec_hash: str) -> str:
    """The name of a run's lock."""
    return f"{slug}-{spec_hash}"


class Claims:
    """The claims of one database; may be shared by all threads."""

    def __init__(self, database: Transactions) -> None:
        """Of all runs."""
        self._database = database

    def take(
        self, run_id: str, question: Question, key: str, worst: Usage
    ) -> Answered | Busy | Owed:
        """Claim a question before it is sent; after `Owed` it is ours.

        Returns:
            The answer, when another run had it in the meantime; `Busy`, when another run asks
            for it just now; else what a run owes that was killed while it asked the same.

        Raises:
            StorageError: the database cannot be written; nothing may be sent then.
        """
        owed = Owed()
        while True:
            found = self._database.write(
                lambda session: _taken(session, run_id, question, key, worst)
            )
            if found is None:
                return owed
            if isinstance(found, Answered):
                return found
            if found.run_id != run_id and is_held(self._database.engine, found.lock):
                return Busy(found.rater, found.slug)
            owed = self.book_lost(found.run_id, found.claim)

    def raise_cost(self, run_id: str, key: str, cost: float) -> None:
        """Note that a run repeats a request, so that it may cost more."""
        mine = col(JudgeClaim.key) == key, col(JudgeClaim.run_id) == run_id
        statement = update(JudgeClaim).where(*mine).values(cost=cost)
        self._database.write(lambda session: session.execute(statement))

    def release(self, run_id: str, key: str) -> None:
        """Give a claim back of which nothing was sent, or nothing charged."""
        self._database.write(lambda session: drop(session, run_id, key))

    def book_lost(self, run_id: str, only: _Claim | None = None) -> Owed:
        """Enter what a run that nobody asks for left under way (or `only` that) as calls.

        Each becomes a failed call at its worst cost, so it counts against the cap and its place
        is asked again. Of a chat that was taken back since nothing is kept.
        """

        def work(session: Session) -> Owed:
            slug = session.exec(
                select(Study.slug).join(JudgeRun).where(JudgeRun.id == run_id)
            ).one()
            # As those do who withdraw; and first, or two that book at once would both find rows.
            find_study(session, slug, lock=True)
            query = select(JudgeClaim).where(JudgeClaim.run_id == run_id)
            if only is not None:
                query = query.where(
                    JudgeClaim.key == only.key, JudgeClaim.claimed_at == only.claimed_at
                )
            rows = session.exec(query.order_by(col(JudgeClaim.claimed_at))).all()
            kept = [row for row in rows if _book(session, row)]
            for row in rows:
                session.delete(row)
            return Owed(len(kept), sum(row.cost for row in kept))

        return self._database.write(work)

    def left(self, run_id: str, lock: str) -> Owed:
        """What was under way when the run's last process ended; nothing while one is asking.

        `lock` is the name of the run's lock; nothing is changed.
        """
        query = select(func.count(), func.coalesce(func.sum(JudgeClaim.cost), 0.0)).where(
            JudgeClaim.run_id == run_id
        )
        found = self._told(query)
        return Owed() if found and is_held(self._database.engine, lock) else found

    def owed(self, run_id: str) -> Owed:
        """What is booked as spent, but was broken off and perhaps never charged."""
        query = select(func.count(), func.coalesce(func.sum(JudgeCall.cost), 0.0)).where(
            JudgeCall.run_id == run_id, JudgeCall.error == BROKEN_OFF
        )
        return self._told(query)

    def _told(self, query: object) -> Owed:
        requests, cost = self._database.read(lambda session: session.exec(query).one())  # type: ignore[call-overload]
        return Owed(int(requests), float(cost))


def drop(session: Session, run_id: str, key: str) -> None:
    """Take a run's claim away, where it has one."""
    session.execute(
        delete(JudgeClaim).where(col(JudgeClaim.key) == key, col(JudgeClaim.run_id) == run_id)
    )


def _taken(
    session: Session, run_id: str, question: Question, key: str, worst: Usage
) -> _Owner | Answered | None:
    """Who has it, or the answer, or None: now it is the run's."""
    held = session.exec(
        select(JudgeRun, Study.slug, JudgeClaim.claimed_at)
        .join(JudgeClaim, col(JudgeClaim.run_id) == JudgeRun.id)
        .join(Study, col(Study.id) == JudgeRun.study_id)
        .where(JudgeClaim.key == key)
    ).first()
    if held is not None:
        run, slug, since = held
        lock = lock_name(slug, run.spec_hash)
        return _Owner(run.id, run.rater_id, slug, lock, _Claim(key, since))
    row = JudgeClaim(
        key=key,
        run_id=run_id,
        task_id=question.task_id,
        place=place_of(question),
        sample=question.sample,
        candidates=candidates_json(question),
        prompt_tokens=worst.prompt_tokens,
        completion_tokens=worst.completion_tokens,
        cost=worst.cost,
    )
    session.add(row)
    session.flush()
    # Only now: whoever held it before has stored the answer in the same transaction.
    if known := answers(session, [key]):
        session.delete(row)
        return known[key]
    return None


def answers(session: Session, keys: Sequence[str]) -> dict[str, Answered]:
    """What was answered to these keys, in any run of any study."""
    query = (
        select(JudgeCall)
        .where(col(JudgeCall.key).in_(keys), JudgeCall.status != JudgeStatus.API_ERROR)
        # The call that was paid for comes last, and stays.
        .order_by(col(JudgeCall.cached).desc(), col(JudgeCall.created_at).desc())
    )
    return {row.key: answered_of(row) for row in session.exec(query)}


def _book(session: Session, claim: JudgeClaim) -> bool:
    """Enter a call that may have been charged; whether it is kept."""
    where = judged(session, {one["reply"] for one in claim.candidates if "reply" in one})
    if where.taken_back:
        return False
    last = session.exec(
        select(func.max(JudgeCall.attempt)).where(
            JudgeCall.run_id == claim.run_id, JudgeCall.place == claim.place
        )
    ).one()
    session.add(
        JudgeCall(
            run_id=claim.run_id,
            task_id=claim.task_id,
            assignment_id=where.assignment_id,
            place=claim.place,
            sample=claim.sample,
            attempt=0 if last is None else last + 1,
            key=claim.key,
            candidates=claim.candidates,
            status=JudgeStatus.API_ERROR,
            messages=[],  # those of the next call with this key
            raw="",
            error=BROKEN_OFF,
            cached=False,
            prompt_tokens=claim.prompt_tokens,
            completion_tokens=claim.completion_tokens,
            cost=claim.cost,
            requests=1,
            seconds=0.0,
        )
    )
    session.flush()
    return True
