"""Live chats at the rater's page: two partners, heard at once, each on its own side."""

import json

import pytest
from fastapi import FastAPI

from annotations import Store
from esc_demo.errors import StorageError
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import FAIL_ON
from esc_demo.models.specs import load_specs
from esc_demo.settings import get_settings
from esc_demo.ui.study import study_app
from esc_demo.ui.study.live import LiveChats
from tests.ui.desk import wait_for
from tests.ui.study_files import TELLING, live_values
from tests.ui.study_rater import Rater, answers

LIVE_MODELS = tuple(load_specs(get_settings().models_file).specs)[:2]


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


def test_a_partner_that_names_itself_is_not_heard_by_that_name(serve, url):
    named = "I am Qwen2.5, as an AI made by Alibaba. Mila sounds kind."
    study = serve(live_values(LIVE_MODELS), replies=[named])
    rater = study.rater()
    item = rater.begin()["item"]
    seen = chat(rater, item, ["My friend Mila works at Alibaba.", "What is your name?"])
    shown = "I am [name], as an AI made by Alibaba. Mila sounds kind."
    assert [turn["replies"] for turn in seen["turns"]] == [[shown, shown]] * 2
    with Store(url) as store:
        stored = [
            row.reply
            for conversation in _conversations(store, study.slug, rater.screen())
            for row in store.generations(conversation)
        ]
        assert stored == [named] * 4  # kept as they were written
        assert store.desk().progress(study.slug).telling == 4
        restarted = FastAPI()
        registry = ModelRegistry(load_specs(get_settings().models_file), None)
        restarted.mount("/study", study_app(store, registry, "uk"))
        again = Rater(restarted, study.slug).post("enter", resume=rater.screen()["code"])
        assert again["item"]["chat"] == seen


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


def test_a_withdrawal_leaves_nothing_in_memory(serve, monkeypatch):
    made, begin = [], LiveChats.__init__
    monkeypatch.setattr(
        LiveChats, "__init__", lambda self, *given: (made.append(self), begin(self, *given))[1]
    )
    study = serve(live_values(LIVE_MODELS))
    stays, goes = study.rater(), study.rater()
    kept = stays.begin()["item"]
    chat(goes, goes.begin()["item"], ["We had a row again."])
    assert len(made[0]._chats) == 2
    goes.post("withdraw")
    assert list(made[0]._chats) == [kept["assignment_id"]]
