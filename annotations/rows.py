"""Between the engine's values and the rows of the tables, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from annotations.schema import Generation, Preference, Rating, RatingSubmission
from annotations.values import (
    Dimension,
    GenerationRow,
    GenerationStatus,
    PreferenceView,
    RatingStatus,
    RatingView,
    Score,
    StudyDimension,
)
from esc_demo.contexts import ContextSpec
from esc_demo.dialogue import Message, Role, Turn, UserProfile
from esc_demo.engine import (
    Done,
    Failed,
    HistoryPolicy,
    Outcome,
    PaneConfig,
    Request,
    Seen,
    Stopped,
)
from esc_demo.models import Finish, GenerationParams
from esc_demo.prompts import Part, PromptTemplate
from esc_demo.prompts.template import default_texts

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_STATUS = {
    Done: GenerationStatus.DONE,
    Stopped: GenerationStatus.STOPPED,
    Failed: GenerationStatus.FAILED,
}


def generation_of(
    *,
    conversation_id: str,
    turn_id: str,
    pane: int,
    attempt: int,
    policy: HistoryPolicy,
    request: Request,
    outcome: Outcome,
) -> Generation:
    """The row for one reply, whatever became of it."""
    context, prompt, params = request.pane.context, request.pane.prompt, request.params
    finish = None if isinstance(outcome, Failed) else outcome.finish
    return Generation(
        conversation_id=conversation_id,
        turn_id=turn_id,
        pane=pane,
        attempt=attempt,
        status=_STATUS[type(outcome)],
        model_id=request.pane.model,
        prompt_hash=prompt.content_hash,
        prompt_parts={part.value: prompt.text(part) for part in Part if part in prompt.enabled},
        raw_turns=[_turn_json(turn) for turn in request.turns],
        profile=asdict(request.profile),
        context_kind=context.kind,
        keep_negation=context.keep_negation,
        scope=context.scope,
        last_k=context.last_k,
        history_policy=policy,
        **asdict(params),
        reply=storable(outcome.text),
        error=storable(outcome.error) if isinstance(outcome, Failed) else None,
        seconds=outcome.seconds,
        **_seen_columns(outcome.seen),
        **_finish_columns(finish),
    )


def storable(text: str) -> str:
    """`text` as any database takes it: a model may write halves of character pairs or NUL."""
    return _UNSTORABLE.sub("\ufffd", text)


def _turn_json(turn: Turn) -> dict[str, str]:
    plain = {"role": turn.role.value, "text": turn.text}
    return plain if turn.strategy is None else {**plain, "strategy": turn.strategy}


def _seen_columns(seen: Seen | None) -> dict[str, object]:
    """What is known of the prompt; nothing when it was never built."""
    if seen is None:
        return {}
    return {
        "model_revision": seen.model_revision,
        "template_hash": seen.template_hash,
        "messages": [asdict(message) for message in seen.messages],
        "prompt_tokens": seen.prompt.tokens,
        "prompt_tokens_raw": seen.tokens_raw,
        "dropped_turns": seen.dropped,
        "window": seen.window,
    }


def _finish_columns(finish: Finish | None) -> dict[str, object]:
    """What is known of the ending; nothing when the model did not report one."""
    if finish is None:
        return {}
    return {
        "finish_reason": finish.reason,
        "new_tokens": finish.new_tokens,
        "queued_s": finish.queued_s,
        "prefill_s": finish.prefill_s,
        "decode_s": finish.decode_s,
    }


def generation_row(row: Generation) -> GenerationRow:
    """The stored reply as a value that outlives its session."""
    finish = row.finish_reason and Finish(
        row.finish_reason, row.new_tokens, row.queued_s, row.prefill_s, row.decode_s
    )
    return GenerationRow(
        id=row.id,
        conversation_id=row.conversation_id,
        turn_id=row.turn_id,
        pane=row.pane,
        attempt=row.attempt,
        policy=row.history_policy,
        status=row.status,
        request=_request_of(row),
        prompt_hash=row.prompt_hash,
        model_revision=row.model_revision,
        template_hash=row.template_hash,
        messages=row.messages and tuple(Message(**message) for message in row.messages),
        reply=row.reply,
        finish=finish,
        error=row.error,
        prompt_tokens=row.prompt_tokens,
        prompt_tokens_raw=row.prompt_tokens_raw,
        dropped_turns=row.dropped_turns,
        window=row.window,
        seconds=row.seconds,
        created_at=row.created_at,
    )


def _request_of(row: Generation) -> Request:
    """The request that led to `row`."""
    known = {field.name for field in fields(UserProfile)}
    return Request(
        PaneConfig(
            row.model_id,
            ContextSpec(row.context_kind, row.keep_negation, row.scope, row.last_k),
            _template_of(row.prompt_parts),
        ),
        tuple(
            Turn(Role(turn["role"]), turn["text"], turn.get("strategy")) for turn in row.raw_turns
        ),
        UserProfile(**{name: text for name, text in row.profile.items() if name in known}),
        GenerationParams(row.temperature, row.top_p, row.top_k, row.max_new_tokens, row.seed),
    )


def _template_of(parts: Mapping[str, str]) -> PromptTemplate:
    """The template with these texts, also when the shipped ones have changed since."""
    texts = {Part(name): text for name, text in parts.items()}
    shipped = default_texts()
    edits = ((part, text) for part, text in texts.items() if text != shipped[part])
    return PromptTemplate(frozenset(texts), tuple(sorted(edits)))


def rating_rows(
    submission_id: str, scores: Mapping[Dimension, Score] | Mapping[StudyDimension, Score]
) -> list[Rating]:
    """One row per dimension."""
    return [Rating(**values) for values in rating_values(submission_id, scores)]


def rating_values(
    submission_id: str, scores: Mapping[Dimension, Score] | Mapping[StudyDimension, Score]
) -> list[dict[str, Any]]:
    """What `rating_rows` holds, for a statement that inserts many at once."""
    return [
        {
            "submission_id": submission_id,
            "dimension": dimension,
            "status": RatingStatus.CANNOT_JUDGE if isinstance(score, str) else RatingStatus.SCORED,
            "score": None if isinstance(score, str) else score,
        }
        for dimension, score in scores.items()
    ]


def rating_view(submission: RatingSubmission, ratings: Iterable[Rating]) -> RatingView:
    """A submission with its answers, in the order they are asked."""
    answers = {
        row.dimension: RatingStatus.CANNOT_JUDGE.value if row.score is None else row.score
        for row in ratings
    }
    return RatingView(
        submission_id=submission.id,
        scores={dimension: answers[dimension] for dimension in Dimension if dimension in answers},
        **_common(submission),
        generation_id=submission.generation_id,
    )


def preference_view(row: Preference) -> PreferenceView:
    """A preference as a value that outlives its session."""
    return PreferenceView(
        submission_id=row.id,
        turn_id=row.turn_id,
        choice=row.choice,
        preferred_generation_id=row.preferred_generation_id,
        compared=tuple(row.compared),
        **_common(row),
    )


def _common(row: RatingSubmission | Preference) -> dict[str, str | int | datetime | None]:
    names = ("rater_id", "rater_kind", "comment", "scales_version", "supersedes", "created_at")
    return {name: getattr(row, name) for name in names}
