"""What everybody who asks an OpenAI-compatible endpoint needs: address, retries, clear errors."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from esc_demo.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from openai import OpenAI

ATTEMPTS = 6
"""Tries of one request."""

LONGEST_WAIT_S = 300.0
"""An endpoint that asks to wait longer than this is not asked again."""

LIMIT_NAME = "max_tokens"
NEWER_LIMIT_NAME = "max_completion_tokens"
"""Newer models of OpenAI know the limit of a reply by this name only."""

_CONNECT_S = 10.0
_PUBLIC_HOST = "api.openai.com"
_PASSING = frozenset({408, 409, 429})
_SPENT = "insufficient_quota"
_PAYMENT_REQUIRED = 402


class EndpointError(ModelError):
    """No request to this endpoint can succeed until somebody changes something."""


class ReplyRefused(ModelError):
    """The model declined to answer; `text` is how."""

    def __init__(self, text: str) -> None:
        """Keep the model's words."""
        super().__init__(f"The model declined to answer: {text}")
        self.text = text


class ReplyFiltered(ModelError):
    """The endpoint withheld the reply or its end; `text` is what had arrived."""

    def __init__(self, text: str) -> None:
        """Keep what had arrived."""
        super().__init__("The endpoint's content filter withheld the reply or its end.")
        self.text = text


@dataclass(frozen=True)
class Address:
    """A model at an endpoint."""

    model: str
    url: str
    """Without name and password, which stay out of records."""
    host: str
    _given: str

    @classmethod
    def of(cls, model: str, base_url: str, api_key: str | None) -> Address:
        """Check where to ask; nothing is sent.

        Raises:
            ConfigError: no name, an address that is none, or no key for OpenAI's own endpoint.
        """
        parts = urlsplit(base_url)
        if not model:
            raise ConfigError("Name the endpoint's model, for example openai:gpt-4o-mini.")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"ESC_OPENAI_BASE_URL is {base_url!r}; it must be an address such as"
                " http://127.0.0.1:8000/v1."
            )
        if api_key is None and parts.hostname == _PUBLIC_HOST:
            raise ConfigError(
                f"{_PUBLIC_HOST} needs a key. Set ESC_OPENAI_API_KEY, or set ESC_OPENAI_BASE_URL"
                " to an endpoint that asks for none."
            )
        host = parts.netloc.rpartition("@")[2]
        public = parts._replace(netloc=host).geturl().rstrip("/")
        return cls(model, public, parts.hostname, base_url)

    @property
    def label(self) -> str:
        """Model and host, for people."""
        return f"{self.model} at {self.host}"

    def connect(self, api_key: str | None, timeout_s: float) -> OpenAI:
        """A client whose own retries are off; `timeout_s` is the longest silence."""
        import openai  # noqa: PLC0415 (a second, and only for those who use an endpoint)

        return openai.OpenAI(
            base_url=self._given,
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
            max_retries=0,
        )

    def explained(self, error: Exception) -> ModelError:
        """An error a person can act on."""
        status, code = getattr(error, "status_code", None), getattr(error, "code", None)
        said = spoken(error)
        if status in (401, 403):
            return EndpointError(
                f"{self.label}: the key is refused ({status}: {said}). Set ESC_OPENAI_API_KEY to a"
                f" key that is valid for {self.url}."
            )
        if status == 404:
            return EndpointError(
                f"{self.label}: not found ({said}). Check the model's name and"
                f" ESC_OPENAI_BASE_URL, which is {self.url}."
            )
        if code == _SPENT or status == _PAYMENT_REQUIRED:
            return EndpointError(f"{self.label}: the account has nothing left to spend ({said}).")
        if code == "content_filter":
            return ReplyFiltered("")
        if status is not None:
            return ModelError(f"{self.label} answered {status}: {said}")
        return ModelError(
            f"{self.label} cannot be reached or is silent ({type(error).__name__}: {said}). Check"
            f" ESC_OPENAI_BASE_URL, which is {self.url}, or allow it more time."
        )


def spoken(error: Exception) -> str:
    """The endpoint's own words about an error, without a full stop."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    return str(told or getattr(error, "message", error)).rstrip(".")


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    import openai  # noqa: PLC0415

    if isinstance(error, openai.APIStatusError):
        if error.code == _SPENT or (retry_after(error) or 0.0) > LONGEST_WAIT_S:
            return False
        return error.status_code in _PASSING or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError)  # timeouts too


def retry_after(error: BaseException | None) -> float | None:
    """Seconds the endpoint asks to wait, from its header; None when it does not say."""
    response = getattr(error, "response", None)
    said = response.headers.get("retry-after") if response is not None else None
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None  # NaN says nothing


def wants_newer_limit(error: Exception) -> bool:
    """Whether a refusal says to call the limit of a reply by its newer name."""
    return all(name in str(error) for name in (LIMIT_NAME, NEWER_LIMIT_NAME))
