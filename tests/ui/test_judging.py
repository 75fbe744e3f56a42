"""Ratings and preferences, from the page's forms to the store."""

import pytest

from esc_demo.models.scripted import FAIL_ON
from tests.ui.desk import REQUEST, wait_for


def test_a_rating_needs_all_answers_counts_once_and_can_be_changed(desk):
    list(desk.send("hello"))
    frame = desk.judging.rate(REQUEST, 0, 3, None, 5, None, "")
    said = frame[desk.view.panes[0].rate.note]
    assert 'role="alert"' in said
    assert "Still to answer: Comforting, Suggestion." in said
    assert frame[desk.view.panes[0].rate.form]["visible"]
    assert desk.store.counts().ratings == 0
    desk.judging.rate(REQUEST, 0, 3, 4, 5, "cannot_judge", "fine")
    frame = desk.judging.rate(REQUEST, 0, 0, 0, 0, 0, "")
    assert "submitted before" in frame[desk.view.panes[0].rate.note]
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
    frame = desk.judging.prefer(REQUEST, None, "")
    assert "Still to answer: Which reply" in frame[desk.view.prefer.note]
    assert 'role="alert"' in frame[desk.view.prefer.note]
    assert desk.store.counts().preferences == 0
    frame = desk.judging.prefer(REQUEST, choice, "")
    assert "compared: A, B, C" in frame[desk.view.prefer.note]
    turn = desk.visitor.chat.last.turn_id
    kept = desk.store.current_preference(turn, desk.visitor.rater_id)
    replies = tuple(desk.visitor.chat.last.latest(pane).generation_id for pane in range(3))
    assert kept.compared == replies
    assert kept.preferred_generation_id == (replies[1] if choice == "1" else None)


def again(desk, *panes):
    return list(desk.actions.regenerate(REQUEST, list(panes), *desk.values))


def test_a_preference_does_not_outlive_the_replies_it_compared(desk):
    prefer = desk.view.prefer
    list(desk.send("hello"))
    desk.judging.prefer(REQUEST, "1", "")
    frame = again(desk, 0)[-1]
    assert "The replies have changed since you saved" in frame[prefer.note]
    assert frame[prefer.form]["visible"]
    assert not frame[prefer.change]["visible"]
    frame = desk.judging.prefer(REQUEST, "1", "")
    assert "Saved" in frame[prefer.note]
    turn = desk.visitor.chat.last
    kept = desk.store.current_preference(turn.turn_id, desk.visitor.rater_id)
    assert kept.compared[0] == turn.replies[0][1].generation_id


def test_a_preference_comes_back_for_changing_when_the_panes_do(desk):
    list(desk.send("hello"))
    prefer = desk.view.prefer
    desk.judging.prefer(REQUEST, "0", "")
    removed = desk.actions.remove_pane(REQUEST, 2)
    assert "have changed" in removed[prefer.note]
    desk.judging.prefer(REQUEST, "1", "")
    assert "have changed" not in desk.actions.opened(REQUEST)[prefer.note]
    back = desk.actions.add_pane(REQUEST)
    assert back[prefer.form]["visible"]
    assert "Saved" in desk.judging.prefer(REQUEST, "0", "")[prefer.note]


def test_only_the_form_of_a_reply_that_changes_is_emptied(desk):
    list(desk.send("hello"))
    one, other, prefer = desk.view.panes[0].rate, desk.view.panes[1].rate, desk.view.prefer
    desk.judging.consider(REQUEST, "1")
    frame = again(desk, 0)[0]
    assert all(frame[radio]["value"] is None for radio in one.scores)
    for untouched in (*other.scores, other.comment, one.comment, prefer.comment):
        assert untouched not in frame
    assert prefer.choice not in frame
    assert again(desk, 1)[0][prefer.choice]["value"] is None


def test_a_saved_comment_is_not_taken_over_by_the_next_reply(desk):
    rate = desk.view.panes[0].rate
    list(desk.send("hello"))
    desk.judging.rate(REQUEST, 0, 1, 1, 1, 1, "my comment")
    desk.judging.prefer(REQUEST, "tie", "another")
    frame = next(desk.send("more"))
    assert frame[rate.comment]["value"] == ""
    assert frame[desk.view.prefer.comment]["value"] == ""
    wait_for(lambda: not desk.visitor.writing)


def test_a_reply_that_cannot_be_judged_says_why(slow_desk):
    handler = slow_desk.send("hello")
    next(handler)
    slow_desk.actions.stop(REQUEST, 0)
    frame = list(handler)[-1]
    note = slow_desk.view.panes[0].rate.note
    assert "Stopped replies are not rated. Regenerate it" in frame[note]
    assert "Pane A is left out: it was stopped." in frame[slow_desk.view.prefer.note]


def test_failed_replies_say_that_they_are_not_rated(desk):
    frame = list(desk.send(f"please {FAIL_ON}"))[-1]
    assert "Failed replies are not rated" in frame[desk.view.panes[1].rate.note]
