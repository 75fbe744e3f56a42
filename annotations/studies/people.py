"""Coming in, agreeing, coming back, and taking one's answers out again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, update
from sqlmodel import Session, col, select

from annotations.schema_study import (
    StudyAssignment,
    StudyInvitation,
    StudyParticipant,
    StudyProblem,
    StudyWithdrawal,
)
from annotations.studies import removal
from annotations.studies.errors import conflict, forbidden, gone, unusable
from annotations.studies.keys import code_hash, derived_code, keyed_hash, new_code
from annotations.studies.standing import ANSWERED
from annotations.studies.stored import Opened, find_participant
from annotations.studies.values import AssignmentStatus, StudyStatus, WithdrawalReceipt

MAX_EXTERNAL_CHARS = 200


def pseudonym(participant: StudyParticipant) -> str:
    """The name in exports: `P001`."""
    return f"P{participant.number:03}"


def resume(session: Session, study: Opened, key: str) -> StudyParticipant:
    """Who comes back with a resume code; raises StudyError 404."""
    return find_participant(session, study.row, key)


def enter_invited(
    session: Session, study: Opened, invitation: str, now: datetime
) -> tuple[StudyParticipant, str, bool]:
    """Who comes with an invitation, the resume code, and whether they were here before.

    Raises:
        StudyError: 403, the code is not on the list; 410, the study takes nobody now.
    """
    row = session.exec(
        select(StudyInvitation).where(
            StudyInvitation.study_id == study.row.id,
            StudyInvitation.code_hash == code_hash(invitation),
        )
    ).first()
    if row is None:
        raise forbidden(
            "This invitation is not on the list of this study. Check the link, or ask whoever"
            " invited you."
        )
    # The same code always leads to the same key, so a cookie that was lost does not matter.
    key = derived_code(study.row.completion_key, "invitation", code_hash(invitation))
    if row.participant_id is not None:
        return session.get_one(StudyParticipant, row.participant_id), key, True
    person = _add(session, study, key, now)
    row.participant_id = person.id
    return person, key, False


def enter_external(
    session: Session, study: Opened, external: str, secret: str, now: datetime
) -> tuple[StudyParticipant, str, bool]:
    """Who was sent by a recruiting site; the same name always leads to the same participant.

    Raises:
        StudyError: 422 no usable name; 403 the study takes nobody from such a site; 410.
    """
    if study.definition.recruitment.url_parameters is None:
        raise forbidden("This study takes nobody from a recruiting site. Check the link.")
    if not 1 <= len(external) <= MAX_EXTERNAL_CHARS:
        raise unusable("The recruiting site sent no usable name. Open its link again.")
    found = keyed_hash(secret, "external", study.row.id, external)
    key = derived_code(secret, "key", study.row.id, external)
    person = session.exec(
        select(StudyParticipant).where(
            StudyParticipant.study_id == study.row.id, StudyParticipant.external_hash == found
        )
    ).first()
    if person is not None:
        return person, key, True
    return _add(session, study, key, now, external_hash=found), key, False


def enter_openly(
    session: Session, study: Opened, now: datetime
) -> tuple[StudyParticipant, str, bool]:
    """Somebody new who just has the link.

    Raises:
        StudyError: 403, the study is by invitation only; 410.
    """
    if not study.definition.recruitment.open:
        raise forbidden(
            "This study is by invitation only. Open the link you were sent, or type your resume"
            " code if you have been here before."
        )
    key = new_code()
    return _add(session, study, key, now), key, False


def _add(
    session: Session,
    study: Opened,
    key: str,
    now: datetime,
    external_hash: str | None = None,
) -> StudyParticipant:
    """A new participant, under the next number."""
    if study.row.status is not StudyStatus.OPEN:
        raise gone(
            {
                StudyStatus.DRAFT: "This study has not begun yet. Please come back later.",
                StudyStatus.PAUSED: "This study is paused just now. Please come back later.",
            }.get(study.row.status, "This study is closed. Thank you for wanting to take part.")
        )
    last = session.exec(
        select(func.max(StudyParticipant.number)).where(StudyParticipant.study_id == study.row.id)
    ).one()
    person = StudyParticipant(
        study_id=study.row.id,
        number=(last or 0) + 1,
        key_hash=code_hash(key),
        external_hash=external_hash,
        created_at=now,
        seen_at=now,
    )
    session.add(person)
    session.flush()
    return person


def agree(study: Opened, person: StudyParticipant, version: int, now: datetime) -> None:
    """Note the consent; a second time changes nothing.

    Raises:
        StudyError: 409, the text was another version; 410, withdrawn.
    """
    refuse_withdrawn(person)
    if version != study.definition.consent.version:
        raise conflict("The text has changed since you opened it. Reload the page and read it.")
    if person.consented_at is None:
        person.consent_version, person.consented_at = version, now


def refuse_withdrawn(person: StudyParticipant) -> None:
    """Whoever has withdrawn gives no more answers.

    Raises:
        StudyError: 410.
    """
    if person.withdrawn_at is not None:
        raise gone("You have withdrawn from this study. Nothing more can be stored for you.")


def completion_code(study: Opened, person: StudyParticipant) -> str:
    """The code that shows that somebody took part."""
    fixed = study.definition.recruitment.completion_code
    return fixed or derived_code(study.row.completion_key, "completion", person.id, signs=8)


def receipt_code(study: Opened, person: StudyParticipant) -> str:
    """The code on the receipt of a withdrawal."""
    return derived_code(study.row.completion_key, "withdrawal", person.id)


def withdraw(
    session: Session, study: Opened, person: StudyParticipant, now: datetime
) -> WithdrawalReceipt:
    """Take all answers of a participant out; a second time gives the same receipt.

    `delete`: the answers are gone. `anonymise`: scores stay without any text and without the
    way back from a recruiting site, an invitation or a key (so there is no second time), and
    the analysis leaves them out. The texts of chats are gone either way. The triggers let this
    pass because the row of the participant says by now that they withdrew.
    """
    code = receipt_code(study, person)
    done = session.exec(
        select(StudyWithdrawal).where(StudyWithdrawal.participant_id == person.id)
    ).first()
    if done is not None:
        return WithdrawalReceipt(code, done.how, done.answers, done.created_at)
    how = study.definition.withdrawal
    person.withdrawal, person.withdrawn_at = how, now
    session.flush()
    mine = select(StudyAssignment.id).where(StudyAssignment.participant_id == person.id)
    # Imported answers whose time is unknown have no submission, so assignments are counted.
    answers = session.exec(
        select(func.count()).where(
            StudyAssignment.participant_id == person.id,
            col(StudyAssignment.status).in_(ANSWERED),
        )
    ).one()
    session.execute(delete(StudyProblem).where(StudyProblem.participant_id == person.id))
    removal.delete_judgements(session, mine)
    removal.delete_chats(session, mine)
    if how == "delete":
        removal.delete_answers(session, mine)
    else:
        removal.empty_texts(session, mine)
        person.external_hash = None
        # The key follows from the name and the secret, so its hash would lead back to the name.
        person.key_hash = code_hash(new_code())
        session.execute(delete(StudyInvitation).where(StudyInvitation.participant_id == person.id))
    session.execute(
        update(StudyAssignment)
        .where(StudyAssignment.participant_id == person.id)
        .values(
            status=AssignmentStatus.WITHDRAWN,
            submitted_at=None,
            draft=None,
            skip_reason="",
            passed=None,
        )
    )
    session.add(
        StudyWithdrawal(
            study_id=study.row.id,
            participant_id=person.id,
            how=how,
            answers=answers,
            code_hash=code_hash(code),
            created_at=now,
        )
    )
    return WithdrawalReceipt(code, how, answers, now)
