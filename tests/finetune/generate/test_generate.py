"""Whole runs with the scripted model: order, histories, and going on after a kill."""

import json
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from esc_demo.errors import BadInput, ConfigError, EscError
from esc_demo.models.local.folders import DEFAULT_BASE
from esc_demo.models.scripted import FAIL_ON
from esc_demo.settings import PROJECT_ROOT
from finetune.generate import read_replies
from tests.finetune.generate.conftest import DIALOGUES, REPLIES, lines
from tests.finetune.tiny import make_recipe

SLOW = """
import functools, signal, typer
from finetune.generate import models
from finetune.generate.cli import generate_command
signal.signal(signal.SIGINT, signal.default_int_handler)  # background shells ignore it
models.make_registry = functools.partial(models.make_registry, pace_s=0.01)
typer.run(generate_command)
"""
"""The command with a scripted model that takes its time."""


def test_a_run_holds_everything_in_item_order(command, data, tmp_path):
    out = tmp_path / "o.jsonl"
    told = command("--model", "lora", "--data", data, "--out", out, "--seed", 5)
    head, items = lines(out)
    assert told["statuses"] == {"ok": REPLIES} and told["written_now"] == REPLIES
    assert [(one["dialogue"], one["item"]) for one in items] == [
        (dialogue["id"], number)
        for index, dialogue in enumerate(DIALOGUES)
        for number in range(index + 1)
    ]
    assert head["model"]["id"] == "lora" and head["model"]["revision"].startswith("scripted-")
    assert head["protocol"]["mode"] == "forced" and head["protocol"]["merged"] is True
    assert head["protocol"]["params"]["seed"] == 5 and head["protocol"]["items"] == REPLIES
    assert head["condition"]["context"]["label"] == "Raw" and head["condition"]["prompt"]
    last = items[-1]
    assert last["reference"] == "Gold reply 3.4" and last["emotion"] == "anxiety"
    assert last["messages"][0]["role"] == "system" and "Ana" in last["messages"][0]["content"]
    assert [m["content"] for m in last["messages"] if m["role"] == "assistant"] == [
        f"Gold reply 3.{k}" for k in range(4)
    ]
    assert last["hypothesis"] and last["finish"] == "end" and last["new_tokens"] > 5
    assert last["prompt_tokens"] == last["prompt_tokens_raw"] > 50
    assert read_replies(out) == (head, items)
    started, *times = map(json.loads, out.with_name("o.timings.jsonl").read_text().splitlines())
    assert started["concurrency"] == 8 and "started" in started
    assert {(one["dialogue"], one["item"]) for one in times} == {
        (one["dialogue"], one["item"]) for one in items
    }
    assert all(one["seconds"] >= 0 for one in times)


@pytest.mark.parametrize("mode", ["forced", "auto"])
def test_how_many_are_written_at_once_changes_nothing(command, data, tmp_path, mode):
    files = []
    for count in (1, 5):
        files.append(tmp_path / f"{count}.jsonl")
        arguments = ("--model", "base", "--data", data, "--mode", mode, "--out", files[-1])
        command(*arguments, "--concurrency", count)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_auto_answers_after_its_own_replies(command, data, tmp_path):
    out = tmp_path / "o.jsonl"
    command("--model", "base", "--data", data, "--mode", "auto", "--out", out)
    _, items = lines(out)
    said = [one["hypothesis"] for one in items if one["dialogue"] == "talk-3"]
    assert len(said) == 5
    for one in (one for one in items if one["dialogue"] == "talk-3"):
        assistant = [m["content"] for m in one["messages"] if m["role"] == "assistant"]
        assert assistant == said[: one["item"]]
        assert "Gold" not in json.dumps(one["messages"])
        assert one["reference"].startswith("Gold")


def test_the_task_8_test_file_is_answered_in_auto_alone(command, task_8, tmp_path):
    out = tmp_path / "o.jsonl"
    with pytest.raises(BadInput, match="--mode auto"):
        command("--model", "base", "--data", task_8, "--out", out)
    assert not out.exists()
    command("--model", "base", "--data", task_8, "--mode", "auto", "--out", out)
    _, items = lines(out)
    assert len(items) == 10 and {one["reference"] for one in items} == {""}
    assert len([m for m in items[-1]["messages"] if m["role"] == "assistant"]) == 9


def test_conditions_reach_the_model(command, data, tmp_path):
    def messages(*arguments):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        command("--model", "base", "--data", data, "--out", out, *arguments)
        head, items = lines(out)
        return head["condition"], items[-1]["messages"], items[-1]

    condition, sent, item = messages("--context", "nostopwords", "--prompt", "off", "--last-k", 3)
    assert condition["context"]["label"] == "NoStopwords, last 3"
    assert condition["prompt"] is condition["profile"] is False
    assert [m["content"] for m in sent] == ["worried 3.3", "Gold reply 3.3",
                                            "I am worried about 3.4"]  # fmt: skip
    assert item["outside_window"] == 6 and item["dropped_turns"] == 0
    assert item["prompt_tokens_raw"] > item["prompt_tokens"]
    _, sent, _ = messages("--no-profile")
    assert sent[0]["role"] == "system" and "Ana" not in sent[0]["content"]
    with pytest.raises(ConfigError, match="keep_negation"):
        messages("--keep-negation")


def test_greedy_is_written_in_one_way(command, data, tmp_path):
    heads = []
    for number, given in enumerate((["--greedy"], ["--temperature", "0"])):
        out = tmp_path / f"{number}.jsonl"
        command("--model", "base", "--data", data, "--limit", 1, "--out", out, *given)
        heads.append(lines(out)[0])
    assert heads[0] == heads[1] and heads[0]["protocol"]["params"]["top_k"] == 0
    with pytest.raises(BadInput, match=r"--greedy takes no --top-p"):
        command("--model", "base", "--data", data, "--greedy", "--top-p", 0.5)


@pytest.mark.parametrize("mode", ["forced", "auto"])
def test_a_file_cut_anywhere_ends_in_the_same_bytes(command, data, tmp_path, mode):
    whole = tmp_path / "whole.jsonl"
    arguments = ("--model", "base", "--data", data, "--mode", mode)
    command(*arguments, "--out", whole)
    raw = whole.read_bytes()
    ends = [index + 1 for index, byte in enumerate(raw) if byte == 10]
    cuts = {0, 1, 40, ends[0] - 1, *ends[:3], ends[3] + 1, ends[7] - 1, ends[9] + 300, ends[-1]}
    for cut in sorted(cuts):
        out = tmp_path / "cut.jsonl"
        out.write_bytes(raw[:cut])
        kept = max(0, sum(end <= cut for end in ends) - 1)
        told = command(*arguments, "--out", out, "--resume")
        assert out.read_bytes() == raw, cut
        assert told["written_now"] == REPLIES - kept, cut


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_where_it_was(command, data, tmp_path, how, monkeypatch):
    whole, out = tmp_path / "whole.jsonl", tmp_path / "o.jsonl"
    arguments = ["--model", "base", "--data", str(data), "--mode", "auto", "--concurrency", "2"]
    command(*arguments, "--out", whole)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments, "--out", str(out)],
        cwd=PROJECT_ROOT,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < 4:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    if how is signal.SIGKILL:
        with pytest.raises(BadInput, match="Another process is writing"):
            command(*arguments, "--out", out, "--resume")
    process.send_signal(how)
    said = process.communicate(timeout=30)[1].decode()
    written = out.read_bytes().count(b"\n") - 1
    assert 3 <= written < REPLIES
    if how is signal.SIGINT:
        assert process.returncode == 130 and "go on with --resume" in said
        assert "replies" in said or "reply" in said  # the progress bar
    with pytest.raises(BadInput, match=f"unfinished: {written} of {REPLIES}"):
        read_replies(out)
    with pytest.raises(BadInput, match="there already"):
        command(*arguments, "--out", out)
    told = command(*arguments, "--out", out, "--resume")
    assert told["written_now"] == REPLIES - written
    assert out.read_bytes() == whole.read_bytes()
    assert command(*arguments, "--out", out, "--resume")["written_now"] == 0


def test_another_protocol_is_refused_by_name(command, data, tmp_path):
    out = tmp_path / "o.jsonl"
    arguments = ("--model", "base", "--data", data, "--out", out, "--limit", 2)
    command(*arguments)
    before = out.read_bytes()
    for change, said in (
        (("--seed", 3), r"protocol\.params\.seed was 0, now 3"),
        (("--prompt", "off"), r"condition\.prompt was True, now False"),
        (("--context", "nostopwords"), "Raw, now NoStopwords"),
        (("--model", "lora"), r"model\.id was base, now lora"),
        (("--limit", 3), r"protocol\.dialogues was 2, now 3"),
        (("--mode", "auto"), "forced, now auto"),
    ):
        with pytest.raises(BadInput, match=said):
            command(*arguments, "--resume", *change)
    assert out.read_bytes() == before


def test_only_files_of_replies_are_touched(command, data, tmp_path):
    strange = tmp_path / "notes.json"
    for text in ('{"mine": 1}', '{"mine": 1}\n{"also": 2}', "plain"):
        strange.write_text(text)
        with pytest.raises(BadInput, match="does not begin with the header"):
            command("--model", "base", "--data", data, "--out", strange, "--resume")
        assert strange.read_text() == text
    with pytest.raises(BadInput, match="is a folder"):
        command("--model", "base", "--data", data, "--out", tmp_path)
    lock = FileLock(tmp_path / ".o.jsonl.lock")
    with lock, pytest.raises(BadInput, match="Another process is writing"):
        command("--model", "base", "--data", data, "--out", tmp_path / "o.jsonl")


def test_a_damaged_line_is_named_and_written_anew(command, data, tmp_path):
    out = tmp_path / "o.jsonl"
    arguments = ("--model", "base", "--data", data, "--out", out)
    command(*arguments)
    whole = out.read_bytes()
    parts = whole.splitlines(keepends=True)
    parts[3] = parts[3][:50] + b"\xff\xfe" + parts[3][52:]
    out.write_bytes(b"".join(parts))
    with pytest.raises(BadInput, match="line 4 is damaged"):
        read_replies(out)
    assert command(*arguments, "--resume")["written_now"] == 1
    assert out.read_bytes() == whole


def test_failed_replies_are_kept_counted_and_asked_for_again(command, data, tmp_path, monkeypatch):
    """The script fails on a phrase; later it does not, as when a server is up again."""
    text = data.read_text().replace("worried about 3.1", f"worried {FAIL_ON} 3.1")
    data.write_text(text)
    out, whole = tmp_path / "o.jsonl", tmp_path / "whole.jsonl"
    arguments = ("--model", "base", "--data", data, "--mode", "auto")
    told = command(*arguments, "--out", out, code=1)
    _, items = lines(out)
    assert told["statuses"] == {"ok": REPLIES - 4, "failed": 4}
    failed = [one for one in items if one["status"] == "failed"]
    assert [one["item"] for one in failed] == [1, 2, 3, 4]
    assert "asked to fail" in failed[0]["error"] and failed[0]["hypothesis"] == ""
    assert all("earlier reply" in one["error"] for one in failed[1:])
    monkeypatch.setattr("esc_demo.models.scripted.FAIL_ON", "[never]")
    assert command(*arguments, "--out", out, "--resume")["written_now"] == 4
    command(*arguments, "--out", whole)
    assert out.read_bytes() == whole.read_bytes()


def test_a_model_that_always_fails_is_given_up(command, data, tmp_path):
    data.write_text(data.read_text().replace("I am", f"I am {FAIL_ON}"))
    with pytest.raises(EscError, match=r"8 replies in a row failed.*asked to fail.*--resume"):
        command("--model", "base", "--data", data, "--out", tmp_path / "o.jsonl")


def test_a_message_that_cannot_fit_is_told_apart(command, data, tmp_path):
    data.write_text(data.read_text().replace("worried about 2.1", "worried " + "a " * 2100))
    out = tmp_path / "o.jsonl"
    told = command("--model", "base", "--data", data, "--out", out)
    assert told["statuses"] == {"ok": REPLIES - 1, "too_long": 1}
    one = next(one for one in lines(out)[1] if one["status"] == "too_long")
    assert "2,048-token window" in one["error"] and one["hypothesis"] == ""
    later = next(one for one in lines(out)[1] if one["dialogue"] == "talk-2" and one["item"] == 2)
    assert later["dropped_turns"] >= 3


def test_wrong_names_and_data_are_refused_before_anything_is_written(command, data, tmp_path):
    out = tmp_path / "o.jsonl"
    (tmp_path / "empty").mkdir()
    for model, file, said in (
        ("nonesuch", data, r"no model 'nonesuch'.*Known models: base"),
        (tmp_path / "empty", data, "no training run"),
        ("openai:", data, "Name the endpoint's model"),
        ("openai:gpt-x", data, "ESC_OPENAI_API_KEY"),
        ("base", tmp_path / "gone.json", "Cannot read"),
    ):
        with pytest.raises(EscError, match=said):
            command("--model", model, "--data", file, "--out", out)
    assert not out.exists()


def test_a_run_is_a_model_once_it_is_finished(command, data, tmp_path):
    run = tmp_path / "My run"
    (run / "adapter").mkdir(parents=True)
    make_recipe(tmp_path, DEFAULT_BASE).rename(run / "recipe.yaml")
    arguments = ("--model", run, "--data", data, "--out", tmp_path / "o.jsonl")
    with pytest.raises(BadInput, match="no finished adapter"):
        command(*arguments)
    (run / "metrics.json").write_text("{}")
    command(*arguments)
    assert lines(tmp_path / "o.jsonl")[0]["model"]["id"] == "run-my-run"


def test_without_out_the_name_says_the_settings(command, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = command("--model", "base", "--data", data, "--context", "nostopwords", "--keep-negation",
                   "--limit", 1, "--greedy")  # fmt: skip
    name = "base-talks-nostopwords-negation-prompt-forced-greedy-first1.jsonl"
    assert told["out"] == f"runs/generated/{name}"
    assert (tmp_path / told["out"]).exists()
