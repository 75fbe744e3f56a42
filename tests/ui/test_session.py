"""The conversation of one visitor: what is remembered, by whom, with which seed."""

import pytest

from esc_demo.dialogue import MAX_MESSAGE_CHARS, Role
from esc_demo.engine import Done, Failed, HistoryPolicy, PaneConfig, Stopped
from esc_demo.errors import BadInput
from esc_demo.models import Chunk, Finish, FinishReason, GenerationParams
from esc_demo.ui.session import ChatSession, ReplyState, TurnSettings, turn_seed

END = Finish(FinishReason.END, 3)


def settings(*panes, policy=HistoryPolicy.INDEPENDENT, seed=7):
    return TurnSettings(
        {pane: PaneConfig(f"model-{pane}") for pane in panes or (0, 1)},
        GenerationParams(seed=seed),
        policy=policy,
    )


def finish(reply, text, kind=Done):
    reply.take(Chunk(text))
    if kind is Failed:
        reply.take(Failed(text, "it broke", None, 0.1))
    else:
        reply.take(kind(text, END, None, 0.1))


def talk(session, text, answers, **options):
    """Send `text`, let pane n answer the nth text, first pane first; returns the exchange."""
    exchange, replies = session.send(text, settings(*range(len(answers)), **options))
    for reply, answer in zip(replies, answers, strict=True):
        finish(reply, answer)
        exchange.settle_choice()
    return exchange


def said(reply):
    return [turn.text for turn in reply.request.turns]


def test_independent_panes_remember_their_own_replies():
    session = ChatSession()
    talk(session, "hello", ["from A", "from B"])
    _, (a, b) = session.send("and now", settings())
    assert said(a) == ["hello", "from A", "and now"]
    assert said(b) == ["hello", "from B", "and now"]
    assert [turn.role for turn in a.request.turns] == [Role.SEEKER, Role.SUPPORTER, Role.SEEKER]


def test_shared_panes_see_the_first_finished_reply_until_another_is_chosen():
    session = ChatSession()
    shared = {"policy": HistoryPolicy.SHARED}
    exchange, (a, b) = session.send("hello", settings(**shared))
    finish(b, "from B")
    exchange.settle_choice()
    finish(a, "from A")
    exchange.settle_choice()
    assert exchange.chosen == 1
    _, (a2, b2) = session.send("next", settings(**shared))
    assert said(a2) == said(b2) == ["hello", "from B", "next"]
    for reply in (a2, b2):
        finish(reply, f"second {reply.pane}")
    session.choose(0)
    _, (a3, b3) = session.send("third", settings(**shared))
    assert said(a3) == said(b3) == ["hello", "from B", "next", "second 0", "third"]


def test_a_failed_or_empty_reply_is_left_out_and_a_stopped_one_stays():
    session = ChatSession()
    _, replies = session.send("hello", settings(0, 1, 2))
    finish(replies[0], "half a sen", Failed)
    finish(replies[1], "")
    finish(replies[2], "half a", Stopped)
    assert [reply.state for reply in replies] == [
        ReplyState.FAILED,
        ReplyState.DONE,
        ReplyState.STOPPED,
    ]
    _, (a, b, c) = session.send("again", settings(0, 1, 2))
    assert said(a) == said(b) == ["hello", "again"]
    assert said(c) == ["hello", "half a", "again"]


def test_a_failed_choice_gives_way_to_a_usable_reply():
    session = ChatSession()
    exchange, (a, b) = session.send("hello", settings(policy=HistoryPolicy.SHARED))
    finish(a, "", Failed)
    assert exchange.settle_choice() is None
    finish(b, "fine")
    assert exchange.settle_choice() is b
    assert exchange.chosen == 1


def test_a_new_attempt_of_the_chosen_pane_becomes_the_choice():
    session = ChatSession()
    exchange, (reply,) = session.send("hello", settings(0, policy=HistoryPolicy.SHARED))
    finish(reply, "one")
    assert exchange.settle_choice() is reply
    assert exchange.settle_choice() is None
    _, (again,) = session.regenerate([0], settings(0))
    assert exchange.settle_choice() is None
    finish(again, "two")
    assert exchange.settle_choice() is again


def test_all_panes_of_a_turn_share_a_seed_and_regenerating_takes_the_next():
    session = ChatSession()
    talk(session, "hello", ["A", "B"])
    _, second = session.send("next", settings())
    seeds = {reply.request.params.seed for reply in second}
    assert seeds == {turn_seed(7, 1, 0)}
    for reply in second:
        finish(reply, "x")
    _, (again,) = session.regenerate([1], settings())
    assert again.attempt == 1
    assert again.request.params.seed == turn_seed(7, 1, 1)
    assert turn_seed(7, 0, 0) == 7
    assert turn_seed(2**53 - 1, 5, 1) < 2**53


def test_a_regenerated_reply_replaces_the_old_one_in_the_history():
    session = ChatSession()
    talk(session, "hello", ["A one", "B one"])
    _, (again,) = session.regenerate([0], settings())
    assert said(again) == ["hello"]
    finish(again, "A two")
    _, (a, b) = session.send("next", settings())
    assert said(a) == ["hello", "A two", "next"]
    assert said(b) == ["hello", "B one", "next"]


def test_editing_the_last_message_forgets_its_replies_and_names_the_turn_it_supersedes():
    session = ChatSession()
    talk(session, "first", ["A", "B"])
    talk(session, "secnd", ["A2", "B2"]).turn_id = "turn-2"
    exchange, (a, _) = session.edit_last("second", settings())
    assert exchange.position == 1
    assert exchange.supersedes == "turn-2"
    assert said(a) == ["first", "A", "second"]
    assert [e.seeker_text for e in session.exchanges] == ["first", "second"]


def test_panes_keep_their_memory_when_others_come_and_go():
    session = ChatSession()
    talk(session, "hello", ["A", "B", "C"])
    _, (a, c, d) = session.send("next", settings(0, 2, 3))
    assert said(a) == ["hello", "A", "next"]
    assert said(c) == ["hello", "C", "next"]
    assert said(d) == ["hello", "next"]
    for reply in (a, c, d):
        finish(reply, "x")
    _, (b,) = session.send("third", settings(1))
    assert said(b) == ["hello", "B", "next", "third"]


def test_clear_can_be_undone_until_the_next_message():
    session = ChatSession()
    talk(session, "hello", ["A"])
    session.conversation_id = "c1"
    session.clear()
    assert session.exchanges == []
    assert session.conversation_id is None
    session.undo_clear()
    assert session.exchanges[0].seeker_text == "hello"
    assert session.conversation_id == "c1"
    session.clear()
    talk(session, "new", ["A"])
    with pytest.raises(BadInput, match="no cleared conversation"):
        session.undo_clear()


def test_nothing_overlaps_with_replies_being_written():
    session = ChatSession()
    _, (a, b) = session.send("hello", settings())
    finish(b, "B")
    assert session.writing
    for action in (
        lambda: session.send("again", settings()),
        lambda: session.edit_last("again", settings()),
        lambda: session.regenerate([0], settings()),
        session.clear,
    ):
        with pytest.raises(BadInput, match="still"):
            action()
    session.regenerate([1], settings())
    finish(a, "A")
    assert session.pane_is_writing(1)


@pytest.mark.parametrize("text", ["", " \n\t", "x" * (MAX_MESSAGE_CHARS + 1), "half \ud83d pair"])
def test_a_refused_message_leaves_no_trace(text):
    session = ChatSession()
    with pytest.raises(BadInput):
        session.send(text, settings())
    assert session.exchanges == []


def test_nothing_can_be_repeated_before_the_first_message():
    session = ChatSession()
    for action in (
        lambda: session.regenerate([0], settings()),
        lambda: session.edit_last("x", settings()),
        lambda: session.choose(0),
        session.undo_clear,
    ):
        with pytest.raises(BadInput):
            action()
