"""Slices: which items belong where, and that their scores are those of the items alone."""

import pytest

from finetune.metrics.pairs import Pair
from finetune.metrics.profiles import ProfileName
from finetune.metrics.scores import score
from finetune.metrics.slices import UNLABELLED, make_slices, stage


def record(item, items=6, **labels):
    plain = {"emotion": "", "problem": "", "scene": "", "strategy": None}
    return {"item": item, "items": items, **plain, **labels}


@pytest.mark.parametrize(
    ("items", "expected"),
    [(1, "f"), (2, "fm"), (3, "fml"), (6, "ffmmll"), (7, "fffmmll")],
)
def test_thirds_of_a_dialogue(items, expected):
    assert "".join(stage(record(item, items))[0] for item in range(items)) == expected


@pytest.fixture
def system(bare):
    pairs = [
        Pair("that is hard" if number < 4 else "no", "that is hard", f"d{number % 3}")
        for number in range(6)
    ]
    return pairs, score(pairs, ProfileName.ESCONV, resources=bare)


def test_a_slice_scores_as_its_items_alone_do(system, bare):
    pairs, scores = system
    records = [
        record(number, emotion=["Anger", " anger", "", "fear", "anger", "fear"][number])
        for number in range(6)
    ]
    slices = make_slices([("a", scores), ("b", scores)], records, replicates=100)
    by = {(one.by, one.value): one for one in slices}
    assert list(by) == [
        *(("emotion", value) for value in ("anger", "fear", UNLABELLED)),
        *(("stage", value) for value in ("first third", "middle third", "last third")),
    ]  # all items are alike in problem, scenario and strategy
    anger = by["emotion", "anger"]
    assert (anger.n, anger.dialogues) == (3, 2)
    assert [row.label for row in anger.rows] == ["a", "b"]
    alone = score([pairs[0], pairs[1], pairs[4]], ProfileName.ESCONV, resources=bare)
    for name, value in anger.rows[0].values.items():
        assert value == pytest.approx(alone.values[name]), name
    assert anger.rows[0].values["ROUGE-L"] == pytest.approx(200 / 3)
    ends = anger.rows[0].intervals["ROUGE-L"]
    assert ends.low < ends.value < ends.high
    assert not by["emotion", UNLABELLED].rows[0].intervals  # a single dialogue
    assert not any(name.startswith("Distinct") for name in anger.rows[0].values)


def test_the_sizes_of_a_dimension_add_up(system):
    _, scores = system
    records = [record(number, strategy="Question" if number else None) for number in range(6)]
    slices = make_slices([("a", scores)], records, replicates=100)
    assert {one.by for one in slices} == {"strategy", "stage"}
    for by in ("strategy", "stage"):
        assert sum(one.n for one in slices if one.by == by) == 6


def test_labels_that_part_the_items_alike_are_one_dimension(system):
    _, scores = system
    names = ["Job", "Job", "Home", "Home", "Home", "Job"]
    records = [record(0, problem=name, scene=f"{name} crisis") for name in names]
    slices = make_slices([("a", scores)], records, replicates=100)
    assert [(one.by, one.value, one.n) for one in slices] == [
        ("problem", "home", 3),
        ("problem", "job", 3),
    ]
