"""People's own data, one dialogue a line."""

import pytest

from esc_demo.dialogue import Role, Turn
from esc_demo.errors import BadInput
from finetune.data import DataFormat, load

TURNS = [
    {"role": "seeker", "text": " I cannot sleep. "},
    {"role": "supporter", "text": "Since when?", "strategy": "question"},
]


def test_everything_that_can_be_said(write):
    whole = {
        "id": "night-1",
        "scene": "Sleep",
        "situation": "Lies awake.",
        "profile": {"name": "Ana", "education_background": "PhD"},
        "turns": TURNS,
    }
    data = load(write([whole], lines=True))
    dialogue = data.dialogues[0]
    assert data.format is DataFormat.JSONL
    assert (dialogue.id, dialogue.scene, dialogue.situation) == ("night-1", "Sleep", "Lies awake.")
    assert dialogue.turns == (
        Turn(Role.SEEKER, "I cannot sleep."),
        Turn(Role.SUPPORTER, "Since when?", "Question"),
    )
    assert dialogue.profile.name == "Ana"
    assert dialogue.profile.situation == "Lies awake."


def test_only_turns_are_needed(write):
    made = [{"turns": TURNS}, {"turns": [TURNS[0], *TURNS]}]
    data = load(write(made, "My Own.jsonl", lines=True))
    assert [dialogue.id for dialogue in data.dialogues] == [
        "jsonl-my-own-00000",
        "jsonl-my-own-00001",
    ]
    assert data.dialogues[0].profile.lines() == []


def test_blank_lines_and_line_separators_inside_a_text_are_no_dialogues(write):
    # U+2028 unescaped: str.splitlines would cut the record there.
    text = '{"turns": [{"role": "seeker", "text": "a\u2028b"}, {"role": "supporter", "text": "c"}]}'
    other = text.replace('"c"', '"d"')
    data = load(write(f"{text}\n\n{other}\n", "x.jsonl"))
    assert [dialogue.turns[0].text for dialogue in data.dialogues] == ["a\u2028b"] * 2


def test_strategies_of_both_label_sets_are_known(write):
    turns = [TURNS[0], *({**TURNS[1], "strategy": s} for s in ("Information", "Offer Hope", "Hug"))]
    data = load(write([{"turns": turns}], lines=True))
    assert [problem.where for problem in data.problems] == ["dialogue 0, utterance 3"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"turns": TURNS, "scen": "x"}, "dialogue 1: scen: unknown key"),
        ({"turns": [{**TURNS[0], "txt": "x"}]}, "dialogue 1, utterance 0: txt: unknown key"),
        ({"turns": TURNS, "profile": {"agee": "3"}}, "dialogue 1: profile: unknown key 'agee'"),
        ({"turns": TURNS, "profile": {"age": 3}}, "dialogue 1: profile.age: .*the value 3"),
        ({"turns": [{"role": "user", "text": "x"}]}, "utterance 0: role: .*'user'"),
        ({"turns": [{"role": "seeker"}]}, "dialogue 1, utterance 0: text: is missing"),
        ({"turns": [TURNS[0], {**TURNS[1], "text": "\n"}]}, "utterance 1: expected a non-empty"),
        ({"turns": [{**TURNS[0], "strategy": "Question"}]}, "a seeker's turn has no strategy"),
        ({"turns": TURNS[:1]}, "dialogue 1: no supporter turn"),
        ({"turns": []}, "dialogue 1: the dialogue is empty"),
        ({"turns": TURNS, "id": "  "}, "dialogue 1: id: "),
        ({"dialog": []}, "dialogue 1: expected an array under 'turns'"),
        ("x", "dialogue 1: expected an object"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(write, value, said):
    with pytest.raises(BadInput, match=said):
        load(write([{"turns": TURNS}, value], lines=True))


def test_two_dialogues_of_one_id_are_refused(write):
    path = write([{"id": "a", "turns": TURNS}, {"id": "a", "turns": TURNS[::-1]}], lines=True)
    with pytest.raises(BadInput, match="dialogue 1: the id 'a' is already that of dialogue 0"):
        load(path)


def test_an_array_is_not_one_dialogue_a_line(write):
    with pytest.raises(BadInput, match="expected one dialogue a line, found a JSON array"):
        load(write([{"turns": TURNS}]))
