"""One reply, and several side by side: the way from raw turns to events.

`reply` yields `Chunk`s and then exactly one `Done`, `Stopped` or `Failed`. A pane never sees
another pane: each has its own view, prompt, random generator and stop signal.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Protocol

from esc_demo.asking import Asking, Shown, fit, show
from esc_demo.contexts import ContextKind, ContextSpec, ContextView
from esc_demo.dialogue import Message, Role, Turn, UserProfile
from esc_demo.errors import BadInput, EscError
from esc_demo.models import (
    ChatModel,
    Chunk,
    Finish,
    FinishReason,
    GenerationParams,
    Rendered,
    StopSignal,
    TrainedOn,
)
from esc_demo.prompts import PromptTemplate

_log = logging.getLogger(__name__)


class HistoryPolicy(StrEnum):
    """Whose earlier replies a pane remembers."""

    INDEPENDENT = "independent"
    SHARED = "shared"


@dataclass(frozen=True)
class PaneConfig:
    """One pane: a model, how it remembers, and what it is told."""

    model: str
    context: ContextSpec = ContextSpec()
    prompt: PromptTemplate = PromptTemplate()


@dataclass(frozen=True)
class Request:
    """Everything a reply depends on. `turns` are raw and end with the seeker's message."""

    pane: PaneConfig
    turns: tuple[Turn, ...]
    profile: UserProfile = UserProfile()
    params: GenerationParams = GenerationParams()


@dataclass(frozen=True)
class Seen:
    """What the model saw: the messages, the exact prompt, and what did not fit.

    Token figures include the chat template. `tokens_raw` is the same conversation (after
    dropping) in the raw context; `dropped` counts turns that did not fit the window of
    `window` tokens, `outside_window` those left out by last-k on purpose. `mismatch` says what
    a fine-tuned model was asked otherwise than it was trained.
    """

    view: ContextView
    messages: tuple[Message, ...]
    prompt: Rendered
    tokens_raw: int
    dropped: int
    window: int
    template_hash: str
    model_revision: str
    prompt_hash: str
    mismatch: tuple[str, ...] = ()

    @property
    def tokens_saved(self) -> int:
        """Tokens the context representation saved against raw; negative when it cost some."""
        return self.tokens_raw - self.prompt.tokens


@dataclass(frozen=True)
class Done:
    """The model ended its reply or reached the length cap."""

    text: str
    finish: Finish
    seen: Seen
    seconds: float


@dataclass(frozen=True)
class Stopped:
    """A person stopped the reply; `text` is what had been written."""

    text: str
    finish: Finish | None
    seen: Seen | None
    seconds: float


@dataclass(frozen=True)
class Failed:
    """The reply could not be written; `error` is fit to be shown."""

    text: str
    error: str
    seen: Seen | None
    seconds: float
    expected: bool = True


Outcome = Done | Stopped | Failed
Event = Chunk | Seen | Done | Stopped | Failed


class ModelSource(Protocol):
    """Where the engine gets its models from."""

    def get(self, model_id: str, stop: StopSignal | None = None) -> ChatModel:
        """The model, waiting until it is loaded or `stop` is set.

        Raises:
            EscError: unknown, not loadable here, or stopped while waiting.
        """


def prepare(request: Request, model: ChatModel) -> Seen:
    """Render the context, build the messages and make them fit the window.

    When the prompt and the reply's cap exceed the context length, the oldest turns are
    dropped first. What is left always opens with the seeker, because chat templates insist
    on it; a turn left out for that reason counts with those that made it necessary.

    Raises:
        BadInput: the last turn is not the seeker's, or the last message alone does not fit.
        AssetError: the context representation lacks its data.
    """
    turns = request.turns
    if not turns or turns[-1].role is not Role.SEEKER:
        raise BadInput("The conversation must end with a message of the seeker.")
    window = model.spec.context_length
    budget = window - request.params.max_new_tokens

    def render(spec: ContextSpec, kept: Sequence[Turn]) -> Shown[Rendered]:
        asking = Asking(spec, request.pane.prompt, request.profile, model.spec.system_role)
        return show(kept, asking, model.render)

    fitted = fit(turns, request.pane.context.last_k, budget, partial(render, request.pane.context))
    shown, prompt = fitted.shown, fitted.shown.prompt
    if not fitted.fits:
        raise BadInput(
            f"This message and the prompt take {prompt.tokens:,} tokens, but only"
            f" {budget:,} of the {window:,}-token window are left beside the reply's"
            f" {request.params.max_new_tokens}. Shorten the message or the prompt, or lower"
            " max new tokens."
        )
    raw_tokens = prompt.tokens
    if request.pane.context.kind is not ContextKind.RAW:
        raw_tokens = render(ContextSpec(), turns[fitted.start :]).prompt.tokens
    return Seen(
        view=replace(shown.view, outside_window=fitted.first),
        messages=shown.messages,
        prompt=prompt,
        tokens_raw=raw_tokens,
        dropped=fitted.start - fitted.first,
        window=window,
        template_hash=model.template_hash,
        model_revision=model.revision,
        prompt_hash=request.pane.prompt.content_hash,
        mismatch=mismatch(model.trained, request.pane, system_role=model.spec.system_role),
    )


def mismatch(
    trained: TrainedOn | None, pane: PaneConfig, *, system_role: bool = True
) -> tuple[str, ...]:
    """What a fine-tuned model is asked otherwise than it was trained; empty when nothing."""
    if trained is None:
        return ()
    found: list[str] = []
    if pane.prompt.content_hash != trained.prompt_hash:
        found.append("another structured prompt")
    if pane.context.label() != trained.context:
        found.append(f"the context {pane.context.label()} instead of {trained.context}")
    if system_role != trained.system_role and pane.prompt.enabled:
        found.append("the system text in another place")
    return tuple(found)


def reply(request: Request, models: ModelSource, stop: StopSignal) -> Iterator[Event]:
    """Write one reply: one `Seen`, then `Chunk`s, then exactly one outcome.

    Never raises: what goes wrong becomes `Failed`, with the reason when a person can act on
    it, and logged whole when it is a bug. A request that fails before its prompt is known
    yields `Failed` alone. Closing the iterator stops the model.
    """
    started = time.perf_counter()
    seen: Seen | None = None
    text = ""
    try:
        model = models.get(request.pane.model, stop)
        started = time.perf_counter()  # waiting for weights to load is no part of a reply
        seen = prepare(request, model)
        yield seen
        finish: Finish | None = None
        for chunk in model.stream(seen.messages, request.params, stop):
            text += chunk.text
            finish = chunk.finish
            if chunk.text:
                yield chunk
        seconds = time.perf_counter() - started
        if finish is not None and finish.reason is not FinishReason.STOPPED:
            yield Done(text.strip(), finish, seen, seconds)
        else:
            yield Stopped(text.strip(), finish, seen, seconds)
    except EscError as error:
        seconds = time.perf_counter() - started
        if stop.is_set():
            yield Stopped(text.strip(), None, seen, seconds)
        else:
            yield Failed(text.strip(), str(error), seen, seconds)
    except Exception as error:
        _log.exception("reply of %s failed", request.pane.model)
        message = f"The model failed unexpectedly ({type(error).__name__}). The log has details."
        yield Failed(text.strip(), message, seen, time.perf_counter() - started, expected=False)


def side_by_side(
    requests: Sequence[Request], models: ModelSource, stops: Sequence[StopSignal]
) -> Iterator[tuple[int, Event]]:
    """Write several replies at once; yields (index of the request, event) as they come.

    Each request streams at its own pace. Closing the iterator stops all that are unfinished.
    """
    events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()

    def run(index: int) -> None:
        for event in reply(requests[index], models, stops[index]):
            events.put((index, event))

    threads = [
        threading.Thread(target=run, args=(i,), name=f"pane-{i}", daemon=True)
        for i in range(len(requests))
    ]
    for thread in threads:
        thread.start()
    open_panes = set(range(len(requests)))
    try:
        while open_panes:
            index, event = events.get()
            if isinstance(event, Outcome):
                open_panes.discard(index)
            yield index, event
    finally:
        for index in open_panes:
            stops[index].set()


def with_seed(params: GenerationParams, seed: int) -> GenerationParams:
    """`params` with another seed."""
    return replace(params, seed=seed)
