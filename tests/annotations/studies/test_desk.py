"""A study's way from draft to closed, and a participant's way through it."""

import json
from collections import Counter
from dataclasses import asdict

import pytest

from annotations.studies.errors import StudyError
from annotations.studies.values import Stage, StudyStatus
from annotations.studies.watching import CodeVerdict
from esc_demo.errors import ConfigError
from esc_demo.settings import get_settings
from tests.annotations.raw import Refused
from tests.annotations.studies.conftest import ARMS, item_lines
from tests.annotations.studies.raters import GOLD, PRACTICE, Rater

FULL = {
    "practice": [PRACTICE],
    "gold": [GOLD],
    "session": {"items": 4, "gold": 1, "repeats": 1, "break_every": 4, "lease_minutes": 10},
}


def test_a_draft_is_replaced_and_an_opened_study_is_frozen(office):
    first = office.desk.create(office.new_study(title="First title"))
    second = office.desk.create(office.new_study(item_lines(5), title="Second title"))
    assert (first.tasks, second.tasks, second.needed) == (12, 15, 30)
    assert office.sql("SELECT title FROM study") == [("Second title",)]
    assert office.sql("SELECT count(*) FROM study_reply") == [(15,)]
    opened = office.desk.open("small", office.new_study(item_lines(5), title="Second title"))
    assert (opened.status, opened.opened_at) == (StudyStatus.OPEN, office.clock.now)
    edited = office.new_study(item_lines(5), title="Third title", debrief="Bye.")
    for call in (lambda: office.desk.open("small", edited), lambda: office.desk.create(edited)):
        with pytest.raises(StudyError, match=r"definition\.title.*frozen") as caught:
            call()
        assert "definition.debrief" in str(caught.value)
        assert caught.value.status == 409
    assert office.desk.study("small").title == "Second title"


def test_a_study_stored_by_an_earlier_version_can_go_on_after_a_pause(office, monkeypatch):
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()
    site = {"open": True, "url_parameters": {}}
    built = office.new_study(item_lines(4), recruitment=site)
    office.desk.create(built)
    earlier = json.loads(json.dumps(built.canonical))
    earlier["definition"]["recruitment"]["url_parameters"] |= {"study": "S", "session": "T"}
    office.sql("UPDATE study SET canonical = ?, content_hash = ?", json.dumps(earlier), "0" * 64)
    office.desk.open("small")
    office.desk.pause("small")
    edited = office.new_study(item_lines(4), recruitment=site, debrief="Bye.")
    with pytest.raises(StudyError, match=r"values of: definition\.debrief\. "):
        office.desk.open("small", edited)
    assert office.desk.open("small", built).status is StudyStatus.OPEN


def test_an_edited_item_is_named_and_invitations_may_be_added(office):
    office.found(recruitment={"invitations": ["one-code"]})
    with pytest.raises(StudyError, match=r"shown\.item-0\.replies\.base"):
        lines = item_lines()
        lines[0]["replies"] = lines[0]["replies"] | {"base": "Another reply."}
        office.desk.open(
            "small", office.new_study(lines, recruitment={"invitations": ["one-code"]})
        )
    office.desk.create(office.new_study(recruitment={"invitations": ["one-code", "two-code"]}))
    assert office.sql("SELECT count(*) FROM study_invitation") == [(2,)]
    assert not office.desk.enter("small", invitation="two-code").resumed


def test_the_database_itself_freezes_an_opened_study(office):
    office.desk.create(office.new_study())
    office.sql("UPDATE study SET title = 'Still a draft'")
    office.desk.open("small")
    for statement in (
        "UPDATE study SET seed = 8",
        "DELETE FROM study_reply",
        "DELETE FROM study_task",
        "UPDATE study_reply SET text = 'other words'",
        "UPDATE study_task SET needed = 9",
        "UPDATE study_item SET situation = 'x'",
    ):
        with pytest.raises(Refused, match="append-only"):
            office.sql(statement)
    office.sql("UPDATE study SET status = 'paused'")


def test_flagged_replies_keep_a_study_from_opening(office):
    lines = item_lines()
    lines[1]["replies"] = lines[1]["replies"] | {"lora": "I am model-lora-x, how can I help?"}
    built = office.new_study(lines)
    office.desk.create(built)
    with pytest.raises(ConfigError, match="names_model:item-1:lora"):
        office.desk.open("small", built)
    assert office.desk.study("small").status is StudyStatus.DRAFT


def test_pausing_and_closing(office):
    slug = office.found()
    busy, idle = office.rater(slug), office.rater(slug)
    item = busy.item()
    office.desk.pause(slug)
    assert idle.screen().stage is Stage.PAUSED
    with pytest.raises(StudyError, match="paused") as caught:
        office.desk.enter(slug)
    assert caught.value.status == 410
    assert busy.item().assignment_id == item.assignment_id
    assert busy.submit(item).status == "submitted"
    assert busy.screen().stage is Stage.PAUSED
    office.desk.open(slug)
    late = idle.item()
    office.desk.close(slug)
    assert idle.screen().stage is Stage.CLOSED
    assert idle.submit(late).status == "surplus"  # kept, not lost
    for call in (office.desk.open, office.desk.pause):
        with pytest.raises(StudyError, match="closed"):
            call(slug)
    assert office.desk.close(slug).closed_at == office.clock.now


def test_closing_gives_the_debrief_and_code_to_who_took_part(office):
    site = {"open": True, "completion_url": "https://example.org/done?cc={code}"}
    slug = office.found(recruitment=site)
    busy, idle, stranger = office.rater(slug), office.rater(slug), Rater(office.desk, slug)
    busy.submit(busy.item())
    idle.item()
    office.desk.close(slug)
    screen = busy.screen()
    assert (screen.stage, screen.debrief.text) == (Stage.CLOSED, "Thank you.")
    assert screen.debrief.completion_code
    assert screen.debrief.completion_url.endswith(screen.debrief.completion_code)
    (check,) = office.desk.check_codes(slug, [screen.debrief.completion_code])
    assert (check.verdict, check.screens) == ("early", 1)
    for other in (idle, stranger):
        assert (other.screen().stage, other.screen().debrief) == (Stage.CLOSED, None)


def test_a_study_that_is_not_there_or_not_open(office):
    for call in (office.desk.study, office.desk.enter, office.desk.progress):
        with pytest.raises(StudyError, match="no study 'nope'") as caught:
            call("nope")
        assert caught.value.status == 404
    office.desk.create(office.new_study())
    with pytest.raises(StudyError, match="not begun"):
        office.desk.enter("small")
    with pytest.raises(StudyError, match="never been open"):
        office.desk.close("small")


def test_a_whole_session(office):
    slug = office.found(item_lines(6), **FULL)
    rater = office.rater(slug)
    assert rater.screen().stage is Stage.PRACTICE
    practice = rater.item()
    assert (practice.practice, practice.position, practice.of) == (True, 1, 1)
    assert practice.replies == tuple(PRACTICE["replies"])
    missed = rater.submit(practice, preference="2")
    assert (missed.passed, missed.feedback) == (False, PRACTICE["feedback"])
    again = rater.item()
    assert again.assignment_id != practice.assignment_id
    assert rater.submit(again, preference="1").passed is True
    positions = []
    while (screen := rater.screen()).stage is not Stage.DONE:
        if screen.stage is Stage.BREAK:
            assert (screen.rest.answered, screen.rest.of, screen.item) == (4, 6, None)
            assert rater.screen().stage is Stage.BREAK
            assert office.desk.resume_from_break(slug, rater.key) is Stage.RATING
            continue
        positions.append((screen.item.position, screen.item.of, screen.answered))
        rater.submit(screen.item)
    assert positions == [(n + 1, 6, n) for n in range(6)]
    assert Counter(kind for kind, _ in office.kinds(rater)) == {
        **{"practice": 2, "main": 4, "gold": 1, "repeat": 1}
    }
    assert screen.debrief.text == "Thank you."
    assert len(screen.debrief.completion_code) == 9
    assert rater.screen().debrief == screen.debrief
    assert office.sql("SELECT count(*) FROM study_submission") == [(8,)]


def test_a_repeat_shows_the_other_way_round(office):
    slug = office.found(item_lines(6), session={"items": 4, "repeats": 2})
    rater = office.rater(slug)
    rater.work()
    pairs = office.sql(
        "SELECT m.first_arm, m.second_arm, r.first_arm, r.second_arm FROM study_assignment AS r"
        " JOIN study_assignment AS m ON m.task_id = r.task_id AND m.kind = 'main'"
        " WHERE r.kind = 'repeat'"
    )
    assert len(pairs) == 2
    assert all((a, b) == (d, c) for a, b, c, d in pairs)


def test_nothing_that_is_shown_tells_an_arm(office):
    slug = office.found(item_lines(6), **FULL)
    rater = office.rater(slug)
    seen = [json.dumps(asdict(office.desk.enter(slug)), default=str)]
    while (screen := rater.screen()).stage not in (Stage.DONE, Stage.FULL):
        if screen.stage is Stage.BREAK:
            office.desk.resume_from_break(slug, rater.key)
            continue
        seen.append(json.dumps(asdict(screen), default=str))
        seen.append(json.dumps(asdict(rater.submit(screen.item)), default=str))
    assert len(seen) > 12
    for name in (*ARMS, "model-", "gold", "repeat", "stratum"):
        assert not [text for text in seen if name in text.lower()], name


def test_the_longest_time_at_the_task_ends_it_kindly(office):
    slug = office.found(item_lines(6), session={"items": 5, "most_minutes": 5, "lease_minutes": 3})
    rater = office.rater(slug)
    for _ in range(2):
        item = rater.item()
        office.clock.advance(hours=8)  # a night is no time at the task: at most the lease counts
        assert rater.submit(item).status == "submitted"
    screen = rater.screen()
    assert (screen.stage, screen.answered) == (Stage.CAPPED, 2)
    assert screen.debrief is not None


def test_skipped_screens_and_practice_count_as_time_at_the_task(office):
    session = {"items": 5, "most_minutes": 5, "lease_minutes": 3}
    slug = office.found(item_lines(6), session=session, practice=[PRACTICE])
    rater = office.rater(slug)
    practice = rater.item()
    office.clock.advance(minutes=2)
    rater.submit(practice)
    skipped = rater.item()
    office.clock.advance(minutes=2)
    office.desk.skip(slug, rater.key, skipped.assignment_id)
    office.clock.advance(minutes=30)  # a look at the skip later on changes nothing
    office.desk.skip(slug, rater.key, skipped.assignment_id)
    item = rater.item()
    office.clock.advance(seconds=59)
    rater.submit(item)
    last = rater.item()
    office.clock.advance(seconds=1)
    office.desk.skip(slug, rater.key, last.assignment_id)
    screen = rater.screen()
    assert (screen.stage, screen.answered) == (Stage.CAPPED, 3)


def test_time_that_counts_only_since_an_update_does_not_take_an_item_away(office):
    slug = office.found(
        item_lines(6), session={"items": 5, "most_minutes": 5, "lease_minutes": 3, "break_every": 5}
    )
    rater = office.rater(slug)
    for _ in range(2):
        office.desk.skip(slug, rater.key, rater.item().assignment_id)
    item = rater.item()
    ends = "UPDATE study_assignment SET lease_expires_at = '2027-01-01' WHERE status = 'skipped'"
    office.sql(ends)
    assert rater.item().assignment_id == item.assignment_id
    assert rater.submit(item).screen.stage is Stage.CAPPED


def test_practice_that_takes_too_long_ends_too(office):
    session = {"items": 5, "most_minutes": 5, "lease_minutes": 3}
    slug = office.found(item_lines(6), session=session, practice=[PRACTICE])
    rater = office.rater(slug)
    for _ in range(2):
        item = rater.item()
        office.clock.advance(minutes=3)
        rater.submit(item, preference="2")
    screen = rater.screen()
    assert (screen.stage, screen.answered) == (Stage.CAPPED, 0)
    # Time was given, so there is a code for it, and the owner sees what it stands for.
    (check,) = office.desk.check_codes(slug, [screen.debrief.completion_code])
    assert (check.verdict, check.screens) == (CodeVerdict.EARLY, 0)


def test_who_finds_no_item_is_thanked_and_may_come_later(office):
    slug = office.found(item_lines(3), raters_per_item=1, arms=office_arms(2))
    done = office.rater(slug)
    assert done.work().stage is Stage.DONE
    late = office.rater(slug)
    assert late.screen().stage is Stage.FULL
    assert late.screen().debrief.text == "Thank you."
    assert late.screen().debrief.completion_code == ""  # nothing was answered
    office.desk.withdraw(slug, done.key)
    assert late.screen().stage is Stage.RATING
    assert office.desk.progress(slug).submitted == 0


def office_arms(count):
    return [{"id": arm, "model": f"model-{arm}-x"} for arm in ARMS[:count]]


def test_progress_counts_by_stratum_and_stage(office):
    slug = office.found(item_lines(4))
    rater, other = office.rater(slug), office.rater(slug)
    office.desk.enter(slug)
    for seconds in (10, 20, 60):
        item = rater.item()
        office.clock.advance(seconds=seconds)
        rater.submit(item)
    skipped = other.item()
    office.desk.skip(slug, other.key, skipped.assignment_id, "too close to home")
    other.item()
    office.desk.report_problem(slug, other.key, None, "The page flickers.")
    found = office.desk.progress(slug)
    assert (found.submitted, found.needed, found.skipped, found.problems) == (3, 24, 1, 1)
    assert found.median_seconds == 20
    assert [entry.stratum.id for entry in found.strata] == ["base+lora", "base+full", "lora+full"]
    assert [entry.submitted for entry in found.strata] == [1, 1, 1]
    assert sum(entry.open for entry in found.strata) == 1
    assert found.participants == {Stage.CONSENT: 1, Stage.RATING: 1, Stage.DONE: 1}
    office.clock.advance(hours=1)
    assert sum(entry.open for entry in office.desk.progress(slug).strata) == 0
