"""One question to a model behind an OpenAI-compatible endpoint, until there is an answer.

What may succeed later is asked again: at the pace all requests share, and only while the next
try may be paid for. A request that was sent and brought no answer may have been charged, so it
is counted as if its whole answer had been written.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from annotations.judge.pacing import Pace, Stopped
from annotations.judge.prices import prompt_tokens, schema_tokens
from annotations.judge.replies import BrokenReplyError, Reply, read_completion
from annotations.judge.values import Asking, Usage
from annotations.values import JudgeStatus
from esc_demo.dialogue import Message
from esc_demo.errors import ModelError
from esc_demo.models.endpoint import (
    ATTEMPTS,
    LIMIT_NAME,
    NEWER_LIMIT_NAME,
    Address,
    EndpointError,
    ReplyFiltered,
    may_pass,
    retry_after,
    spoken,
    wants_newer_limit,
)

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

_log = logging.getLogger(__name__)

_LONGEST_BACKOFF_S = 60.0
_OVERLOAD = frozenset({429, 503, 529})
_UNKNOWN_FORMAT = frozenset({400, 415, 422, 501})
_FORMAT_WORDS = ("response_format", "json_schema", "structured output", "guided")
_UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"})
"""Exceptions of the HTTP library, by name (it has two of them), before anything was sent."""


class SchemaRefused(Exception):
    """The endpoint takes no JSON schema; what it took to learn that."""

    def __init__(self, words: str, requests: int, usage: Usage) -> None:
        """Keep the endpoint's words."""
        super().__init__(words)
        self.requests = requests
        self.usage = usage


class Endpoint:
    """The model called `model` at `base_url`; may be shared by threads."""

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str | None,
        timeout_s: float = 120.0,
        attempts: int = ATTEMPTS,
        *,
        backoff_s: float = 1.0,
    ) -> None:
        """Say where to ask; nothing is sent yet.

        `timeout_s` is the longest silence, `attempts` the tries of one request, and `backoff_s`
        the first wait where the endpoint asks for none.

        Raises:
            ConfigError: no name, an address that is none, or no key for OpenAI's own endpoint.
        """
        self._address = Address.of(model, base_url, api_key)
        self.model = model
        self.url = self._address.url
        self._key = api_key
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._limit_name = LIMIT_NAME
        self._client: OpenAI | None = None
        self._making = threading.Lock()

    def ask(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        asking: Asking,
        stop: threading.Event,
        *,
        pace: Pace | None = None,
        affordable: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Ask until there is an answer, a fault that will not pass, or the tries are used up.

        `affordable` is called before a try that follows one which may have been charged; when it
        says no, the last fault stands. `stop` ends all waiting, but not a request under way.

        Raises:
            SchemaRefused: ask again without `schema`.
            Stopped: `stop` was set before anything was sent.
        """
        import openai  # noqa: PLC0415 (a second, and only for those who use an endpoint)

        tries = _Tries(_worst(messages, schema, asking))
        pace = pace or Pace(1)
        for number in range(1, self._attempts + 1):
            try:
                with pace.turn(stop) as turn:
                    reply = self._send(messages, schema, asking)
            except Stopped:
                if tries.fault is None:
                    raise
                break
            except (openai.OpenAIError, BrokenReplyError) as fault:
                charged = tries.note(fault)
                if schema is not None and _refuses_schema(fault):
                    raise SchemaRefused(spoken(fault), tries.requests, tries.lost) from fault
                tries.fault = self._explained(fault)
                last = number == self._attempts or not _worth_repeating(fault)
                if last or (charged and not affordable()):
                    break
                self._wait(fault, number, turn, pace, stop)
            else:
                pace.went_well(turn)
                return tries.ended(reply)
        return tries.failed()

    def _send(
        self, messages: Sequence[Message], schema: Mapping[str, Any] | None, asking: Asking
    ) -> Reply:
        """One request; its answer.

        Raises:
            openai.OpenAIError: the endpoint refuses or cannot be reached.
            BrokenReplyError: what came is no chat completion.
        """
        import openai  # noqa: PLC0415

        name = self._limit_name
        try:
            told = self._create(messages, schema, asking, name)
        except openai.BadRequestError as error:
            if name == NEWER_LIMIT_NAME or not wants_newer_limit(error):
                raise
            self._limit_name = NEWER_LIMIT_NAME
            told = self._create(messages, schema, asking, NEWER_LIMIT_NAME)
            return replace(read_completion(told, messages, schema), requests=2)
        return read_completion(told, messages, schema)

    def _create(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        asking: Asking,
        limit_name: str,
    ) -> ChatCompletion:
        """Send a request whose length is limited by the parameter `limit_name`."""
        told: Any = [{"role": one.role, "content": one.content} for one in messages]
        extra: dict[str, Any] = {limit_name: asking.max_tokens}
        if asking.seed is not None:
            extra["seed"] = asking.seed
        if schema is not None:
            extra["response_format"] = {"type": "json_schema", "json_schema": schema}
        try:
            return self._connected().chat.completions.create(
                model=self.model, messages=told, temperature=asking.temperature, extra_body=extra
            )
        except ValueError as error:  # half a body, or none that is JSON
            raise BrokenReplyError("its body is no JSON") from error

    def _connected(self) -> OpenAI:
        """The client, made on first use; all threads share its connections."""
        with self._making:
            if self._client is None:
                self._client = self._address.connect(self._key, self._timeout_s)
            return self._client

    def _wait(
        self, fault: Exception, number: int, turn: int, pace: Pace, stop: threading.Event
    ) -> None:
        """Let the fault pass: all wait as long as the endpoint asks, or this one a while."""
        asked = retry_after(fault) or None
        overload = getattr(fault, "status_code", None) in _OVERLOAD
        if asked is not None or overload or _silent(fault):
            pace.overloaded(turn, asked)
        backoff = min(_LONGEST_BACKOFF_S, self._backoff_s * 2.0 ** (number - 1))
        pause = backoff * random.uniform(0.5, 1.0) if asked is None else 0.0
        _log.info("%s: %s; next try in %.1f s", self._address.label, fault, asked or pause)
        stop.wait(pause)

    def _explained(self, fault: Exception) -> ModelError:
        """An error a person can act on."""
        if isinstance(fault, BrokenReplyError):
            return ModelError(
                f"{self._address.label} sent something that is no chat completion ({fault})."
                f" Check ESC_OPENAI_BASE_URL, which is {self.url}."
            )
        return self._address.explained(fault)


@dataclass
class _Tries:
    """The tries of one question."""

    worst: Usage
    """Of one try."""
    requests: int = 0
    lost: Usage = field(default_factory=Usage)
    """Of tries that were sent and brought no answer."""
    fault: ModelError | None = None
    passing: bool = False
    """Whether the last fault is one that passes."""
    started: float = field(default_factory=time.monotonic)

    def note(self, fault: Exception) -> bool:
        """Count a try that failed; whether it may have been charged."""
        self.passing = _passing(fault)
        cause = type(fault.__cause__).__name__
        if _unanswered(fault) and cause in _UNSENT:
            return False
        self.requests += 1
        if _unanswered(fault):
            self.lost = self.lost + self.worst
        return _unanswered(fault)

    def ended(self, reply: Reply) -> Reply:
        """With an answer."""
        return replace(
            reply,
            usage=reply.usage + self.lost,
            requests=self.requests + reply.requests,
            seconds=time.monotonic() - self.started,
        )

    def failed(self) -> Reply:
        """Without one."""
        filtered = isinstance(self.fault, ReplyFiltered)
        return Reply(
            JudgeStatus.CONTENT_FILTERED if filtered else JudgeStatus.API_ERROR,
            error=str(self.fault),
            usage=self.lost,
            requests=self.requests,
            seconds=time.monotonic() - self.started,
            passing=self.passing,
            fatal=self.fault if isinstance(self.fault, EndpointError) else None,
        )


def _worst(messages: Sequence[Message], schema: Mapping[str, Any] | None, asking: Asking) -> Usage:
    """What one request may use at most."""
    return Usage(prompt_tokens(messages) + schema_tokens(schema), asking.max_tokens)


def _unanswered(fault: Exception) -> bool:
    """Whether no answer came, or none that can be used; the request may have been charged."""
    import openai  # noqa: PLC0415

    return isinstance(fault, openai.APIConnectionError | BrokenReplyError)


def _passing(fault: Exception) -> bool:
    """Whether it is the endpoint's own fault, or nobody's; any other is of this one request."""
    status = getattr(fault, "status_code", None)
    overload = status is not None and (status in (408, 429) or status >= 500)
    return overload or _unanswered(fault)


def _silent(fault: Exception) -> bool:
    """Whether the endpoint took too long: too much at once is a likely reason."""
    import openai  # noqa: PLC0415

    return isinstance(fault, openai.APITimeoutError)


def _worth_repeating(fault: Exception) -> bool:
    return isinstance(fault, BrokenReplyError) or may_pass(fault)


def _refuses_schema(fault: Exception) -> bool:
    """Whether the endpoint says that it does not take a JSON schema."""
    words = str(fault).lower()
    known = getattr(fault, "status_code", None) in _UNKNOWN_FORMAT
    return known and any(word in words for word in _FORMAT_WORDS)
