"""NLPCC 2025 Task 8, its test file included."""

import pytest

from esc_demo.dialogue import Role
from esc_demo.errors import BadInput
from finetune.data import DataFormat, load

CHARACTER = {
    "Name": "Ana",
    "Sex": "Female",
    "Age": 31,
    "Hobby": ["chess", "running"],
    "Education Background": "Bachelor",
    "emotion_type": "anxiety",
    "problem_type": "job crisis",
    "situation": "Her firm is closing.",
}


def dialog(replies=True, turns=20):
    return [
        ("seeker:" if index % 2 == 0 else "supporter:")
        + (f" words {index}" if replies or index % 2 == 0 else "")
        for index in range(turns)
    ]


def item(whole_dialog=None, character=CHARACTER):
    return {"whole_dialog": whole_dialog or dialog(), "character": character}


def test_the_schema(write):
    data = load(write({"1201": item(), "7": item(["seeker:a", *dialog()[1:]])}))
    first = data.dialogues[0]
    assert data.format is DataFormat.NLPCC
    assert [dialogue.id for dialogue in data.dialogues] == ["1201", "7"]
    assert (first.turns[0].role, first.turns[0].text) == (Role.SEEKER, "words 0")
    assert (first.turns[19].role, first.turns[19].text) == (Role.SUPPORTER, "words 19")
    assert (first.scene, first.situation) == ("job crisis", "Her firm is closing.")
    assert first.profile.lines() == [
        "Name: Ana",
        "Sex: Female",
        "Age: 31",
        "Hobby: chess, running",
        "Education background: Bachelor",
        "Emotion type: anxiety",
        "Problem type: job crisis",
        "Situation: Her firm is closing.",
    ]
    assert not data.problems


def test_a_colon_in_the_text_stays(write):
    data = load(write({"1": item(["seeker: I said: seeker: no", *dialog()[1:]])}))
    assert data.dialogues[0].turns[0].text == "I said: seeker: no"


def test_the_test_file_is_refused_for_training(write):
    path = write({"1": item(dialog(replies=False))})
    with pytest.raises(BadInput, match=r"test file.*nothing in it to train on"):
        load(path)


def test_the_test_file_is_read_when_empty_replies_are_allowed(write):
    data = load(write({"1": item(dialog(replies=False))}), allow_empty_replies=True)
    turns = data.dialogues[0].turns
    assert [turn.text for turn in turns[:4]] == ["words 0", "", "words 2", ""]
    assert len(turns) == 20


def test_some_empty_replies_are_never_right(write):
    path = write({"1": item(), "2": item([*dialog()[:19], "supporter:"])})
    for allow in (False, True):
        with pytest.raises(BadInput, match="dialogue 2, utterance 19: expected a non-empty"):
            load(path, allow_empty_replies=allow)


def test_other_lengths_and_orders_are_reported(write):
    data = load(write({"1": item(["seeker: a", "seeker: b", "supporter: c"])}))
    assert [problem.what.split(";")[0] for problem in data.problems] == [
        "3 turns",
        "one speaker twice in a row",
    ]


def test_a_missing_or_wider_character_is_reported(write):
    wider = CHARACTER | {"Star sign": "Leo"}
    other = item(["seeker: z", *dialog()[1:]], wider)
    data = load(write({"1": {"whole_dialog": dialog()}, "2": other}))
    assert [(p.where, p.what) for p in data.problems] == [
        ("dialogue 1", "no 'character'"),
        ("dialogue 2", "unknown key 'Star sign' in 'character', not read"),
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (item(["seeker: a", "b"]), "dialogue 2, utterance 1: expected 'seeker:...' or"),
        (item(["seeker: a", 5]), "dialogue 2, utterance 1: .* found the value 5"),
        (item(["seeker:", "supporter: a"]), "dialogue 2, utterance 0: expected a non-empty"),
        (item(["seeker: a"]), "dialogue 2: no supporter turn"),
        (item(character=CHARACTER | {"Age": {}}), "dialogue 2: expected a text under 'Age'"),
        ({"dialog": []}, "dialogue 2: expected an array under 'whole_dialog'"),
    ],
)
def test_a_wrong_dialogue_is_refused_with_its_place(write, value, said):
    with pytest.raises(BadInput, match=said):
        load(write({"1": item(), "2": value}))


def test_one_key_twice_is_refused_rather_than_half_read(write):
    with pytest.raises(BadInput, match="'7' occurs twice"):
        load(write('{"7": {"whole_dialog": []}, "7": {"whole_dialog": []}}'))
