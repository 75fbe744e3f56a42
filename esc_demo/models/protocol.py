"""The seam between the conversation and whatever writes the replies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from esc_demo.dialogue import Message
from esc_demo.errors import BadInput
from esc_demo.models.specs import ModelSpec


@dataclass(frozen=True)
class GenerationParams:
    """Sampling parameters; the defaults are those of paper B (section 4).

    `temperature` 0 means greedy; `top_k` 0 and `top_p` 1 switch that filter off.
    `min_new_tokens` is for benchmarks, which compare equal lengths; the page never sets it.

    Raises:
        BadInput: a value is outside its range; the text names field, value and range.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 50
    max_new_tokens: int = 128
    seed: int = 0
    min_new_tokens: int = 0

    def __post_init__(self) -> None:
        """Check the ranges once, at the border."""
        ranges = (
            ("temperature", 0, 2),
            ("top_p", 0.01, 1),
            ("top_k", 0, 1000),
            ("max_new_tokens", 1, 1024),
            ("seed", 0, 2**53 - 1),
            ("min_new_tokens", 0, self.max_new_tokens),
        )
        for name, low, high in ranges:
            value = getattr(self, name)
            whole = name in ("top_k", "max_new_tokens", "seed", "min_new_tokens")
            if type(value) not in ((int,) if whole else (int, float)):
                kind = "a whole number" if whole else "a number"
                raise BadInput(f"{name} is {value!r}; it must be {kind}.")
            if not low <= value <= high:  # also refuses NaN
                raise BadInput(f"{name} is {value!r}; it must lie between {low} and {high}.")
        if 0 < self.temperature < 0.01:  # dividing by less overflows
            raise BadInput(f"temperature is {self.temperature!r}; use 0 (greedy) or at least 0.01.")


class FinishReason(StrEnum):
    """Why a model stopped writing."""

    END = "end"
    LENGTH = "length"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Finish:
    """What is known once the last token is out. Times are in seconds."""

    reason: FinishReason
    new_tokens: int
    queued_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True)
class Chunk:
    """The next piece of text; `finish` is set on the last chunk and on no other."""

    text: str
    finish: Finish | None = None


@dataclass(frozen=True)
class Rendered:
    """The exact prompt: its text, as the model's template writes it, and its length in tokens."""

    text: str
    tokens: int


@dataclass(frozen=True)
class TrainedOn:
    """How a fine-tuned model was asked in training; what serving should do likewise.

    `prompt_hash` is `PromptTemplate.content_hash`, `context` a `ContextSpec.label()`,
    `template` the fingerprint of chat template and vocabulary; without `system_role` the
    system text opened the first user message.
    """

    prompt_hash: str
    context: str
    template: str
    system_role: bool = True

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the SHA-256 over all of it."""
        role = () if self.system_role else ("no system role",)
        whole = "\n".join((self.template, self.prompt_hash, self.context, *role))
        return hashlib.sha256(whole.encode()).hexdigest()[:12]


class StopSignal(threading.Event):
    """Set by the person who presses Stop, read by the model before every step."""


class ChatModel(Protocol):
    """A model that can answer. Implementations must be safe to call from several threads."""

    @property
    def spec(self) -> ModelSpec:
        """The entry of `models.yaml` this model was made from."""

    @property
    def revision(self) -> str:
        """Hash of weights, adapter and quantisation: same revision, same replies."""

    @property
    def template_hash(self) -> str:
        """Hash of the chat template and tokenizer."""

    @property
    def notice(self) -> str:
        """What a reader should know of this model beside its name; usually empty."""

    @property
    def trained(self) -> TrainedOn | None:
        """How it was asked in training; None for a base model, or when nothing was recorded."""

    def render(self, messages: Sequence[Message]) -> Rendered:
        """The prompt that `stream` would send for `messages`."""

    def count_tokens(self, text: str) -> int:
        """Number of tokens of plain `text`, without any template."""

    def stream(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> Iterator[Chunk]:
        """Write a reply piece by piece.

        The same messages and parameters give the same text, whatever else is running.
        Closing the iterator or setting `stop` frees the worker within one decoding step.

        Raises:
            ModelError: the model cannot answer.
        """
