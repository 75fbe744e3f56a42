"""Words and rows that leave the database: enums, and frozen values that know no session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from esc_demo.dialogue import Message
from esc_demo.engine import HistoryPolicy, Request
from esc_demo.models import Finish


class Origin(StrEnum):
    """Where a conversation took place."""

    PAGE = "page"
    STUDY = "study"


class GenerationStatus(StrEnum):
    """How a generation ended."""

    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class RaterKind(StrEnum):
    """Who judges; both write the same tables."""

    HUMAN = "human"
    JUDGE = "judge"


class Dimension(StrEnum):
    """What is rated, in the order it is asked."""

    ENGAGEMENT = "engagement"
    COMFORTING = "comforting"
    APPROPRIATENESS = "appropriateness"
    SUGGESTION = "suggestion"


class StudyDimension(StrEnum):
    """All that can be answered with a score from 0 to 5, in the order it is asked.

    The first four are those of the Compare page; fluency to overall complete the five questions
    of Liu et al. (2021); relevance, informativeness and coherence are asked of judges only; the two
    emotions are about the seeker and asked once a chat.
    """

    EMOTION_BEFORE = "emotion_before"
    ENGAGEMENT = "engagement"
    COMFORTING = "comforting"
    APPROPRIATENESS = "appropriateness"
    SUGGESTION = "suggestion"
    FLUENCY = "fluency"
    IDENTIFICATION = "identification"
    EMPATHY = "empathy"
    SAFETY = "safety"
    OVERALL = "overall"
    RELEVANCE = "relevance"
    INFORMATIVENESS = "informativeness"
    COHERENCE = "coherence"
    EMOTION_AFTER = "emotion_after"


ASKED_ONCE = frozenset({StudyDimension.EMOTION_BEFORE, StudyDimension.EMOTION_AFTER})
"""Dimensions about the seeker rather than about a reply."""

JUDGES_ONLY = frozenset(
    {StudyDimension.RELEVANCE, StudyDimension.INFORMATIVENESS, StudyDimension.COHERENCE}
)
"""Dimensions of judges' protocols that studies do not put to people."""


class RatingStatus(StrEnum):
    """Whether a rating carries a score. "Cannot judge" is an answer, never a number."""

    SCORED = "scored"
    CANNOT_JUDGE = "cannot_judge"


class Choice(StrEnum):
    """The answer to "which reply is best?"."""

    GENERATION = "generation"
    TIE = "tie"
    BOTH_BAD = "both_bad"


class StudyMode(StrEnum):
    """What is judged: two written replies, one written reply, or two live chat partners."""

    PAIRS = "pairs"
    SINGLE = "single"
    LIVE = "live"


class StudyStatus(StrEnum):
    """Where a study stands. Closed is final; paused keeps what is leased and gives out no more."""

    DRAFT = "draft"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class AssignmentKind(StrEnum):
    """Why a task was given; only `main` counts towards the raters a task needs."""

    MAIN = "main"
    REPEAT = "repeat"
    GOLD = "gold"
    PRACTICE = "practice"


class AssignmentStatus(StrEnum):
    """What became of an assignment. `surplus`: answered after its place was given away."""

    OPEN = "open"
    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    SURPLUS = "surplus"
    WITHDRAWN = "withdrawn"


class JudgeStatus(StrEnum):
    """How a call of a judge ended. Only `ok` carries an answer."""

    OK = "ok"
    PARSE_ERROR = "parse_error"
    REFUSED = "refused"
    CONTENT_FILTERED = "content_filtered"
    API_ERROR = "api_error"


LOWEST_SCORE, HIGHEST_SCORE = 0, 5
"""The ends of the rating scale, both included."""

Score = int | Literal["cannot_judge"]
"""A whole number from 0 to 5, or the statement that it cannot be judged."""


@dataclass(frozen=True)
class GenerationRow:
    """One stored reply with all it depended on.

    `request` is the very request the engine was given, so a reply can be written again.
    What a failed or early stopped generation never knew is None. Times are in seconds.
    """

    id: str
    conversation_id: str
    turn_id: str
    pane: int
    attempt: int
    policy: HistoryPolicy
    status: GenerationStatus
    request: Request
    prompt_hash: str
    model_revision: str | None
    template_hash: str | None
    messages: tuple[Message, ...] | None
    reply: str
    finish: Finish | None
    error: str | None
    prompt_tokens: int | None
    prompt_tokens_raw: int | None
    dropped_turns: int | None
    window: int | None
    seconds: float
    created_at: datetime


@dataclass(frozen=True)
class RatingView:
    """The rating in force of one generation by one rater."""

    submission_id: str
    generation_id: str
    rater_id: str
    rater_kind: RaterKind
    scores: Mapping[Dimension, Score]
    comment: str
    scales_version: int
    supersedes: str | None
    created_at: datetime


@dataclass(frozen=True)
class PreferenceView:
    """The preference in force of one turn by one rater."""

    submission_id: str
    turn_id: str
    rater_id: str
    rater_kind: RaterKind
    choice: Choice
    preferred_generation_id: str | None
    compared: tuple[str, ...]
    comment: str
    scales_version: int
    supersedes: str | None
    created_at: datetime


@dataclass(frozen=True)
class Counts:
    """How much is stored; ratings and preferences that were superseded do not count."""

    generations: int
    ratings: int
    preferences: int
