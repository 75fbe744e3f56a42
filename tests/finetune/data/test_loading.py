"""What is common to all formats: the file itself, sniffing, odd characters, hashes."""

import json

import pytest

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput
from finetune.data import DataFormat, content_key, load, part_hash, set_hash

OWN = {"turns": [{"role": "seeker", "text": "a"}, {"role": "supporter", "text": "b"}]}


def test_the_format_is_found_by_content_not_by_name(write):
    assert load(write([OWN], "esconv.json", lines=True)).format is DataFormat.JSONL


def test_another_format_than_the_named_one_is_refused(write):
    with pytest.raises(BadInput, match="is in the format jsonl; expected extes"):
        load(write([OWN], lines=True), DataFormat.EXTES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("{", "not valid JSON"),
        ("[]", "holds no dialogue"),
        ("{}", "holds no dialogue"),
        ("7", "expected a JSON array or object, found the value 7"),
        ('[{"messages": []}]', "not a known format. Found .*'messages'.*expected"),
        ("[[1]]", "not a known format. Found .*an array of 1"),
        (json.dumps(OWN) + "\n{", "line 2: not valid JSON"),
        (json.dumps(OWN) + '\n{"id": "a", "id": "b"}', "line 2: the key 'id' occurs twice"),
    ],
)
def test_a_file_that_is_none_of_the_formats(write, text, said):
    with pytest.raises(BadInput, match=said):
        load(write(text))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(BadInput, match=r"Cannot read .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="is a folder"):
        load(tmp_path)


def test_other_encodings_are_refused_and_a_byte_order_mark_is_not(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"turns": "caf\xe9"}')
    with pytest.raises(BadInput, match="not UTF-8: byte 14 is 0xe9"):
        load(path)
    path.write_text(json.dumps(OWN), "utf-8-sig")
    assert len(load(path).dialogues) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("It\u00e2\u20ac\u2122s late", "mojibake"),
        ("caf\u00c3\u00a9", "mojibake"),
        ("what \ufffd is", "mojibake"),
        ("bell \x07", "control"),
    ],
)
def test_odd_characters_are_reported_and_left(write, text, word):
    turns = [{"role": "seeker", "text": text}, OWN["turns"][1]]
    data = load(write([{"turns": turns}], lines=True))
    assert data.dialogues[0].turns[0].text == text
    assert [(p.where, p.fixed) for p in data.problems] == [("dialogue 0, utterance 0", False)]
    assert word in data.problems[0].what


@pytest.mark.parametrize(
    "text", ["naïve café", "Ça va", "\u4f60\u597d", "👌 ok", "two\nlines\t", "Ã"]
)
def test_other_languages_are_not_odd(write, text):
    turns = [{"role": "seeker", "text": text}, OWN["turns"][1]]
    assert not load(write([{"turns": turns}], lines=True)).problems


def test_half_a_character_pair_is_refused(write):
    turns = [{"role": "seeker", "text": "\ud83d"}, OWN["turns"][1]]
    with pytest.raises(BadInput, match="dialogue 0, utterance 0: half of a character pair"):
        load(write([{"turns": turns}], lines=True))


def said(*texts, id_="a", scene="s"):
    roles = (Role.SEEKER, Role.SUPPORTER)
    turns = tuple(Turn(roles[index % 2], text) for index, text in enumerate(texts))
    return Dialogue(turns, scene, id=id_)


def test_hashes_know_every_word_and_label_and_only_part_hashes_the_order():
    one, two = said("a", "b"), said("c", "d", id_="b")
    assert set_hash([one, two]) == set_hash([two, one])
    assert part_hash([one, two]) != part_hash([two, one])
    assert len(set_hash([one])) == len(part_hash([one])) == 12
    others = [said("a", "B"), said("a", "b", id_="z"), said("a", "b", scene="t"), said("ab")]
    assert len({set_hash([d]) for d in [one, *others]}) == 5


def test_content_is_what_is_said_and_by_whom():
    one = said("Hello  there", "b")
    assert content_key(one) == content_key(said("hello there ", "B", id_="z", scene="t"))
    cut = Dialogue((Turn(Role.SEEKER, "hello"), Turn(Role.SEEKER, "there"), one.turns[1]))
    assert content_key(one) == content_key(cut)
    assert content_key(one) != content_key(Dialogue(one.turns[::-1]))
    assert content_key(one) != content_key(said("hello there", "b", "c"))
