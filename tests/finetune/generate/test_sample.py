"""Evenly spaced samples, in runs and in what scoring makes of them."""

import pytest

from esc_demo.errors import BadInput
from finetune.generate.sample import Sample, answered, spread
from tests.finetune.generate.conftest import lines


def test_places_are_spaced_evenly_and_different():
    assert spread(24, 4) == (3, 9, 15, 21)
    assert spread(7, 4) == (0, 2, 4, 6)
    assert spread(3, 5) == (0, 1, 2)
    assert all(len(set(spread(n, k))) == min(n, k) for n in range(1, 30) for k in range(1, 30))


def test_a_run_answers_its_sample_and_says_so(command, data, tmp_path):
    out = tmp_path / "o.jsonl"
    command("--model", "base", "--data", data, "--sample", 2, "--per-dialogue", 2, "--out", out)
    head, items = lines(out)
    assert [(one["dialogue"], one["item"], one["items"]) for one in items] == [
        ("talk-0", 0, 2),
        ("talk-0", 1, 2),
        ("talk-2", 1, 4),
        ("talk-2", 3, 4),
    ]
    assert head["protocol"]["per_dialogue"] == 2 and head["protocol"]["items"] == 4
    assert (head["protocol"]["dialogues"], head["protocol"]["evenly_spaced_of"]) == (2, 5)
    assert answered("abcde", head["protocol"]) == ("b", "d")
    assert answered("abcde", {"dialogues": 2}) == ("a", "b")
    with pytest.raises(BadInput, match="evenly_spaced_of"):
        command("--model", "base", "--data", data, "--limit", 2, "--out", out, "--resume")


def test_samples_without_meaning_are_refused(command, data, tmp_path):
    with pytest.raises(BadInput, match="leave out one of the two"):
        command("--model", "base", "--data", data, "--limit", 2, "--sample", 2)
    out = tmp_path / "o.jsonl"
    with pytest.raises(BadInput, match="--mode forced"):
        command(
            "--model", "base", "--data", data, "--mode", "auto", "--per-dialogue", 1, "--out", out
        )
    assert not out.exists()
    with pytest.raises(BadInput, match="at least one"):
        Sample(per_dialogue=0)
