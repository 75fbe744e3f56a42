"""Files of pairs: what is read, what is skipped and named, and what is refused."""

import json

import pytest

from esc_demo.errors import BadInput
from finetune.metrics.pairs import Pair, dialogue_keys, make_pairs, read_pairs
from finetune.metrics.profiles import ProfileName
from finetune.metrics.scores import score


def write(path, *lines):
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def test_lines_are_read_with_further_keys(tmp_path):
    line = {"hypothesis": "a\u2028b", "reference": "c", "dialogue": 7, "seed": 1, "context": "x"}
    found = read_pairs(write(tmp_path / "p.jsonl", json.dumps(line, ensure_ascii=False), ""))
    assert found.pairs == (Pair("a\u2028b", "c", "7", "x"),)
    assert found.skipped == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ('{"hypothesis": "a"}', "'reference' is missing"),
        ('{"hypothesis": 3, "reference": "b"}', "'hypothesis' is not a text but int"),
        ('{"hypothesis": "a", "reference": " "}', "reference is empty"),
        ('{"hypothesis": "a", "reference": "b", "dialogue": [1]}', "'dialogue' is not"),
    ],
)
def test_a_corrupted_line_is_named_and_skipped(tmp_path, line, said):
    good = '{"hypothesis": "a", "reference": "b"}'
    path = write(tmp_path / "p.jsonl", good, line, good)
    found = read_pairs(path)
    assert len(found.pairs) == 2
    assert [skipped.number for skipped in found.skipped] == [2]
    assert said in found.skipped[0].why
    with pytest.raises(BadInput, match="line 2: ") as caught:
        read_pairs(path, strict=True)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds no pair"), (b"{\n", "Line 1: not valid"), (b"\xff{", "not UTF-8")],
)
def test_a_file_without_pairs(tmp_path, content, said):
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read_pairs(path)
    with pytest.raises(BadInput, match="Cannot read"):
        read_pairs(tmp_path / "none.jsonl")


def test_mismatched_counts_are_refused():
    with pytest.raises(BadInput, match="2 hypotheses, 1 references"):
        make_pairs(["a", "b"], ["c"])
    with pytest.raises(BadInput, match="3 dialogue ids"):
        make_pairs(["a"], ["c"], ["d", "e", "f"])
    with pytest.raises(BadInput, match="One text"):
        make_pairs("ab", ["c", "d"])
    assert make_pairs(["a"], ["b"], ["d"]) == (Pair("a", "b", "d"),)


def test_all_pairs_have_a_dialogue_or_none():
    assert dialogue_keys([Pair("a", "b"), Pair("a", "b")]) == ("pair 0", "pair 1")
    with pytest.raises(BadInput, match="1 of 2 pairs name no dialogue"):
        dialogue_keys([Pair("a", "b", "d"), Pair("a", "b")])


@pytest.mark.parametrize("profile", list(ProfileName))
def test_empty_hypotheses_count_and_score_nothing(bare, profile):
    half = score(make_pairs(["so it is", " "], ["so it is"] * 2), profile, resources=bare)
    assert half.header.empty == 1
    assert half.values["ROUGE-L"] == pytest.approx(50)
    silent = score(make_pairs(["", ""], ["so it is"] * 2), profile, resources=bare)
    assert set(silent.values.values()) == {0.0}
    assert silent.header.empty == silent.header.pairs == 2


def test_the_prefix_of_nlpcc_is_no_part_of_a_reply(bare):
    with_prefix = score(
        [Pair("supporter: yes", "supporter:yes")], ProfileName.NLPCC2025, resources=bare
    )
    assert with_prefix.values["ROUGE-L"] == 100


def test_what_cannot_be_scored(bare):
    with pytest.raises(BadInput, match="nothing to score"):
        score([], ProfileName.ESCONV, resources=bare)
    with pytest.raises(BadInput, match="percentage"):
        score([Pair("a", "b")], ProfileName.NLPCC2025, resources=bare, g_score=450)
    with pytest.raises(BadInput, match="no G-score"):
        score([Pair("a", "b")], ProfileName.ESCONV, resources=bare, g_score=50)
    with pytest.raises(BadInput, match="slice"):
        score([Pair("a", "b")], ProfileName.ESCONV, resources=bare).select([])


def test_missing_data_is_named_and_the_rest_is_scored(bare):
    scores = score([Pair("a b", "a c")], ProfileName.NLPCC2025, resources=bare)
    assert set(scores.values) == {"BLEU-4", "ROUGE-L", "D-2", "D-3"}
    assert "get WordNet" in scores.missing["METEOR"]
    assert "get GloVe" in scores.missing["Ext"]
    assert scores.missing["Total without G"] == "needs METEOR and Ext"
    assert "judge" in scores.missing["G-score"]


def test_a_slice_is_scored_as_if_it_were_all(pairs, bare):
    scores = score(pairs, ProfileName.ESCONV, resources=bare)
    chosen = [i for i, pair in enumerate(pairs) if pair.dialogue.endswith("3")]
    alone = score([pairs[i] for i in chosen], ProfileName.ESCONV, resources=bare)
    assert scores.select(chosen).values == pytest.approx(alone.values)
