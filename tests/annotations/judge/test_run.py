"""The loop against a server that fails: nothing lost, nothing paid twice, counts add up."""

import threading
from dataclasses import replace

import pytest

from annotations.judge.progress import Ending
from annotations.judge.protocol import load_protocol
from annotations.judge.run import GIVE_UP_AFTER
from annotations.judge.schema import answer_schema
from annotations.judge.values import Control
from annotations.values import JudgeStatus
from esc_demo.models.endpoint import EndpointError
from tests.annotations.judge.desks import PRICE, REPLIES
from tests.annotations.judge.faulty import Fault
from tests.annotations.judge.opened import calls, table


def test_every_question_is_asked_once_and_stored_with_its_scores(desk):
    done = desk.judge()
    assert (done.ending, done.asked, done.cached, done.requests) == ("complete", 12, 0, 12)
    assert done.state.counts[JudgeStatus.OK] == done.state.done == done.state.total == REPLIES
    desk.adds_up()
    assert done.usage.cost == pytest.approx(desk.server.cost(PRICE))
    expected = {desk.server.answer(seen)["comforting"] for seen in desk.server.requests}
    assert {row[3] for row in table(desk.url) if row[2] == "comforting"} == expected
    prompts = str([seen.body["messages"] for seen in desk.server.requests])
    assert not [name for name in ("model-", "base", "lora") if name in prompts]
    before = table(desk.url)
    again = desk.judge()
    assert (again.ending, again.asked, again.requests) == ("complete", 0, 0)
    assert table(desk.url) == before and len(before) == 4 * REPLIES


def test_what_passes_leaves_no_trace_in_the_answers(desk, clean):
    kinds = ("prose", "words", "six", "nonsense", "cut")
    desk.server.faults = [
        Fault(status=500),
        Fault(status=429),
        Fault(status=429, headers={"Retry-After": "0.3"}),
        *map(Fault, kinds),
        Fault(status=503),
    ]
    done = desk.judge()
    assert done.ending is Ending.COMPLETE and not done.state.left
    assert table(desk.url) == clean.table
    desk.adds_up()
    repairs = sum(seen.repair for seen in desk.server.requests)
    assert repairs == 3 and len(desk.server.requests) == REPLIES + repairs + 4


@pytest.mark.parametrize("kind", ["truncated", "disconnect", "page", "slow"])
def test_a_lost_answer_is_asked_again_and_counted_as_paid(desk, clean, kind):
    desk.server.faults = [Fault(kind)] * 2
    done = desk.judge(timeout_s=0.4 if kind == "slow" else 5.0)
    assert done.ending is Ending.COMPLETE and table(desk.url) == clean.table
    assert done.requests == len(desk.server.requests) == REPLIES + 2
    assert sum(desk.server.paid.values()) == REPLIES + 2
    assert desk.ledger.spent(desk.run) >= desk.server.cost(PRICE)


def test_what_cannot_be_read_is_repaired_once_and_then_a_parse_error(desk):
    desk.server.spoil = lambda seen: Fault("six" if seen.repair else "nonsense")
    done = desk.judge(limit=1)
    assert done.state.counts[JudgeStatus.PARSE_ERROR] == done.state.done == 3
    desk.adds_up()
    for call in calls(desk.url):
        assert call["requests"] == 2 and '"engagement": 6' in call["raw"]
        assert "weather" in call["messages"] and "6" in call["error"]
    assert all(row[2] is None for row in table(desk.url))  # no failure is a number
    assert desk.judge(limit=1).asked == 0


def test_an_answer_cut_short_says_so(desk):
    desk.server.spoil = lambda seen: Fault("cut")
    desk.judge(limit=1)
    assert all("max_tokens (60) was reached" in call["error"] for call in calls(desk.url))


def test_refusals_and_filters_are_answers_to_be_kept(desk):
    desk.server.faults = [
        Fault("refusal"),
        Fault("filter"),
        Fault(status=400, code="content_filter"),
    ]
    done = desk.judge(limit=1, concurrency=1)
    counts = done.state.counts
    assert (counts[JudgeStatus.REFUSED], counts[JudgeStatus.CONTENT_FILTERED]) == (1, 2)
    assert done.ending is Ending.COMPLETE and all(row[2] is None for row in table(desk.url))
    assert {call["raw"] for call in calls(desk.url)} == {"I will not judge this.", ""}
    assert desk.judge(limit=1).asked == 0
    desk.adds_up()


def test_an_endpoint_that_stays_down_is_given_up_and_asked_again_later(desk, clean):
    desk.server.spoil = lambda seen: Fault(status=500) if len(desk.server.requests) > 4 else None
    done = desk.judge()
    counts = done.state.counts
    assert done.ending is Ending.GAVE_UP and "answered 500" in done.error
    assert counts[JudgeStatus.OK] + counts[JudgeStatus.API_ERROR] == REPLIES
    assert counts[JudgeStatus.API_ERROR] >= min(GIVE_UP_AFTER, REPLIES - 4)
    assert done.state.left == counts[JudgeStatus.API_ERROR]
    desk.server.spoil = lambda seen: None
    after = desk.judge()
    assert after.ending is Ending.COMPLETE and after.asked == done.state.left
    assert after.state.counts[JudgeStatus.API_ERROR] == 0
    assert table(desk.url) == clean.table
    desk.adds_up()


@pytest.mark.parametrize("kind", ["", "nonsense", "truncated"])
def test_a_cap_is_never_passed_and_the_run_goes_on_from_there(desk, clean, kind):
    desk.server.spoil = lambda seen: Fault(kind) if kind and not seen.repair else None
    cap = 0.004
    done = desk.judge(cap=cap)
    assert done.ending is Ending.CAP and done.state.left > 0
    assert 0 < desk.server.cost(PRICE) <= desk.ledger.spent(desk.run) + 1e-12 <= cap + 1e-12
    assert all(state.spent <= cap for state in desk.states)
    assert desk.judge(cap=cap).asked == 0
    desk.server.spoil = lambda seen: None
    after = desk.judge(cap=1.0)
    assert after.ending is Ending.COMPLETE and table(desk.url) == clean.table
    if kind != "truncated":
        desk.adds_up()


def test_a_wrong_key_stops_at_once_and_stores_nothing(desk):
    with pytest.raises(EndpointError, match="ESC_OPENAI_API_KEY"):
        desk.judge(key="wrong")
    assert len(desk.server.requests) <= 4 and calls(desk.url) == []
    assert desk.judge().ending is Ending.COMPLETE
    assert sum(desk.server.paid.values()) == REPLIES


def test_an_empty_account_ends_the_run_with_all_that_was_answered(desk, clean):
    spent = Fault(status=429, code="insufficient_quota")
    desk.server.spoil = lambda seen: (
        Fault("nonsense")
        if len(desk.server.requests) == 6
        else spent
        if len(desk.server.requests) > 6
        else None
    )
    with pytest.raises(EndpointError, match="nothing left to spend"):
        desk.judge(concurrency=1)
    stored = calls(desk.url)
    assert [call["status"] for call in stored].count("ok") == 5
    (broken,) = [call for call in stored if call["status"] == "api_error"]
    assert broken["cost"] > 0  # its first answer was paid for; the repair was not to be had
    desk.server.spoil = lambda seen: None
    assert desk.judge().ending is Ending.COMPLETE and table(desk.url) == clean.table


def test_without_schemas_plain_text_is_asked_for_and_that_is_said_once(desk, clean):
    desk.server.takes_schema = False
    done = desk.judge(controls=[Control.GENERIC])
    assert done.ending is Ending.COMPLETE and done.state.counts[JudgeStatus.OK] == REPLIES + 4
    (said,) = desk.said
    assert "response_format" in said and "plain text" in said
    assert [row for row in table(desk.url) if "control" not in row[0]] == clean.table
    desk.adds_up()
    keys = {call["place"]: call["key"] for call in calls(desk.url)}
    assert not set(keys.values()) & clean.keys
    probes = sum("response_format" in seen.body for seen in desk.server.requests)
    assert 1 <= probes <= 4
    assert desk.judge(controls=[Control.GENERIC]).requests == 0


def test_what_another_run_asked_is_taken_from_it(desk):
    desk.judge()
    twice = desk.judge(samples=2)
    assert (twice.asked, twice.cached) == (REPLIES, REPLIES)
    assert twice.state.done == 2 * REPLIES and twice.state.spent == pytest.approx(twice.usage.cost)
    assert len(desk.server.requests) == 2 * REPLIES
    assert len({seen.body["seed"] for seen in desk.server.requests}) == 2
    assert set(desk.server.paid.values()) == {1}


def test_equal_texts_are_asked_about_once(desk):
    """The gold reply of the last item is word for word the reply of one arm."""
    done = desk.judge(controls=[Control.GOLD])
    assert (done.asked, done.cached, done.state.done) == (REPLIES + 3, 1, REPLIES + 4)
    desk.adds_up()
    assert sum(call["cached"] for call in calls(desk.url)) == 1


def test_pairs_are_asked_in_both_orders(desk):
    desk.server.schema = answer_schema(load_protocol("esc-pair"))
    done = desk.judge("esc-pair")
    assert done.ending is Ending.COMPLETE and done.state.done == 4 * 3 * 2
    desk.adds_up()


def test_a_stop_lets_what_is_under_way_end_and_the_rest_is_asked_later(desk, clean):
    desk.server.pause_s = 0.1
    stop = threading.Event()
    desk.server.spoil = lambda seen: stop.set() if len(desk.server.requests) == 6 else None
    done = desk.judge(stop=stop)
    assert done.ending is Ending.STOPPED and 6 <= done.asked < REPLIES
    assert len(calls(desk.url)) == sum(desk.server.paid.values()) == done.asked
    desk.adds_up()
    assert desk.judge().ending is Ending.COMPLETE
    assert table(desk.url) == clean.table
    desk.adds_up()


def test_an_answer_that_was_paid_for_is_repaired_even_after_a_stop(desk):
    stop = threading.Event()
    desk.server.spoil = lambda seen: None if seen.repair else stop.set() or Fault("nonsense")
    done = desk.judge(stop=stop, concurrency=1)
    assert done.ending is Ending.STOPPED and done.state.counts[JudgeStatus.OK] == 1
    desk.adds_up()


def test_what_is_cut_off_counts_as_charged_and_is_asked_again(desk, clean):
    stop, cut = threading.Event(), threading.Event()

    def spoil(seen):
        if len(desk.server.requests) > 4:
            stop.set()
            cut.set()
            return Fault("slow")
        return None

    desk.server.spoil = spoil
    done = desk.judge(stop=stop, cut=cut, concurrency=1)
    assert done.ending is Ending.STOPPED and done.asked == 5
    assert done.state.counts[JudgeStatus.API_ERROR] == 1
    desk.server.spoil = lambda seen: None
    assert desk.judge().ending is Ending.COMPLETE
    assert table(desk.url) == clean.table
    assert desk.ledger.spent(desk.run) >= desk.server.cost(PRICE)


def test_the_number_at_once_has_a_bound_and_falls_under_overload(new_desk):
    calm, busy = new_desk(pause_s=0.02), new_desk(pause_s=0.02)
    calm.judge(concurrency=3)
    assert calm.server.most <= 3
    # The wait is long enough to be told of: progress is told a few times a second only.
    busy.server.faults = [Fault(status=429, headers={"Retry-After": "0.6"})] * 4
    busy.judge(concurrency=16)
    assert min(state.allowed for state in busy.states) < 4 and busy.server.most <= 8
    busy.adds_up()


def test_progress_only_goes_up_and_ends_at_the_total(desk):
    desk.server.pause_s = 0.1
    done = desk.judge()
    made = [state.done for state in desk.states]
    assert made == sorted(made) and made[0] == 0 and made[-1] == REPLIES
    assert desk.states[-1] == replace(done.state)
