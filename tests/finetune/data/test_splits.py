"""Parts of whole dialogues, never sharing one."""

import shutil
from collections import Counter

import pytest

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput
from finetune.data import (
    Split,
    SplitKind,
    check_disjoint,
    load_parts,
    split_esconv,
    split_extes,
    split_nlpcc,
    train_on_validation,
)
from finetune.recipes import DataRecipe


def dialogue(text, scene="s", id_=""):
    return Dialogue((Turn(Role.SEEKER, text), Turn(Role.SUPPORTER, "b")), scene, id=id_ or text)


def some(count, scenes=1):
    return [dialogue(f"d{index}", f"scene {index % scenes}") for index in range(count)]


def ids(dialogues):
    return [one.id for one in dialogues]


def test_extes_is_divided_80_to_20_within_every_scene():
    split = split_extes(some(100, scenes=4), seed=1)
    assert (len(split.train), len(split.validation), len(split.test)) == (80, 0, 20)
    assert set(Counter(d.scene for d in split.test).values()) == {5}
    assert sorted(ids(split.train + split.test)) == sorted(ids(some(100)))


def test_the_extes_division_is_that_of_stratified_shuffle_split():
    from sklearn.model_selection import StratifiedShuffleSplit

    whole = some(60, scenes=3)
    scenes = [one.scene for one in whole]
    drawn = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=5)
    _, test = next(drawn.split(scenes, scenes))
    assert ids(split_extes(whole, seed=5).test) == [whole[index].id for index in sorted(test)]


def test_a_seed_gives_one_division_and_another_seed_another():
    whole = some(100, scenes=4)
    assert split_extes(whole, 1) == split_extes(whole, 1)
    assert split_extes(whole, 1).hashes["split"] != split_extes(whole, 2).hashes["split"]
    assert split_nlpcc(whole, 1) == split_nlpcc(whole, 1)
    assert split_nlpcc(whole, 1).hashes["split"] != split_nlpcc(whole, 2).hashes["split"]


def test_a_scene_with_one_dialogue_goes_to_training():
    alone = dialogue("alone", "rare")
    for seed in range(5):
        assert alone in split_extes([alone, *some(20, scenes=2)], seed).train


def test_extes_takes_a_validation_part_from_training_only_when_asked():
    whole = some(100, scenes=4)
    asked = split_extes(whole, 1, validation_share=0.1)
    assert (len(asked.train), len(asked.validation), len(asked.test)) == (72, 8, 20)
    assert asked.test == split_extes(whole, 1).test


def test_copies_stay_together():
    whole = some(40, scenes=2)
    copies = [dialogue(one.turns[0].text, one.scene, f"copy-{one.id}") for one in whole]
    for split in (split_extes(whole + copies, 3), split_nlpcc(whole + copies, 3)):
        for part in split.parts.values():
            own = {name for name in ids(part) if not name.startswith("copy-")}
            assert {f"copy-{name}" for name in own} == set(ids(part)) - own


def test_nlpcc_is_divided_8_to_1_to_1():
    split = split_nlpcc(some(50), seed=2)
    assert (len(split.train), len(split.validation), len(split.test)) == (40, 5, 5)
    assert sorted(ids(split.train + split.validation + split.test)) == sorted(ids(some(50)))
    small = split_nlpcc(some(3))
    assert (len(small.train), len(small.validation), len(small.test)) == (1, 1, 1)


@pytest.mark.parametrize("divide", [split_extes, split_nlpcc])
def test_one_dialogue_cannot_be_split(divide):
    with pytest.raises(BadInput, match="1 dialogue cannot be split"):
        divide(some(1))


def test_too_few_dialogues_are_refused_in_words():
    with pytest.raises(BadInput, match="2 different dialogues"):
        split_nlpcc(some(2))
    with pytest.raises(BadInput, match=r"8 dialogues of 4 scenes .* too few"):
        split_extes(some(8, scenes=4))
    with pytest.raises(BadInput, match="too few"):
        split_extes(some(4, scenes=4))
    with pytest.raises(BadInput, match="'d0' has no scene"):
        split_extes([dialogue("d0", ""), dialogue("d1")])


def test_parts_that_share_a_dialogue_are_refused_by_content():
    leak = dialogue("  D1 ", id_="renamed")
    with pytest.raises(BadInput, match=r"'d1' in train and 'renamed' in test say the same"):
        check_disjoint({"train": some(3), "validation": [], "test": [leak]})
    with pytest.raises(BadInput, match="share a dialogue"):
        Split(tuple(some(3)), (), (leak,), SplitKind.FILES)


def test_parts_that_share_an_id_are_refused():
    with pytest.raises(BadInput, match="'d1' occurs in the parts train and test"):
        check_disjoint({"train": some(3), "test": [dialogue("other", id_="d1")]})


def test_training_on_validation_moves_the_part():
    split = split_nlpcc(some(50))
    both = train_on_validation(split)
    assert both.train == split.train + split.validation
    assert both.validation == ()
    assert both.test == split.test
    with pytest.raises(BadInput, match="no validation part"):
        train_on_validation(both)


def test_the_official_split_of_esconv(esconv):
    split = split_esconv(esconv)
    assert [len(part) for part in split.parts.values()] == [910, 195, 195]
    assert split.seed is None
    assert len(set(split.hashes.values())) == 4


def test_a_leak_between_the_official_files_is_found(esconv, tmp_path):
    for name in ("train", "valid", "test"):
        shutil.copyfile(esconv / f"{name}.jsonl", tmp_path / f"{name}.jsonl")
    leaked = (esconv / "test.jsonl").read_text("utf-8").splitlines()[17]
    with (tmp_path / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(leaked + "\n")
    with pytest.raises(BadInput, match=r"'esconv-train-910' in train and 'esconv-test-17' in test"):
        split_esconv(tmp_path)


def test_one_file_has_no_official_split(tmp_path):
    (tmp_path / "ESConv.json").write_text("[]")
    with pytest.raises(BadInput, match="no official split"):
        split_esconv(tmp_path / "ESConv.json")
    with pytest.raises(BadInput, match=r"has no train\.jsonl and no valid\.jsonl and no test"):
        split_esconv(tmp_path)


def own(*texts):
    """Lines of people's own data."""
    return [
        {"scene": "s", "turns": [{"role": "seeker", "text": t}, {"role": "supporter", "text": "b"}]}
        for t in texts
    ]


def test_parts_from_files(write, tmp_path):
    write(own("a", "b"), "train.jsonl", lines=True)
    write(own("c"), "heldout.jsonl", lines=True)
    parts = load_parts(DataRecipe(train="train.jsonl", heldout="heldout.jsonl"), tmp_path)
    assert ids(parts.train) == ["jsonl-train-00000", "jsonl-train-00001"]
    assert ids(parts.heldout) == ["jsonl-heldout-00000"]
    assert parts.validation == ()
    assert [data.name for data in parts.sources] == ["train.jsonl", "heldout.jsonl"]


def test_a_leak_between_files_is_refused(write, tmp_path):
    write(own("a", "b"), "train.jsonl", lines=True)
    write(own("B"), "heldout.jsonl", lines=True)
    with pytest.raises(BadInput, match=r"jsonl-train-00001.*jsonl-heldout-00000"):
        load_parts(DataRecipe(train="train.jsonl", heldout="heldout.jsonl"), tmp_path)


@pytest.mark.parametrize(
    ("kind", "sizes"), [(SplitKind.EXTES, [16, 0, 4]), (SplitKind.NLPCC, [16, 2, 2])]
)
def test_parts_from_one_file(write, tmp_path, kind, sizes):
    write(own(*(f"t{index}" for index in range(20))), "all.jsonl", lines=True)
    recipe = DataRecipe(train="all.jsonl", split=kind, split_seed=3)
    parts = load_parts(recipe, tmp_path)
    assert [len(parts.train), len(parts.validation), len(parts.heldout)] == sizes
    assert parts.content_hash == load_parts(recipe, tmp_path).content_hash
    other = load_parts(recipe.model_copy(update={"split_seed": 4}), tmp_path)
    assert parts.content_hash != other.content_hash


def test_parts_of_esconv_and_training_on_its_validation(esconv):
    recipe = DataRecipe(train=esconv.name, split=SplitKind.ESCONV, train_on_validation=True)
    parts = load_parts(recipe, esconv.parent)
    assert [len(parts.train), len(parts.validation), len(parts.heldout)] == [1105, 0, 195]
    assert len(parts.sources) == 3


def test_training_on_a_validation_part_that_is_not_there(write, tmp_path):
    write(own(*(f"t{index}" for index in range(20))), "all.jsonl", lines=True)
    recipe = DataRecipe(train="all.jsonl", split=SplitKind.EXTES, train_on_validation=True)
    with pytest.raises(BadInput, match="extes has no validation part"):
        load_parts(recipe, tmp_path)
