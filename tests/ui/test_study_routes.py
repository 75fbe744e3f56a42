"""The rater's page over a real database: what it sends, refuses, keeps and never tells."""

import json
import re
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from annotations import Store
from esc_demo.errors import StorageError
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import FAIL_ON, ScriptedModel
from esc_demo.models.specs import load_specs
from esc_demo.settings import get_settings
from esc_demo.ui.study import study_app
from esc_demo.ui.study.live import LiveChats
from tests.ui.desk import wait_for
from tests.ui.study_files import TELLING, live_values, open_study, study_values

LIVE_MODELS = tuple(load_specs(get_settings().models_file).specs)[:2]


class Rater:
    """One browser: a client that keeps its cookie and every answer it was sent."""

    def __init__(self, app, slug):
        self.slug = slug
        self.client = TestClient(app, base_url="https://study.example")
        self.seen = []

    def post(self, name, _status=200, _headers=None, **body):
        answer = self.client.post(
            f"/study/{self.slug}/api/{name}", json=body, headers=_headers or {}
        )
        assert answer.status_code == _status, answer.text
        self.seen.append((f"POST {name}", answer))
        return answer.json()

    def screen(self):
        answer = self.client.get(f"/study/{self.slug}/api/screen")
        assert answer.status_code == 200, answer.text
        self.seen.append(("GET screen", answer))
        return answer.json()

    def begin(self):
        """Come in, agree and practise; the first screen that counts."""
        self.post("enter")
        screen = self.post("consent", version=4)
        while screen["stage"] == "practice":
            screen = self.post("submit", **answers(screen["item"], preference="2"))["screen"]
        return screen


def answers(item, preference="1", nonce=None, **changes):
    """A complete submission about an item."""
    return {
        "assignment_id": item["assignment_id"],
        "nonce": nonce or f"nonce-{item['assignment_id'][:40]}",
        "scores": [{row["id"]: 3 for row in item["rows"]} for _ in range(item["sides"])],
        "preference": preference,
        "comment": "",
        "client_ms": 1200,
    } | changes


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/esc.db"


@pytest.fixture
def serve(tmp_path, url):
    """Open a study of these values; its application and a maker of raters."""
    store = Store(url)

    def opener(values, delay=0.0):
        slug = open_study(tmp_path, url, values)
        catalogue = load_specs(get_settings().models_file)
        registry = ModelRegistry(catalogue, lambda spec, _: ScriptedModel(spec, delay=delay))
        app = FastAPI()
        app.mount("/study", study_app(store, registry, "uk"))
        return SimpleNamespace(app=app, slug=slug, rater=lambda: Rater(app, slug))

    yield opener
    store.close()


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
    assert (
        other.post("enter", parameters=person)["code"]
        == one.post("enter", parameters=person)["code"]
    )


def chat(rater, item, texts):
    for position, text in enumerate(texts):
        begun = rater.post(
            "chat/say", assignment_id=item["assignment_id"], position=position, text=text
        )
        assert begun["chat"]["turns"][-1]["replies"] is None
        wait_for(lambda: not look(rater, item)["pending"])
    return look(rater, item)


def look(rater, item):
    return rater.post("chat/look", assignment_id=item["assignment_id"])["chat"]


def test_a_live_chat_shows_both_replies_at_once_and_is_rated_as_a_whole(serve, url):
    study = serve(live_values(LIVE_MODELS), delay=0.02)
    rater = study.rater()
    item = rater.begin()["item"]
    assert item["situation"] == "A row."
    assert item["chat"]["sides"] == 2
    early = rater.post("chat/end", 409, assignment_id=item["assignment_id"])
    assert "2 more" in early["error"]
    seen = chat(rater, item, ["We had a row again.", "About our father."])
    assert [len(turn["replies"]) for turn in seen["turns"]] == [2, 2]
    rated = rater.post("chat/end", assignment_id=item["assignment_id"])["item"]
    assert rated["chat"]["ended"] is True
    done = rater.post("submit", **answers(rated, once={"emotion_before": 4, "emotion_after": 2}))
    assert done["screen"]["stage"] == "done"
    for name, answer in rater.seen:
        for word in (*TELLING, *(f'"{model}"' for model in LIVE_MODELS)):
            assert word not in answer.text.lower(), (word, name)


def test_each_partner_hears_only_its_own_side_and_a_restart_forgets_nothing(serve, url):
    study = serve(live_values(LIVE_MODELS))
    rater = study.rater()
    item = rater.begin()["item"]
    before = chat(rater, item, ["We had a row again.", "About our father."])
    with Store(url) as store:
        restarted = FastAPI()
        registry = ModelRegistry(load_specs(get_settings().models_file), None)
        restarted.mount("/study", study_app(store, registry, "uk"))
        other = Rater(restarted, study.slug)
        again = other.post("enter", resume=rater.screen()["code"])
        assert again["item"]["chat"] == before
        for side, conversation in enumerate(_conversations(store, study.slug, again)):
            rows = store.generations(conversation)
            heard = [turn.text for turn in rows[-1].request.turns]
            own = before["turns"][0]["replies"][side]
            assert heard == ["We had a row again.", own, "About our father."]
            assert rows[-1].request.pane.model in LIVE_MODELS


def _conversations(store, slug, screen):
    return store.desk().live_chats(slug, screen["code"], screen["item"]["assignment_id"])


def test_a_message_is_answered_once_and_one_at_a_time(serve):
    study = serve(live_values(LIVE_MODELS), delay=0.05)
    rater = study.rater()
    item = rater.begin()["item"]
    message = {"assignment_id": item["assignment_id"], "position": 0, "text": "Hello there."}
    rater.post("chat/say", **message)
    assert len(rater.post("chat/say", **message)["chat"]["turns"]) == 1
    rater.post("chat/say", 409, **message | {"text": "Something else."})
    rater.post("chat/end", 409, assignment_id=item["assignment_id"])
    wait_for(lambda: not look(rater, item)["pending"])
    assert len(look(rater, item)["turns"]) == 1


def test_a_partner_that_fails_is_no_more_than_silent(serve):
    study = serve(live_values(LIVE_MODELS))
    rater = study.rater()
    item = rater.begin()["item"]
    seen = chat(rater, item, [f"Please {FAIL_ON} now."])
    assert all(model not in json.dumps(seen) for model in ("scripted model", "failed"))
    chat_again = rater.post(
        "chat/say", assignment_id=item["assignment_id"], position=1, text="Are you there?"
    )
    assert len(chat_again["chat"]["turns"]) == 2
    wait_for(lambda: not look(rater, item)["pending"])
    assert all(reply for reply in look(rater, item)["turns"][1]["replies"])


@pytest.mark.parametrize("stored", [0, 1])
def test_a_message_whose_reply_was_not_stored_can_be_sent_again(serve, url, monkeypatch, stored):
    study = serve(live_values(LIVE_MODELS))
    rater = study.rater()
    item = rater.begin()["item"]
    chat(rater, item, ["We had a row again."])
    record, calls = Store.record, []

    def breaks_off(*given):
        calls.append(given)
        if len(calls) == stored + 1:
            raise StorageError("The disk is full.")
        return record(*given)

    monkeypatch.setattr(Store, "record", breaks_off)
    said = {"assignment_id": item["assignment_id"], "position": 1}
    rater.post("chat/say", **said, text="About our father.")
    wait_for(lambda: not look(rater, item)["pending"])
    assert len(look(rater, item)["turns"]) == 1
    rater.post("chat/say", **said, text="About our mother.")
    wait_for(lambda: not look(rater, item)["pending"])
    turns = look(rater, item)["turns"]
    assert [turn["text"] for turn in turns] == ["We had a row again.", "About our mother."]
    assert all(turns[1]["replies"])
    with Store(url) as store:
        for side in _conversations(store, study.slug, rater.screen()):
            assert store.generations(side)[-1].request.turns[-1].text == "About our mother."


def test_chats_stay_in_memory_while_there_is_room(serve, monkeypatch):
    rebuilt, made = LiveChats._rebuilt, []
    monkeypatch.setattr("esc_demo.ui.study.live.MOST_CHATS", 3)
    monkeypatch.setattr(
        LiveChats, "_rebuilt", lambda self, *given: made.append(given) or rebuilt(self, *given)
    )
    study = serve(live_values(LIVE_MODELS))
    raters = [(rater, rater.begin()["item"]) for rater in (study.rater(), study.rater())]
    made.clear()
    for rater, item in raters * 2:
        look(rater, item)
    assert made == []
