"""Benchmarks of claims made in the documentation: ratios within one run, never bare seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from esc_demo.dialogue import Role, Turn
from esc_demo.engine import Done, Failed, PaneConfig, Request, prepare, side_by_side
from esc_demo.errors import ModelError
from esc_demo.models import GenerationParams, StopSignal
from esc_demo.models.registry import ModelRegistry
from esc_demo.prompts import Part, PromptTemplate

PANES = ("base", "lora", "full")
_MESSAGE = "I lost my dog last week and the house is so quiet."
_NEIGHBOUR = "My exam is tomorrow and I have read the same page for an hour."


@dataclass(frozen=True)
class PanesResult:
    """Tokens per second of three panes; `ratio` is side by side over one after another."""

    side_by_side: float
    one_by_one_float32: float
    ratio: float
    rows_independent: bool


def panes(models: ModelRegistry, tokens: int = 128, rounds: int = 2) -> PanesResult:
    """Three panes at once against the same three in float32 `generate`, one after another.

    Both sides read the same prompts, none of it remembered, and write exactly `tokens` greedy
    tokens a pane (paper B's cap), alternately, `rounds` times after one warm-up; the medians
    of tokens per second, reading included, are compared. Then a neighbour with another message
    joins the batch, and every row's greedy reply must stay the same.

    Raises:
        ModelError: a pane failed.
    """
    plain = _Float32Panes(models, tokens)
    fast: list[float] = []
    slow: list[float] = []
    for number in range(rounds + 1):
        # Another first word each time, so that no round finds any of its prompt already read.
        opening = f"{number + 3}. {PromptTemplate().text(Part.ROLE)}"
        prompt = PromptTemplate().edited(Part.ROLE, opening)
        requests = [_request(model, _MESSAGE, tokens, prompt) for model in PANES]
        ours = _rate(lambda batch=requests: _count(models, batch))
        theirs = _rate(lambda batch=requests: plain.run(batch))
        if number:  # the first round warms both sides up
            fast.append(ours)
            slow.append(theirs)
    requests = [_request(model, _MESSAGE, tokens) for model in PANES]
    alone = [_replies(models, [request])[0] for request in requests]
    neighbours = [_request(model, _NEIGHBOUR, tokens) for model in PANES]
    together = _replies(models, [*requests, *neighbours])[: len(PANES)]
    a, b = median(fast), median(slow)
    return PanesResult(round(a, 2), round(b, 2), round(a / b, 2), alone == together)


TARGET = 2.0
"""The least ratio that is claimed."""


def holds(result: PanesResult) -> bool:
    """Whether the run bears out what is claimed."""
    return result.ratio >= TARGET and result.rows_independent


def report(result: PanesResult) -> dict[str, Any]:
    """The result as a JSON object."""
    return asdict(result)


class _Float32Panes:
    """The obvious way to do it: transformers and peft in float32, one pane after another."""

    def __init__(self, models: ModelRegistry, tokens: int) -> None:
        """Prepare to load base with adapter, and the full fine-tune, once more in float32."""
        from esc_demo.models.local.reference import ReferenceModels  # noqa: PLC0415 (torch)

        self._reference = ReferenceModels()
        self._registry = models
        self._tokens = tokens

    def run(self, requests: Sequence[Request]) -> int:
        """Write all panes; returns the number of tokens."""
        written = 0
        for request in requests:
            model = self._registry.get(request.pane.model)
            messages = prepare(request, model).messages
            written += self._reference.generate(model.spec, messages, self._tokens)
        return written


def _request(
    model: str, message: str, tokens: int, prompt: PromptTemplate = PromptTemplate()
) -> Request:
    """A greedy request of exactly `tokens` tokens."""
    params = GenerationParams(temperature=0, max_new_tokens=tokens, min_new_tokens=tokens)
    return Request(PaneConfig(model, prompt=prompt), (Turn(Role.SEEKER, message),), params=params)


def _rate(run: Callable[[], int]) -> float:
    """Tokens per second of one call."""
    started = time.perf_counter()
    written = run()
    return written / (time.perf_counter() - started)


def _outcomes(models: ModelRegistry, requests: Sequence[Request]) -> list[Done]:
    """Run the requests side by side.

    Raises:
        ModelError: one did not end by itself.
    """
    done: dict[int, Done] = {}
    for index, event in side_by_side(requests, models, [StopSignal() for _ in requests]):
        if isinstance(event, Failed):
            raise ModelError(f"{requests[index].pane.model}: {event.error}")
        if isinstance(event, Done):
            done[index] = event
    return [done[index] for index in range(len(requests))]


def _count(models: ModelRegistry, requests: Sequence[Request]) -> int:
    """Tokens written by the requests side by side."""
    return sum(outcome.finish.new_tokens for outcome in _outcomes(models, requests))


def _replies(models: ModelRegistry, requests: Sequence[Request]) -> list[str]:
    """Texts written by the requests side by side."""
    return [outcome.text for outcome in _outcomes(models, requests)]
