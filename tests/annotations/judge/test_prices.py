"""What calls cost, and that no price is made up."""

import json

import pytest

from annotations import Store
from annotations.judge.job import Job, prepare
from annotations.judge.prices import (
    Price,
    cost,
    estimate,
    given_price,
    price_of,
    prompt_tokens,
    schema_tokens,
)
from annotations.judge.protocol import load_protocol
from annotations.judge.schema import answer_schema
from annotations.judge.values import Asking, Usage
from esc_demo.dialogue import Message
from esc_demo.errors import BadInput
from esc_demo.settings import Settings
from tests.annotations.judge.opened import founded

OWN = Price(1.0, 2.0, "given on the command line")


@pytest.mark.parametrize(
    "address", [None, "https://api.openai.com/v1", "https://API.openai.com/v1/"]
)
def test_a_listed_model_has_its_price_at_openais_address(address):
    price = price_of("gpt-4o", address)
    assert (price.per_million_in, price.per_million_out) == (2.5, 10.0)
    assert "OpenAI" in price.source and any(sign.isdigit() for sign in price.source)


def test_a_dated_edition_costs_what_its_name_costs_unless_listed():
    assert price_of("gpt-4o-2024-08-06", None) == price_of("gpt-4o", None)
    assert price_of("gpt-4o-2024-05-13", None).per_million_in == 5.0
    assert price_of("gpt-4o-mini-2024-07-18", None) == price_of("gpt-4o-mini", None)


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8000/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.8.9.1/v1",
        "http://[::1]:8000/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "https://judge.localhost/v1",
    ],
)
def test_this_machine_is_free_whatever_the_model_is_called(address):
    price = price_of("gpt-4o", address)
    assert cost(price, 10**9, 10**9) == 0.0


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("gpt-99", None),
        ("gpt-4o-audio", None),
        ("ft:gpt-4o-2024-08-06:me::1", None),
        ("", None),
        ("gpt-4o", "https://example.org/v1"),
        ("gpt-4o", "https://127.0.0.1.example.org/v1"),
        ("gpt-4o", "https://localhost.example.org/v1"),
        ("gpt-4o", "https://localhost@example.org/v1"),
        ("my-model", "http://192.168.1.20:8000/v1"),
    ],
)
def test_an_unknown_price_is_asked_for(model, address):
    with pytest.raises(BadInput, match="--price-in and --price-out"):
        price_of(model, address)
    assert price_of(model, address, OWN) == OWN


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://localhost", "http://", "http://[::1"])
def test_an_address_that_is_none_is_said(address):
    with pytest.raises(BadInput, match="http://"):
        price_of("gpt-4o", address)


def test_a_given_price_is_whole_and_wins():
    assert given_price(None, None) is None
    assert given_price(1, 2) == OWN
    assert price_of("gpt-4o", None, given_price(0, 0)).per_million_out == 0
    for pair in ((1, None), (None, 0)):
        with pytest.raises(BadInput, match="go together"):
            given_price(*pair)
    for pair in ((-1, 0), (0, float("nan")), (float("inf"), 0)):
        with pytest.raises(BadInput, match="must be 0 or more"):
            given_price(*pair)


def test_costs_add_up():
    assert cost(Price(2.5, 10.0), 1_000_000, 500_000) == pytest.approx(7.5)
    prompts = [(Message("system", "a" * 300), Message("user", "b" * 30)), (Message("user", "c"),)]
    asked = [prompt_tokens(messages) for messages in prompts]
    assert estimate(Price(2.0, 4.0), iter(prompts), 400) == Usage(
        sum(asked), 800, pytest.approx((2.0 * sum(asked) + 4.0 * 800) / 1e6)
    )
    assert estimate(OWN, [], 400) == Usage()


def test_a_schema_that_is_sent_counts_as_prompt(migrated, tmp_path):
    assert schema_tokens(None) == 0
    schema = answer_schema(load_protocol("esc-reply"))
    assert schema_tokens(schema) >= len(json.dumps(schema)) / 4
    url = f"sqlite:///{founded(migrated, tmp_path)}"
    told = []
    for structured in (True, False):
        job = Job("small", "esc-reply", "m", "http://127.0.0.1:9/v1", Asking(structured=structured))
        with Store(url) as store:
            told.append(prepare(job, Settings(), store).plan.usage.prompt_tokens)
    assert told[0] - told[1] == 12 * schema_tokens(schema)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [  # as the tokenizer of SmolLM2 counts them
        ("I've been feeling really down lately and I don't know why.", 14),
        ("Mir geht es seit Wochen nicht gut, und ich weiß nicht, warum.", 25),
        ("我最近心情很不好\uff0c不知道为什么。", 27),
        ("🥺🥺🥺", 9),
    ],
)
def test_the_estimate_is_on_the_safe_side_without_being_absurd(text, tokens):
    found = prompt_tokens([Message("user", text)] * 10)
    assert 10 * tokens <= found <= 22 * tokens


def test_half_a_character_pair_does_not_stop_an_estimate():
    assert prompt_tokens([Message("user", "\ud83d")]) > 0
