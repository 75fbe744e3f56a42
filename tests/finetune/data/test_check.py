"""`python -m finetune data check`."""

import json
import sys

import pytest

from finetune.cli import main


@pytest.fixture
def check(monkeypatch, capsys):
    """`check(*arguments)` -> exit code, standard output, standard error."""

    def check(*arguments):
        words = ["finetune", "data", "check", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return check


def item(index, scene="PTSD"):
    content = [
        {"AI Strategy": "Clarification", "AI": "What happened then?"},
        {"User": f"number {index} it was"},
        {"User": "yes"},
        {"AI strategy": "offer hope", "AI": "I see"},
    ]
    return {"scene": scene, "description": "d", "content": content}


def test_the_report_in_words(check, write):
    code, out, err = check(write([item(0), item(1, "Academic Stress")]))
    assert (code, err) == (0, "")
    for words in (
        "x.json: 2 dialogues, 8 utterances",
        "format                    extes",
        "50.0% of the utterances",
        "utterances per dialogue   min 4, median 4, mean 4.0, max 4",
        "words per utterance       min 1, median 2.5, mean 2.5, max 4",
        "same speaker twice        2 adjacent pairs",
        "opened by the supporter   2 dialogues",
        "     2  Offer Hope",
        "     1  Academic Stress",
        "     2  strategy 'offer hope' read as 'Offer Hope' [fixed]",
        "            dialogue 0, utterance 3; dialogue 1, utterance 3",
        "     1  scene 'PTSD' read as 'Post-Traumatic Stress Disorder (PTSD)' [fixed]",
    ):
        assert words in out
    assert "\x1b" not in out


def test_the_report_as_json(check, write):
    code, out, _ = check(write([item(0), item(0)]), "--json")
    report = json.loads(out)["sets"][0]
    assert code == 0
    assert (report["dialogues"], report["utterances"], report["format"]) == (2, 8, "extes")
    assert report["strategies"] == {"Clarification": 2, "Offer Hope": 2}
    copies = report["problems"][0]
    assert (copies["count"], copies["fixed"]) == (1, False)
    assert "same turns" in copies["what"]


def test_a_split_is_shown_with_its_hashes(check, write):
    path = write([item(index) for index in range(20)])
    code, out, _ = check(path, "--split", "nlpcc", "--seed", "3")
    assert code == 0
    assert "split nlpcc, seed 3: no two parts share a dialogue" in out
    assert "train           16 dialogues" in out
    assert "test             2 dialogues" in out
    assert out != check(path, "--split", "nlpcc", "--seed", "4")[1]


@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        ("", (), "is empty"),
        ([{"messages": []}], (), "not a known format"),
        ([item(0)], ("--format", "esconv"), "expected esconv"),
        ([item(0)], ("--split", "nlpcc"), "1 dialogue cannot be split"),
        ([item(0)], ("--split", "files"), "takes several files"),
        ([item(0)], ("--split", "esconv"), "no official split"),
        ([{**item(0), "content": [{"User": ""}]}], (), "dialogue 0, utterance 0"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(check, write, value, options, said):
    code, out, err = check(write(value), *options)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_the_test_file_of_nlpcc_needs_its_option(check, write):
    path = write({"1": {"whole_dialog": ["seeker: a", "supporter:"], "character": {}}})
    assert check(path)[0] == 2
    code, out, _ = check(path, "--allow-empty-replies")
    assert code == 0
    assert "1 dialogues, 2 utterances" in out


def test_a_folder_is_the_official_split_and_nothing_else(check, tmp_path):
    assert "train.jsonl" in check(tmp_path)[2]
    assert "only ESConv" in check(tmp_path, "--split", "extes")[2]


def test_esconv(check, esconv):
    assert "195 dialogues, 6,039 utterances" in check(esconv / "test.jsonl")[1]
    code, out, _ = check(esconv)
    assert code == 0
    for words in ("910 dialogues, 26,648", "195 dialogues, 5,678", "195 dialogues, 6,039"):
        assert words in out
    assert "split esconv: no two parts share a dialogue" in out
