"""What is held by whom, and for how long."""

from collections import Counter

import pytest

from annotations.importing import import_files
from annotations.studies.errors import StudyError
from annotations.studies.values import Stage
from esc_demo.settings import get_settings
from tests.annotations.raw import Refused
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import GOLD

ONE = {"raters_per_item": 1, "session": {"items": 1, "lease_minutes": 10}}
SINGLE_TASK = ONE | {
    "arms": [{"id": "base", "model": "m-x"}, {"id": "lora", "model": "n-x"}],
    "plan": {"primary": {"outcome": "preference", "arms": ["base", "lora"]}, "participants": 6},
}


def test_two_tabs_and_a_reload_show_the_same_item_and_draft(office):
    slug = office.found()
    rater = office.rater(slug)
    first = rater.item()
    office.desk.save_draft(slug, rater.key, first.assignment_id, {"comment": "half 😀"})
    second = rater.item()
    assert second.assignment_id == first.assignment_id
    assert second.draft == {"comment": "half 😀"}
    assert (second.history, second.replies) == (first.history, first.replies)
    assert office.sql("SELECT count(*) FROM study_assignment") == [(1,)]


def test_the_page_holds_its_item_by_looking_and_by_saving(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    rater, other = office.rater(slug), office.rater(slug)
    item = rater.item()
    for _ in range(3):
        office.clock.advance(minutes=9)
        rater.item()
        office.clock.advance(minutes=9)
        office.desk.save_draft(slug, rater.key, item.assignment_id, {})
    assert other.screen().stage is Stage.WAITING
    assert rater.submit(item).status == "submitted"


def test_an_expired_place_is_given_to_somebody_else(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    away, other = office.rater(slug), office.rater(slug)
    held = away.item()
    assert other.screen().stage is Stage.WAITING
    office.clock.advance(minutes=11)
    assert other.item().replies
    assert office.kinds(away) == [("main", "expired")]
    with pytest.raises(StudyError, match="no longer open"):
        office.desk.save_draft(slug, away.key, held.assignment_id, {})
    assert away.screen().stage is Stage.FULL


def test_who_finds_all_places_held_waits_and_ends_when_they_are_answered(office):
    slug = office.found(item_lines(2), **SINGLE_TASK | {"session": {"items": 2}})
    quick, slow = office.rater(slug), office.rater(slug)
    first, held = quick.item(), slow.item()
    quick.submit(first)
    screen = quick.screen()
    assert (screen.stage, screen.item, screen.debrief) == (Stage.WAITING, None, None)
    assert office.sql("SELECT DISTINCT ended_as FROM study_participant") == [(None,)]
    slow.submit(held)
    assert quick.screen().stage is Stage.FULL
    assert quick.screen().debrief.completion_code
    ended = "SELECT ended_as FROM study_participant WHERE number = 1"
    assert office.sql(ended) == [("full",)]


def test_who_waits_gets_the_place_of_somebody_who_stays_away(office):
    slug = office.found(item_lines(2), **SINGLE_TASK | {"session": {"items": 2}})
    quick, away = office.rater(slug), office.rater(slug)
    first, held = quick.item(), away.item()
    quick.submit(first)
    assert quick.screen().stage is Stage.WAITING
    office.clock.advance(minutes=31)
    assert quick.item().replies == held.replies
    # Short is only what the one who left has met, so there is nothing to wait for.
    assert away.screen().stage is Stage.FULL


def test_who_comes_back_late_goes_on_while_the_place_is_free(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    rater = office.rater(slug)
    item = rater.item()
    office.desk.save_draft(slug, rater.key, item.assignment_id, {"kept": 1})
    office.clock.advance(days=2)
    assert rater.item().draft == {"kept": 1}
    assert office.rater(slug).screen().stage is Stage.WAITING  # held again


def test_a_clock_that_jumps_back_does_no_harm(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    rater = office.rater(slug)
    item = rater.item()
    office.clock.advance(hours=-3)
    assert rater.item().assignment_id == item.assignment_id
    assert rater.submit(item, client_ms=-5).status == "submitted"
    assert office.sql("SELECT seconds, client_ms FROM study_submission") == [(0.0, None)]


def test_a_draft_takes_up_again_what_ran_out_and_is_still_free(office):
    slug = office.found(item_lines(1), **SINGLE_TASK)
    rater, other = office.rater(slug), office.rater(slug)
    item = rater.item()
    office.clock.advance(minutes=11)
    office.desk.save_draft(slug, rater.key, item.assignment_id, {"comment": "slow"})
    office.clock.advance(minutes=9)
    assert other.screen().stage is Stage.WAITING
    assert rater.item().draft == {"comment": "slow"}


def test_a_draft_of_what_somebody_else_has_answered_is_refused(office, monkeypatch, tmp_path):
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()
    slug = office.found(item_lines(1), **SINGLE_TASK)
    rater = office.rater(slug)
    item = rater.item()
    office.clock.advance(minutes=11)
    choices, scores = tmp_path / "choices.csv", tmp_path / "scores.csv"
    choices.write_text("rater,item,arm_a,arm_b,side_a,choice\nann,item-0,base,lora,1,tie\n")
    lines = [
        f"ann,item-0,{arm},{side},{dimension},4\n"
        for side, arm in enumerate(("base", "lora"), 1)
        for dimension in ("engagement", "comforting", "appropriateness", "suggestion")
    ]
    scores.write_text("rater,item,arm,side,dimension,score\n" + "".join(lines))
    import_files(office.store, slug, [choices, scores])  # has the real clock, which is later still
    with pytest.raises(StudyError, match="no longer open"):
        office.desk.save_draft(slug, rater.key, item.assignment_id, {"comment": "late"})
    assert office.sql("SELECT status, draft FROM study_assignment WHERE submitted_at IS NULL") == [
        ("open", None)
    ]


def test_sides_are_balanced_and_stored(office):
    slug = office.found(item_lines(8), session={"items": 7}, raters_per_item=3)
    for _ in range(4):
        assert office.rater(slug).work().stage is Stage.DONE
    rows = office.sql(
        "SELECT a.participant_id, t.stratum, t.arm_a, a.first_arm FROM study_assignment AS a"
        " JOIN study_task AS t ON t.id = a.task_id"
    )
    assert len(rows) == 28
    balance = Counter()
    for person, stratum, arm_a, first in rows:
        balance[person, stratum] += 1 if first == arm_a else -1
    assert max(map(abs, balance.values())) <= 1


def test_a_skipped_item_goes_to_others_and_never_comes_back(office):
    slug = office.found(item_lines(2), **SINGLE_TASK | {"session": {"items": 2}})
    rater, other = office.rater(slug), office.rater(slug)
    item = rater.item()
    office.desk.skip(slug, rater.key, item.assignment_id)
    office.desk.skip(slug, rater.key, item.assignment_id)  # a double click
    following = rater.item()
    assert (following.position, following.history) == (2, following.history)
    assert following.history != item.history
    assert other.item().history == item.history
    assert office.kinds(rater) == [("main", "skipped"), ("main", "open")]


def test_the_database_lets_nobody_hold_two_items_or_one_task_twice(office):
    slug = office.found()
    rater = office.rater(slug)
    rater.submit(rater.item())
    rater.item()
    copy = (
        "INSERT INTO study_assignment (id, study_id, participant_id, task_id, kind, status, number,"
        " first_arm, second_arm, leased_at, lease_expires_at, submitted_at, skip_reason)"
        " SELECT 'copy', study_id, participant_id, task_id, ?, ?, 9, first_arm, second_arm,"
        " leased_at, lease_expires_at, submitted_at, '' FROM study_assignment WHERE number = ?"
    )
    with pytest.raises(Refused, match="UNIQUE"):
        office.sql(copy, "repeat", "open", 2)
    with pytest.raises(Refused, match="UNIQUE"):
        office.sql(copy, "main", "submitted", 1)


def test_raters_meet_a_task_in_different_parts_of_their_sessions(office):
    slug = office.found(
        item_lines(6),
        **SINGLE_TASK | {"raters_per_item": 3, "session": {"items": 6, "gold": 1}},
        gold=[GOLD],
    )
    for _ in range(3):
        office.rater(slug).work()
    rows = office.sql(
        "SELECT p.number, a.task_id, a.place FROM study_assignment AS a JOIN study_participant AS p"
        " ON p.id = a.participant_id WHERE a.kind = 'main' ORDER BY p.number, a.number"
    )
    for number in (1, 2, 3):
        places = [place for who, _, place in rows if who == number]
        assert places == list(range(1, 7))
    parts = Counter((task, (place - 1) // 2) for _, task, place in rows)
    assert set(parts.values()) == {1} and len(parts) == 18
    assert office.sql("SELECT DISTINCT place FROM study_assignment WHERE kind = 'gold'") == [
        (None,)
    ]


def test_a_place_given_back_by_the_clock_is_given_out_again(office):
    slug = office.found(item_lines(2), **SINGLE_TASK | {"session": {"items": 2}})
    away, other = office.rater(slug), office.rater(slug)
    away.item()
    other.item()
    office.clock.advance(minutes=30)
    third = office.rater(slug)
    third.work()
    away.screen()
    found = office.sql("SELECT status, place FROM study_assignment ORDER BY leased_at, place")
    assert [place for status, place in found if status == "expired"] == [1, 1]
    assert [place for status, place in found if status == "submitted"] == [1, 2]
