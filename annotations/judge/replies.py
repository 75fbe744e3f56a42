"""What an endpoint's completion says, and whether it is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from annotations.judge.prices import prompt_tokens, schema_tokens
from annotations.judge.values import Usage
from annotations.values import JudgeStatus
from esc_demo.dialogue import Message
from esc_demo.models.endpoint import EndpointError, ReplyFiltered


class BrokenReplyError(Exception):
    """Status 200, and no chat completion in it."""


@dataclass(frozen=True)
class Reply:
    """What came of a question. Status `ok`: the model wrote `raw`, readable or not."""

    status: JudgeStatus
    raw: str = ""
    error: str = ""
    usage: Usage = field(default_factory=Usage)
    """Tokens; the cost is added by who knows the price."""
    requests: int = 1
    """Requests that reached the endpoint."""
    seconds: float = 0.0
    cut: bool = False
    """Whether `max_tokens` ended it."""
    passing: bool = False
    """Whether what failed is the endpoint and not this request, and may be well again later."""
    fatal: EndpointError | None = None
    """Set when no other question would fare better: wrong key or name, or nothing to spend."""


def read_completion(
    told: object, messages: Sequence[Message], schema: Mapping[str, object] | None = None
) -> Reply:
    """The answer in `told`, the body as the client parsed it, unchecked, and be it a web page.

    Raises:
        BrokenReplyError: it is no completion; the text is what came instead.
    """
    choices = getattr(told, "choices", None)
    first = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(first, "message", None)
    raw = getattr(message, "content", None) or ""
    if message is None or not isinstance(raw, str):
        raise BrokenReplyError(" ".join(str(getattr(told, "error", None) or told).split())[:200])
    refusal = str(getattr(message, "refusal", None) or "")
    used = getattr(told, "usage", None)
    usage = Usage(
        _told(used, "prompt_tokens", prompt_tokens(messages) + schema_tokens(schema)),
        _told(used, "completion_tokens", prompt_tokens([Message("assistant", refusal or raw)])),
    )
    ended = getattr(first, "finish_reason", None)
    if refusal:
        return Reply(JudgeStatus.REFUSED, refusal, "The model declined to answer.", usage)
    if ended == "content_filter":
        return Reply(JudgeStatus.CONTENT_FILTERED, raw, str(ReplyFiltered(raw)), usage)
    return Reply(JudgeStatus.OK, raw, usage=usage, cut=ended == "length")


def _told(used: object, name: str, estimate: int) -> int:
    """A number of tokens as the endpoint tells it, else the estimate."""
    found = getattr(used, name, None)
    return found if isinstance(found, int) else estimate
