"""The judge's book: every call, and in the same transaction the answers that were read from it.

A run is known by its settings, and what was asked within it by its place; so whoever begins a run
again finds what is there and asks only what is missing. A kill between two transactions loses
nothing that was stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.columns import utc_now
from annotations.judge.claims import Claims, Owed, answers, drop, lock_name
from annotations.judge.controls import load_controls
from annotations.judge.locks import held
from annotations.judge.protocol import Protocol
from annotations.judge.rows import (
    answer_rows,
    call_row,
    check_fit,
    judged,
    place_of,
    reply_ids,
)
from annotations.judge.values import Answered, Asking, Control, Question
from annotations.rows import rating_rows
from annotations.schema_judge import JudgeCall, JudgeRun
from annotations.store import Store
from annotations.studies.errors import conflict
from annotations.studies.stored import find_study
from annotations.studies.values import StudyStatus
from annotations.transactions import Transactions
from annotations.values import JudgeStatus
from esc_demo.errors import BadInput

__all__ = ["Ledger", "Run", "RunSpec", "place_of"]

_LONGEST_NAME = 64
_HASH_SIGNS = 4
_KEYS_AT_ONCE = 500
"""Databases take only so many values in one statement."""


@dataclass(frozen=True)
class RunSpec:
    """One judge over one study. Equal values are the same run."""

    slug: str
    protocol: Protocol
    model: str
    endpoint: str
    """Address without name and password."""
    asking: Asking
    samples: int = 1
    controls: tuple[Control, ...] = ()
    with_reference: bool = True

    @property
    def content_hash(self) -> str:
        """SHA-256 in 64 hex digits over everything that may change an answer or what is asked."""
        content = {
            "protocol": [self.protocol.name, self.protocol.version, self.protocol.content_hash],
            "model": self.model,
            "endpoint": self.endpoint,
            "asking": asdict(self.asking),
            "samples": self.samples,
            "controls": sorted(self.controls),
            "control_texts": load_controls().content_hash if self.controls else "",
            "with_reference": self.with_reference,
        }
        if self.controls and self.with_reference and self.protocol.reference == "optional":
            content["planted_with_reference"] = False  # earlier versions showed it
        told = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """A run in the book."""

    id: str
    slug: str
    rater: str
    """The judge's name among the raters."""
    resumed: bool
    """Whether it had been begun before."""
    spec_hash: str


class Ledger:
    """Runs and calls of judges; may be shared by all threads."""

    def __init__(self, store: Store) -> None:
        """In the database of `store`."""
        self._database = Transactions(store.engine)
        self.claims = Claims(self._database)

    @contextmanager
    def alone(self, spec: RunSpec) -> Iterator[None]:
        """Keep all others, of this process too, from asking for the same run.

        Raises:
            BadInput: another is asking; the text names the run and says how to go on.
            StorageError: the database cannot be read, or no lock can lie beside it.
        """
        name = lock_name(spec.slug, spec.content_hash)
        with held(self._database.engine, name) as mine:
            if not mine:
                raise BadInput(
                    f"Another process is asking for this run: {spec.protocol.name} and"
                    f" {spec.model} over the study {spec.slug} (settings"
                    f" {spec.content_hash[:8]}). Wait until it has ended, or stop it; the same"
                    " command then goes on and asks only what is missing."
                )
            yield

    def find_run(self, spec: RunSpec) -> Run | None:
        """The run with these settings, if it was ever begun; nothing is written.

        Raises:
            StudyError: 404, no such study.
        """
        return self._database.read(lambda session: _found(session, spec))

    def open_run(self, spec: RunSpec) -> Run:
        """Begin a run, or go on with the one that has these settings.

        Raises:
            StudyError: 404, no such study; 409, it is a draft and may still change.
        """

        def work(session: Session) -> Run:
            study = find_study(session, spec.slug, lock=True)
            if study.status is StudyStatus.DRAFT:
                raise conflict(
                    f"The study {study.slug} is a draft and may still change. Open it first:"
                    " `python -m annotations study open FILE`."
                )
            if (found := _found(session, spec)) is not None:
                return found
            names = session.exec(select(JudgeRun.rater_id).where(JudgeRun.study_id == study.id))
            row = _run_row(spec, study.id, set(names))
            session.add(row)
            session.flush()
            return Run(row.id, spec.slug, row.rater_id, False, row.spec_hash)

        return self._database.write(work)

    def answered(self, run: Run) -> set[str]:
        """The places that have an answer; those at which the endpoint failed are not among them."""
        query = select(JudgeCall.place).where(
            JudgeCall.run_id == run.id, JudgeCall.status != JudgeStatus.API_ERROR
        )
        return self._database.read(lambda session: set(session.exec(query)))

    def failed(self, run: Run) -> set[str]:
        """The places at which the endpoint failed at least once."""
        query = select(JudgeCall.place).where(
            JudgeCall.run_id == run.id, JudgeCall.status == JudgeStatus.API_ERROR
        )
        return self._database.read(lambda session: set(session.exec(query)))

    def cached(self, keys: Collection[str]) -> dict[str, Answered]:
        """What was answered to these keys before, in any run of any study."""

        def work(session: Session) -> dict[str, Answered]:
            found: dict[str, Answered] = {}
            wanted = list(keys)
            for start in range(0, len(wanted), _KEYS_AT_ONCE):
                some = wanted[start : start + _KEYS_AT_ONCE]
                found |= answers(session, some)
            return found

        return self._database.read(work)

    def record(
        self, run: Run, question: Question, key: str, answered: Answered, *, cached: bool
    ) -> None:
        """Store a call and, where it is ok, what it says; a place that has an answer keeps it.

        The run's claim to the question goes with it, unless the answer was another's.
        Of a chat that was taken back while its judge was asked, nothing is stored.

        Raises:
            StorageError: the database cannot be written; nothing was stored then.
        """
        place = place_of(question)
        check_fit(question, answered)

        def work(session: Session) -> None:
            if not cached:
                drop(session, run.id, key)
            where = judged(session, reply_ids(question))
            if where.assignment_id is not None:
                find_study(session, run.slug, lock=True)  # as those do who withdraw
                where = judged(session, reply_ids(question))
            if where.taken_back:
                return
            before = session.exec(
                select(JudgeCall.attempt, JudgeCall.status)
                .where(JudgeCall.run_id == run.id, JudgeCall.place == place)
                .order_by(col(JudgeCall.attempt).desc())
            ).first()
            if before is not None and before.status is not JudgeStatus.API_ERROR:
                return
            call = call_row(run.id, question, key, answered, cached)
            call.attempt = 0 if before is None else before.attempt + 1
            call.assignment_id = where.assignment_id
            session.add(call)
            session.flush()
            if answered.verdict is not None:
                version = session.get_one(JudgeRun, run.id).protocol_version
                rows = list(answer_rows(run.rater, question, call, answered.verdict, version))
                session.add_all(rows)
                session.flush()
                if answered.verdict.scores:
                    session.add_all(rating_rows(rows[0].id, answered.verdict.scores))

        self._database.write(work)

    def spent(self, run: Run) -> float:
        """What the calls of a run have cost in US dollars, failed ones included."""
        query = select(func.coalesce(func.sum(JudgeCall.cost), 0.0)).where(
            JudgeCall.run_id == run.id
        )
        return float(self._database.read(lambda session: session.exec(query).one()))

    def owed(self, run: Run) -> Owed:
        """What a killed process of the run had under way; nothing while a process is asking."""
        return self.claims.left(run.id, lock_name(run.slug, run.spec_hash))

    def counts(self, run: Run) -> dict[JudgeStatus, int]:
        """How many places ended in which way; of a place asked again only the last call counts."""
        last = (
            select(JudgeCall.place, func.max(JudgeCall.attempt).label("attempt"))
            .where(JudgeCall.run_id == run.id)
            .group_by(JudgeCall.place)
            .subquery()
        )
        query = (
            select(JudgeCall.status, func.count())
            .join(
                last,
                (last.c.place == JudgeCall.place) & (last.c.attempt == JudgeCall.attempt),
            )
            .where(JudgeCall.run_id == run.id)
            .group_by(JudgeCall.status)
        )
        found = self._database.read(lambda session: dict(session.exec(query).all()))
        return {status: found.get(status, 0) for status in JudgeStatus}

    def close_run(self, run: Run) -> None:
        """Note when it came to its end; it can still go on, when the study has more to ask."""

        def work(session: Session) -> None:
            session.get_one(JudgeRun, run.id).finished_at = utc_now()

        self._database.write(work)


def _found(session: Session, spec: RunSpec) -> Run | None:
    study = find_study(session, spec.slug)
    row = session.exec(
        select(JudgeRun).where(
            JudgeRun.study_id == study.id, JudgeRun.spec_hash == spec.content_hash
        )
    ).first()
    return row and Run(row.id, spec.slug, row.rater_id, True, row.spec_hash)


def _run_row(spec: RunSpec, study_id: str, names: set[str]) -> JudgeRun:
    return JudgeRun(
        study_id=study_id,
        rater_id=_rater(spec, names),
        protocol=spec.protocol.name,
        protocol_version=spec.protocol.version,
        protocol_hash=spec.protocol.content_hash,
        dimensions=[name.value for name in spec.protocol.dimensions],
        aspects=list(spec.protocol.aspects),
        model=spec.model,
        endpoint=spec.endpoint,
        asking=asdict(spec.asking),
        samples=spec.samples,
        with_reference=spec.with_reference and spec.protocol.reference != "none",
        controls=sorted(kind.value for kind in spec.controls),
        spec_hash=spec.content_hash,
    )


def _rater(spec: RunSpec, taken: set[str]) -> str:
    """`PROTOCOL:MODEL`, with some of the settings' hash where it is cut or taken already."""
    plain = f"{spec.protocol.name}:{spec.model}"
    if len(plain) <= _LONGEST_NAME and plain not in taken:
        return plain
    for signs in range(_HASH_SIGNS, _LONGEST_NAME):
        tail = f"@{spec.content_hash[:signs]}"
        name = plain[: _LONGEST_NAME - len(tail)] + tail
        if name not in taken:
            return name
    raise ValueError("two runs have one hash")
