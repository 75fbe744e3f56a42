"""One question to an endpoint that fails in every way it can: a real server on loopback."""

import email.utils
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from annotations.judge.endpoint import Endpoint, SchemaRefused
from annotations.judge.pacing import Pace, Stopped
from annotations.judge.protocol import load_protocol
from annotations.judge.schema import answer_schema
from annotations.judge.values import Asking, Usage
from annotations.values import JudgeStatus
from esc_demo.dialogue import Message
from esc_demo.errors import ConfigError
from tests.annotations.judge.faulty import Fault, Faulty

ASKED = (Message("system", "You rate replies."), Message("user", "Rate this: I hear you."))
SCHEMA = answer_schema(load_protocol("esc-reply"))
ASKING = Asking(temperature=0.0, max_tokens=50, seed=7)


@pytest.fixture
def server():
    with Faulty(SCHEMA) as one:
        yield one


def endpoint(server, **changes):
    told = {"api_key": "right", "timeout_s": 5.0, "backoff_s": 0.01} | changes
    return Endpoint("little", server.url, **told)


def ask(one, schema=SCHEMA, stop=None, **more):
    return one.ask(ASKED, schema, ASKING, stop or threading.Event(), **more)


def test_the_request_is_what_was_asked_and_the_reply_has_its_usage(server):
    reply = ask(endpoint(server))
    (seen,) = server.requests
    assert seen.body["model"] == "little" and seen.key == "Bearer right"
    wanted = {"temperature": 0.0, "max_tokens": 50, "seed": 7}
    assert wanted.items() <= seen.body.items() and not seen.body.get("stream")
    assert seen.body["messages"][1] == {"role": "user", "content": "Rate this: I hear you."}
    assert seen.body["response_format"] == {"type": "json_schema", "json_schema": SCHEMA}
    assert reply.status is JudgeStatus.OK and reply.raw.startswith('{"rationale"')
    assert reply.usage == Usage(server.prompt_tokens, server.completion_tokens)
    assert (reply.requests, reply.cut, reply.fatal) == (1, False, None) and reply.seconds > 0
    ask(endpoint(server), schema=None)
    assert "response_format" not in server.requests[1].body


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_what_passes_is_asked_again_and_not_charged(server, status):
    server.faults = [Fault(status=status)] * 2
    reply = ask(endpoint(server))
    assert reply.status is JudgeStatus.OK and reply.requests == 3 == len(server.requests)
    assert reply.usage == Usage(server.prompt_tokens, server.completion_tokens)


@pytest.mark.parametrize("as_date", [False, True])
def test_the_endpoint_says_how_long_all_are_to_wait(server, as_date):
    wait = "1"
    if as_date:  # dates have whole seconds, so this is one to two from now
        wait = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.faults = [Fault(status=429, headers={"Retry-After": wait})]
    pace, one = Pace(2), endpoint(server)
    first = threading.Thread(target=ask, args=(one,), kwargs={"pace": pace})
    first.start()
    while not server.requests:
        time.sleep(0.01)
    time.sleep(0.1)
    ask(one, pace=pace)  # one that was never told to wait
    first.join()
    times = [seen.at for seen in server.requests]
    assert len(times) == 3 and all(0.9 <= at - times[0] < 4 for at in times[1:])


def test_too_long_a_wait_is_no_wait(server):
    server.faults = [Fault(status=429, headers={"Retry-After": "4000"})]
    reply = ask(endpoint(server))
    assert reply.status is JudgeStatus.API_ERROR and "429" in reply.error
    assert len(server.requests) == 1 and reply.fatal is None


def test_tries_come_to_an_end(server):
    server.faults = [Fault(status=500)] * 9
    reply = ask(endpoint(server, attempts=3))
    assert (reply.status, reply.requests) == (JudgeStatus.API_ERROR, 3)
    assert "answered 500: the injected fault" in reply.error
    assert reply.usage == Usage() and not server.paid


@pytest.mark.parametrize("kind", ["truncated", "disconnect", "page", "gone", "slow"])
def test_what_brought_no_answer_may_have_been_charged(server, kind):
    server.faults = [Fault(kind)]
    changes = {"timeout_s": 0.3} if kind == "slow" else {}
    reply = ask(endpoint(server, **changes))
    assert reply.status is JudgeStatus.OK and reply.requests == 2
    assert reply.usage.prompt_tokens >= server.prompt_tokens
    assert reply.usage.completion_tokens >= min(ASKING.max_tokens, server.completion_tokens)
    assert reply.usage.completion_tokens > ASKING.max_tokens


def test_what_may_have_been_charged_is_repeated_only_when_it_can_be_paid(server):
    server.faults = [Fault("truncated")] * 3
    purse = iter([True, False])
    reply = ask(endpoint(server), affordable=lambda: next(purse))
    assert (reply.status, reply.requests) == (JudgeStatus.API_ERROR, 2)
    assert reply.usage.completion_tokens == 2 * ASKING.max_tokens
    assert "no chat completion" in reply.error


def test_nobody_there_is_no_request():
    one = Endpoint("m", "http://127.0.0.1:9/v1", None, attempts=2, backoff_s=0.01)
    reply = ask(one, affordable=lambda: pytest.fail("nothing was sent"))
    assert reply.status is JudgeStatus.API_ERROR and reply.fatal is None
    assert (reply.requests, reply.usage) == (0, Usage())
    assert "ESC_OPENAI_BASE_URL, which is http://127.0.0.1:9/v1" in reply.error


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=403, message="no access"), "ESC_OPENAI_API_KEY"),
        (Fault(status=404, code="model_not_found"), "the model's name"),
        (Fault(status=429, code="insufficient_quota"), "nothing left to spend"),
        (Fault(status=402), "nothing left to spend"),
    ],
)
def test_what_no_request_can_mend_stops_at_once(server, fault, said):
    server.faults = [fault] * 9
    reply = ask(endpoint(server))
    assert said in str(reply.fatal) and len(server.requests) == 1
    assert reply.status is JudgeStatus.API_ERROR and reply.usage == Usage()


def test_a_wrong_key_names_the_variable_and_not_the_key(server):
    reply = ask(endpoint(server, api_key="wrong-secret"))
    assert "ESC_OPENAI_API_KEY" in str(reply.fatal) and "wrong-secret" not in str(reply.fatal)
    assert len(server.requests) == 1


def test_refusals_and_filters_are_answers_of_their_own(server):
    server.faults = [Fault("refusal"), Fault("filter"), Fault(status=400, code="content_filter")]
    one = endpoint(server)
    found = [ask(one) for _ in range(3)]
    assert [reply.status for reply in found] == [
        JudgeStatus.REFUSED,
        JudgeStatus.CONTENT_FILTERED,
        JudgeStatus.CONTENT_FILTERED,
    ]
    assert found[0].raw == "I will not judge this." and all(reply.error for reply in found)
    assert all(reply.requests == 1 for reply in found)


def test_an_answer_that_was_cut_is_told(server):
    server.faults = [Fault("cut")]
    assert ask(endpoint(server)).cut


def test_without_usage_it_is_estimated(server):
    server.faults = [Fault("silent about tokens")]
    usage = ask(endpoint(server)).usage
    assert usage.prompt_tokens >= server.prompt_tokens > 0
    assert usage.completion_tokens >= server.completion_tokens > 0


def test_a_refused_schema_is_told_and_other_refusals_are_not_taken_for_one(server):
    server.takes_schema = False
    with pytest.raises(SchemaRefused, match="response_format") as refused:
        ask(endpoint(server))
    assert refused.value.requests == 1
    assert ask(endpoint(server), schema=None).status is JudgeStatus.OK
    server.takes_schema = True
    server.faults = [Fault(status=400, message="the prompt is too long")]
    assert ask(endpoint(server)).status is JudgeStatus.API_ERROR


def test_a_newer_name_of_the_limit_is_learnt(server):
    said = "Unsupported 'max_tokens'; use 'max_completion_tokens' instead."
    server.faults = [Fault(status=400, message=said)]
    one = endpoint(server)
    assert [ask(one).requests for _ in range(2)] == [2, 1]
    sent = [seen.body.get("max_completion_tokens") for seen in server.requests]
    assert sent == [None, 50, 50]


def test_a_stop_is_heard_before_asking_and_while_waiting(server):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        ask(endpoint(server), stop=stop)
    assert not server.requests
    server.faults = [Fault(status=429, headers={"Retry-After": "60"})]
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    reply = ask(endpoint(server), stop=stop)
    assert reply.status is JudgeStatus.API_ERROR and "429" in reply.error
    assert time.monotonic() - started < 5


def test_addresses_and_keys_are_checked_before_anything_is_sent():
    with pytest.raises(ConfigError, match="ESC_OPENAI_API_KEY"):
        Endpoint("m", "https://api.openai.com/v1", None)
    with pytest.raises(ConfigError, match="ESC_OPENAI_BASE_URL is 'nowhere'"):
        Endpoint("m", "nowhere", None)
    assert Endpoint("m", "http://me:secret@127.0.0.1:1/v1/", None).url == "http://127.0.0.1:1/v1"


def test_the_pace_falls_by_half_once_a_round_and_grows_by_one():
    pace, never = Pace(8), threading.Event()
    assert pace.allowed == 4
    with pace.turn(never) as first, pace.turn(never) as second:
        pass
    pace.overloaded(first, None)
    pace.overloaded(second, None)  # went out together, came back together
    assert pace.allowed == 2
    pace.went_well(first)  # sent before: says nothing of now
    for _ in range(2):
        with pace.turn(never) as turn:
            pass
        pace.went_well(turn)
    assert pace.allowed == 3
    for _ in range(99):
        with pace.turn(never) as turn:
            pass
        pace.went_well(turn)
    assert pace.allowed == 8
    assert Pace(2).allowed == 2
