"""Between a judge's question and answer and the rows of the tables, in both directions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from annotations.columns import new_id
from annotations.forms import MAX_COMMENT_CHARS
from annotations.judge.values import (
    OVERALL,
    Answered,
    Candidate,
    Pick,
    Question,
    Usage,
    Verdict,
)
from annotations.rows import storable
from annotations.schema import Preference, RatingSubmission
from annotations.schema_judge import JudgeCall
from annotations.schema_study import StudyAssignment, StudyParticipant, StudyReply
from annotations.values import Choice, JudgeStatus, RaterKind, StudyDimension
from esc_demo.dialogue import Message


def place_of(question: Question) -> str:
    """What is asked, within a run: `TASK:REPLY>REPLY:SAMPLE`, with `control-gold` for a control.

    Two questions of one place are the same question.
    """
    shown = ">".join(_name(candidate) for candidate in question.shown)
    return f"{question.task_id}:{shown}:{question.sample}"


def _name(candidate: Candidate) -> str:
    if candidate.control is not None:
        return f"control-{candidate.control.value}"
    if candidate.reply_id is None:
        raise ValueError("a candidate is either a stored reply or a control")
    return candidate.reply_id


def check_fit(question: Question, answered: Answered) -> None:
    """A verdict there exactly when ok, and about what was shown.

    Raises:
        ValueError: not so, which is a mistake of the caller.
    """
    verdict = answered.verdict
    if (verdict is not None) != (answered.status is JudgeStatus.OK):
        raise ValueError(f"{answered.status} with verdict {verdict}")
    if verdict is not None:
        pair = len(question.shown) == 2
        if bool(verdict.picks) != pair or bool(verdict.scores) == pair:
            raise ValueError(f"{verdict} does not answer {place_of(question)}")


def call_row(
    run_id: str, question: Question, key: str, answered: Answered, cached: bool
) -> JudgeCall:
    """The call; the number of its attempt and the chat it is about are still to be set."""
    usage = answered.usage
    return JudgeCall(
        run_id=run_id,
        task_id=question.task_id,
        place=place_of(question),
        sample=question.sample,
        attempt=0,
        key=key,
        candidates=candidates_json(question),
        status=answered.status,
        messages=[
            {"role": message.role, "content": storable(message.content)}
            for message in answered.messages
        ],
        raw=storable(answered.raw),
        verdict=None if answered.verdict is None else _verdict_json(answered.verdict),
        error=storable(answered.error),
        cached=cached,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost=0.0 if cached else usage.cost,
        requests=0 if cached else answered.requests,
        seconds=answered.seconds,
    )


def candidates_json(question: Question) -> list[dict[str, str]]:
    """What was shown, in its order: `{"reply": id}` or `{"control": word}`."""
    return [
        {"reply": _name(one)} if one.control is None else {"control": one.control.value}
        for one in question.shown
    ]


@dataclass(frozen=True)
class Judged:
    """Where the replies of a question belong."""

    assignment_id: str | None
    """The screen whose chat is judged; None for written replies."""
    taken_back: bool
    """Whether the one who chatted has withdrawn since the question was made."""


def reply_ids(question: Question) -> set[str]:
    """The stored replies that are shown."""
    return {one.reply_id for one in question.shown if one.reply_id is not None}


def judged(session: Session, ids: Collection[str]) -> Judged:
    """Where some replies of one question belong, as the database has it now."""
    query = (
        select(StudyReply.assignment_id, StudyParticipant.withdrawn_at)
        .outerjoin(StudyAssignment, col(StudyAssignment.id) == StudyReply.assignment_id)
        .outerjoin(StudyParticipant, col(StudyParticipant.id) == StudyAssignment.participant_id)
        .where(col(StudyReply.id).in_(ids))
    )
    rows = session.exec(query).all()
    chat = next((assignment for assignment, _ in rows if assignment is not None), None)
    return Judged(chat, len(rows) < len(ids) or any(moment for _, moment in rows))


def answer_rows(
    rater: str, question: Question, call: JudgeCall, verdict: Verdict, version: int
) -> Iterator[RatingSubmission | Preference]:
    """One submission for the scores of a reply, or one preference for each aspect of a pair."""
    common: dict[str, Any] = {
        "judge_call_id": call.id,
        "rater_id": rater,
        "rater_kind": RaterKind.JUDGE,
        "comment": storable(verdict.rationale)[:MAX_COMMENT_CHARS],
        "scales_version": version,
        "created_at": call.created_at,
    }
    if verdict.scores:
        (one,) = question.shown
        yield RatingSubmission(id=new_id(), reply_id=one.reply_id, control=one.control, **common)
    for aspect, pick in verdict.picks.items():
        chosen = _chosen(question.shown, pick)
        yield Preference(
            id=new_id(),
            aspect="" if aspect == OVERALL else aspect,
            choice=Choice.GENERATION if chosen else Choice(pick.value),
            preferred_reply_id=chosen and chosen.reply_id,
            preferred_control=chosen and chosen.control,
            compared=list(_compared(question.shown)),
            **common,
        )


def _chosen(shown: tuple[Candidate, ...], pick: Pick) -> Candidate | None:
    return {Pick.FIRST: shown[0], Pick.SECOND: shown[1]}.get(pick)


def _compared(shown: Iterable[Candidate]) -> Iterator[str]:
    for one in shown:
        yield f"control:{one.control.value}" if one.control is not None else _name(one)


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "scores": {name.value: score for name, score in verdict.scores.items()},
        "picks": {aspect: pick.value for aspect, pick in verdict.picks.items()},
        "rationale": storable(verdict.rationale),
    }


def answered_of(row: JudgeCall) -> Answered:
    """What a stored call says."""
    verdict = None if row.verdict is None else _verdict(row.verdict)
    return Answered(
        status=row.status,
        messages=tuple(Message(one["role"], one["content"]) for one in row.messages),
        raw=row.raw,
        verdict=verdict,
        error=row.error,
        usage=Usage(row.prompt_tokens, row.completion_tokens, row.cost),
        requests=row.requests,
        seconds=row.seconds,
    )


def _verdict(values: Mapping[str, Any]) -> Verdict:
    return Verdict(
        {StudyDimension(name): score for name, score in values["scores"].items()},
        {aspect: Pick(pick) for aspect, pick in values["picks"].items()},
        values["rationale"],
    )
