"""What calls cost: a table of prices as data, and estimates on the safe side.

A price is never guessed. A model or an address the table does not know asks for one; an address on
this machine costs nothing.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from annotations.checking import checked, read_yaml_text
from annotations.judge.values import Usage
from esc_demo.dialogue import Message
from esc_demo.errors import BadInput

TABLE = Path(__file__).parent / "prices.yaml"
OPENAI = "https://api.openai.com/v1"
"""Where the openai client goes when it is given no address."""

_MILLION = 1_000_000
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_TOKENS_BY_BYTES = {1: 1 / 3, 2: 1.0, 3: 1.5, 4: 3.0}
"""Tokens of one character by its length in UTF-8: English has about 4 characters a token, most
other letters have one token each, Chinese a little more, and an emoji up to three."""
_AROUND_MESSAGE = 8
"""Tokens that a chat template puts around a message."""

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Entry(_Strict):
    """One model's price."""

    per_million_in: Dollars = Field(alias="in", description="US dollars per million prompt tokens")
    per_million_out: Dollars = Field(alias="out", description="the same of completion tokens")


class _Table(_Strict):
    """The file as it is written."""

    version: int = Field(ge=1, description="Raised with every change")
    source: str = Field(min_length=1, description="Who says so")
    known: str = Field(pattern=r"^\d{4}-\d{2}$", description="Month in which it was looked up")
    hosts: tuple[str, ...] = Field(min_length=1, description="Addresses at which it holds")
    models: dict[str, _Entry] = Field(min_length=1, description="Price by model id")


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, and who says so."""

    per_million_in: float
    per_million_out: float
    source: str = ""


FREE = Price(0.0, 0.0, "this machine")


def given_price(price_in: float | None, price_out: float | None) -> Price | None:
    """The price a person named in US dollars per million tokens; None if none was named.

    Raises:
        BadInput: only one of the two, or no price (negative, not finite).
    """
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise BadInput("--price-in and --price-out go together: give both, 0 where it is free.")
    for name, price in (("--price-in", price_in), ("--price-out", price_out)):
        if not math.isfinite(price) or price < 0:
            raise BadInput(f"{name} is {price}; it must be 0 or more US dollars a million tokens.")
    return Price(price_in, price_out, "given on the command line")


def price_of(model: str, base_url: str | None, given: Price | None = None) -> Price:
    """What `model` costs at an address (None: OpenAI's own); `given` wins over the table.

    Raises:
        BadInput: the table does not know it there; the text says which options to give.
        ConfigError: the table itself is wrong.
    """
    if given is not None:
        return given
    host = _host(base_url or OPENAI)
    if _is_this_machine(host):
        return FREE
    table = _table()
    entry = table.models.get(model) or table.models.get(_DATED.sub("", model))
    if host in table.hosts and entry is not None:
        source = f"{table.source}, {table.known}"
        return Price(entry.per_million_in, entry.per_million_out, source)
    raise BadInput(
        f"The price of {model!r} at {host} is not known here. Give it in US dollars per million"
        " tokens with --price-in and --price-out (0 and 0 if it costs nothing)."
    )


def cost(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """US dollars for so many tokens."""
    dollars = prompt_tokens * price.per_million_in + completion_tokens * price.per_million_out
    return dollars / _MILLION


def prompt_tokens(messages: Iterable[Message]) -> int:
    """How many tokens messages have at most, roughly: an estimate on the safe side.

    Tokenizers differ and are not at hand for most endpoints; what a run has spent is counted from
    what the endpoint reports. On prompts of ESConv dialogues it is 5 to 31% above SmolLM2's count.
    """
    total = 0.0
    for message in messages:
        total += _AROUND_MESSAGE
        if message.content.isascii():  # most are, and a run may have ten thousand
            total += len(message.content) * _TOKENS_BY_BYTES[1]
        else:
            total += sum(_TOKENS_BY_BYTES[_utf8_length(char)] for char in message.content)
    return math.ceil(total)


def schema_tokens(schema: Mapping[str, object] | None) -> int:
    """How many tokens a JSON schema adds to a prompt: endpoints count it as one more message."""
    if schema is None:
        return 0
    return prompt_tokens([Message("system", json.dumps(schema, ensure_ascii=False))])


def estimate(price: Price, prompts: Iterable[tuple[Message, ...]], completion_tokens: int) -> Usage:
    """At most so much for one call of each prompt, `completion_tokens` being the limit of each.

    A repair attempt, which is rare, is not in it.
    """
    asked = [prompt_tokens(messages) for messages in prompts]
    tokens_in, tokens_out = sum(asked), len(asked) * completion_tokens
    return Usage(tokens_in, tokens_out, cost(price, tokens_in, tokens_out))


@lru_cache(maxsize=1)
def _table() -> _Table:
    """The price table that comes with the program."""
    return checked(_Table, read_yaml_text(TABLE), TABLE)


def _host(base_url: str) -> str:
    """The host of an address, without port and user.

    Raises:
        BadInput: it is no http or https address.
    """
    try:
        parts = urlsplit(base_url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise BadInput(
            f"The address {base_url!r} is none: it must begin with http:// or https:// and name a"
            " host, as http://127.0.0.1:8000/v1 does."
        )
    return host


def _is_this_machine(host: str) -> bool:
    """Whether a host is the loopback interface. A name that only looks like it is not."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _utf8_length(char: str) -> int:
    """Bytes of one character in UTF-8; an unpaired surrogate counts as three."""
    code = ord(char)
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
