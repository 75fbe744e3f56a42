"""The project's own dialogues: enough, varied, well formed, and held out cleanly."""

import json
from collections import Counter
from itertools import pairwise

import pytest

from esc_demo.dialogue import Role
from esc_demo.errors import BadInput
from esc_demo.settings import PROJECT_ROOT
from finetune.data import load_extes

CORPUS = PROJECT_ROOT / "finetune" / "corpus"
STRATEGIES = {
    "Reflective Statements",
    "Clarification",
    "Emotional Validation",
    "Empathetic Statements",
    "Affirmation",
    "Offer Hope",
    "Avoid Judgment And Criticism",
    "Suggest Options",
    "Collaborative Planning",
    "Provide Different Perspectives",
    "Reframe Negative Thoughts",
    "Share Information",
    "Normalize Experiences",
    "Promote Self-Care Practices",
    "Stress Management",
    "Others",
}


@pytest.fixture(scope="module")
def train():
    return load_extes(CORPUS / "train.json")


@pytest.fixture(scope="module")
def additions():
    return load_extes(CORPUS / "additions.json")


@pytest.fixture(scope="module")
def heldout():
    return load_extes(CORPUS / "heldout.json")


def words(dialogue):
    return [turn.text.lower().split() for turn in dialogue.turns]


def test_there_are_at_least_sixty_and_they_alternate(train, heldout):
    dialogues = [*train, *heldout]
    assert len(dialogues) >= 60
    for dialogue in dialogues:
        assert dialogue.turns[0].role is Role.SEEKER, dialogue.scene
        assert all(a.role is not b.role for a, b in pairwise(dialogue.turns)), dialogue.scene
        assert len(dialogue.turns) >= 10, dialogue.scene


def test_every_strategy_occurs_and_no_other(train, heldout):
    found = Counter(
        turn.strategy
        for dialogue in [*train, *heldout]
        for turn in dialogue.turns
        if turn.role is Role.SUPPORTER
    )
    assert set(found) == STRATEGIES


def test_the_held_out_part_shares_no_dialogue_with_the_training_part(train, heldout):
    assert not {d.turns for d in train} & {d.turns for d in heldout}
    assert len(heldout) >= 10


def test_no_two_are_alike(train, heldout, additions):
    dialogues = [*train, *heldout, *additions]
    openings = {" ".join(words(dialogue)[0]) for dialogue in dialogues}
    assert len(openings) == len(dialogues)
    owners = {}
    for index, dialogue in enumerate(dialogues):
        for utterance in words(dialogue):
            for start in range(len(utterance) - 7):
                owners.setdefault(tuple(utterance[start : start + 8]), set()).add(index)
    shared = {gram: where for gram, where in owners.items() if len(where) > 1}
    assert not shared


def test_many_scenarios(train, heldout, additions):
    assert len({dialogue.scene for dialogue in [*train, *heldout]}) >= 30
    assert len({dialogue.scene for dialogue in [*train, *heldout, *additions]}) == 36


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "JSON"),
        ("[]", "array"),
        ('[{"scene": "x"}]', "dialogue 0"),
        ('[{"content": [{"User": "hi"}, {"AI": ""}]}]', "dialogue 0, utterance 1"),
        ('[{"content": []}]', "empty"),
    ],
)
def test_a_wrong_file_names_the_place(tmp_path, content, said):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=said):
        load_extes(path)


def test_strategy_keys_of_extes_are_all_read(tmp_path):
    content = [{"AI Strategy": "A", "AI": "x"}, {"AI strategy": "B", "AI": "y"}, {"AI": "z"}]
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"scene": "s", "description": "d", "content": content}]))
    turns = load_extes(path)[0].turns
    assert [turn.strategy for turn in turns] == ["A", "B", None]
