"""One reply and several side by side, on the scripted model."""

import time

import pytest

from esc_demo.contexts import ContextKind, ContextSpec
from esc_demo.dialogue import Role, Turn
from esc_demo.engine import (
    Done,
    Failed,
    PaneConfig,
    Request,
    Seen,
    Stopped,
    prepare,
    reply,
    side_by_side,
)
from esc_demo.errors import BadInput
from esc_demo.models import Chunk, GenerationParams, ModelSpec, StopSignal
from esc_demo.models.scripted import FAIL_ON, ScriptedModel

LONG = ("one two three four five six seven eight",)


def spec(name, length=400):
    return ModelSpec(
        id=name, label=name, family="f", base="x/y", variant="base", context_length=length
    )


class Models:
    """The smallest source of models."""

    def __init__(self, *models):
        self.models = {model.spec.id: model for model in models}

    def get(self, model_id, stop=None):
        model = self.models[model_id]
        if isinstance(model, Exception):
            raise model
        return model


def ask(model, *texts, **changes):
    roles = (Role.SEEKER, Role.SUPPORTER)
    turns = tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts))
    return Request(PaneConfig(model), turns, **changes)


def test_one_prompt_then_chunks_then_exactly_one_outcome():
    models = Models(ScriptedModel(spec("a"), LONG))
    events = list(reply(ask("a", "hello"), models, StopSignal()))
    assert isinstance(events[0], Seen)
    assert all(isinstance(event, Chunk) for event in events[1:-1])
    assert isinstance(events[-1], Done)
    assert events[-1].text == "".join(event.text for event in events[1:-1]) == LONG[0]


def test_the_length_cap_holds():
    models = Models(ScriptedModel(spec("a"), LONG))
    request = ask("a", "hello", params=GenerationParams(max_new_tokens=3))
    *_, done = reply(request, models, StopSignal())
    assert done.text == "one two three"
    assert done.finish.reason == "length"


def test_a_failing_pane_does_not_stop_the_others():
    models = Models(ScriptedModel(spec("a"), LONG), ScriptedModel(spec("b"), LONG))
    requests = [ask("a", "fine"), ask("b", FAIL_ON), ask("zzz", "no such model")]
    last = dict(side_by_side(requests, models, [StopSignal() for _ in requests]))
    assert isinstance(last[0], Done)
    assert isinstance(last[1], Failed)
    assert last[1].text == "one two"
    assert "asked to fail" in last[1].error
    assert isinstance(last[2], Failed)
    assert not last[2].expected


def test_stopping_one_pane_keeps_its_words_and_leaves_the_other():
    models = Models(*(ScriptedModel(spec(name), LONG, delay=0.02) for name in "ab"))
    stops = [StopSignal(), StopSignal()]
    last = {}
    for index, event in side_by_side([ask("a", "x"), ask("b", "x")], models, stops):
        last[index] = event
        if index == 0 and isinstance(event, Chunk):
            stops[0].set()
    assert isinstance(last[0], Stopped)
    assert 0 < len(last[0].text.split()) < 8
    assert isinstance(last[1], Done)
    assert last[1].text == LONG[0]


def test_leaving_the_page_stops_every_pane():
    stops = [StopSignal(), StopSignal()]
    models = Models(*(ScriptedModel(spec(name), LONG, delay=5) for name in "ab"))
    started = time.monotonic()
    stream = side_by_side([ask("a", "x"), ask("b", "x")], models, stops)
    next(stream)
    stream.close()
    assert all(stop.is_set() for stop in stops)
    assert time.monotonic() - started < 3


def test_the_same_seed_gives_the_same_reply_beside_others():
    models = Models(ScriptedModel(spec("a")), ScriptedModel(spec("b")))
    request = ask("a", "hello", params=GenerationParams(seed=5))
    *_, alone = reply(request, models, StopSignal())
    both = dict(side_by_side([request, ask("b", "x")], models, [StopSignal(), StopSignal()]))
    assert both[0].text == alone.text


def test_the_oldest_turns_drop_first_and_the_rest_opens_with_the_seeker():
    model = ScriptedModel(spec("a", 350))
    history = [f"number {i} " + "word " * 30 for i in range(6)]
    seen = prepare(ask("a", *history, "and now this"), model)
    assert seen.dropped == 4
    kept = [turn.raw.text for turn in seen.view.turns]
    assert kept[0].startswith("number 4")
    assert kept[-1] == "and now this"
    assert seen.prompt.tokens + 128 <= seen.window


def test_last_k_and_the_window_are_counted_apart():
    model = ScriptedModel(spec("a", 290))
    texts = [f"number {i} " + "word " * 40 for i in range(8)]
    pane = PaneConfig("a", ContextSpec(last_k=5))
    seen = prepare(Request(pane, ask("a", *texts, "now").turns), model)
    assert (seen.view.outside_window, seen.dropped) == (4, 4)
    roomy = prepare(Request(pane, ask("a", *texts, "now").turns), ScriptedModel(spec("a", 2000)))
    assert (roomy.view.outside_window, roomy.dropped) == (4, 0)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_what_is_sent_opens_with_the_seeker(k):
    pane = PaneConfig("a", ContextSpec(last_k=k))
    request = Request(pane, ask("a", "one", "two", "three", "four", "five").turns)
    seen = prepare(request, ScriptedModel(spec("a")))
    assert [message.role for message in seen.messages][:2] == ["system", "user"]


def test_a_message_that_cannot_fit_is_refused_with_its_figures():
    with pytest.raises(BadInput, match=r"tokens.*250-token window"):
        prepare(ask("a", "word " * 400), ScriptedModel(spec("a", 250)))


def test_a_conversation_must_end_with_the_seeker():
    with pytest.raises(BadInput, match="end with"):
        prepare(ask("a", "hello", "hi"), ScriptedModel(spec("a")))


def test_switching_the_context_renders_the_whole_history_and_counts_what_it_saves():
    model = ScriptedModel(spec("a"))
    texts = ("It was the worst of my weeks.", "What made it so?", "All of it.")
    raw = prepare(ask("a", *texts), model)
    pane = PaneConfig("a", ContextSpec(ContextKind.NOSTOPWORDS))
    request = ask("a", *texts)
    short = prepare(Request(pane, request.turns), model)
    assert raw.tokens_saved == 0
    assert short.tokens_raw == raw.prompt.tokens
    assert short.tokens_saved == raw.prompt.tokens - short.prompt.tokens > 0
    assert [turn.raw.text for turn in short.view.turns] == list(texts)
    assert [m.content for m in short.messages][1:] == ["worst weeks.", "made", "All of it."]
