"""Runs in processes of their own: real ones, on a model that takes a moment."""

import json
import os
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from esc_demo.errors import BadInput, ConfigError
from finetune import job, processes
from finetune.job import Jobs
from finetune.runs import RunState
from tests.finetune.tiny import make_base, make_recipe

PATIENCE_S = 200


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def ended(jobs, name):
    """The run, once no process works on it."""
    wait_for(lambda: not jobs.look(name).active)
    return jobs.look(name)


@pytest.fixture(scope="module")
def base(tmp_path_factory, weights):
    return make_base(tmp_path_factory.mktemp("base"), weights / "SmolLM2-135M-Instruct")


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Runs that give way only a little: beside other tests they would hardly get on otherwise."""
    monkeypatch.setattr(processes, "NICENESS", 1)
    found = Jobs(tmp_path / "runs")
    yield found
    run = found.running()
    if run is not None and found._works_on(run.status.pid, run.folder.path):
        os.kill(run.status.pid, 9)
        ended(found, run.name)


@pytest.fixture
def bystander():
    """A process that must never be signalled."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    assert process.poll() is None
    process.kill()
    process.wait()


@pytest.mark.weights
def test_a_run_is_stopped_seen_by_a_restarted_page_and_resumed(jobs, tmp_path, base):
    recipe = make_recipe(tmp_path, base, steps=30)
    run = jobs.start(str(recipe))
    assert (run.name, run.status.state) == ("tiny-lora-1", RunState.PREPARING)
    with pytest.raises(BadInput, match="tiny-lora-1 is going on"):
        jobs.start(str(recipe))
    assert [one.name for one in jobs.runs()] == ["tiny-lora-1"]

    restarted = Jobs(tmp_path / "runs")
    assert restarted.running().name == "tiny-lora-1"
    with pytest.raises(BadInput, match="is going on"):
        restarted.start(str(recipe))
    assert os.getpriority(os.PRIO_PROCESS, run.status.pid) == processes.NICENESS

    steps = wait_for(lambda: len(run.folder.steps()) >= 3 and run.folder.steps())
    assert steps[0].of == 30 and all(step.loss or step.eval_loss for step in steps)
    assert "resumed later" in restarted.stop("tiny-lora-1")
    if jobs.look("tiny-lora-1").active:
        assert jobs.stopping(jobs.look("tiny-lora-1"))
        with pytest.raises(BadInput, match="asked to stop"):
            jobs.stop("tiny-lora-1")
    stopped = ended(jobs, "tiny-lora-1")
    assert stopped.status.state is RunState.INTERRUPTED
    done = stopped.folder.steps()[-1].step
    assert 3 <= done < 30
    with pytest.raises(BadInput, match="not going on"):
        jobs.stop("tiny-lora-1")

    assert jobs.resume("tiny-lora-1").active
    finished = ended(jobs, "tiny-lora-1")
    assert finished.status.state is RunState.FINISHED, jobs.log_tail("tiny-lora-1")
    assert finished.folder.metrics()["steps"] == 30
    assert {step.step for step in finished.folder.steps()} >= set(range(1, 31))
    with pytest.raises(BadInput, match="nothing to resume"):
        jobs.resume("tiny-lora-1")
    assert (finished.folder.adapter / "adapter_config.json").exists()


@pytest.mark.weights
def test_a_run_that_fails_leaves_its_reason_and_frees_the_place(jobs, tmp_path, base):
    recipe = make_recipe(tmp_path, base)
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"turns": [{"role": "seeker", "text": ""}]}\n')
    jobs.start(str(recipe), str(broken))
    failed = ended(jobs, "tiny-lora-1")
    assert failed.status.state is RunState.FAILED
    assert "broken.jsonl" in failed.status.note
    assert jobs.log_tail("tiny-lora-1").startswith("error: ")
    assert jobs.running() is None


def test_what_cannot_start_leaves_no_folder(jobs, tmp_path):
    with pytest.raises(ConfigError, match="No recipe"):
        jobs.start("no-such-recipe")
    with pytest.raises(BadInput, match=r"no file nowhere\.jsonl"):
        jobs.start("esc-smollm2-lora", "nowhere.jsonl")
    with pytest.raises(BadInput, match="no run"):
        jobs.resume("../elsewhere")
    assert jobs.runs() == []


def claim(folder, pid, state="running"):
    """A run folder whose status names `pid`."""
    folder.mkdir(parents=True)
    text = json.dumps({"state": state, "note": "", "pid": pid})
    (folder / "status.json").write_text(text)


def test_a_process_that_merely_has_the_number_is_never_signalled(jobs, tmp_path, bystander):
    runs = tmp_path / "runs"
    claim(runs / "old-1", bystander.pid)
    (runs / ".job.lock").touch()
    record = {"pid": bystander.pid, "folder": str(runs / "old-1")}
    (runs / ".job.json").write_text(json.dumps(record))
    assert jobs.look("old-1").status.state is RunState.INTERRUPTED
    with pytest.raises(BadInput, match="not going on"):
        jobs.stop("old-1")
    with FileLock(runs / "old-1" / ".lock"):  # some process works on it, but not that one
        assert jobs.look("old-1").active
        with pytest.raises(BadInput, match="cannot be told for sure"):
            jobs.stop("old-1")


HOLDER = """
import signal, sys, time
from filelock import FileLock
signal.signal(signal.SIGINT, lambda *_: print("asked", flush=True))
with FileLock(sys.argv[1]):
    print("held", flush=True)
    while True:
        time.sleep(0.05)
"""


def test_a_run_that_does_not_end_when_asked_is_ended_hard_after_a_minute(
    jobs, tmp_path, monkeypatch
):
    folder = tmp_path / "runs" / "stuck-1"
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, str(folder / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        text = json.dumps({"state": "running", "note": "", "pid": process.pid})
        (folder / "status.json").write_text(text)
        jobs.stop("stuck-1")
        assert process.stdout.readline() == "asked\n"
        with pytest.raises(BadInput, match=r"in (60|59|58) s"):
            jobs.stop("stuck-1")
        assert process.poll() is None
        monkeypatch.setattr(job, "GRACE_S", 0.0)
        assert "ended at once" in jobs.stop("stuck-1")
        assert process.wait(10) == -9
    assert jobs.look("stuck-1").status.state is RunState.INTERRUPTED


def test_numbers_of_folders_are_not_used_twice(jobs, tmp_path):
    runs = tmp_path / "runs"
    for name in ("one-1", "one-3", "one-more-7"):
        (runs / name).mkdir(parents=True)
    (runs / "one-4.log").touch()  # its folder was deleted
    assert jobs._new_folder("one").name == "one-5"


def test_the_log_shows_only_the_newest_state_of_a_progress_bar(jobs, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one.log").write_bytes(b"begin\n 1%\r 2%\r 3%\nerror: no\xff\n\n")
    assert jobs.log_tail("one") == "begin\n 3%\nerror: no\N{REPLACEMENT CHARACTER}"
    assert jobs.log_tail("one", 1) == "error: no\N{REPLACEMENT CHARACTER}"
    assert jobs.log_tail("two") == ""


def test_equal_uploads_are_kept_once_and_are_no_runs(jobs, tmp_path):
    sent = tmp_path / "my data (1).JSONL"
    sent.write_text("{}")
    kept = jobs.keep(sent)
    assert kept.read_text() == "{}" and kept.name.startswith("my-data-1-")
    assert jobs.keep(sent) == kept
    assert jobs.runs() == []
