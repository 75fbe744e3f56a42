"""Which replies are asked for, what stands before them, and in which order."""

import pytest

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput
from finetune.data import load
from finetune.generate.items import Mode, chains, item_seed, items_of
from tests.finetune.generate.conftest import REPLIES


@pytest.fixture
def items(data):
    return items_of(load(data).dialogues, Mode.FORCED)


def test_every_answer_to_a_seeker_is_one_item_and_adjacent_turns_are_one(items):
    first = items[0]
    assert len(items) == REPLIES
    assert [item.key for item in items[:3]] == [("short", 0), ("talk-0", 0), ("talk-0", 1)]
    assert first.of == 1  # neither the greeting nor the seeker's last words are answers
    assert first.reference == "That is hard.\nWhat keeps you awake?"
    assert first.strategy == "Question" and first.scene == "Sleep"
    assert [turn.role.value for turn in first.turns] == ["supporter", "seeker"]
    assert first.turns[-1].text == "I cannot sleep.\nNot since we moved."
    assert first.profile.situation == "Lies awake since the move."
    assert all(item.turns[-1].role is Role.SEEKER for item in items)


def test_own_replies_stand_where_the_references_were(items):
    last = items[-1]
    own = ["one", "", "three", "four"]
    texts = [turn.text for turn in last.history(own)]
    assert [text for text in texts if text in own] == ["one", "three", "four"]
    assert "Gold" not in " ".join(texts)
    assert [t for t in texts if t.startswith("I am")] == [
        turn.text for turn in last.turns if turn.role is Role.SEEKER
    ]
    assert last.history() == last.turns


def test_a_seed_belongs_to_an_item_and_to_nothing_else(items):
    seeds = [item_seed(7, item.key) for item in items]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [item_seed(7, item.key) for item in items]
    assert not set(seeds) & {item_seed(8, item.key) for item in items}


def test_the_longest_dialogues_come_first_and_each_from_its_beginning(items):
    forced, auto = chains(items, Mode.FORCED), chains(items, Mode.AUTO)
    order = [chain[0].key.dialogue for chain in auto]
    assert order == ["talk-3", "talk-2", "talk-1", "short", "talk-0"]
    assert forced == [(item,) for chain in auto for item in chain]
    assert [item.key.number for item in auto[0]] == [0, 1, 2, 3, 4]


def test_data_without_answers_is_refused(task_8):
    alone = Dialogue((Turn(Role.SUPPORTER, "Hello?"), Turn(Role.SEEKER, "Hi.")), id="a")
    with pytest.raises(BadInput, match="no reply to write"):
        items_of([alone], Mode.FORCED)
    test_form = load(task_8, allow_empty_replies=True).dialogues
    with pytest.raises(BadInput, match="--mode auto"):
        items_of(test_form, Mode.FORCED)
    assert len(items_of(test_form, Mode.AUTO)) == 10
