"""The command line: the same engine, records that repeat, one clear line when input is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from esc_demo.models.scripted import FAIL_ON

LOST_DOG = "I lost my dog last week and the house is so quiet."


def run(*arguments, **environment):
    """Run `python -m esc_demo` on the scripted model."""
    return subprocess.run(
        [sys.executable, "-m", "esc_demo", *arguments],
        env={**os.environ, "ESC_SCRIPTED": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def records(*arguments):
    """The objects of a successful `reply --json`."""
    result = run("reply", LOST_DOG, "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def history(tmp_path):
    def write(content):
        path = tmp_path / "history.json"
        path.write_text(json.dumps(content))
        return str(path)

    return write


def test_one_record_a_pane_in_the_order_asked_for_and_the_same_twice():
    arguments = ("--variants", "full,base", "--seed", "7", "--max-new-tokens", "3")
    first, second = records(*arguments), records(*arguments)
    assert [record["model"] for record in first] == ["full", "base"]
    for one, other in zip(first, second, strict=True):
        assert one.pop("seconds") >= 0
        other.pop("seconds")
    assert first == second
    record = first[0]
    assert (record["status"], record["error"], record["finish"]) == ("done", None, "length")
    assert (record["seed"], record["new_tokens"], record["variant"]) == (7, 3, "full")
    assert [message["role"] for message in record["messages"]] == ["system", "user"]
    assert record["messages"][-1]["content"] == LOST_DOG
    for key in ("model_revision", "template_hash", "prompt_hash"):
        assert record[key]


def test_a_representation_of_the_history_costs_fewer_tokens(history):
    earlier = [
        {"User": "I have not been able to sleep since it happened."},
        {"AI Strategy": "Clarification", "AI": "What is it that keeps you awake?"},
        {"role": "seeker", "text": "It is the quiet in the hall when I come home."},
        {"role": "supporter", "text": "That is when you would have been greeted."},
    ]
    path = history(earlier)
    arguments = ("--history", path, "--variants", "base")
    (raw,) = records(*arguments)
    (short,) = records(*arguments, "--context", "nostopwords")
    assert raw["prompt_tokens"] == raw["prompt_tokens_raw"] == short["prompt_tokens_raw"]
    assert short["prompt_tokens"] < raw["prompt_tokens"]
    assert [m["role"] for m in raw["messages"]] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert raw["messages"][1]["content"] == earlier[0]["User"]
    assert short["messages"][-1]["content"] == LOST_DOG
    (kept,) = records(*arguments, "--context", "nostopwords", "--keep-negation")
    assert "not" in kept["messages"][1]["content"].split()
    assert "not" not in short["messages"][1]["content"].split()
    (window,) = records(*arguments, "--last-k", "1", "--no-prompt")
    assert window["messages"] == [{"role": "user", "content": LOST_DOG}]


def test_a_failed_pane_is_reported_and_makes_the_exit_code_1():
    result = run("reply", FAIL_ON, "--variants", "base", "--json")
    assert result.returncode == 1
    record = json.loads(result.stdout)
    assert record["status"] == "failed" and "asked to fail" in record["error"]


def test_text_for_people_shows_the_reply():
    result = run("reply", LOST_DOG, "--variants", "base")
    assert result.returncode == 0
    assert "── base (base)" in result.stdout and "prompt tokens" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reply", "  "], "The message is empty"),
        (["reply", "x" * 20_000], "20,000 characters"),
        (["reply", "Hello", "--variants", "gpt-5"], "There is no model 'gpt-5'"),
        (["reply", "Hello", "--variants", "base,base,base,base,base"], "1 to 4 can run"),
        (["reply", "Hello", "--keep-negation"], "keep_negation has no meaning"),
        (["reply", "Hello", "--last-k", "0"], "last_k is 0"),
        (["reply", "Hello", "--temperature", "9"], "temperature is 9.0"),
        (["reply", "Hello", "--history", "no-such-file.json"], "Cannot read the history"),
    ],
)
def test_wrong_input_is_one_clear_line(arguments, said):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"User": "no array"}, "must hold a JSON array"),
        ([{"User": "fine"}, {"role": "system", "text": "obey"}], "item 1: expected"),
        ([{"role": ["seeker"], "text": "Hello"}], "item 0: expected"),
        ([{"AI": {"Response": "nested"}}], "item 0: expected"),
        ([{"User": " "}], "item 0: The message is empty"),
        (["Hello"], "item 0: expected"),
    ],
)
def test_a_wrong_history_names_the_item(history, content, said):
    result = run("reply", "Hello", "--history", history(content))
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and said in result.stderr


def test_weights_that_are_not_set_up_are_asked_for_by_command(tmp_path):
    result = run("reply", "Hello", ESC_SCRIPTED="0", ESC_CACHE_DIR=str(tmp_path))
    assert result.returncode == 2
    assert "weights of SmolLM2-135M-Instruct" in result.stderr
    assert "python -m esc_demo setup" in result.stderr


@pytest.mark.parametrize("broken", ["no network", "unwritable"])
def test_setup_that_cannot_work_says_so_without_a_stack_trace(tmp_path, broken):
    (tmp_path / "file").write_text("")
    cache = tmp_path / ("cache" if broken == "no network" else "file/cache")
    result = run(
        "setup",
        ESC_CACHE_DIR=str(cache),
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(tmp_path),
        PIP_CONFIG_FILE="/dev/null",
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    said = "Missing and not obtainable" if broken == "no network" else "cannot be used"
    assert f"error: {said}" in result.stderr or said in result.stderr.splitlines()[-1]


def test_a_wrong_setting_is_named():
    result = run("setup", ESC_PORT="eighty")
    assert result.returncode == 2
    assert "ESC_PORT = 'eighty'" in result.stderr


HOLD_LOCK = """
import filelock, sys, time
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_interrupting_ends_with_130(tmp_path):
    """The set-up waits for another one, and Ctrl-C ends it without a stack trace."""
    command = [sys.executable, "-c", HOLD_LOCK, str(tmp_path / ".setup.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            said, code = interrupted_set_up(tmp_path)
        finally:
            other.kill()
    assert "waiting for it" in said
    assert code == 130
    assert "Traceback" not in said


def interrupted_set_up(cache):
    """What a set-up says that is interrupted after its first line, and its exit code."""
    command = [sys.executable, "-m", "esc_demo", "setup"]
    environment = {**os.environ, "ESC_CACHE_DIR": str(cache)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
        try:
            first = waiting.stderr.readline()
            time.sleep(0.2)
            waiting.send_signal(signal.SIGINT)
            rest, code = waiting.stderr.read(), waiting.wait(20)
        finally:
            waiting.kill()
    return first + rest, code


@pytest.mark.weights
def test_three_variants_of_the_real_model_twice():
    def real():
        result = run(
            "reply", LOST_DOG, "--variants", "base,lora,full", "--context", "keypos",
            "--seed", "7", "--max-new-tokens", "24", "--json", ESC_SCRIPTED="0",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        found = [json.loads(line) for line in result.stdout.splitlines()]
        return [{k: v for k, v in record.items() if k != "seconds"} for record in found]

    first = real()
    assert first == real()
    base, lora, full = (record["reply"] for record in first)
    assert base and lora and full
    assert base not in (lora, full)
