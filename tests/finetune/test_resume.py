"""Runs that are stopped, die, and go on; and who may write to a run's folder."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from esc_demo.errors import BadInput
from esc_demo.settings import PROJECT_ROOT
from finetune.recipes import load_recipe
from finetune.runs import RunFolder, RunState
from tests.finetune.tiny import losses, make_recipe, tiny, train_quietly


@pytest.mark.weights
def test_a_stop_keeps_its_checkpoint_though_an_earlier_pass_was_better(tiny_base, tmp_path):
    """Stopped in the middle of a pass and resumed: the losses are those of an unbroken run."""
    from finetune.callbacks import StopRequest
    from finetune.train import Interrupted

    changes = {"max_steps": None, "epochs": 4, "patience": 9, "learning_rate": 0.1}
    recipe = tiny(tmp_path, tiny_base, "full", **changes, schedule="constant", warmup_ratio=0.0)
    train_quietly(recipe, tmp_path / "unbroken")
    whole = RunFolder(tmp_path / "unbroken").steps()
    passes = [step.step for step in whole if step.eval_loss is not None]
    per_pass = passes[0]
    assert per_pass > 1
    middle = 2 * per_pass + 1

    class StopAt(StopRequest):
        @property
        def asked(self):
            return len(losses(tmp_path / "broken")) >= middle - 1

    with pytest.raises(Interrupted):
        train_quietly(recipe, tmp_path / "broken", stop=StopAt())
    broken = RunFolder(tmp_path / "broken")
    stopped_at = broken.steps()[-1].step
    assert stopped_at % per_pass
    assert broken.last_checkpoint().name == f"checkpoint-{stopped_at}"
    train_quietly(recipe, broken.path, resume=True)
    for one, other in zip(broken.steps(), whole, strict=True):
        assert one.step == other.step
        assert one.loss == pytest.approx(other.loss, abs=1e-4)
        assert one.eval_loss == pytest.approx(other.eval_loss, abs=1e-4)


@pytest.mark.weights
def test_a_run_that_died_while_it_was_measured_is_not_trained_further(
    tiny_base, tmp_path, monkeypatch
):
    from finetune import train as training

    changes = {"max_steps": None, "epochs": 8, "patience": 1, "learning_rate": 0.1}
    recipe = tiny(tmp_path, tiny_base, "full", **changes, schedule="constant", warmup_ratio=0.0)
    reference = train_quietly(recipe, tmp_path / "unbroken")
    assert reference["stopped_early"]

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save_model", killed)
        with pytest.raises(KeyboardInterrupt):
            train_quietly(recipe, tmp_path / "run")
    assert RunFolder(tmp_path / "run").status().state is RunState.INTERRUPTED
    metrics = train_quietly(recipe, tmp_path / "run", resume=True)
    for key in ("steps", "validation_loss", "heldout_perplexity", "train_loss"):
        assert metrics[key] == pytest.approx(reference[key], rel=1e-5)


@pytest.mark.weights
@pytest.mark.timeout(280)
def test_an_interrupted_run_goes_on_to_the_same_loss(tiny_base, tmp_path):
    """Ctrl-C in the middle of twenty steps, then --resume: as if nothing had happened."""
    path = make_recipe(tmp_path, tiny_base, steps=20)
    text = path.read_text().replace("alpha: 8", "alpha: 8\n  dropout: 0.1")
    path.write_text(text)

    def command(folder, *more):
        return [
            *(sys.executable, "-m", "finetune", "train", str(path)),
            *("--out", str(tmp_path / folder), *more),
        ]

    unbroken = subprocess.run(
        command("unbroken"), cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert unbroken.returncode == 0, unbroken.stderr
    whole = losses(tmp_path / "unbroken")
    assert len(whole) == 20

    broken = RunFolder(tmp_path / "broken")
    process = subprocess.Popen(
        command("broken"), cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while len(broken.steps()) < 7 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert b"Stopping after this step" in said
    assert broken.status().state is RunState.INTERRUPTED
    taken = len(losses(broken.path))
    assert 7 <= taken < 20
    assert not broken.finished
    assert broken.last_checkpoint() is not None

    other = load_recipe(str(path)).model_copy(update={"learning_rate": 0.5})
    with pytest.raises(BadInput, match=r"learning_rate was 0\.01, now 0\.5"):
        train_quietly(other, broken.path, resume=True)
    shape = other.lora.model_copy(update={"r": 8})
    with pytest.raises(BadInput, match=r"lora\.r was 4, now 8"):
        train_quietly(other.model_copy(update={"lora": shape}), broken.path, resume=True)

    metrics = train_quietly(load_recipe(str(path)), broken.path, resume=True)
    assert losses(broken.path) == pytest.approx(whole, abs=1e-4)
    reference = json.loads((tmp_path / "unbroken" / "metrics.json").read_text())
    for key in ("final_step_loss", "heldout_perplexity"):
        assert metrics[key] == pytest.approx(reference[key], rel=1e-4)


@pytest.mark.weights
def test_a_run_refuses_changed_data_and_a_folder_in_use(tiny_base, tmp_path):
    from finetune.callbacks import StopRequest
    from finetune.runs import opened
    from finetune.train import Interrupted

    recipe = tiny(tmp_path, tiny_base, steps=30)
    stop = StopRequest()
    stop.ask()
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train_quietly(recipe, folder, stop=stop)
    run = RunFolder(folder)
    assert run.status().state is RunState.INTERRUPTED
    with pytest.raises(BadInput, match="already holds a run"):
        train_quietly(recipe, folder)
    with (
        opened(folder, recipe, resume=True),
        pytest.raises(BadInput, match="Another process is training"),
    ):
        train_quietly(recipe, folder, resume=True)
    text = (tmp_path / "train.json").read_text()
    (tmp_path / "train.json").write_text(text.replace(" I ", " we ", 1))
    with pytest.raises(BadInput, match="data_hash"):
        train_quietly(recipe, folder, resume=True)
    (tmp_path / "train.json").write_text(text)
    record = json.loads(run.data_file.read_text())
    run.data_file.write_text(json.dumps(record | {"base_sha256": "another"}))
    with pytest.raises(BadInput, match="base_sha256"):
        train_quietly(recipe, folder, resume=True)
    with pytest.raises(BadInput, match="no run to resume"):
        train_quietly(recipe, tmp_path / "nothing", resume=True)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    from finetune.runs import opened

    (tmp_path / "thesis.tex").write_text("years of work")
    recipe = load_recipe("esc-smollm2-lora")
    with pytest.raises(BadInput, match=r"thesis\.tex"), opened(tmp_path, recipe, resume=False):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_process_that_died_counts_as_interrupted(tmp_path):
    run = RunFolder(tmp_path)
    run.set_status(RunState.RUNNING)
    status = run.status()
    assert status.state is RunState.INTERRUPTED
    assert status.pid == os.getpid()
