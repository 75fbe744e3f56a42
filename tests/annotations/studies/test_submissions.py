"""Answers: once, whole, and from the one they were asked of."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import event

from annotations import Store
from annotations.studies.errors import StudyError
from annotations.studies.forms import SubmissionForm
from annotations.studies.values import Stage
from esc_demo.errors import StorageError
from tests.annotations.raw import Refused
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import GOLD, PRACTICE, form
from tests.annotations.studies.test_leases import SINGLE_TASK

TABLES = ("study_submission", "rating_submission", "rating", "preference")


def counts(office):
    """Rows of all that an answer writes."""
    return [office.sql(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def refused(status, match):
    """The call raises StudyError with this status."""
    return pytest.raises(StudyError, match=match, check=lambda error: error.status == status)


def test_an_answer_is_stored_whole(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    office.clock.advance(seconds=42)
    answers = [
        {"engagement": 5, "comforting": 4, "appropriateness": 3, "suggestion": "cannot_judge"},
        {"engagement": 0, "comforting": 1, "appropriateness": 2, "suggestion": 0},
    ]
    comment = "<b>warm</b> 😀"
    receipt = rater.submit(item, scores=answers, preference="2", comment=comment, client_ms=4100)
    assert (receipt.status, receipt.duplicate, receipt.passed) == ("submitted", False, None)
    assert counts(office) == [1, 2, 8, 1]
    view = office.desk.answered(slug, rater.key, item.assignment_id)
    assert [dict(scores) for scores in view.scores] == answers
    assert (view.preference, view.comment, view.item.replies) == ("2", comment, item.replies)
    rows = office.sql(
        "SELECT p.choice, r.text, s.seconds, s.client_ms FROM preference AS p"
        " JOIN study_reply AS r ON r.id = p.preferred_reply_id"
        " JOIN study_submission AS s ON s.assignment_id = p.assignment_id"
    )
    assert rows == [("generation", item.replies[1], 42.0, 4100)]
    assert rater.screen().can_correct == item.assignment_id


def test_a_double_click_stores_once_and_gives_the_same_receipt(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    sent = form(item)
    first = office.desk.submit(slug, rater.key, sent)
    before = counts(office)
    again = office.desk.submit(slug, rater.key, sent)
    assert (again.status, again.duplicate) == (first.status, True)
    with refused(409, "already answered"):  # the other tab, or the back button
        rater.submit(item, score=0)
    assert counts(office) == before
    assert rater.item().position == 2


def test_other_answers_under_one_nonce_are_refused_and_the_first_stand(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    said = {"score": 3, "preference": "2", "comment": "warm"}
    sent = form(item, **said)
    office.desk.submit(slug, rater.key, sent)
    before = counts(office)
    for changes in ({"score": 4}, {"preference": "1"}, {"comment": "cold"}):
        other = form(item, **said | changes, nonce=sent.nonce)
        with refused(409, "already answered differently elsewhere"):
            office.desk.submit(slug, rater.key, other)
    assert counts(office) == before
    assert office.desk.submit(slug, rater.key, sent).duplicate
    changed = form(item, score=1, preference="tie")
    correct = office.desk.correct
    correct(slug, rater.key, item.assignment_id, changed, "A slip.")
    # Each nonce is held against its own answers, not against those in force.
    assert office.desk.submit(slug, rater.key, sent).duplicate
    assert correct(slug, rater.key, item.assignment_id, changed, "A slip.").duplicate
    with refused(409, "differently elsewhere"):
        mixed = form(item, score=1, preference="tie", nonce=sent.nonce)
        office.desk.submit(slug, rater.key, mixed)


def test_a_late_answer_counts_while_the_task_is_short(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    rater = office.rater(slug)
    item = rater.item()
    office.clock.advance(hours=5)
    assert rater.submit(item).status == "submitted"


def test_a_late_answer_to_a_full_task_is_kept_as_surplus(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    late, other = office.rater(slug), office.rater(slug)
    item = late.item()
    office.clock.advance(minutes=11)
    other.submit(other.item())
    receipt = late.submit(item)
    assert (receipt.status, receipt.screen.stage) == ("surplus", Stage.DONE)
    assert office.desk.progress(slug).submitted == 1
    assert office.desk.progress(slug).surplus == 1
    assert counts(office)[0] == 2
    assert late.screen().debrief is not None


def test_a_late_answer_can_still_win_the_place_that_somebody_else_holds_no_more(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    late, other = office.rater(slug), office.rater(slug)
    item = late.item()
    office.clock.advance(minutes=11)
    taken = other.item()
    office.clock.advance(minutes=11)
    assert late.submit(item).status == "submitted"
    assert other.submit(taken).status == "surplus"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"scores": [{"engagement": 7}, {}]}, "engagement is 7; it must be a whole number"),
        ({"scores": [{"engagement": float("nan")}, {}]}, "engagement is nan"),
        ({"scores": [{"engagement": True}, {}]}, "engagement is True"),
        ({"scores": [{"engagement": "5"}, {}]}, "engagement is 5"),
        ({"scores": [{"engagement": "\ud800"}, {}]}, r"engagement is \\ud800; it must be"),
        ({"scores": [{"\ud800": 3}, {}]}, r"'\\ud800' is not something that is rated"),
        ({"preference": "\ud800"}, r"preference is '\\ud800'"),
        ({"\ud800": 3}, "Extra inputs|valid string"),
        ({"scores": [{"base": 3}, {}]}, "'base' is not something that is rated"),
        ({"scores": "all fives"}, "must be a list"),
        ({"scores": [[], []]}, "given by dimension"),
        ({"preference": "base"}, "preference is 'base'"),
        ({"preference": 1}, "preference is '1'; it must be 1, 2, tie"),
        ({"comment": "a" * 2001}, "The comment"),
        ({"comment": 5}, "The comment must be text"),
        ({"nonce": "x"}, "nonce"),
        ({"nonce": "'; DROP TABLE rating; --"}, "nonce"),
        ({"arm": "base"}, "arm: Extra inputs"),
    ],
)
def test_tampered_values_are_sentences(changes, match):
    values = {"assignment_id": "a" * 32, "nonce": "n" * 32, "preference": "tie"}
    with refused(422, match):
        SubmissionForm.parse(values | changes)


def test_what_was_not_asked_or_is_missing_is_refused(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    whole = [{name.value: 3 for name in item.dimensions} for _ in item.replies]
    for changes, match in (
        ({"scores": whole[:1]}, "scores for 1 replies; it takes 2"),
        ({"scores": [whole[0], {"comforting": 1}]}, "Choose a score for reply 2, engagement"),
        ({"scores": [whole[0], whole[1] | {"empathy": 1}]}, "empathy is not asked"),
        ({"preference": None}, "Choose the better reply"),
        ({"once": {"emotion_after": 3}}, "emotion_after is not asked"),
    ):
        with refused(422, match):
            rater.submit(item, **changes)
    assert counts(office) == [0, 0, 0, 0]
    assert rater.item().assignment_id == item.assignment_id


def test_another_ones_assignment_is_as_good_as_none(office):
    slug = office.found()
    rater, thief = office.rater(slug), office.rater(slug)
    item = rater.item()
    own = thief.item()
    for stolen in (item.assignment_id, "0" * 32):
        for call in (
            lambda stolen=stolen: thief.submit(own, assignment_id=stolen),
            lambda stolen=stolen: office.desk.skip(slug, thief.key, stolen),
            lambda stolen=stolen: office.desk.save_draft(slug, thief.key, stolen, {}),
            lambda stolen=stolen: office.desk.answered(slug, thief.key, stolen),
            lambda stolen=stolen: office.desk.report_problem(slug, thief.key, stolen, "x"),
        ):
            with refused(403, "not given to you"):
                call()
    assert counts(office) == [0, 0, 0, 0]
    with refused(404, "Nobody in this study"):
        office.desk.current(slug, "ABCD-EFGH-JKLM")


def test_a_correction_is_appended_with_its_reason(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    rater.submit(item, score=1)
    sent = form(item, score=5, preference="tie", comment="slip")
    correct = office.desk.correct
    with refused(422, "why you change"):
        correct(slug, rater.key, item.assignment_id, sent, " ")
    correct(slug, rater.key, item.assignment_id, sent, "I mixed the two up.")
    assert correct(slug, rater.key, item.assignment_id, sent, "again").duplicate
    assert counts(office) == [2, 4, 16, 2]
    view = office.desk.answered(slug, rater.key, item.assignment_id)
    assert {score for scores in view.scores for score in scores.values()} == {5}
    assert (view.preference, view.comment) == ("tie", "slip")
    assert office.sql("SELECT number, reason FROM study_submission ORDER BY number") == [
        (0, ""),
        (1, "I mixed the two up."),
    ]
    assert office.sql("SELECT DISTINCT score FROM current_rating") == [(5,)]
    other = rater.item()
    with refused(409, "not been answered"):
        correct(slug, rater.key, other.assignment_id, form(other), "why not")


def test_practice_and_answered_items_cannot_be_skipped(office):
    slug = office.found(item_lines(4), practice=[PRACTICE])
    rater = office.rater(slug)
    practice = rater.item()
    with refused(409, "cannot be skipped"):
        office.desk.skip(slug, rater.key, practice.assignment_id)
    rater.submit(practice)
    item = rater.item()
    rater.submit(item)
    with refused(409, "already answered"):
        office.desk.skip(slug, rater.key, item.assignment_id)
    following = rater.item()
    office.desk.skip(slug, rater.key, following.assignment_id, "hard to read")
    with refused(409, "skipped"):
        rater.submit(following)
    with refused(422, "The reason"):
        office.desk.skip(slug, rater.key, rater.item().assignment_id, "a" * 501)


def test_gold_is_judged_in_its_written_order_whatever_the_sides(office):
    slug = office.found(item_lines(4), gold=[GOLD], session={"items": 2, "gold": 1})
    for _ in range(6):
        rater = office.rater(slug)
        while (item := rater.screen().item) is not None:
            gold = GOLD["replies"][0] in item.replies
            best = str(item.replies.index(GOLD["replies"][0]) + 1) if gold else "tie"
            rater.submit(item, preference=best)
    rows = office.sql("SELECT first_arm, passed FROM study_assignment WHERE kind = 'gold'")
    assert len(rows) == 6
    assert {arm for arm, _ in rows} == {"first", "second"}
    assert all(passed for _, passed in rows)


def test_answers_cannot_be_changed_or_deleted(office):
    slug = office.found()
    rater = office.rater(slug)
    rater.submit(rater.item())
    for table in TABLES:
        column = {"rating": "score = 5"}.get(table, "comment = ''")
        for statement in (f"UPDATE {table} SET {column}", f"DELETE FROM {table}"):
            with pytest.raises(Refused, match="append-only"):
                office.sql(statement)
    insert = (
        "INSERT INTO study_submission (id, assignment_id, nonce, number, status, seconds, comment,"
        " reason, created_at) SELECT 'x', assignment_id, ?, ?, status, 1, '', '', created_at"
        " FROM study_submission"
    )
    with pytest.raises(Refused, match="UNIQUE"):
        office.sql(insert, "another-nonce", 0)


@pytest.mark.parametrize(
    ("draft", "match"),
    [("text", "an object"), ({"a": "b" * 20_001}, "longer than"), ({"a": float("nan")}, "cannot")],
)
def test_an_unusable_draft_is_refused(office, draft, match):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    with refused(422, match):
        office.desk.save_draft(slug, rater.key, item.assignment_id, draft)


def test_a_locked_database_is_named_and_the_answer_can_be_sent_again(office):
    if office.store.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's writers wait for one another")
    slug = office.found()
    rater = office.rater(slug)
    sent = form(rater.item())
    with (
        Store(office.url, busy_ms=5, patience_s=0.1) as hasty,
        closing(sqlite3.connect(office.url.removeprefix("sqlite:///"))) as lock,
    ):
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program"):
            hasty.desk().submit(slug, rater.key, sent)
    assert counts(office) == [0, 0, 0, 0]
    assert not office.desk.submit(slug, rater.key, sent).duplicate


def test_a_full_disk_loses_nothing_that_was_accepted(office):
    if office.store.engine.dialect.name != "sqlite":
        pytest.skip("a page limit is SQLite's way to play a full disk")
    slug = office.found()
    rater = office.rater(slug)
    rater.submit(rater.item())
    item = rater.item()

    @event.listens_for(office.store.engine, "begin")
    def _small(connection):
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StorageError, match="the disk is full"):
        for number in range(200):
            office.desk.report_problem(slug, rater.key, None, f"{number}" + "x" * 1900)
    event.remove(office.store.engine, "begin", _small)
    office.store.engine.dispose()
    assert counts(office) == [1, 2, 8, 1]
    assert rater.submit(item).status == "submitted"


@pytest.mark.parametrize("place", ["submissions.rating_values", "screens.give_next"])
def test_an_answer_that_breaks_off_halfway_leaves_nothing(office, monkeypatch, place):
    slug = office.found()
    rater = office.rater(slug)
    sent = form(rater.item())

    def die(*_):
        raise RuntimeError("killed")

    monkeypatch.setattr(f"annotations.studies.{place}", die)
    with pytest.raises(RuntimeError, match="killed"):
        office.desk.submit(slug, rater.key, sent)
    monkeypatch.undo()
    assert counts(office) == [0, 0, 0, 0]
    assert office.desk.submit(slug, rater.key, sent).status == "submitted"
