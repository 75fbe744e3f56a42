"""`ChatModel` on any endpoint that speaks OpenAI's chat completions: a service, or vLLM and kin.

Requests that may succeed later (429, 5xx, no connection, silence) are repeated until the first
words have arrived, waiting as long as `Retry-After` says. An endpoint does not tell how it counts
tokens, so lengths of prompts are estimates, and `seed` is passed on without a promise.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from esc_demo.dialogue import Message
from esc_demo.errors import ModelError
from esc_demo.models.endpoint import (
    ATTEMPTS,
    LIMIT_NAME,
    NEWER_LIMIT_NAME,
    Address,
    ReplyFiltered,
    ReplyRefused,
    may_pass,
    retry_after,
    wants_newer_limit,
)
from esc_demo.models.protocol import (
    Chunk,
    Finish,
    FinishReason,
    GenerationParams,
    Rendered,
    StopSignal,
    TrainedOn,
)
from esc_demo.models.specs import ModelSpec, Variant

if TYPE_CHECKING:
    from openai import OpenAI, Stream
    from openai.types.chat import ChatCompletionChunk

_log = logging.getLogger(__name__)

_CHARS_PER_TOKEN = 4
_MESSAGE_TOKENS = 4


class OpenAIModel:
    """The model called `name` at `base_url`."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None,
        window: int = 8192,
        timeout_s: float = 60.0,
        attempts: int = ATTEMPTS,
        backoff_s: float = 1.0,
    ) -> None:
        """Say where to ask; nothing is sent yet.

        `window` is the context length in tokens, `timeout_s` the longest silence, `attempts`
        the tries of one request, and `backoff_s` the first wait where none is asked for.

        Raises:
            ConfigError: no name, an address that is none, or no key for OpenAI's own endpoint.
        """
        self._address = Address.of(name, base_url, api_key)
        self.name = name
        self.base_url = self._address.url
        self.spec = ModelSpec(
            id=re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "endpoint",
            label=self._address.label,
            family=f"endpoint {name}",
            base=name,
            variant=Variant.BASE,
            context_length=window,
        )
        self.revision = hashlib.sha256(f"{self.base_url}\n{name}".encode()).hexdigest()[:12]
        self.template_hash = "endpoint"
        self.notice = "Answered by an endpoint: token counts of prompts are estimates."
        self.trained: TrainedOn | None = None
        self._key = api_key
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._wait = wait_random_exponential(multiplier=backoff_s, max=60)
        self._client: OpenAI | None = None
        self._limit_name = LIMIT_NAME

    def render(self, messages: Sequence[Message]) -> Rendered:
        """`role: content` lines, since the endpoint's own template is not known."""
        text = "\n".join(f"{message.role}: {message.content}" for message in messages)
        tokens = sum(_MESSAGE_TOKENS + self.count_tokens(one.content) for one in messages)
        return Rendered(text, tokens)

    def count_tokens(self, text: str) -> int:
        """An estimate: a token for every four characters begun."""
        return -(-len(text) // _CHARS_PER_TOKEN)

    def stream(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> Iterator[Chunk]:
        """Write a reply; see `ChatModel.stream`.

        Raises:
            EndpointError: the key, the name or the account is refused.
            ReplyRefused: the model declined.
            ReplyFiltered: the endpoint's filter withheld the reply.
            ModelError: the endpoint fails, is silent, or broke off.
        """
        import openai  # noqa: PLC0415 (a second, and only for those who use an endpoint)

        try:
            yield from self._reply(messages, params, stop)
        except openai.OpenAIError as error:
            if not stop.is_set():
                raise self._address.explained(error) from error
            yield Chunk("", Finish(FinishReason.STOPPED, 0))

    def _reply(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> Iterator[Chunk]:
        """The chunks of one reply."""
        started = time.perf_counter()
        stream, event = self._opened(messages, params, stop)
        first_at = time.perf_counter()
        text, refusal, reason, tokens, told = "", "", None, 0, None
        try:
            while event is not None and not stop.is_set():
                told = event.usage.completion_tokens if event.usage else told
                for choice in event.choices[:1]:
                    refusal += choice.delta.refusal or ""
                    reason = choice.finish_reason or reason
                    if piece := choice.delta.content or "":
                        tokens += 1
                        text += piece
                        yield Chunk(piece)
                event = next(stream, None)
        finally:
            stream.close()
        if refusal:
            raise ReplyRefused(refusal)
        if reason == "content_filter":
            raise ReplyFiltered(text)
        if stop.is_set():
            how = FinishReason.STOPPED
        elif reason is None:
            raise ModelError(f"{self.spec.label} broke off in the middle of a reply. Ask again.")
        else:
            how = FinishReason.LENGTH if reason == "length" else FinishReason.END
        ended = time.perf_counter()
        written = tokens if told is None else told
        yield Chunk(
            "", Finish(how, written, prefill_s=first_at - started, decode_s=ended - first_at)
        )

    def _opened(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> tuple[Stream[ChatCompletionChunk], ChatCompletionChunk | None]:
        """The stream and its first event, after as many tries as it takes."""
        tries = Retrying(
            stop=stop_after_attempt(self._attempts) | stop_when_event_set(stop),
            wait=self._pause,
            retry=retry_if_exception(may_pass),
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        return tries(self._open, messages, params)

    def _open(
        self, messages: Sequence[Message], params: GenerationParams
    ) -> tuple[Stream[ChatCompletionChunk], ChatCompletionChunk | None]:
        """One try."""
        import openai  # noqa: PLC0415

        try:
            stream = self._create(messages, params)
        except openai.BadRequestError as error:
            if not wants_newer_limit(error):
                raise
            self._limit_name = NEWER_LIMIT_NAME
            stream = self._create(messages, params)
        try:
            return stream, next(stream, None)
        except BaseException:
            stream.close()
            raise

    def _create(
        self, messages: Sequence[Message], params: GenerationParams
    ) -> Stream[ChatCompletionChunk]:
        """Send the request. `top_k` is no part of OpenAI's interface: sent only when it is on."""
        extra: dict[str, Any] = {self._limit_name: params.max_new_tokens}
        if params.top_k:
            extra["top_k"] = params.top_k
        told: Any = [{"role": one.role, "content": one.content} for one in messages]
        return self._connected().chat.completions.create(
            model=self.name,
            messages=told,
            temperature=params.temperature,
            top_p=params.top_p,
            seed=params.seed,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=extra,
        )

    def _connected(self) -> OpenAI:
        """The client, made on first use."""
        if self._client is None:
            self._client = self._address.connect(self._key, self._timeout_s)
        return self._client

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: what the endpoint asks for, else longer each time."""
        error = state.outcome.exception() if state.outcome else None
        asked = retry_after(error)
        pause = self._wait(state) if asked is None else asked
        _log.info("%s: %s; next try in %.1f s", self.spec.label, error, pause)
        return pause
