"""The page's handlers as plain functions and generators, over a real store."""

import json
import threading

import pytest

from esc_demo.ui.live import Visitors
from tests.ui.desk import NOBODY, REQUEST, wait_for


def test_sending_takes_only_the_sent_words_at_once_and_ends_with_every_reply(desk):
    frames = list(desk.send("hello"))
    assert json.loads(frames[0][desk.view.sent]["value"])["text"] == "hello"
    assert all(desk.view.sent not in frame for frame in frames[1:])
    assert all(desk.view.message not in frame for frame in frames)
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
    assert "Warming up" in frame[live]
    assert "Mistral 7B" in frame[live]
    assert "reading 40%" in frame[live]
    assert frame[desk.view.timer].active
    gate.set()
    wait_for(lambda: desk.registry.state("mistral-7b").phase == "failed")
    frame = desk.actions.tick(REQUEST)
    assert "no such card" in frame[live]
    assert not frame[desk.view.timer].active


def test_a_second_message_is_told_calmly_to_wait_and_a_repeat_is_ignored(slow_desk, recwarn):
    notice = slow_desk.view.notice
    handler = slow_desk.send("hello")
    next(handler)
    for repeat in ("hello", " hello\n", ""):
        assert [frame[notice] for frame in slow_desk.send(repeat)] == [""]
    (frame,) = slow_desk.send("and another thing")
    assert "still being written" in frame[notice]
    assert "alert" not in frame[notice]
    assert slow_desk.view.sent not in frame
    slow_desk.actions.stop(REQUEST)
    assert list(handler)[-1][notice] == ""
    assert [one.seeker_text for one in slow_desk.visitor.chat.exchanges] == ["hello"]
    assert not recwarn.list


def test_a_draft_survives_an_edit_that_is_cancelled_sent_or_cleared(desk):
    box, actions = desk.view.message, desk.actions
    list(desk.send("hello"))
    assert actions.edit(REQUEST, "half a")[box]["value"] == "hello"
    assert box not in actions.edit(REQUEST, "hello")
    assert actions.cancel_edit(REQUEST)[box]["value"] == "half a"
    assert box not in actions.cancel_edit(REQUEST)
    actions.edit(REQUEST, "half b")
    frames = list(desk.send("hello again"))
    news = json.loads(frames[0][desk.view.sent]["value"])
    assert (news["text"], news["draft"]) == ("hello again", "half b")
    actions.edit(REQUEST, "half c")
    assert actions.clear(REQUEST, "hello again", "", *NOBODY)[box]["value"] == "half c"
    assert not desk.visitor.editing
    list(desk.send("new"))
    assert box not in actions.clear(REQUEST, "my own draft", "", *NOBODY)


def test_regenerating_leaves_the_edit_mode_alone(desk):
    list(desk.send("hello"))
    desk.actions.edit(REQUEST, "")
    list(desk.actions.regenerate(REQUEST, [0], *desk.values))
    assert desk.visitor.editing
    list(desk.send("hello again"))
    assert [one.seeker_text for one in desk.visitor.chat.exchanges] == ["hello again"]
