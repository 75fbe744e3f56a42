"""What is under way belongs to one run, and what a killed process left is booked as it may be owed.

Two processes and a kill are in `test_judge_cli`.
"""

import threading
import time
from dataclasses import replace

import pytest

from annotations import Store
from annotations.judge.claims import Busy, Owed
from annotations.judge.ledger import Ledger, place_of
from annotations.judge.material import questions
from annotations.judge.progress import Ending
from annotations.judge.values import BROKEN_OFF, Usage
from annotations.reports.sources import of_answers
from annotations.studies.answers import read_answers
from annotations.upkeep import check_database
from annotations.values import JudgeStatus
from tests.annotations import raw
from tests.annotations.judge.desks import PRICE, REPLIES
from tests.annotations.judge.faulty import Fault
from tests.annotations.judge.judging import LIVE, chatted, failed, judge, key_of, scored, spec
from tests.annotations.judge.opened import calls, table
from tests.annotations.studies.conftest import item_lines

WORST = Usage(500, 120, 0.75)


def claimed(url):
    """The claims that stand: key and cost."""
    return raw.run(url, "SELECT key, cost FROM judge_claim")


def asked(office):
    """A study with a run, another run over it with the same keys, and a question."""
    slug = office.found(item_lines(3))
    of = spec(slug)
    return of, replace(of, samples=2), questions(office.store, slug, of.protocol)[0]


@pytest.fixture
def busy(desk):
    """A maker of runs that are left with requests under way until the server's gate opens."""
    threads = []

    def make(**options):
        desk.server.gate.clear()
        summaries = []
        options = {"timeout_s": 20.0} | options
        thread = threading.Thread(target=lambda: summaries.append(desk.judge(**options)))
        thread.start()
        threads.append(thread)
        until = time.monotonic() + 20
        while not desk.server.requests:
            assert time.monotonic() < until
            time.sleep(0.01)
        return Under(desk.beside(), thread, summaries)

    yield make
    desk.server.gate.set()
    for thread in threads:
        thread.join()


class Under:
    """A run under way, and a second desk for another one."""

    def __init__(self, other, thread, summaries):
        self.other, self.thread, self.summaries = other, thread, summaries

    def ended(self):
        self.thread.join()
        self.other.close()
        return self.summaries[0]


def test_two_runs_at_once_ask_each_question_once(desk, clean, busy):
    """The second starts while the first waits for answers, and waits for them too."""
    under, said = busy(concurrency=2), []

    def hear(note):
        said.append(note)
        desk.server.gate.set()

    done = under.other.judge(samples=2, say=hear, timeout_s=20.0)
    first = under.ended()
    assert (done.ending, first.ending) == (Ending.COMPLETE, Ending.COMPLETE)
    assert done.state.done == 2 * REPLIES and first.state.done == REPLIES
    assert len(desk.server.requests) == 2 * REPLIES and set(desk.server.paid.values()) == {1}
    assert done.asked + first.asked == 2 * REPLIES and done.cached >= 1
    assert [note[:55] for note in said] == [
        "esc-reply:little over the study small is asking some of"
    ]
    spent = raw.run(desk.url, "SELECT sum(cost) FROM judge_call")[0][0]
    assert spent == pytest.approx(desk.server.cost(PRICE)) and claimed(desk.url) == []


def test_what_the_other_run_fails_to_ask_is_asked_here(desk, busy):
    desk.server.faults = [Fault(status=400, message="the prompt is too long")]
    under = busy(concurrency=1, limit=1)
    hear = lambda note: desk.server.gate.set()  # noqa: E731
    done = under.other.judge(samples=2, limit=1, say=hear, timeout_s=20.0)
    first = under.ended()
    assert done.ending is Ending.COMPLETE and not done.state.left
    assert first.state.left == 1 and claimed(desk.url) == []


def test_a_stop_ends_the_waiting_for_another_run(desk, busy):
    under, stop = busy(concurrency=1, limit=1), threading.Event()
    ((key, _),) = claimed(desk.url)

    def hear(note):
        stop.set()
        desk.server.gate.set()

    done = under.other.judge(samples=2, limit=1, stop=stop, say=hear, timeout_s=20.0)
    assert done.ending is Ending.STOPPED and done.state.left >= 1
    assert under.ended().ending is Ending.COMPLETE and claimed(desk.url) == []
    assert key in {call["key"] for call in calls(desk.url)}


def test_a_claim_stands_before_the_request_and_rises_with_a_repeat(desk):
    found = []

    def spoil(seen):
        found.append(claimed(desk.url))
        return Fault("gone") if len(found) == 1 else None

    desk.server.spoil = spoil
    desk.judge(limit=1, concurrency=1)
    (first,), (second,) = found[0], found[1]
    assert first[0] == second[0] and second[1] > first[1] > 0
    assert all(len(one) == 1 for one in found) and claimed(desk.url) == []


def test_what_cost_nothing_is_given_back(desk):
    desk.server.takes_schema = False
    desk.judge(limit=1)
    assert claimed(desk.url) == []
    with pytest.raises(Exception, match="ESC_OPENAI_API_KEY"):
        desk.judge(key="wrong")
    assert claimed(desk.url) == []


def test_a_living_run_keeps_its_claim_and_a_dead_one_owes(office):
    of, wider, question = asked(office)
    key = key_of(question, of)
    with Store(office.store.engine.url.render_as_string(hide_password=False)) as elsewhere:
        ledger, other = Ledger(office.store), Ledger(elsewhere)
        run, second = ledger.open_run(of), other.open_run(wider)
        with ledger.alone(of):
            assert ledger.claims.take(run.id, question, key, WORST) == Owed()
            assert other.claims.take(second.id, question, key, WORST) == Busy(run.rater, of.slug)
            assert not ledger.owed(run) and not ledger.spent(run)  # under way, not yet lost
        assert ledger.owed(run) == Owed(1, WORST.cost)
        assert other.claims.take(second.id, question, key, WORST) == Owed(1, WORST.cost)
        assert ledger.spent(run) == WORST.cost and ledger.claims.owed(run.id).requests == 1
        assert ledger.failed(run) == {place_of(question)} and not ledger.answered(run)
        other.record(second, question, key, scored(question, of), cached=False)
        assert ledger.claims.take(run.id, question, key, WORST) == other.cached([key])[key]
    assert office.sql("SELECT count(*) FROM judge_claim") == [(0,)]
    assert check_database(office.store.engine, office.clock()) == ()


def test_what_a_killed_process_left_is_booked_once_as_failed_calls(office):
    of, _, question = asked(office)
    ledger, key = Ledger(office.store), key_of(question, of)
    run = ledger.open_run(of)
    ledger.record(run, question, key, failed(question, of, cost=0.5), cached=False)
    ledger.claims.take(run.id, question, key, WORST)
    ledger.claims.raise_cost("another run", key, 9.0)
    ledger.claims.raise_cost(run.id, key, 2.0)
    assert ledger.claims.book_lost(run.id) == Owed(1, 2.0) == ledger.claims.owed(run.id)
    assert not ledger.claims.book_lost(run.id)
    assert ledger.spent(run) == 2.5 and ledger.counts(run)[JudgeStatus.API_ERROR] == 1
    stored = office.sql("SELECT attempt, error, cost FROM judge_call ORDER BY attempt")
    assert stored[1] == (1, BROKEN_OFF, 2.0)
    ledger.record(run, question, key, scored(question, of), cached=False)
    assert ledger.answered(run) == {place_of(question)}
    assert check_database(office.store.engine, office.clock()) == ()


def test_a_run_begun_again_meanwhile_keeps_its_new_claim(office, monkeypatch):
    """Between the look at a run's lock and the booking, the run may have come back to life."""
    of, wider, question = asked(office)
    ledger, key = Ledger(office.store), key_of(question, of)
    run, second = ledger.open_run(of), ledger.open_run(wider)
    ledger.claims.take(run.id, question, key, WORST)
    looked = []

    def look(engine, name):
        if not looked.append(name) and len(looked) == 1:
            ledger.claims.book_lost(run.id)  # as the run does that begins again
            ledger.claims.take(run.id, question, key, WORST)
            return False
        return True

    monkeypatch.setattr("annotations.judge.claims.is_held", look)
    assert ledger.claims.take(second.id, question, key, WORST) == Busy(run.rater, of.slug)
    monkeypatch.undo()
    assert len(looked) == 2 and ledger.owed(run).requests == 1
    assert ledger.claims.owed(run.id).requests == 1  # of its first life, once


def test_two_that_book_the_same_debt_at_once_book_it_once(office):
    of, _, question = asked(office)
    ledger = Ledger(office.store)
    run = ledger.open_run(of)
    for number in range(20):
        ledger.claims.take(run.id, question, f"{number:064d}", WORST)
    start, found = threading.Barrier(4), []

    def work():
        claims = Ledger(office.store).claims
        start.wait()
        found.append(claims.book_lost(run.id))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.requests for one in found) == 20 == ledger.claims.owed(run.id).requests
    assert ledger.spent(run) == 20 * WORST.cost


def test_many_threads_get_one_claim(office):
    of, wider, question = asked(office)
    key, found = key_of(question, of), []
    ledger = Ledger(office.store)
    runs = [ledger.open_run(of), ledger.open_run(wider)]

    def work(run):
        found.append(Ledger(office.store).claims.take(run.id, question, key, WORST))

    with ledger.alone(of), ledger.alone(wider):
        threads = [threading.Thread(target=work, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(type(one).__name__ for one in found) == ["Busy", "Owed"]


def test_of_a_chat_that_was_taken_back_no_debt_is_kept(office):
    slug = office.found(**LIVE, withdrawal="delete")
    goes = chatted(office, slug)
    of = spec(slug, "esc-dialogue")
    question = questions(office.store, slug, of.protocol)[0]
    ledger = Ledger(office.store)
    run = ledger.open_run(of)
    ledger.claims.take(run.id, question, key_of(question, of), WORST)
    office.desk.withdraw(slug, goes.key)
    assert not ledger.claims.book_lost(run.id)
    assert office.sql("SELECT count(*) FROM judge_claim, judge_call") == [(0,)]
    assert check_database(office.store.engine, office.clock()) == ()


def test_a_killed_run_goes_on_within_what_the_cap_leaves(desk, clean):
    """The first process is one that stopped without a word after it had claimed a question."""
    desk.judge(limit=1)
    run, ledger = desk.run, desk.ledger
    question = questions(desk.store, "small", spec("small").protocol)[-1]
    ledger.claims.take(run.id, question, "f" * 64, Usage(500, 120, 1.0))
    before = len(desk.server.requests)
    capped = desk.judge(cap=1.0)
    assert capped.ending is Ending.CAP and len(desk.server.requests) == before
    assert "1 request of an earlier process of this run was under way" in desk.said[-1]
    assert "$1.0000" in desk.said[-1] and capped.owed == Owed(1, 1.0)
    done = desk.judge(cap=2.0)
    assert done.ending is Ending.COMPLETE and table(desk.url) == clean.table
    assert len([one for one in calls(desk.url) if one["error"] == BROKEN_OFF]) == 1


def test_what_a_killed_process_left_does_not_hide_the_scale_of_the_run(sqlite_office):
    """Its calls hold no prompt, in which the scale is looked up; and here they are by far the most.

    Ids are random, so few would be found in spite of it.
    """
    office = sqlite_office
    slug = office.found(item_lines(3))
    of = spec(slug, "g-score")
    question = questions(office.store, slug, of.protocol)[0]
    ledger = Ledger(office.store)
    run = ledger.open_run(of)
    ledger.claims.take(run.id, question, "0" * 64, WORST)
    names = [name for name in raw.columns(office.url, "judge_claim") if name != "key"]
    office.sql(
        "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < 299)"
        f" INSERT INTO judge_claim (key, {', '.join(names)})"
        f" SELECT printf('%064d', at), {', '.join(names)} FROM judge_claim, n"
    )
    assert ledger.claims.book_lost(run.id).requests == 300
    judge(office.store, of, [question], lambda *at: scored(*at, 4))
    frames = of_answers(read_answers(office.store, slug)).frames
    assert "relevance (1-5)" in frames.dimensions and "relevance" not in frames.dimensions
