"""What the rater's page is sent: JSON made of the Desk's views, field by field.

Nothing is dumped whole, so a field that is added to a view never reaches a rater by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotations import Choice
from annotations.scales_study import load_study_scales
from annotations.studies.definition import StudyDefinition
from annotations.studies.values import (
    AnsweredView,
    BreakView,
    DebriefView,
    ItemView,
    Receipt,
    Scores,
    Screen,
    StudyDimension,
    StudyMode,
    WithdrawalReceipt,
)

Json = dict[str, Any]


def welcome_json(definition: StudyDefinition) -> Json:
    """For somebody we do not know: how they may come in."""
    recruitment = definition.recruitment
    return {
        "stage": "welcome",
        "title": definition.title,
        "needs_invitation": not recruitment.open and bool(recruitment.invitations),
        "known_by": list(recruitment.known_by),
    }


def begun_json(definition: StudyDefinition) -> Json:
    """Somebody has begun with this link; nothing of theirs is told."""
    return {"stage": "begun", "title": definition.title}


def screen_json(screen: Screen, key: str, chat: Json | None) -> Json:
    """One screen. `chat` belongs to an item of live mode."""
    return {
        "stage": screen.stage.value,
        "title": screen.title,
        "code": key,
        "known_by": list(screen.known_by),
        "withdrawal": screen.withdrawal,
        "answered": screen.answered,
        "of": screen.of,
        "consent": None
        if screen.consent is None
        else {
            "version": screen.consent.version,
            "text": screen.consent.text,
            "content_note": screen.consent.content_note,
        },
        "item": None if screen.item is None else item_json(screen.item, chat),
        "rest": None if screen.rest is None else _rest(screen.rest),
        "debrief": None if screen.debrief is None else _debrief(screen.debrief),
        "can_correct": screen.can_correct,
    }


def item_json(item: ItemView, chat: Json | None) -> Json:
    """One item: texts, wording, and the draft. Replies are numbered as they are shown."""
    live = chat is not None
    sides = chat["sides"] if chat is not None else len(item.replies)
    before = [name for name in item.once if name is StudyDimension.EMOTION_BEFORE]
    cannot = load_study_scales().cannot_judge
    return {
        "assignment_id": item.assignment_id,
        "practice": item.practice,
        "position": item.position,
        "of": item.of,
        "history": [{"role": turn.role.value, "text": turn.text} for turn in item.history],
        "replies": list(item.replies),
        "sides": sides,
        "rows": [_scale(name) for name in item.dimensions],
        "asked_before": [_scale(name) for name in before],
        "asked_at_end": [_scale(name) for name in item.once if name not in before],
        "cannot_judge": {"title": cannot.title, "meaning": cannot.meaning},
        "preference": _preference(live) if item.preference else None,
        "draft": None if item.draft is None else dict(item.draft),
        "situation": item.situation,
        "least_turns": item.least_turns,
        "most_turns": item.most_turns,
        "chat": chat,
    }


def answered_json(view: AnsweredView, chat: Json | None) -> Json:
    """An item with the answers its participant gave, in the shown order."""
    return {
        "item": item_json(view.item, chat),
        "answers": {
            "scores": [_plain(scores) for scores in view.scores],
            "once": _plain(view.once),
            "preference": view.preference,
            "comment": view.comment,
        },
    }


def receipt_json(receipt: Receipt) -> Json:
    """What became of a submission."""
    return {
        "status": receipt.status.value,
        "passed": receipt.passed,
        "feedback": receipt.feedback,
    }


def withdrawn_json(definition: StudyDefinition, receipt: WithdrawalReceipt) -> Json:
    """The last thing a participant who withdraws is shown."""
    return {
        "stage": "withdrawn",
        "title": definition.title,
        "receipt": {"code": receipt.code, "how": receipt.how, "answers": receipt.answers},
    }


def is_live(item: ItemView | None) -> bool:
    """Whether the replies of an item are still to be written; practice is always written."""
    return item is not None and item.mode is StudyMode.LIVE and not item.replies


def _plain(scores: Scores) -> Json:
    return {dimension.value: score for dimension, score in scores.items()}


def _scale(dimension: StudyDimension) -> Json:
    wording = load_study_scales().wording(dimension)
    return {
        "id": dimension.value,
        "title": wording.title,
        "question": wording.question,
        "points": [wording.points[point] for point in sorted(wording.points)],
    }


def _preference(live: bool) -> Json:
    scale = load_study_scales().preference
    name = "Partner" if live else "Reply"
    titles: Mapping[str, str] = {
        "1": f"{name} 1",
        "2": f"{name} 2",
        "tie": scale.choices[Choice.TIE],
        "both_bad": scale.choices[Choice.BOTH_BAD],
    }
    return {
        "question": "Which partner would you rather talk to again?" if live else scale.question,
        "choices": [{"value": value, "title": title} for value, title in titles.items()],
    }


def _rest(rest: BreakView) -> Json:
    return {
        "answered": rest.answered,
        "of": rest.of,
        "minutes": rest.minutes,
        "minutes_left": rest.minutes_left,
    }


def _debrief(debrief: DebriefView) -> Json:
    return {
        "text": debrief.text,
        "completion_code": debrief.completion_code,
        "completion_url": debrief.completion_url,
    }
