"""The owner's side of the desk: a study's way from draft to closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session, col, select

from annotations.columns import utc_now
from annotations.schema_study import Study, StudyParticipant
from annotations.studies import founding, people, retention, watching
from annotations.studies.build import BuiltStudy
from annotations.studies.definition import StudyDefinition
from annotations.studies.keys import outside_secret
from annotations.studies.progress import progress
from annotations.studies.retention import Purged, scrub
from annotations.studies.stored import Opened, find_study, opened
from annotations.studies.values import StudyProgress, StudyView, WithdrawalReceipt
from annotations.studies.watching import CodeCheck, Named, Problem
from annotations.transactions import Transactions


class OwnersDesk:
    """Studies as their owner sees them; may be shared by all threads."""

    def __init__(self, database: Transactions, clock: Callable[[], datetime] = utc_now) -> None:
        """On a database that is open; `clock` gives the present moment in UTC."""
        self._database = database
        self._clock = clock

    def create(self, built: BuiltStudy) -> StudyView:
        """Store a study as a draft; again: replaces the draft, or adds invitations.

        Raises:
            StudyError: 409, it has opened and differs; the text names the keys.
        """
        return self._owner(lambda session: founding.create(session, built, self._clock()))

    def open(self, slug: str, built: BuiltStudy | None = None) -> StudyView:
        """Let participants in, for the first time or after a pause.

        Raises:
            StudyError: 404; 409 closed, or `built` differs from what is stored.
            ConfigError: flagged replies; or no key for participants of recruiting sites.
        """

        def work(session: Session) -> Study:
            row = founding.open_study(session, slug, built, self._clock())
            if opened(session, slug).definition.recruitment.url_parameters is not None:
                outside_secret(self._database.engine)  # is there, or says what to do
            return row

        return self._owner(work)

    def pause(self, slug: str) -> StudyView:
        """Give out nothing more for now. Raises StudyError 404, 409."""
        return self._owner(lambda session: founding.pause_study(session, slug))

    def close(self, slug: str) -> StudyView:
        """End a study for good. Raises StudyError 404, 409."""
        return self._owner(lambda session: founding.close_study(session, slug, self._clock()))

    def purge(self, slug: str, *, dry_run: bool = False) -> Purged:
        """Delete what participants wrote, once the retention has ended; all of it or nothing.

        Raises:
            StudyError: 404; 409 not closed, too early, or done before.
        """

        def work(session: Session) -> Purged:
            study = opened(session, slug, lock=True)
            return retention.purge(session, study, self._clock(), dry_run=dry_run)

        done = self._database.write(work)
        return done if dry_run else replace(done, scrubbed=scrub(self._database.engine))

    def find_rater(self, slug: str, code: str, *, imported: bool = False) -> Named:
        """Whose code it is; see `watching.find_rater`. Raises StudyError 404."""

        def work(session: Session) -> Named:
            study = opened(session, slug)
            return watching.named(session, study, self._rater(session, study, code, imported))

        return self._database.read(work)

    def withdraw_rater(self, slug: str, code: str, *, imported: bool = False) -> WithdrawalReceipt:
        """Take out the answers of somebody who asked for it by mail; again: the same receipt.

        Raises:
            StudyError: 404.
        """

        def work(session: Session) -> WithdrawalReceipt:
            study = opened(session, slug, lock=True)
            person = self._rater(session, study, code, imported)
            return people.withdraw(session, study, person, self._clock())

        return self._database.write(work)

    def _rater(
        self, session: Session, study: Opened, code: str, imported: bool
    ) -> StudyParticipant:
        by_name = imported or study.definition.recruitment.url_parameters is not None
        secret = outside_secret(self._database.engine) if by_name else ""
        return watching.find_rater(session, study, code, secret, imported=imported)

    def study(self, slug: str) -> StudyView:
        """One study. Raises StudyError 404."""
        return self._database.read(
            lambda session: founding.view(session, find_study(session, slug))
        )

    def definition(self, slug: str) -> StudyDefinition:
        """What the study is made of; invitations are not in it. Raises StudyError 404."""
        return self._database.read(lambda session: opened(session, slug).definition)

    def studies(self) -> list[StudyView]:
        """All studies, the newest first."""

        def work(session: Session) -> list[StudyView]:
            rows = session.exec(select(Study).order_by(col(Study.created_at).desc(), Study.slug))
            return [founding.view(session, row) for row in rows.all()]

        return self._database.read(work)

    def progress(self, slug: str) -> StudyProgress:
        """How far a study is. Raises StudyError 404."""
        return self._database.read(
            lambda session: progress(session, opened(session, slug), self._clock())
        )

    def problems(self, slug: str) -> tuple[Problem, ...]:
        """What participants reported, the newest first. Raises StudyError 404."""
        return self._database.read(
            lambda session: watching.problems(session, opened(session, slug))
        )

    def check_codes(self, slug: str, codes: Sequence[str]) -> tuple[CodeCheck, ...]:
        """Whether completion codes are real; says nothing about who. Raises StudyError 404."""
        return self._database.read(
            lambda session: watching.check_codes(session, opened(session, slug), codes)
        )

    def _owner(self, work: Callable[[Session], Study]) -> StudyView:
        def whole(session: Session) -> StudyView:
            row = work(session)
            session.flush()
            return founding.view(session, row)

        return self._database.write(whole)
