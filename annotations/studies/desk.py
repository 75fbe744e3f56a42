"""The desk: everything that happens in a study, each call one transaction.

Participants are known by the key they hold. Calls about one study take turns (SQLite's writers
always do; on PostgreSQL the study's row is locked), so nothing is given or counted twice. Only
this clock decides; what a client says about time is stored and never relied upon.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from annotations.schema_study import StudyAssignment, StudyParticipant, StudyProblem
from annotations.studies import chats, people, screens, submissions
from annotations.studies.errors import unusable
from annotations.studies.forms import (
    MAX_PROBLEM_CHARS,
    MAX_REASON_CHARS,
    SubmissionForm,
    free_text,
)
from annotations.studies.keys import outside_secret
from annotations.studies.owner import OwnersDesk
from annotations.studies.parts import Arm
from annotations.studies.standing import standing_of
from annotations.studies.stored import Opened, find_participant, opened
from annotations.studies.values import (
    AnsweredView,
    Entry,
    Receipt,
    Screen,
    Stage,
    WithdrawalReceipt,
)
from annotations.values import AssignmentKind
from esc_demo.errors import BadInput

T = TypeVar("T")

MAX_DRAFT_CHARS = 20_000


class Desk(OwnersDesk):
    """Studies and their participants; may be shared by all threads."""

    def enter(
        self,
        slug: str,
        *,
        resume_key: str | None = None,
        invitation: str | None = None,
        external: str | None = None,
    ) -> Entry:
        """Come in, or come back; the first of the three that is given says who it is.

        Raises:
            StudyError: 403 not invited; 404 unknown study or code; 410 not open; 422.
        """
        secret = ""
        if not resume_key and external:
            secret = outside_secret(self._database.engine)

        def work(session: Session) -> Entry:
            study, now = opened(session, slug, lock=True), self._clock()
            if resume_key:
                found = people.resume(session, study, resume_key), resume_key, True
            elif external:
                found = people.enter_external(session, study, external, secret, now)
            elif invitation:
                found = people.enter_invited(session, study, invitation, now)
            else:
                found = people.enter_openly(session, study, now)
            person, key, resumed = found
            person.seen_at = now
            return Entry(key, people.pseudonym(person), _stage(session, study, person), resumed)

        return self._database.write(work)

    def consent(self, slug: str, key: str, version: int) -> Stage:
        """Note that the participant agrees to this version of the text.

        Raises:
            StudyError: 404; 409 another version; 410.
        """

        def work(session: Session, study: Opened, person: StudyParticipant) -> Stage:
            people.agree(study, person, version, self._clock())
            return _stage(session, study, person)

        return self._participant(slug, key, work)

    def current(self, slug: str, key: str) -> Screen:
        """What the page shows now; gives out the next item and holds it.

        Raises:
            StudyError: 404.
        """
        return self._participant(
            slug,
            key,
            lambda session, study, person: screens.show(session, study, person, self._clock()),
        )

    def save_draft(self, slug: str, key: str, assignment_id: str, draft: dict[str, object]) -> None:
        """Keep what is filled in so far; the page gets it back with the item.

        Raises:
            StudyError: 403 not theirs; 404; 409 no longer open; 422 too long or no JSON.
        """
        stored = _checked_draft(draft)

        def work(session: Session, study: Opened, person: StudyParticipant) -> None:
            people.refuse_withdrawn(person)
            row = submissions.own_assignment(session, person, assignment_id)
            screens.keep_draft(session, study, row, stored, self._clock())

        self._participant(slug, key, work)

    def submit(self, slug: str, key: str, form: SubmissionForm) -> Receipt:
        """Take an answer; the same again under its nonce gives the same receipt, stores nothing.

        Raises:
            StudyError: 403 not theirs; 404; 409 answered before, or otherwise; 410 withdrawn; 422.
        """

        def work(session: Session, study: Opened, person: StudyParticipant) -> Receipt:
            row, now = (
                submissions.own_assignment(session, person, form.assignment_id),
                self._clock(),
            )
            repeated = submissions.is_repeated(session, study, row, form)
            if not repeated:
                submissions.submit(session, study, person, row, form, now)
            practice = row.kind is AssignmentKind.PRACTICE
            task = study.content(session).tasks[row.task_id]
            return Receipt(
                status=row.status,
                screen=screens.show(session, study, person, now),
                duplicate=repeated,
                passed=row.passed if practice else None,
                feedback=getattr(study.written(task.key), "feedback", "") if practice else "",
            )

        return self._participant(slug, key, work)

    def answered(self, slug: str, key: str, assignment_id: str) -> AnsweredView:
        """An answer as it stands, to be corrected.

        Raises:
            StudyError: 403 not theirs; 404; 409 not answered; 410.
        """

        def work(session: Session, study: Opened, person: StudyParticipant) -> AnsweredView:
            row = submissions.own_assignment(session, person, assignment_id)
            return screens.answered_view(session, study, person, row)

        return self._participant(slug, key, work)

    def correct(
        self, slug: str, key: str, assignment_id: str, form: SubmissionForm, reason: str
    ) -> Receipt:
        """Append a correction to an answer. The same again under its nonce stores nothing.

        Raises:
            StudyError: 403 not theirs; 404; 409 not answered, or closed; 410; 422.
        """
        why = _text(reason, MAX_REASON_CHARS, "The reason")
        if form.assignment_id != assignment_id:
            raise unusable("The correction belongs to another item. Reload the page.")

        def work(session: Session, study: Opened, person: StudyParticipant) -> Receipt:
            now = self._clock()
            row = submissions.own_assignment(session, person, assignment_id)
            repeated = submissions.is_repeated(session, study, row, form)
            if not repeated:
                submissions.correct(session, study, person, row, form, why, now)
            screen = screens.show(session, study, person, now)
            return Receipt(row.status, screen, duplicate=repeated)

        return self._participant(slug, key, work)

    def skip(self, slug: str, key: str, assignment_id: str, reason: str = "") -> Stage:
        """Give an item back without answering it.

        Raises:
            StudyError: 403 not theirs; 404; 409 answered, or practice; 410; 422.
        """
        why = _text(reason, MAX_REASON_CHARS, "The reason")

        def work(session: Session, study: Opened, person: StudyParticipant) -> Stage:
            row = submissions.own_assignment(session, person, assignment_id)
            submissions.skip(person, row, why, self._clock())
            session.flush()
            return _stage(session, study, person)

        return self._participant(slug, key, work)

    def report_problem(self, slug: str, key: str, assignment_id: str | None, text: str) -> None:
        """Store what a participant reports.

        Raises:
            StudyError: 403 not theirs; 404; 410 withdrawn; 422 no text.
        """
        said = _text(text, MAX_PROBLEM_CHARS, "The report")
        if not said:
            raise unusable("Write in a few words what is wrong.")

        def work(session: Session, study: Opened, person: StudyParticipant) -> None:
            people.refuse_withdrawn(person)
            if assignment_id is not None:
                submissions.own_assignment(session, person, assignment_id)
            session.add(
                StudyProblem(
                    study_id=study.row.id,
                    participant_id=person.id,
                    assignment_id=assignment_id,
                    text=said,
                    created_at=self._clock(),
                )
            )

        self._participant(slug, key, work)

    def resume_from_break(self, slug: str, key: str) -> Stage:
        """Go on. Raises StudyError 404."""

        def work(session: Session, study: Opened, person: StudyParticipant) -> Stage:
            person.rested_after = standing_of(session, person).behind
            session.flush()
            return _stage(session, study, person)

        return self._participant(slug, key, work)

    def withdraw(self, slug: str, key: str) -> WithdrawalReceipt:
        """Take all answers of the participant out; again: the same receipt.

        Raises:
            StudyError: 404; also where answers are anonymised and this was done before.
        """
        return self._participant(
            slug,
            key,
            lambda session, study, person: people.withdraw(session, study, person, self._clock()),
        )

    # Live chats.

    def live_arms(self, slug: str, key: str, assignment_id: str) -> tuple[Arm, Arm]:
        """The arms behind a chat, in the shown order; for the server only.

        Raises:
            StudyError: 403 not theirs; 404; 409 no chat; 410.
        """
        return self._chat(slug, key, assignment_id, lambda _, study, row: chats.arms(study, row))

    def live_chats(self, slug: str, key: str, assignment_id: str) -> tuple[str, str] | None:
        """The two conversations of a chat, None before it began; raises as `live_arms`."""
        return self._chat(slug, key, assignment_id, lambda _session, _study, row: chats.chats(row))

    def set_live_chats(
        self, slug: str, key: str, assignment_id: str, conversations: tuple[str, str]
    ) -> None:
        """Note the two conversations of a chat, in the shown order; raises as `live_arms`."""
        self._chat(
            slug,
            key,
            assignment_id,
            lambda session, _study, row: chats.set_chats(session, row, conversations),
        )

    def end_chat(self, slug: str, key: str, assignment_id: str) -> None:
        """End a chat, so that it can be rated; raises as `live_arms`, and 409 when too short."""
        self._chat(
            slug,
            key,
            assignment_id,
            lambda session, study, row: chats.end(session, study, row, self._clock()),
        )

    def _participant(
        self, slug: str, key: str, work: Callable[[Session, Opened, StudyParticipant], T]
    ) -> T:
        def whole(session: Session) -> T:
            study = opened(session, slug, lock=True)
            return work(session, study, find_participant(session, study.row, key))

        return self._database.write(whole)

    def _chat(
        self,
        slug: str,
        key: str,
        assignment_id: str,
        work: Callable[[Session, Opened, StudyAssignment], T],
    ) -> T:
        def whole(session: Session, study: Opened, person: StudyParticipant) -> T:
            return work(session, study, chats.own_chat(session, study, person, assignment_id))

        return self._participant(slug, key, whole)


def _stage(session: Session, study: Opened, person: StudyParticipant) -> Stage:
    return screens.stage_of(study, person, standing_of(session, person))


def _text(given: object, most: int, what: str) -> str:
    try:
        return free_text(given, most, what)
    except BadInput as error:
        raise unusable(str(error)) from error


def _checked_draft(draft: object) -> dict[str, object]:
    """The draft, if it can be stored as JSON and is not too long."""
    if not isinstance(draft, dict):
        raise unusable("The draft must be an object.")
    try:
        text = json.dumps(draft, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise unusable("The draft holds something that cannot be stored.") from error
    if len(text) > MAX_DRAFT_CHARS:
        raise unusable(
            f"The draft is longer than {MAX_DRAFT_CHARS:,} characters and was not stored."
        )
    return draft
