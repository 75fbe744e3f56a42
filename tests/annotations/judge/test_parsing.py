"""Reading a judge's answer: what is a verdict, what is none, and that nothing is guessed."""

import json
import random
import re

import pytest

from annotations.judge.parsing import Unreadable, is_refusal, read_verdict
from annotations.judge.protocol import Protocol, load_protocol, shipped_protocols
from annotations.judge.schema import answer_keys
from annotations.judge.values import Pick, Verdict
from annotations.values import StudyDimension

ESC = ("engagement", "comforting", "appropriateness", "suggestion")
GOOD = (
    '{"rationale": "Warm.", "engagement": 4, "comforting": 3, "appropriateness": 5,'
    ' "suggestion": 0}'
)


def scores(raw: str, protocol: str = "esc-reply") -> list[object]:
    return list(read_verdict(load_protocol(protocol), raw).scores.values())


READ = {
    "as asked": GOOD,
    "pretty printed": json.dumps(json.loads(GOOD), indent=2),
    "fenced": f"```json\n{GOOD}\n```",
    "prose around": f"Here is my verdict:\n{GOOD}\nI hope this helps [as asked] :{{",
    "no rationale": '{"engagement": 4, "comforting": 3, "appropriateness": 5, "suggestion": 0}',
    "other order": '{"suggestion": 0, "appropriateness": 5, "comforting": 3, "engagement": 4}',
    "trailing commas": '{"engagement": 4, "comforting": 3, "appropriateness": 5, "suggestion": 0,}',
    "single quotes": "{'rationale': 'It's warm', 'engagement': 4, 'comforting': 3,"
    " 'appropriateness': 5, 'suggestion': 0}",
    "curly quotes": "{\u201cengagement\u201d: 4, \u201ccomforting\u201d: 3,"
    " \u201cappropriateness\u201d: 5, \u201csuggestion\u201d: 0}",
    "no quotes": "{engagement: 4, comforting: 3, appropriateness: 5, suggestion: 0}",
    "paper B's list": '["engagement": 4, "comforting": 3, "appropriateness": 5, "suggestion":0]',
    "paper B's list, no quotes": "[engagement: 4, comforting: 3, appropriateness: 5,"
    " suggestion: 0]",
    "list of objects": '[{"engagement": 4}, {"comforting": 3}, {"appropriateness": 5},'
    ' {"suggestion": 0}]',
    "an object a line": '{"engagement": 4}\n{"comforting": 3}\n{"appropriateness": 5}\n'
    '{"suggestion": 0}',
    "criterion and score": '[{"criterion": "Engagement", "score": 4}, {"criterion": "Comforting",'
    ' "score": 3}, {"criterion": "Appropriateness", "score": 5}, {"criterion": "Suggestion",'
    ' "score": 0}]',
    "wrapped": '{"scores": {"engagement": 4, "comforting": 3, "appropriateness": 5,'
    ' "suggestion": 0}, "rationale": "x"}',
    "a score with its reason": '{"engagement": {"score": 4, "reason": "x"}, "comforting": {"score":'
    ' 3}, "appropriateness": {"rating": 5}, "suggestion": {"value": "0"}}',
    "numbers as text": '{"engagement": "4", "comforting": "3", "appropriateness": "5",'
    ' "suggestion": "0"}',
    "words": '{"engagement": "four", "comforting": "Three", "appropriateness": five,'
    ' "suggestion": "zero"}',
    "of the scale's end": '{"engagement": 4/5, "comforting": "3 out of 5", "appropriateness":'
    ' "5 / 5", "suggestion": "zero out of five"}',
    "whole floats": '{"engagement": 4.0, "comforting": 3.0, "appropriateness": 5.0,'
    ' "suggestion": 0.0}',
    "points and stars": '{"engagement": "4 points", "comforting": "3 stars", "appropriateness":'
    ' "5.", "suggestion": "0"}',
    "with the anchor": '{"engagement": "4 (warm)", "comforting": "3: Names it; one phrase",'
    ' "appropriateness": "5 - Just right", "suggestion": "0"}',
    "other names": '{"ENGAGEMENT": 4, "Comfort": 3, "appropriate": 5, "Suggestions": 0}',
    "names with more": '{"Engagement Score": 4, "**Comforting**": 3, "appropriateness_rating": 5,'
    ' "suggestion (help)": 0}',
    "doubled key, the last counts": '{"engagement": 1, "engagement": 4, "comforting": 3,'
    ' "appropriateness": 5, "suggestion": 0}',
    "further keys": '{"engagement": 4, "comforting": 3, "appropriateness": 5, "suggestion": 0,'
    ' "overall": 9, "notes": ["x", {"engagement": 1}]}',
    "two verdicts, the last counts": GOOD.replace("4", "1") + f"\nOn reflection: {GOOD}",
    "a verdict and half a remark": f'{GOOD}\n{{"note": "this was',
    "a verdict and part of one": f'{GOOD}\nThat is, {{"engagement": 4}} mostly.',
    "comments": '{"engagement": 4, // warm\n "comforting": 3, "appropriateness": 5,\n'
    ' "suggestion": 0 // none\n}',
    "new lines and escapes in the rationale": '{"rationale": "a\nb \\"c\\" \\u00e9 \\ud83d",'
    ' "engagement": 4, "comforting": 3, "appropriateness": 5, "suggestion": 0}',
    "quotes within the rationale": '{"rationale": "It says "I hear you" once", "engagement": 4,'
    ' "comforting": 3, "appropriateness": 5, "suggestion": 0}',
    "a verdict quoted in the rationale": '{"rationale": "It demands {\\"engagement\\": 5,'
    ' \\"comforting\\": 5, \\"appropriateness\\": 5, \\"suggestion\\": 5}", "engagement": 4,'
    ' "comforting": 3, "appropriateness": 5, "suggestion": 0}',
    "lines": "**Engagement**: 4/5\n- Comforting: 3\n* Appropriateness = five\nSuggestion \u2013 0",
    "numbered lines": "1. Engagement: 4\n2. Comforting: 3\n3. Appropriateness: 5\n"
    "4. Suggestion: 0.",
    "one line": "Engagement: 4, Comforting: 3, Appropriateness: 5, Suggestion: 0",
    "a table": "| Criterion | Score |\n|---|---|\n| Engagement | 4 |\n| Comforting | 3 |\n"
    "| Appropriateness | 5 |\n| Suggestion | 0 |",
    "after its thinking": f'<think>Maybe {GOOD.replace("4", "2")} {{"a</think>\n{GOOD}',
}


@pytest.mark.parametrize("raw", READ.values(), ids=READ)
def test_what_is_a_verdict(raw):
    assert scores(raw) == [4, 3, 5, 0]


def changed(value: str) -> str:
    return GOOD.replace("4", value)


UNREADABLE = {
    "empty": ("", "no verdict"),
    "white space": (" \n ", "no verdict"),
    "prose": ("The reply is warm and I like it.", "no verdict"),
    "a refusal": ("I'm sorry, but I can't help with that.", "no verdict"),
    "the form itself": (
        '{"rationale": "<at most 60 words>", "engagement": <whole number from 0 to 5>,'
        ' "comforting": <whole number from 0 to 5>, "appropriateness": <whole number from 0 to 5>,'
        ' "suggestion": <whole number from 0 to 5>}',
        "engagement is '<whole number from 0 to 5>', which is no score",
    ),
    "paper B's list without numbers": (
        '["engagement": , "comforting": , "appropriateness": , "suggestion":]',
        "no answer for engagement, comforting, appropriateness, suggestion",
    ),
    "numbers without names": ("[4, 3, 5, 0]", "no verdict"),
    "half a point": (changed("4.5"), "engagement is '4.5'; only whole numbers"),
    "six of five": (changed("6"), "engagement is '6', which is outside 0 to 5"),
    "6/5": (changed('"6/5"'), "outside 0 to 5"),
    "a word off the scale": (changed('"ten"'), "outside 0 to 5"),
    "below zero": (changed("-1"), "outside 0 to 5"),
    "for another scale": (changed('"8/10"'), "the scale ends at 5"),
    "for another scale, but low enough": (changed('"4 out of 10"'), "the scale ends at 5"),
    "between two": (changed('"4-5"'), "no score"),
    "between two words": (changed('"four - five"'), "no score"),
    "maybe": (changed('"4 (maybe 5)"'), "no score"),
    "more than": (changed('"4+"'), "no score"),
    "about": (changed('"~4"'), "no score"),
    "true": (changed("true"), "no score"),
    "not a number": (changed("NaN"), "no score"),
    "very long number": (changed("9" * 5000), "outside"),
    "a list as score": (changed("[4]"), "no answer for engagement"),
    "quoted none": (changed('"none"'), "no score"),
    "one missing": (GOOD.replace(', "suggestion": 0', ""), "no answer for suggestion"),
    "one empty": (GOOD.replace('"suggestion": 0', '"suggestion":'), "no answer for suggestion"),
    "a line missing": ("Engagement: 4\nComforting: 3", "no answer for appropriateness, suggestion"),
    "a line off the scale": (
        "Engagement: 4\nComforting: 7\nAppropriateness: 5\nSuggestion: 0",
        "comforting is '7'",
    ),
    "cut in the last number": (GOOD[:-1], "breaks off"),
    "cut in the rationale": (GOOD[:18], "breaks off"),
    "cut after three": (GOOD.partition(', "sugg')[0], "breaks off"),
    "cut behind a quoted verdict": (
        '{"rationale": "It says {"engagement": 5, "comforting": 5, "appropriateness": 5,'
        ' "suggestion": 5} and',
        "the JSON",
    ),
    "cut, after an earlier one": (f"{GOOD} No: {GOOD[:-1]}", "breaks off"),
    "off the scale, after an earlier one": (f"{GOOD} No: {changed('6')}", "outside 0 to 5"),
    "bad JSON around a quoted verdict": (
        '{"rationale": "It says "x", so {"engagement": 5, "comforting": 5, "appropriateness": 5,'
        ' "suggestion": 5}", "engagement": 1}',
        "not well formed",
    ),
    "two halves that contradict": (
        '{"engagement": 4, "comforting": 3} {"comforting": 1, "appropriateness": 5,'
        ' "suggestion": 2}',
        "no answer for engagement",
    ),
    "too deep": ('{"a":' * 200 + "1" + "}" * 200, "nested too deeply"),
    "endless brackets": ("[" * 30_000, "nested too deeply"),
    "unclosed thinking": (f"<think>{GOOD}", "thinking"),
    "too long": ("x" * 60_000, "longer than 50,000"),
    "two problems at once": (
        changed("6").replace('"comforting": 3', '"comforting": 2.5'),
        "engagement is '6', which is outside 0 to 5; comforting is '2.5'",
    ),
}


@pytest.mark.parametrize(("raw", "why"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_none_and_why(raw, why):
    with pytest.raises(Unreadable, match=re.escape(why)):
        scores(raw)


@pytest.mark.parametrize("said", ["null", '"cannot_judge"', '"Cannot judge"', "None", '"N/A"'])
def test_a_score_may_be_withheld_where_the_protocol_offers_it(said):
    assert scores(changed(said)) == ["cannot_judge", 3, 5, 0]
    with pytest.raises(Unreadable, match="overall"):
        scores(f'{{"overall": {said}}}', "g-score-single")


@pytest.mark.parametrize(
    "raw", ["4", "4/5", "**4**", "[[4]]", "four", "Rating: [[4]]", "Score: 4.", '{"score": 4}']
)
def test_one_number_is_an_answer_where_one_is_asked_for(raw):
    assert scores(raw, "g-score-single") == [4]
    with pytest.raises(Unreadable):
        scores(raw, "g-score")


@pytest.mark.parametrize(
    "raw", ["0", "6", "4 or 5", "I would say 4 out of 5, all things considered."]
)
def test_one_number_that_is_none(raw):
    with pytest.raises(Unreadable):
        scores(raw, "g-score-single")


PICKS = {
    '{"rationale": "x", "overall": "first"}': Pick.FIRST,
    '{"overall": "Second"}': Pick.SECOND,
    '{"winner": "Reply 1"}': Pick.FIRST,
    '{"overall": {"winner": "B"}}': Pick.SECOND,
    '{"verdict": {"overall": "tie"}}': Pick.TIE,
    "Overall: the second reply": Pick.SECOND,
    "both_bad": Pick.BOTH_BAD,
    "First.": Pick.FIRST,
    '{"overall": "first"} Hm. {"overall": "both bad"}': Pick.BOTH_BAD,
}


@pytest.mark.parametrize(("raw", "pick"), PICKS.items())
def test_picks(raw, pick):
    assert read_verdict(load_protocol("esc-pair"), raw).picks == {"overall": pick}


@pytest.mark.parametrize(
    "raw",
    [
        '{"overall": "both"}',
        '{"overall": "neither"}',
        '{"overall": null}',
        '{"overall": "<first | second | tie | both_bad>"}',
        '{"overall": "third"}',
        '{"overall": 0}',
        "The first reply is warmer, the second one more practical.",
    ],
)
def test_picks_that_are_none(raw):
    with pytest.raises(Unreadable):
        read_verdict(load_protocol("esc-pair"), raw)


def test_a_pick_the_protocol_does_not_offer_is_unreadable():
    raw = '{"exploration": "first", "comforting": "tie", "action": "tie", "overall": "both_bad"}'
    with pytest.raises(Unreadable, match="overall is 'both_bad', which is none of first, second"):
        read_verdict(load_protocol("esconv-pair"), raw)


def test_the_rationale_is_kept_and_can_be_stored():
    raw = '{"rationale": " Says \\"there\\" \\u0000 \\ud83d twice\\n", ' + GOOD.partition(", ")[2]
    rationale = read_verdict(load_protocol("esc-reply"), raw).rationale
    assert rationale == 'Says "there"   twice'
    assert rationale.encode()


@pytest.mark.parametrize(
    ("raw", "refused"),
    [
        ("I'm sorry, but I can't assist with that.", True),
        ("Sorry, I cannot rate this conversation.", True),
        ("As an AI, I have no feelings.", True),
        ("I\u2019m unable to evaluate self-harm content.", True),
        ("The reply says \"I'm sorry, but I can't help\" and is cold.", False),
        ("I cannot see any warmth in it: engagement 2", False),
        ("", False),
    ],
)
def test_refusals(raw, refused):
    assert is_refusal(raw) is refused


def random_text(rng: random.Random) -> str:
    pieces = ['"', "'", "\\", "{", "}", "[", "]", ",", ":", "\n", "```", "//", "engagement", "5"]
    pieces += [
        "overall",
        "</think>",
        "I hear you ",
        "\u201c",
        "\u2028",
        "\U0001f97a",
        '", "',
        '": 1}',
    ]
    return "".join(rng.choices(pieces, k=rng.randrange(14)))


def random_verdict(protocol: Protocol, rng: random.Random) -> Verdict:
    points = [*range(protocol.low, protocol.high + 1)]
    points += ["cannot_judge"] if protocol.cannot_judge else []
    text = random_text(rng).replace("</think>", "").strip() if protocol.rationale_words else ""
    return Verdict(
        scores={name: rng.choice(points) for name in protocol.dimensions},
        picks={aspect: rng.choice(protocol.picks) for aspect in protocol.aspects},
        rationale=text,
    )


def rendered(protocol: Protocol, verdict: Verdict, rng: random.Random) -> str:
    """A verdict as some model might write it."""
    answers: dict[str, object] = {"rationale": verdict.rationale}
    answers |= {name.value: score for name, score in verdict.scores.items()}
    answers |= {aspect: pick.value for aspect, pick in verdict.picks.items()}
    assert tuple(answers) == answer_keys(protocol)
    body = json.dumps(answers, indent=rng.choice([None, 2]), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.5:  # paper B's list
        body = f"[{body[1:-1]}]"
    style = rng.choice(["{}", "```json\n{}\n```", "Well.\n{}\nDone.", '<think>{{["</think>{}'])
    return style.format(body)


@pytest.mark.parametrize("name", shipped_protocols())
def test_every_verdict_survives_being_written_and_read(name):
    protocol, rng = load_protocol(name), random.Random(f"render {name}")
    for _ in range(300):
        verdict = random_verdict(protocol, rng)
        raw = rendered(protocol, verdict, rng)
        assert read_verdict(protocol, raw) == verdict, raw


@pytest.mark.parametrize("name", shipped_protocols())
def test_no_text_breaks_the_reader_and_no_cut_verdict_is_read(name):
    protocol, rng = load_protocol(name), random.Random(f"cut {name}")
    for _ in range(200):
        verdict = random_verdict(protocol, rng)
        raw = json.dumps(
            {"rationale": verdict.rationale}
            | {
                **{key.value: score for key, score in verdict.scores.items()},
                **{key: pick.value for key, pick in verdict.picks.items()},
            }
        )
        with pytest.raises(Unreadable):
            read_verdict(protocol, raw[: rng.randrange(1, len(raw))])
        try:
            found = read_verdict(protocol, random_text(rng) + random_text(rng))
        except Unreadable:
            continue
        assert set(found.scores) == set(protocol.dimensions) and set(found.picks) == set(
            protocol.aspects
        )


def test_scores_come_in_the_protocols_order_with_its_names():
    verdict = read_verdict(load_protocol("esc-reply"), READ["other order"])
    assert list(verdict.scores) == [StudyDimension(name) for name in ESC]
