"""The page's handlers as plain functions and generators, over a real store."""

import asyncio
import threading
import time
from types import SimpleNamespace

import gradio as gr
import pytest

from annotations import Store
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import ScriptedModel
from esc_demo.models.specs import load_specs
from esc_demo.settings import Settings, get_settings
from esc_demo.ui.actions import Actions
from esc_demo.ui.frames import Frames
from esc_demo.ui.judging import Judging
from esc_demo.ui.live import Visitors
from esc_demo.ui.view import build_view

REQUEST = SimpleNamespace(session_hash="a-visitor")


async def lay_out(catalogue):
    """The components, made inside a running loop, because gradio would leave its own open."""
    with gr.Blocks(analytics_enabled=False):
        return build_view(catalogue, Settings(seed=7))


class Desk:
    """The handlers of one page."""

    def __init__(self, folder, delay=0.0):
        catalogue = load_specs(get_settings().models_file)
        self.store = Store(f"sqlite:///{folder}/esc.db")
        self.registry = ModelRegistry(catalogue, lambda spec, _: ScriptedModel(spec, delay=delay))
        self.view = asyncio.run(lay_out(catalogue))
        self.visitors = Visitors(catalogue.default_panes)
        frames = Frames(self.view, self.registry)
        self.actions = Actions(self.store, self.registry, self.visitors, frames)
        self.judging = Judging(self.store, self.visitors, frames)
        panes = [part for pane in self.view.panes for part in pane.inputs()]
        self.values = [part.value for part in [*self.view.controls.inputs(), *panes]]
        self.visitor = self.visitors.get(REQUEST.session_hash)

    def send(self, text):
        return self.actions.send(REQUEST, text, *self.values)

    def stored(self):
        return self.store.generations(self.visitor.chat.conversation_id)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.store.close()


@pytest.fixture
def slow_desk(tmp_path):
    desk = Desk(tmp_path, delay=0.2)
    yield desk
    desk.visitor.stop()
    wait_for(lambda: not desk.visitor.writing)
    desk.store.close()


def wait_for(condition, patience=10):
    end = time.monotonic() + patience
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_sending_empties_the_box_at_once_and_ends_with_every_reply(desk):
    frames = list(desk.send("hello"))
    assert frames[0][desk.view.message]["value"] == ""
    assert all(desk.view.message not in frame for frame in frames[1:])
    for pane in desk.view.panes[:3]:
        assert "is-done" in frames[-1][pane.live]
    assert [row.status for row in desk.stored()] == ["done"] * 3


def test_leaving_the_page_stops_every_pane_and_records_it(slow_desk):
    handler = slow_desk.send("hello")
    wait_for(lambda: any("esc-caret" in str(html) for html in next(handler).values()))
    handler.close()
    wait_for(lambda: not slow_desk.visitor.writing)
    assert [row.status for row in slow_desk.stored()] == ["stopped"] * 3


def test_closing_the_tab_stops_the_replies_even_when_the_handler_lives_on(slow_desk):
    handler = slow_desk.send("hello")
    next(handler)
    slow_desk.actions.leave(REQUEST)
    frames = list(handler)
    assert "is-stopped" in frames[-1][slow_desk.view.panes[0].live]
    assert [row.status for row in slow_desk.stored()] == ["stopped"] * 3


def test_stop_acts_on_one_pane_and_it_can_be_regenerated_while_others_write(slow_desk):
    handler = slow_desk.send("hello")
    next(handler)
    slow_desk.actions.stop(REQUEST, 0)
    wait_for(lambda: not slow_desk.visitor.chat.pane_is_writing(0))
    assert slow_desk.visitor.chat.pane_is_writing(1)
    again = slow_desk.actions.regenerate(REQUEST, [0], *slow_desk.values)
    frames = list(again)
    assert "attempt 2" in frames[-1][slow_desk.view.panes[0].live]
    list(handler)
    found = [(row.pane, row.attempt, row.status) for row in slow_desk.stored()]
    assert found == [(0, 0, "stopped"), (0, 1, "done"), (1, 0, "done"), (2, 0, "done")]


def test_a_message_that_cannot_be_stored_is_not_sent(desk):
    desk.visitor.chat.conversation_id = "no-such-conversation"
    with pytest.warns(UserWarning, match="no conversation"):
        frames = list(desk.send("hello"))
    assert desk.visitor.chat.exchanges == []
    assert desk.view.message not in frames[-1]
    assert "no conversation" in frames[-1][desk.view.notice]


def test_a_rating_needs_all_answers_counts_once_and_can_be_changed(desk):
    list(desk.send("hello"))
    with pytest.warns(UserWarning, match="comforting"):
        desk.judging.rate(REQUEST, 0, 3, None, 5, "cannot_judge", "")
    assert desk.store.counts().ratings == 0
    desk.judging.rate(REQUEST, 0, 3, 4, 5, "cannot_judge", "fine")
    with pytest.warns(UserWarning, match="submitted before"):
        desk.judging.rate(REQUEST, 0, 0, 0, 0, 0, "")
    reply = desk.visitor.chat.last.latest(0).generation_id
    first = desk.store.current_rating(reply, desk.visitor.rater_id)
    assert dict(first.scores) == {
        "engagement": 3,
        "comforting": 4,
        "appropriateness": 5,
        "suggestion": "cannot_judge",
    }
    desk.judging.change_rating(REQUEST, 0)
    frame = desk.judging.rate(REQUEST, 0, 1, 1, 1, 1, "")
    assert "engagement 1" in frame[desk.view.panes[0].rate.note]
    second = desk.store.current_rating(reply, desk.visitor.rater_id)
    assert second.supersedes == first.submission_id
    assert desk.store.counts().ratings == 1


@pytest.mark.parametrize("choice", ["1", "tie", "both_bad"])
def test_a_preference_names_what_was_compared(desk, choice):
    list(desk.send("hello"))
    with pytest.warns(UserWarning, match="Choose"):
        desk.judging.prefer(REQUEST, None, "")
    frame = desk.judging.prefer(REQUEST, choice, "")
    assert "compared: A, B, C" in frame[desk.view.prefer.note]
    turn = desk.visitor.chat.last.turn_id
    kept = desk.store.current_preference(turn, desk.visitor.rater_id)
    replies = tuple(desk.visitor.chat.last.latest(pane).generation_id for pane in range(3))
    assert kept.compared == replies
    assert kept.preferred_generation_id == (replies[1] if choice == "1" else None)


def test_every_visitor_has_a_rater_id_of_the_servers_own(desk):
    other = desk.visitors.get("somebody-else")
    assert other.rater_id != desk.visitor.rater_id
    assert "somebody" not in other.rater_id
    assert other.chat is not desk.visitor.chat


def test_the_number_of_visitors_in_memory_is_bounded(desk):
    few = Visitors(["base"], most=2)
    first = few.get("1")
    few.get("2")
    few.get("3")
    assert few.get("3") is not first
    assert few.get("1") is not first


def test_a_request_without_a_session_is_refused(desk):
    with pytest.raises(ValueError, match="no session"):
        desk.visitors.get(None)


def test_the_pane_shows_how_far_its_model_is_and_why_it_failed(desk, monkeypatch):
    gate = threading.Event()

    def load(spec, progress):
        progress("reading 40%")
        gate.wait(5)
        raise RuntimeError("no such card")

    monkeypatch.setattr(desk.registry, "_loader", load)
    desk.actions.pick_model(REQUEST, "mistral-7b", 0)
    wait_for(lambda: "reading" in desk.registry.state("mistral-7b").note)
    frame = desk.actions.tick(REQUEST)
    live = desk.view.panes[0].live
    assert "Warming up Mistral" in frame[live]
    assert "reading 40%" in frame[live]
    assert frame[desk.view.timer].active
    gate.set()
    wait_for(lambda: desk.registry.state("mistral-7b").phase == "failed")
    frame = desk.actions.tick(REQUEST)
    assert "no such card" in frame[live]
    assert not frame[desk.view.timer].active
