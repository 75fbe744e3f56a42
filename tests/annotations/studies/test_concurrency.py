"""Fifty people at once: nothing is given too often, nothing is stored twice."""

import threading
import time
from collections import Counter

import pytest
from sqlalchemy import text

from annotations.studies.values import Stage
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import form

PEOPLE = 50


@pytest.mark.timeout(900)
def test_fifty_people_at_once(office):
    slug = office.found(item_lines(6), raters_per_item=4, session={"items": 2})
    gate = threading.Barrier(PEOPLE)
    problems, ends = [], Counter()

    def work():
        try:
            gate.wait()
            rater = office.rater(slug)
            while (screen := rater.screen()).item is not None:
                sent = form(screen.item)
                twice = [
                    threading.Thread(target=office.desk.submit, args=(slug, rater.key, sent))
                    for _ in range(2)
                ]
                for thread in twice:
                    thread.start()
                for thread in twice:
                    thread.join()
            ends[screen.stage] += 1
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sum(ends.values()) == PEOPLE
    assert set(ends) <= {Stage.DONE, Stage.FULL, Stage.WAITING}
    per_task = office.sql(
        "SELECT task_id, count(*) FROM study_assignment WHERE status = 'submitted' GROUP BY task_id"
    )
    assert [count for _, count in per_task] == [4] * 18
    assert office.sql("SELECT DISTINCT status FROM study_assignment") == [("submitted",)]
    assert office.sql("SELECT count(*), count(DISTINCT assignment_id) FROM study_submission") == [
        (72, 72)
    ]
    assert office.sql("SELECT count(*) FROM rating") == [(72 * 8,)]
    assert office.sql("SELECT count(*) FROM preference") == [(72,)]
    numbers = office.sql("SELECT number FROM study_participant ORDER BY number")
    assert [number for (number,) in numbers] == list(range(1, PEOPLE + 1))


def test_ten_tabs_of_one_rater_get_one_item_and_one_answer(office):
    slug = office.found()
    rater = office.rater(slug)
    seen, outcomes = [], []

    def tab():
        item = rater.item()
        seen.append(item.assignment_id)
        gate.wait()
        try:
            outcomes.append(office.desk.submit(slug, rater.key, form(item)).status.value)
        except ValueError as error:
            outcomes.append(error.status)

    gate = threading.Barrier(10)
    threads = [threading.Thread(target=tab) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert Counter(outcomes) == {"submitted": 1, 409: 9}
    assert office.sql("SELECT count(*) FROM study_submission") == [(1,)]


def test_on_a_server_a_held_up_study_holds_up_no_other(office):
    if office.store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    stuck, other = office.found(), office.found(slug="other")
    waiting, going = office.rater(stuck), office.rater(other)
    with office.store.engine.connect() as elsewhere:  # as another process would
        elsewhere.execute(
            text("SELECT 1 FROM study WHERE slug = :slug FOR UPDATE"), {"slug": stuck}
        )
        thread = threading.Thread(target=waiting.screen)
        thread.start()
        while not office.sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)
        assert going.screen().stage is Stage.RATING
        assert thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()
