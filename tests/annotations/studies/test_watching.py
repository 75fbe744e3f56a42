"""What the owner of a study looks up: problems, codes, times and agreement."""

import re

import pytest

from annotations.studies.oversight import oversee
from annotations.studies.report import status_lines
from annotations.studies.watching import CodeVerdict
from esc_demo.engine import Failed, HistoryPolicy, PaneConfig, Request


def verdicts(office, slug, *codes):
    return [one.verdict for one in office.desk.check_codes(slug, codes)]


def test_problems_come_newest_first_under_pseudonyms(office):
    slug = office.found()
    one = office.rater(slug)
    item = one.item()
    office.desk.report_problem(slug, one.key, item.assignment_id, "A word is missing.")
    office.clock.advance(minutes=1)
    office.desk.report_problem(slug, office.rater(slug).key, None, "Too loud.")
    found = office.desk.problems(slug)
    assert [(p.pseudonym, p.text, p.screen) for p in found] == [
        ("P002", "Too loud.", 0),
        ("P001", "A word is missing.", 1),
    ]


def test_codes_tell_what_they_stand_for(office):
    slug = office.found()
    people = [office.rater(slug) for _ in range(3)]
    codes = [person.work().debrief.completion_code for person in people[:2]]
    office.desk.withdraw(slug, people[1].key)
    assert verdicts(office, slug, codes[0].lower().replace("-", " "), codes[1], "ABCD-EFGH") == [
        CodeVerdict.FINISHED,
        CodeVerdict.WITHDRAWN,
        CodeVerdict.UNKNOWN,
    ]
    [check] = office.desk.check_codes(slug, [codes[0], "", codes[0]])
    assert (check.times, check.screens) == (2, 3)


def test_a_shared_code_says_nothing_about_anybody(office):
    slug = office.found(recruitment={"open": True, "completion_code": "THANKS-1"})
    office.rater(slug).work()
    assert verdicts(office, slug, "thanks1", "OTHER") == [CodeVerdict.SHARED, CodeVerdict.UNKNOWN]


def test_oversight_pools_all_arms(office):
    slug = office.found(session={"items": 4})
    empty = oversee(office.store, slug)
    assert (empty.times, empty.agreement, empty.excluded) == (None, (), ())
    for seconds in (10, 30):
        rater = office.rater(slug)
        for _ in range(4):
            item = rater.item()
            office.clock.advance(seconds=seconds)
            day = int(re.search(r"\d", item.history[-1].text)[0])
            rater.submit(item, score=day)  # both raters score by the item alone
    seen = oversee(office.store, slug)
    assert (seen.times.low, seen.times.median, seen.times.high) == (10.0, 20.0, 30.0)
    assert seen.times.n == 8
    dimensions = [one.dimension for one in seen.agreement]
    assert dimensions == ["engagement", "comforting", "appropriateness", "suggestion"]
    assert all(one.alpha.value == pytest.approx(1) for one in seen.agreement)
    assert all(one.alpha.n >= 4 for one in seen.agreement)  # a reply of each item at least
    assert list(seen.quality["participant"]) == ["P001", "P002"]
    assert seen.progress.submitted == 8


def test_live_replies_that_name_their_model_are_counted_for_the_owner(office):
    assert office.desk.progress(office.found(slug="written")).telling is None
    live = {"chats_per_pair": 2, "least_turns": 2, "most_turns": 4}
    slug = office.found(mode="live", items=None, live=live, session={"items": 2}, raters_per_item=1)
    rater, chats = office.rater(slug), []
    for name in ("model-base-x", "Qwen"):
        chat = office.store.open_conversation(
            origin="study", policy=HistoryPolicy.INDEPENDENT, app_version="1"
        )
        for position, reply in enumerate(("I am here.", f"I am {name}.")):
            turn = office.store.add_turn(chat, position, "Hello.", HistoryPolicy.INDEPENDENT)
            office.store.record(
                *(chat, turn, 0, None, HistoryPolicy.INDEPENDENT),
                Request(PaneConfig("m"), ()),
                Failed(reply, "no model here", None, 0.1),
            )
        chats.append(chat)
    assert office.desk.progress(slug).telling == 0  # somebody else's chats
    office.desk.set_live_chats(slug, rater.key, rater.item().assignment_id, tuple(chats))
    seen = oversee(office.store, slug)
    assert seen.progress.telling == 2
    said = "2 live replies named a model or a machine"
    assert any(said in line for line in status_lines(seen.view, seen.progress, office.clock.now))
