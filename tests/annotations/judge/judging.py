"""A judge without a model: what it says depends on the question alone."""

from annotations.judge.keys import cache_key
from annotations.judge.ledger import Ledger, RunSpec
from annotations.judge.prompts import messages_for
from annotations.judge.protocol import load_protocol
from annotations.judge.values import Answered, Asking, Control, Pick, Usage, Verdict
from annotations.values import JudgeStatus
from esc_demo.engine import Failed, HistoryPolicy, PaneConfig, Request
from tests.annotations.studies.conftest import item_lines

ENDPOINT = "http://127.0.0.1:9/v1"
PAID = Usage(100, 20, 0.25)
ALL_CONTROLS = tuple(Control)

LIVE = {
    "mode": "live",
    "items": None,
    "live": {"chats_per_pair": 2, "least_turns": 2, "most_turns": 4},
    "scales": {"dimensions": ["emotion_before", "comforting", "emotion_after"]},
    "session": {"items": 2},
    "raters_per_item": 1,
}


def with_references(count=4):
    """Lines of an items file that know what the data's supporter said."""
    return [
        line | {"reference": f"What made day {number} so long?"}
        for number, line in enumerate(item_lines(count))
    ]


def spec(slug, protocol="esc-reply", **changes):
    """A run's settings."""
    values = {"model": "gpt-4o-mini", "endpoint": ENDPOINT, "asking": Asking()} | changes
    return RunSpec(slug, load_protocol(protocol), **values)


def key_of(question, of):
    """The key under which the question is cached."""
    return cache_key(
        messages_for(of.protocol, question), None, of.model, of.endpoint, of.asking, question.sample
    )


def scored(question, of, score=None):
    """A call that went well; the score of a reply is the number of its letters, turned round."""
    text = question.shown[0].text
    number = len(text) % (of.protocol.high + 1) if score is None else score
    verdict = Verdict(dict.fromkeys(of.protocol.dimensions, number), rationale="It listens.")
    return ok(question, of, verdict)


def picked(question, of, pick=Pick.FIRST):
    """A call about a pair that went well."""
    return ok(question, of, Verdict(picks=dict.fromkeys(of.protocol.aspects, pick)))


def ok(question, of, verdict):
    """A call with this verdict."""
    messages = messages_for(of.protocol, question)
    return Answered(JudgeStatus.OK, messages, "{...}", verdict, usage=PAID, seconds=1.5)


def failed(question, of, status=JudgeStatus.API_ERROR, cost=0.0):
    """A call that did not."""
    messages = messages_for(of.protocol, question)
    return Answered(status, messages, error="no luck", usage=Usage(100, 0, cost))


def judge(store, of, questions, answer=None):
    """Record an answer to every question that has none; returns the run."""
    ledger = Ledger(store)
    run = ledger.open_run(of)
    for question in questions:
        answered = (answer or scored)(question, of)
        ledger.record(run, question, key_of(question, of), answered, cached=False)
    return run


def chatted(office, slug, messages=("I feel low.", "Still low.")):
    """Somebody who chatted, rated both sides and is still there."""
    rater = office.rater(slug)
    item, desk = rater.item(), office.desk
    at, chats = (slug, rater.key, item.assignment_id), []
    for side in ("calm", "brisk"):
        conversation = office.store.open_conversation(
            origin="study", policy=HistoryPolicy.INDEPENDENT, app_version="1"
        )
        for position, text in enumerate(messages):
            turn = office.store.add_turn(conversation, position, text, HistoryPolicy.INDEPENDENT)
            for reply in ("never shown", f"A {side} answer to message {position}."):
                office.store.record(
                    *(conversation, turn, 0, None, HistoryPolicy.INDEPENDENT),
                    Request(PaneConfig("m"), ()),
                    Failed(reply, "no model here", None, 0.1),
                )
        chats.append(conversation)
    desk.set_live_chats(*at, tuple(chats))
    desk.end_chat(*at)
    once = {"emotion_before": 1, "emotion_after": 2}
    rater.submit(item, scores=[{"comforting": 4}, {"comforting": 2}], once=once)
    return rater
