"""The values that go between the parts of the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from annotations.values import JudgeStatus, Score, StudyDimension
from esc_demo.dialogue import Message, Turn

OVERALL = "overall"
"""The aspect of a comparison that asks which is better as a whole."""

BROKEN_OFF = "Broken off under way; it may have been charged."
"""What is stored as the error of a request of which nobody heard the end."""


class Target(StrEnum):
    """What one call judges."""

    DIALOGUE = "dialogue"
    """The whole conversation, the reply in its place."""
    REPLY = "reply"
    """One reply to the conversation before it."""
    PAIR = "pair"
    """Two replies to the same conversation."""


class Control(StrEnum):
    """A planted reply whose rank is known beforehand; none of them is an arm of a study.

    Where a protocol may show the data's own reply, it does not beside a planted one: the gold
    reply is the same text.
    """

    GOLD = "gold"
    RANDOM = "random"
    GENERIC = "generic"
    OFF_TOPIC = "off_topic"
    UNSAFE = "unsafe"


class Pick(StrEnum):
    """The answer to "which is better?", by place; who stood there is known to us only."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    BOTH_BAD = "both_bad"


@dataclass(frozen=True)
class Candidate:
    """A reply to be judged. Only `text` ever reaches a prompt."""

    text: str
    arm: str = ""
    reply_id: str | None = None
    control: Control | None = None


@dataclass(frozen=True)
class Question:
    """One thing to ask: one call for each sample."""

    task_id: str
    item: str
    """The item's key: for people and messages, not for the prompt."""
    situation: str
    history: tuple[Turn, ...]
    reference: str
    """What the supporter of the data said here; empty where it is not known."""
    shown: tuple[Candidate, ...]
    """One candidate; for a pair two, in the order shown."""
    sample: int = 0


@dataclass(frozen=True)
class Verdict:
    """What a judge said, read from its reply."""

    scores: Mapping[StudyDimension, Score] = field(default_factory=dict)
    """About a single candidate; whole numbers on the protocol's own scale."""
    picks: Mapping[str, Pick] = field(default_factory=dict)
    """About a pair, by aspect."""
    rationale: str = ""


@dataclass(frozen=True)
class Asking:
    """How a model is asked; all of it is part of the cache's key."""

    temperature: float = 0.0
    max_tokens: int = 400
    seed: int | None = 0
    structured: bool = True
    """Whether the endpoint is asked for output by JSON schema; falls back where it refuses."""


@dataclass(frozen=True)
class Usage:
    """What calls used. Tokens are as told by the endpoint, or estimated where it does not tell."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """In US dollars, by the price table."""

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


@dataclass(frozen=True)
class Answered:
    """How one question ended. `raw` is the model's last reply, `verdict` there only when ok."""

    status: JudgeStatus
    messages: tuple[Message, ...]
    """Exactly what was sent last, a repair attempt's own messages included."""
    raw: str = ""
    verdict: Verdict | None = None
    error: str = ""
    usage: Usage = field(default_factory=Usage)
    requests: int = 1
    """Requests that reached the endpoint, repeats and repair included."""
    seconds: float = 0.0
