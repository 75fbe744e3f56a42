"""Files of replies as rows: what is read, what is refused, and which items are compared."""

import json

import pytest

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput
from finetune.data import load
from finetune.generate import ItemKey, Mode, items_of
from finetune.metrics.items import reply_items
from finetune.metrics.runs import common_items, labels, read_run, read_runs, run_pairs
from tests.finetune.metrics.runfiles import write_dialogues, write_run


@pytest.fixture
def data(tmp_path):
    return write_dialogues(tmp_path / "talks.jsonl")


def gold(item):
    return item.reference


def test_a_run_is_read_with_its_times(tmp_path, data):
    run = read_run(write_run(tmp_path / "a.jsonl", data, gold))
    assert len(run.records) == 12 and run.statuses() == {"ok": 12}
    assert run.label == "base · Raw · prompt on"
    assert set(run.seconds.values()) == {2.0}  # waiting for a free row is no work
    pairs = run_pairs(run, common_items([run]))
    assert [pair.hypothesis for pair in pairs] == [pair.reference for pair in pairs]


def test_figures_come_from_files_beside_the_run(tmp_path, data):
    path = write_run(tmp_path / "a.jsonl", data, gold)
    assert read_run(path).figures.perplexity is None
    (tmp_path / "a.ppl.json").write_text('{"perplexity": 12.5, "model": "base"}', "utf-8")
    (tmp_path / "a.g.json").write_text('{"g_score": 85.17}', "utf-8")
    figures = read_run(path).figures
    assert (figures.perplexity, figures.g_score) == (12.5, 85.17)
    for wrong in ('{"perplexity": "low"}', '{"perplexity": NaN}', "{}", "oops", '{"g_score": 101}'):
        (tmp_path / "a.ppl.json").write_text(wrong, "utf-8")
        (tmp_path / "a.g.json").unlink(missing_ok=True)
        with pytest.raises(BadInput, match=r"a\.(ppl\.json|jsonl)"):
            read_run(path)


def test_two_protocols_are_refused_with_every_difference(tmp_path, data):
    first = write_run(tmp_path / "a.jsonl", data, gold)
    other = write_run(tmp_path / "b.jsonl", data, gold, params={"temperature": 0.7}, mode="auto")
    with pytest.raises(BadInput, match=r"temperature is 0\.0 and 0\.7; mode is None and auto"):
        read_runs([first, other])
    with pytest.raises(BadInput, match="twice"):
        read_runs([first, first])
    with pytest.raises(BadInput, match="Name one file"):
        read_runs([])


def test_a_damaged_line_is_named_and_its_item_left_out_of_every_row(tmp_path, data):
    first = write_run(tmp_path / "a.jsonl", data, gold)
    other = write_run(tmp_path / "b.jsonl", data, gold)
    lines = first.read_text("utf-8").splitlines()
    lines[2] = lines[2][:40]
    first.write_text("\n".join(lines) + "\n", "utf-8")
    runs = read_runs([first, other])
    assert runs[0].damaged == (3,)
    keys = common_items(runs)
    assert len(keys) == 11 and ItemKey("talk-0", 1) not in keys
    with pytest.raises(BadInput, match="line 3"):
        read_runs([first, other], strict=True)
    first.write_text("\n".join(lines[:6]) + "\n", "utf-8")
    with pytest.raises(BadInput, match="unfinished"):
        read_runs([first, other])


def test_a_failed_reply_is_an_empty_one(tmp_path, data):
    failed = {"status": "failed", "hypothesis": "half a", "messages": None}
    run = read_run(
        write_run(tmp_path / "a.jsonl", data, lambda i: failed if i.key.number == 1 else "yes")
    )
    pairs = run_pairs(run, common_items([run]))
    assert run.statuses() == {"ok": 8, "failed": 4}
    assert sum(pair.empty for pair in pairs) == 4


def test_other_references_and_none_are_refused(tmp_path, data):
    first = write_run(tmp_path / "a.jsonl", data, gold)
    other = write_run(tmp_path / "b.jsonl", data, lambda item: {"reference": "No."})
    with pytest.raises(BadInput, match="different references"):
        common_items(read_runs([first, other]))
    empty = write_run(tmp_path / "c.jsonl", data, lambda item: {"reference": ""})
    with pytest.raises(BadInput, match="No item of these runs has a reference"):
        common_items([read_run(empty)])


def test_equal_labels_are_told_apart_by_file(tmp_path, data):
    names = ("a", "b")
    runs = read_runs([write_run(tmp_path / f"{name}.jsonl", data, gold) for name in names])
    assert labels(runs) == [f"base · Raw · prompt on · {name}" for name in names]
    assert labels(runs[:1]) == ["base · Raw · prompt on"]


def test_generation_and_baselines_answer_the_same_items(data):
    turns = [
        (Role.SUPPORTER, "Hello."),
        (Role.SEEKER, "Hi."),
        (Role.SUPPORTER, " "),
        (Role.SEEKER, "So."),
        (Role.SUPPORTER, "Yes? "),
        (Role.SUPPORTER, "Go on."),
    ]
    odd = Dialogue(tuple(Turn(*one) for one in turns), id="odd")
    silent = Dialogue((Turn(Role.SUPPORTER, "Anybody?"),), id="silent")
    dialogues = [*load(data).dialogues, odd, silent]
    asked = [item for item in items_of(dialogues, Mode.FORCED) if item.reference]
    compared = reply_items(dialogues)
    assert len(compared) == 13
    assert [(i.key.dialogue, i.reference, i.turns, i.strategy) for i in asked] == [
        (i.dialogue, i.reference, i.history, i.strategy) for i in compared
    ]
    assert json.dumps(compared[-1].reference) == '"Yes? \\nGo on."'
