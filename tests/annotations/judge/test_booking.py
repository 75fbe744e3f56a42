"""What is charged is booked and what arrives is stored, also when things break off midway."""

import json
import threading

import pytest

from annotations.judge.ledger import Ledger
from annotations.judge.prices import prompt_tokens
from annotations.judge.progress import Ending
from annotations.judge.run import GIVE_UP_AFTER
from esc_demo.dialogue import Message
from esc_demo.errors import StorageError
from tests.annotations.judge.desks import ASKING, PRICE, REPLIES
from tests.annotations.judge.faulty import Fault
from tests.annotations.judge.opened import calls, table


def table_messages(call):
    """The messages of a stored call."""
    return [Message(**one) for one in json.loads(call["messages"])]


@pytest.mark.parametrize(("first", "again"), [("nonsense", True), ("gone", True), ("", False)])
def test_what_is_cut_off_is_booked_with_its_repair_or_repeat(desk, first, again):
    """Of a first request under way its worst is booked; after it, all that was set aside."""
    stop, cut = threading.Event(), threading.Event()

    def spoil(seen):
        if again and len(desk.server.requests) == 1:
            return Fault(first)
        stop.set()
        cut.set()
        return Fault("slow")

    desk.server.spoil = spoil
    desk.judge(stop=stop, cut=cut, concurrency=1, limit=1)
    (lost,) = calls(desk.url)
    worst = prompt_tokens(table_messages(lost)) + 2 * ASKING.max_tokens
    assert lost["status"] == "api_error" and "under way" in lost["error"]
    assert (lost["cost"] > 2 * worst / 1e6) is again and lost["cost"] >= worst / 1e6
    assert desk.ledger.spent(desk.run) >= desk.server.cost(PRICE) > 0


class Flaky(Ledger):
    """A book that cannot be written for a moment."""

    failures = 1

    def record(self, *told, **more):
        if self.failures:
            self.failures -= 1
            raise StorageError("The disk is full.")
        super().record(*told, **more)


def test_a_database_that_fails_loses_no_answer_that_is_under_way(desk, clean):
    desk.server.pause_s = 0.1
    desk.ledger = Flaky(desk.store)
    with pytest.raises(StorageError, match="The disk is full"):
        desk.judge()
    assert 4 <= len(calls(desk.url)) == sum(desk.server.paid.values()) < REPLIES
    desk.adds_up()
    assert desk.judge().ending is Ending.COMPLETE and table(desk.url) == clean.table
    desk.adds_up()


def test_what_cannot_be_stored_at_all_is_told(desk):
    desk.ledger = Flaky(desk.store)
    desk.ledger.failures = 100
    with pytest.raises(StorageError):
        desk.judge(limit=1)
    assert calls(desk.url) == [] and desk.said == [
        "3 calls could not be stored and will be asked again."
    ]


def test_tokens_spent_before_a_schema_is_refused_are_booked(desk):
    refused = Fault(status=400, message="Unsupported parameter: response_format")
    answers = iter([Fault("truncated"), refused])
    desk.server.spoil = lambda seen: (
        next(answers, refused) if "response_format" in seen.body else None
    )
    stop = threading.Event()
    desk.judge(concurrency=1, limit=1, stop=stop, say=lambda note: stop.set())
    (probe,) = calls(desk.url)
    assert probe["status"] == "api_error" and probe["requests"] == 2
    assert desk.ledger.spent(desk.run) == pytest.approx(probe["cost"])
    assert probe["cost"] >= desk.server.cost(PRICE) > 0
    done = desk.judge(limit=1)
    assert not done.state.left and done.state.spent > done.usage.cost > 0
    assert done.state.spent == pytest.approx(sum(call["cost"] for call in calls(desk.url)))


def test_faults_of_single_questions_do_not_end_the_run_and_come_last_again(desk, clean):
    long = {f"My day {number} was long." for number in (0, 1, 2)}
    too_long = Fault(status=400, message="the prompt is too long")
    desk.server.spoil = lambda seen: (
        too_long if any(words in str(seen.body["messages"]) for words in long) else None
    )
    done = desk.judge(concurrency=1)
    assert (done.ending, done.state.left, done.state.done) == (Ending.COMPLETE, 9, 3)
    assert done.state.left > GIVE_UP_AFTER and "too long" in done.error
    desk.server.spoil = lambda seen: None
    before = len(desk.server.requests)
    again = desk.judge(concurrency=1, samples=1)
    assert not again.state.left and table(desk.url) == clean.table
    assert len(desk.server.requests) == before + 9


def test_what_failed_is_asked_last(desk):
    desk.server.faults = [Fault(status=400, message="the prompt is too long")]
    desk.judge(concurrency=1, limit=1)
    assert [call["status"] for call in calls(desk.url)].count("api_error") == 1
    (failed,) = [seen.asked for seen in desk.server.requests[:1]]
    desk.judge(concurrency=1)
    assert desk.server.requests[-1].asked == failed
