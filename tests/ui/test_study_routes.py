"""The rater's page over a real database: what it sends, refuses, keeps and never tells."""

import json
import re

import pytest

from annotations import Store
from esc_demo.ui.study.throttle import MOST_ADDRESSES, MOST_MISSES, WINDOW_S, Throttle
from tests.ui.study_files import TELLING, study_values
from tests.ui.study_rater import answers


@pytest.fixture
def study(serve):
    return serve(study_values())


def test_the_page_brings_help_and_loads_nothing_from_elsewhere(study):
    rater = study.rater()
    page = rater.client.get(f"/study/{study.slug}")
    assert page.status_code == 200
    assert "Samaritans" in page.text
    parts = re.findall(r'(?:src|href)="(-/[^"]+)"', page.text)
    assert len(parts) == 2
    for part in parts:
        assert rater.client.get(f"/study/{part}").status_code == 200
    assert rater.client.get("/study/-/routes.py").status_code == 404
    assert rater.client.get("/study/-/..%2Froutes.py").status_code == 404
    for answer in (page, rater.client.get(f"/study/{study.slug}/api/screen")):
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_study_nobody_knows_is_said_to_be_missing(study):
    client = study.rater().client
    assert client.get("/study/other").status_code == 404
    answer = client.get("/study/other/api/screen")
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_a_whole_session_tells_no_arm_and_ends_with_a_code(study):
    rater = study.rater()
    assert rater.screen()["stage"] == "welcome"
    consent = rater.post("enter")
    assert (consent["stage"], consent["consent"]["version"]) == ("consent", 4)
    assert consent["consent"]["content_note"] == "Some of it is about loss."
    screen = rater.post("consent", version=4)
    texts = set()
    for _ in range(20):
        if screen["stage"] == "break":
            screen = rater.post("resume")
        if screen["stage"] not in ("practice", "rating"):
            break
        item = screen["item"]
        texts.add(frozenset(item["replies"]))
        screen = rater.post("submit", **answers(item, preference="2"))["screen"]
    assert screen["stage"] == "done"
    assert len(texts) == 13  # the practice item and twelve pairs
    assert screen["debrief"]["completion_code"] in screen["debrief"]["completion_url"]
    for name, answer in rater.seen:
        heads = json.dumps(dict(answer.headers))
        for word in TELLING:
            assert word not in answer.text.lower(), (word, name)
            assert word not in heads.lower(), (word, name)


def test_practice_is_asked_again_until_it_is_passed(study):
    rater = study.rater()
    rater.post("enter")
    item = rater.post("consent", version=4)["item"]
    wrong = rater.post("submit", **answers(item, preference="1"))
    assert wrong["passed"] is False
    assert "grief" in wrong["feedback"]
    again = wrong["screen"]
    assert again["stage"] == "practice"
    assert again["item"]["replies"] == item["replies"]
    right = rater.post("submit", **answers(again["item"], preference="2", nonce="another-nonce"))
    assert right["passed"] is True
    assert right["screen"]["stage"] == "rating"


def test_the_cookie_brings_back_the_same_item_and_draft_and_so_does_the_code(study):
    rater = study.rater()
    item = rater.begin()["item"]
    draft = {"scores": [{"comforting": 4}, {}], "nonce": "12345678"}
    rater.post("draft", assignment_id=item["assignment_id"], draft=draft)
    code = rater.screen()["code"]
    other = study.rater()
    typed = other.post("enter", resume=code.lower().replace("-", " "))
    for seen in (rater.screen(), typed, other.screen()):
        assert seen["item"]["assignment_id"] == item["assignment_id"]
        assert seen["item"]["replies"] == item["replies"]
        assert seen["item"]["draft"] == draft
    refused = study.rater().post("enter", 404, resume="ABCD-EFGH-JKLM")
    assert "code" in refused["error"]


def test_the_cookie_is_for_the_server_and_this_study_only(study):
    rater = study.rater()
    rater.post("enter")
    cookie = rater.seen[-1][1].headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Path=/study/blind", "Secure"):
        assert part in cookie
    stranger = study.rater()
    stranger.client.cookies.set("esc-study-blind", "ABCD-EFGH-JKLM")
    assert stranger.screen()["stage"] == "welcome"


def test_a_repeated_submission_is_taken_once_and_a_second_one_is_refused(study):
    rater = study.rater()
    item = rater.begin()["item"]
    first = rater.post("submit", **answers(item))
    again = rater.post("submit", **answers(item))
    assert again["screen"]["item"]["assignment_id"] == first["screen"]["item"]["assignment_id"]
    said = rater.post("submit", 409, **answers(item, preference="2", nonce="from-another-tab"))
    assert "already" in said["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"preference": "zebrafinch"},
        {"preference": None},
        {"scores": []},
        {"scores": [{"comforting": 7}, {}]},
        {"scores": "x"},
        {"comment": "x" * 3000},
        {"nonce": "<script>"},
        {"arm": "zebrafinch"},
    ],
)
def test_tampered_answers_are_refused_and_nothing_is_stored(study, changes):
    rater = study.rater()
    item = rater.begin()["item"]
    assert rater.post("submit", 422, **answers(item) | changes)["error"]
    assert rater.screen()["item"]["assignment_id"] == item["assignment_id"]


def test_somebody_elses_item_cannot_be_answered(study):
    one, other = study.rater(), study.rater()
    item = one.begin()["item"]
    other.begin()
    answer = other.client.post("/study/blind/api/submit", json=answers(item))
    assert answer.status_code in (403, 404)
    assert one.screen()["item"]["assignment_id"] == item["assignment_id"]


def test_only_the_page_itself_may_post_and_not_too_much(study):
    rater = study.rater()
    site = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    rater.post("enter", 403, site)
    rater.post("enter", 403, {"origin": "https://evil.example"})
    rater.post("enter", 200, {"origin": "https://study.example"})
    plain = rater.client.post("/study/blind/api/enter", content="{}")
    assert plain.status_code == 415
    rater.post("report", 413, text="x" * 70_000)
    link = rater.client.get("/study/blind", headers=site)
    assert link.status_code == 200


def test_a_draft_taken_up_elsewhere_is_not_said_to_be_saved_when_it_was_not(study):
    rater, other = study.rater(), study.rater()
    item = rater.begin()["item"]
    other.post("enter", resume=rater.screen()["code"])
    rater.post("submit", **answers(item, nonce="one-and-the-same"))
    same = other.post("submit", **answers(item, nonce="one-and-the-same"))
    assert same["status"] == "submitted"
    said = other.post("submit", 409, **answers(item, preference="2", nonce="one-and-the-same"))
    assert "first answer stands" in said["error"]
    stored = other.post("answered", assignment_id=item["assignment_id"])
    assert stored["answers"]["preference"] == "1"


def test_who_took_part_gets_the_debrief_when_the_study_closes(study, url):
    rater, reader = study.rater(), study.rater()
    rater.post("submit", **answers(rater.begin()["item"]))
    reader.post("enter")
    with Store(url) as store:
        store.desk().close(study.slug)
    screen = rater.screen()
    assert (screen["stage"], screen["item"]) == ("closed", None)
    assert screen["debrief"]["text"] == "Two versions of one program wrote the replies."
    assert screen["debrief"]["completion_code"] in screen["debrief"]["completion_url"]
    assert reader.screen()["debrief"] is None


def test_who_finds_all_items_held_by_others_is_asked_to_wait(serve):
    study = serve(study_values(raters_per_item=1, session={"items": 12, "break_every": 12}))
    first, other = study.rater(), study.rater()
    screen = first.begin()
    for _ in range(11):
        screen = first.post("submit", **answers(screen["item"]))["screen"]
    waits = other.begin()
    assert (waits["stage"], waits["item"], waits["debrief"]) == ("waiting", None, None)
    first.post("submit", **answers(screen["item"]))
    over = other.screen()
    assert (over["stage"], over["debrief"]["completion_code"]) == ("full", "")


def test_a_skipped_item_is_gone_and_a_problem_is_kept(study):
    rater = study.rater()
    item = rater.begin()["item"]
    rater.post("report", assignment_id=item["assignment_id"], text="The second reply is cut off.")
    following = rater.post("skip", assignment_id=item["assignment_id"], reason="too close to home")
    assert following["item"]["assignment_id"] != item["assignment_id"]
    assert following["item"]["replies"] != item["replies"]


def test_the_last_answer_can_be_changed_with_a_reason(study):
    rater = study.rater()
    item = rater.begin()["item"]
    screen = rater.post("submit", **answers(item, preference="2"))["screen"]
    assert screen["can_correct"] == item["assignment_id"]
    before = rater.post("answered", assignment_id=item["assignment_id"])
    assert before["item"]["replies"] == item["replies"]
    assert before["answers"]["preference"] == "2"
    changed = answers(item, preference="tie", nonce="a-new-nonce")
    rater.post("correct", 422, **changed, reason="")
    rater.post("correct", **changed, reason="I mixed them up.")
    after = rater.post("answered", assignment_id=item["assignment_id"])
    assert after["answers"]["preference"] == "tie"


def test_withdrawing_takes_the_answers_out_and_gives_a_receipt(study):
    rater = study.rater()
    item = rater.begin()["item"]
    rater.post("submit", **answers(item))
    end = rater.post("withdraw")
    assert end["stage"] == "withdrawn"
    assert end["receipt"]["how"] == "delete"
    assert end["receipt"]["answers"] >= 1
    assert end["receipt"]["code"]
    assert rater.screen()["stage"] == "welcome"


def test_an_invitation_is_needed_where_the_study_says_so(serve):
    invited = {"open": False, "invitations": ["spring-0417"]}
    study = serve(study_values(recruitment=invited))
    rater = study.rater()
    assert rater.screen()["needs_invitation"] is True
    assert "invitation" in rater.post("enter", 403)["error"]
    assert rater.post("enter", parameters={"invitation": "spring-0417"})["stage"] == "consent"


def test_a_recruiting_site_brings_the_same_person_back(serve):
    recruited = {"url_parameters": {"participant": "PROLIFIC_PID"}}
    study = serve(study_values(recruitment=recruited))
    person = {"PROLIFIC_PID": "5f1e00aa", "STUDY_ID": "s"}
    one, other = study.rater(), study.rater()
    assert "PROLIFIC_PID" in one.screen()["known_by"]
    code = one.post("enter", parameters=person)["code"]
    assert one.post("enter", parameters=person)["code"] == code  # the browser that began
    assert other.post("enter", parameters=person)["stage"] == "begun"
    assert other.post("enter", parameters=person, mine=True)["code"] == code


@pytest.mark.parametrize(
    ("recruitment", "link"),
    [
        ({"url_parameters": {}}, {"PROLIFIC_PID": "5f1e00aa"}),
        ({"invitations": ["spring-0417"]}, {"invitation": "spring-0417"}),
    ],
)
def test_a_link_seats_nobody_in_a_session_begun_by_somebody_else(serve, recruitment, link):
    study = serve(study_values(recruitment=recruitment | {"open": True}))
    owner, victim = study.rater(), study.rater()
    theirs = owner.post("enter", parameters=link)["code"]
    own = victim.post("enter")["code"]
    begun = victim.post("enter", parameters=link)
    assert begun == {"stage": "begun", "title": "Which reply supports better?"}
    assert "set-cookie" not in victim.seen[-1][1].headers
    assert victim.screen()["code"] == own
    stranger = study.rater()
    assert stranger.post("enter", parameters=link)["stage"] == "begun"
    assert stranger.screen()["stage"] == "welcome"
    assert stranger.post("enter", parameters=link, resume=theirs)["code"] == theirs


def test_codes_can_be_guessed_only_so_often(serve):
    study = serve(study_values(recruitment={"invitations": ["spring-0417"], "open": True}))
    rater = study.rater()
    begun = rater.post("enter")
    for number in range(MOST_MISSES // 2):
        rater.post("enter", 403, invitation=f"spring-{number:04}")
        rater.post("enter", 404, resume=f"AAAA-BBBB-{number:04}")
    for guess in (
        {"invitation": "spring-0417"},
        {"parameters": {"invitation": "spring-0417"}},
        {"resume": begun["code"]},
    ):
        refused = rater.post("enter", 429, **guess)
        wait_s = int(rater.seen[-1][1].headers["retry-after"])
        assert 1 <= wait_s <= WINDOW_S
        assert f"Wait {wait_s} s" in refused["error"]
    assert rater.screen()["code"] == begun["code"]  # whoever is in stays in
    assert study.rater().post("enter")["stage"] == "consent"  # and who needs no code comes in


def test_misses_are_counted_by_address_and_forgotten_in_time():
    now = [100.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(MOST_MISSES):
        assert throttle.wait_s("10.0.0.1") == 0
        throttle.missed("10.0.0.1")
        now[0] += 1
    assert throttle.wait_s("10.0.0.1") == WINDOW_S - MOST_MISSES
    assert throttle.wait_s("10.0.0.2") == 0
    now[0] += WINDOW_S - MOST_MISSES
    assert throttle.wait_s("10.0.0.1") == 0
    for number in range(MOST_MISSES):
        throttle.missed(f"2001:db8:0:1::{number:x}")
        throttle.missed(f"::ffff:10.0.0.{'3' if number else '4'}")
    assert throttle.wait_s("2001:db8:0:1:ffff::1") == WINDOW_S  # one line's addresses are one
    assert throttle.wait_s("2001:db8:0:2::1") == 0
    throttle.missed("10.0.0.3")
    assert throttle.wait_s("10.0.0.3") == WINDOW_S and throttle.wait_s("10.0.0.4") == 0
    assert throttle.wait_s("testclient") == 0
    for number in range(MOST_ADDRESSES):
        throttle.missed(f"10.1.{number // 256}.{number % 256}")
    assert len(throttle._misses) == MOST_ADDRESSES
