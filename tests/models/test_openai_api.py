"""Endpoints: a real HTTP server on loopback that streams, fails, is slow, and refuses keys."""

import json
import threading
import time

import pytest

from esc_demo.dialogue import Message
from esc_demo.errors import ConfigError, ModelError
from esc_demo.models import FinishReason, GenerationParams, StopSignal
from esc_demo.models.endpoint import EndpointError, ReplyFiltered, ReplyRefused
from esc_demo.models.openai_api import OpenAIModel
from tests.models.endpoint import Endpoint

ASKED = (Message("system", "Be kind."), Message("user", "I cannot sleep."))


@pytest.fixture
def endpoint():
    with Endpoint() as server:
        yield server


def model(endpoint, **changes):
    arguments = {"api_key": "right", "timeout_s": 5.0, "backoff_s": 0.01} | changes
    return OpenAIModel("little", base_url=endpoint.url, **arguments)


def ask(one, stop=None, **params):
    *chunks, last = list(one.stream(ASKED, GenerationParams(**params), stop or StopSignal()))
    assert all(chunk.finish is None for chunk in chunks)
    return "".join(chunk.text for chunk in chunks), last.finish


def test_the_request_is_what_was_asked_and_the_reply_streams(endpoint):
    one = model(endpoint)
    text, finish = ask(one, temperature=0.5, top_p=0.9, top_k=0, max_new_tokens=20, seed=11)
    assert text == "Reply to: I cannot sleep."
    assert (finish.reason, finish.new_tokens) == (FinishReason.END, 5)
    sent = endpoint.requests[0]
    assert sent.body["model"] == "little" and sent.key == "Bearer right"
    assert sent.body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "I cannot sleep."},
    ]
    wanted = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 20, "seed": 11, "stream": True}
    assert wanted.items() <= sent.body.items()
    assert "top_k" not in sent.body
    text, finish = ask(one, top_k=50, max_new_tokens=2)
    assert text == "Reply to:" and finish.reason is FinishReason.LENGTH
    assert endpoint.requests[1].body["top_k"] == 50


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_asked_again(endpoint, status):
    endpoint.answers = [(status, {}), (status, {})]
    text, _ = ask(model(endpoint))
    assert text.startswith("Reply to") and len(endpoint.requests) == 3


def test_the_endpoint_says_how_long_to_wait(endpoint):
    endpoint.answers = [(429, {"Retry-After": "1"})]
    ask(model(endpoint))
    first, second = endpoint.requests
    assert 1.0 <= second.at - first.at < 5.0


def test_too_long_a_wait_is_no_wait(endpoint):
    endpoint.answers = [(429, {"Retry-After": "4000"})]
    with pytest.raises(ModelError, match="answered 429"):
        ask(model(endpoint))
    assert len(endpoint.requests) == 1


def test_tries_come_to_an_end(endpoint):
    endpoint.answers = [(500, {})] * 9
    with pytest.raises(ModelError, match="answered 500: the injected fault") as caught:
        ask(model(endpoint, attempts=3))
    assert not isinstance(caught.value, EndpointError) and len(endpoint.requests) == 3


def test_a_wrong_key_stops_at_once_and_names_the_variable(endpoint):
    with pytest.raises(EndpointError, match=r"401.*ESC_OPENAI_API_KEY") as caught:
        ask(model(endpoint, api_key="wrong-secret"))
    assert len(endpoint.requests) == 1 and "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "model_not_found", "name and ESC_OPENAI_BASE_URL"),
        (429, "insufficient_quota", "spend"),
    ],
)
def test_what_no_request_can_mend_stops_at_once(endpoint, status, code, said):
    endpoint.answers = [(status, {"code": code})]
    with pytest.raises(EndpointError, match=said):
        ask(model(endpoint))
    assert len(endpoint.requests) == 1


def test_silence_ends_after_the_time_allowed(endpoint):
    endpoint.answers = [("slow", {})] * 2
    started = time.monotonic()
    with pytest.raises(ModelError, match="cannot be reached or is silent"):
        ask(model(endpoint, timeout_s=0.3, attempts=2))
    assert time.monotonic() - started < 5 and len(endpoint.requests) == 2


def test_nobody_there(endpoint):
    gone = OpenAIModel("m", base_url="http://127.0.0.1:9/v1", api_key=None, attempts=1)
    with pytest.raises(ModelError, match="ESC_OPENAI_BASE_URL, which is http://127"):
        ask(gone)


def test_a_reply_that_breaks_off_is_no_reply(endpoint):
    endpoint.answers = [("broken", {})]
    with pytest.raises(ModelError, match=r"broke off|cannot be reached"):
        ask(model(endpoint))


def test_refusals_and_filters_are_told_apart(endpoint):
    endpoint.answers = [("refusal", {}), ("filter", {}), (400, {"code": "content_filter"})]
    one = model(endpoint)
    with pytest.raises(ReplyRefused) as refused:
        ask(one)
    assert refused.value.text == "I will not."
    for text in ("Half a", ""):
        with pytest.raises(ReplyFiltered) as filtered:
            ask(one)
        assert filtered.value.text == text


def test_a_newer_name_of_the_limit_is_learnt(endpoint):
    fault = {"message": "Unsupported 'max_tokens'; use 'max_completion_tokens' instead."}
    endpoint.answers = [(400, fault)]
    one = model(endpoint)
    for _ in range(2):
        ask(one, max_new_tokens=30)
    assert [request.body.get("max_completion_tokens") for request in endpoint.requests] == [
        None,
        30,
        30,
    ]


def test_a_stop_is_heard_while_waiting_and_while_reading(endpoint):
    endpoint.answers = [(429, {"Retry-After": "60"})]
    stop = StopSignal()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    _, finish = ask(model(endpoint), stop)
    assert finish.reason is FinishReason.STOPPED and time.monotonic() - started < 10
    stop = StopSignal()
    chunks = model(endpoint).stream(ASKED, GenerationParams(), stop)
    next(chunks)
    stop.set()
    assert list(chunks)[-1].finish.reason is FinishReason.STOPPED


def test_an_address_and_a_key_are_needed():
    def make(url="https://api.openai.com/v1", name="m", key=None):
        return OpenAIModel(name, base_url=url, api_key=key)

    for given, said in (
        ({}, "Set ESC_OPENAI_API_KEY"),
        ({"url": "localhost:8000"}, "ESC_OPENAI_BASE_URL is 'localhost:8000'"),
        ({"name": "", "key": "k"}, "Name the endpoint's model"),
    ):
        with pytest.raises(ConfigError, match=said):
            make(**given)
    assert make("http://me:secret@localhost:8000/v1/").base_url == "http://localhost:8000/v1"
    one, other = make(key="k"), make(key="other")
    assert one.revision == other.revision != make(name="n", key="k").revision


def test_lengths_are_estimates_that_grow_with_the_text():
    one = OpenAIModel("m", base_url="http://127.0.0.1/v1", api_key=None)
    assert one.count_tokens("") == 0 and one.count_tokens("four!") == 2
    assert one.render(ASKED).tokens == 8 + 2 + 4
    assert "estimates" in one.notice


def test_the_server_speaks_for_itself(endpoint):
    """The stand-in for a service streams lines of JSON, as the interface demands."""
    import urllib.request

    body = json.dumps({"messages": [{"role": "user", "content": "Hi."}], "max_tokens": 9})
    request = urllib.request.Request(
        f"{endpoint.url}/chat/completions", body.encode(), {"Authorization": "Bearer right"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        events = [line for line in answer.read().decode().splitlines() if line]
    assert events[-1] == "data: [DONE]"
    assert json.loads(events[0].removeprefix("data: "))["choices"][0]["delta"]
