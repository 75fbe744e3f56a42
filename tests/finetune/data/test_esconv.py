"""ESConv in both of its layouts."""

import pytest

from esc_demo.dialogue import Role
from esc_demo.errors import BadInput
from finetune.data import DataFormat, load


def line(*dialog, **changes):
    """One dialogue of a split file: numbers are strings."""
    return {
        "experience_type": "Current Experience",
        "emotion_type": "Anxiety",
        "problem_type": "job crisis",
        "situation": "I may lose  my job.",
        "survey_score": {"seeker": {"initial_emotion_intensity": "3"}, "supporter": {}},
        "dialog": list(dialog) or [usr("hi"), sys("hello", "Question")],
        "seeker_question1": "",
    } | changes


def usr(text):
    return {"text": text, "speaker": "usr"}


def sys(text, strategy=None):
    return {"text": text, "speaker": "sys"} | ({"strategy": strategy} if strategy else {})


def test_the_split_layout(write):
    data = load(write([line(), line(usr("a"), sys("b"))], "test.jsonl", lines=True))
    first = data.dialogues[0]
    assert data.format is DataFormat.ESCONV
    assert [d.id for d in data.dialogues] == ["esconv-test-0", "esconv-test-1"]
    assert [(t.role, t.text, t.strategy) for t in first.turns] == [
        (Role.SEEKER, "hi", None),
        (Role.SUPPORTER, "hello", "Question"),
    ]
    assert (first.scene, first.situation) == ("job crisis", "I may lose my job.")
    assert first.profile.lines() == [
        "Emotion type: anxiety",
        "Problem type: job crisis",
        "Situation: I may lose my job.",
    ]
    assert not data.problems


def test_one_line_alone_is_a_dialogue(write):
    assert len(load(write([line()], lines=True)).dialogues) == 1


def test_the_original_layout_reads_to_the_same_turns(write):
    original = line() | {
        "dialog": [
            {"speaker": "seeker", "annotation": {"feedback": "4"}, "content": "hi\n"},
            {"speaker": "seeker", "annotation": {}, "content": "there"},
            {"speaker": "supporter", "annotation": {"strategy": "Question"}, "content": "hello\n"},
        ]
    }
    data = load(write([original], "ESConv.json"))
    split = load(write([line(usr("hi"), usr("there"), sys("hello", "Question"))], lines=True))
    assert data.dialogues[0].turns == split.dialogues[0].turns
    assert data.dialogues[0].id == "esconv-0"


def test_turns_are_not_merged_and_words_not_altered(write):
    turns = load(write([line(sys("  Good  day \n"), usr("a"), usr("b"))])).dialogues[0].turns
    assert [turn.text for turn in turns] == ["Good  day", "a", "b"]


def test_the_case_of_problem_types_is_evened_out_and_reported(write):
    data = load(write([line(problem_type="Sleep Problems"), line(problem_type="sleep problems")]))
    assert {dialogue.scene for dialogue in data.dialogues} == {"sleep problems"}
    assert [(p.where, p.fixed) for p in data.problems][:1] == [("dialogue 0", True)]
    assert "Sleep Problems" in data.problems[0].what


def test_unknown_labels_are_reported_and_kept(write):
    data = load(write([line(usr("a"), sys("b", "Hugging"), problem_type="debts")]))
    assert data.dialogues[0].turns[1].strategy == "Hugging"
    assert data.dialogues[0].scene == "debts"
    assert [(p.where, p.fixed) for p in data.problems] == [
        ("dialogue 0, utterance 1", False),
        ("dialogue 0", False),
    ]


def test_strategies_are_written_in_one_way(write):
    data = load(write([line(usr("a"), sys("b", "affirmation & reassurance"))]))
    assert data.dialogues[0].turns[1].strategy == "Affirmation and Reassurance"
    assert data.problems[0].fixed


def test_a_strategy_of_the_seeker_is_not_read(write):
    data = load(write([line(usr("a") | {"strategy": "Question"}, sys("b"))]))
    assert data.dialogues[0].turns[0].strategy is None
    assert "seeker" in data.problems[0].what


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (line(usr("a"), {"text": "b", "speaker": "bot"}), "utterance 1: 'speaker' .*'bot'"),
        (line(usr("a"), {"text": "b"}), "utterance 1: 'speaker' .* nothing"),
        (line(usr("a"), sys(" ")), "utterance 1: expected a non-empty text, found an empty text"),
        (line(usr("a"), {"speaker": "sys"}), "utterance 1: .* found nothing"),
        (line(usr("a"), "b"), "utterance 1: expected an object, found the text 'b'"),
        (line(usr("a"), usr("b")), "no supporter turn among 2"),
        (line(sys("a")), "no seeker turn among 1"),
        (line() | {"dialog": []}, "the dialogue is empty"),
        (line() | {"dialog": {}}, "expected an array under 'dialog'"),
        (3, "expected an object with 'dialog', found the value 3"),
    ],
)
def test_a_wrong_dialogue_is_refused_with_its_place(write, item, said):
    with pytest.raises(BadInput, match=rf"x\.json, dialogue 1\b.*{said}"):
        load(write([line(), item]))


def test_a_refusal_counts_the_others(write):
    with pytest.raises(BadInput, match=r"dialogue 0.*\(2 more dialogues cannot"):
        load(write([line(usr("a"))] * 3 + [line()]))


@pytest.mark.parametrize(
    ("name", "dialogues", "utterances", "pairs", "opened"),
    [
        ("train", 910, 26_648, 5_475, 488),
        ("valid", 195, 5_678, 1_211, 101),
        ("test", 195, 6_039, 1_287, 94),
    ],
)
def test_the_real_files(esconv, name, dialogues, utterances, pairs, opened):
    from finetune.data.check import summarise

    data = load(esconv / f"{name}.jsonl")
    report = summarise(data)
    assert (report.dialogues, report.utterances) == (dialogues, utterances)
    assert (report.same_speaker_pairs, report.opened_by_supporter) == (pairs, opened)
    assert len(report.strategies) == 8
    assert all(problem.fixed for problem in data.problems)
    assert len({dialogue.id for dialogue in data.dialogues}) == dialogues
