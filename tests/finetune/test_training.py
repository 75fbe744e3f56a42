"""The loop: what it moves, and what it says when something is wrong."""

import json
import math
import os
import subprocess
import sys

import pytest

from esc_demo.errors import BadInput, ConfigError, EscError, ModelError, StorageError
from esc_demo.settings import PROJECT_ROOT
from finetune.recipes import Batching, load_recipe, recipe_text, with_data
from finetune.runs import RunFolder, RunState
from tests.finetune.tiny import losses, make_recipe, tiny, train_quietly

ARTEFACTS = PROJECT_ROOT / "finetune" / "artefacts"


def test_recipes_refuse_what_they_do_not_know(tmp_path):
    text = recipe_text(load_recipe("esc-smollm2-lora"))
    path = tmp_path / "r.yaml"
    for before, after, said in (
        ("epochs: 1.0", "epochs: 3\nmagic: 1", "magic"),
        ("method: lora", "method: full", "lora"),
        ("batch_size: 1", "batch_size: 2", "batch_size at 1"),
        ("pack_tokens: 1024", "pack_tokens: 512", "less than max_tokens"),
        ("  validation: finetune/corpus/validation.json\n", "", "patience needs a validation"),
        ("keep_negation: false", "keep_negation: true", "keep_negation"),
    ):
        assert before in text
        path.write_text(text.replace(before, after))
        with pytest.raises(ConfigError, match=said):
            load_recipe(str(path))
    with pytest.raises(ConfigError, match=r"Known.*esc-smollm2-full"):
        load_recipe("nonesuch")


@pytest.mark.weights
def test_lora_moves_only_its_adapter_and_the_loss_falls(tiny_base, tmp_path):
    from safetensors.torch import load_file

    from finetune.callbacks import StopRequest
    from finetune.train import train

    recipe = tiny(tmp_path, tiny_base, steps=8)
    metrics = train(recipe, tmp_path / "run", stop=StopRequest(), quiet=True)
    run = RunFolder(tmp_path / "run")
    assert metrics["heldout_perplexity"] < metrics["heldout_perplexity_base"]
    assert losses(run.path)[-1] < losses(run.path)[0]
    adapter = load_file(run.adapter / "adapter_model.safetensors")
    assert adapter
    assert all("lora_" in name for name in adapter)
    assert any(t.abs().max() > 0 for name, t in adapter.items() if "lora_B" in name)
    assert json.loads((run.adapter / "adapter_config.json").read_text())["r"] == 4
    assert run.status().state is RunState.FINISHED
    assert {p.name for p in run.path.iterdir()} >= {
        "recipe.yaml",
        "data.json",
        "metrics.json",
        "loss.png",
        "README.md",
        "progress.jsonl",
    }
    assert run.recipe() == recipe
    for key in ("fingerprint", "prompt_hash", "context", "data_hash", "corpus_hash"):
        assert metrics[key]
    assert metrics["heldout_bits_per_byte"] < metrics["heldout_bits_per_byte_base"]
    assert metrics["peak_memory_bytes"] > 1e6
    with pytest.raises(BadInput, match="already holds a run"):
        train(recipe, run.path, quiet=True)
    with pytest.raises(BadInput, match="finished"):
        train(recipe, run.path, quiet=True, resume=True)


@pytest.mark.weights
def test_full_training_moves_the_weights(tiny_base, tmp_path):
    from safetensors.torch import load_file

    from finetune.train import train

    recipe = tiny(tmp_path, tiny_base, "full", batching=Batching.PADDED, batch_size=2)
    metrics = train(recipe, tmp_path / "run", quiet=True)
    assert metrics["heldout_perplexity"] < metrics["heldout_perplexity_base"]
    before = load_file(tiny_base / "model.safetensors")
    after = load_file(tmp_path / "run" / "weights" / "model.safetensors")
    moved = [name for name in before if not before[name].float().equal(after[name])]
    assert len(moved) == len(before)


@pytest.mark.weights
def test_early_stopping_keeps_the_best_pass(tiny_base, tokenizer, tmp_path):
    """What is saved is the weights of the best pass, not those of the last."""
    import torch
    from transformers import AutoModelForCausalLM

    from finetune.data import load
    from finetune.encoding import Encoding, encode_all
    from finetune.evaluate import reply_loss

    # So high a rate that the validation loss soon rises.
    changes = {"max_steps": None, "epochs": 8, "patience": 1, "learning_rate": 0.1}
    recipe = tiny(tmp_path, tiny_base, "full", **changes, schedule="constant", warmup_ratio=0.0)
    metrics = train_quietly(recipe, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    watched = [step.eval_loss for step in run.steps() if step.eval_loss is not None]
    assert metrics["stopped_early"]
    assert len(watched) == metrics["epochs_run"] < 8
    assert watched[-1] > watched[-2] == min(watched)
    assert metrics["validation_loss"] == min(watched)
    dialogues = load(tmp_path / "validation.json").dialogues
    samples = encode_all(tokenizer, dialogues, Encoding.of(recipe)).samples
    saved = AutoModelForCausalLM.from_pretrained(run.weights, dtype=torch.float32)
    assert reply_loss(saved, samples).nats == pytest.approx(min(watched), rel=1e-5)


@pytest.mark.weights
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_dialogues(tiny_base, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "base"
    shutil.copytree(tiny_base, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][:] = math.nan
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    recipe = tiny(tmp_path, broken)
    with pytest.raises(ModelError, match=r"became nan at step 1, in the dialogues .*train-0000"):
        train_quietly(recipe, tmp_path / "run")
    status = RunFolder(tmp_path / "run").status()
    assert status.state is RunState.FAILED
    assert "learning_rate" in status.note
    assert not RunFolder(tmp_path / "run").finished


@pytest.mark.weights
@pytest.mark.parametrize("name", ["paper-b-mistral-lora", "esc-mistral-qlora"])
def test_a_recipe_for_gpus_says_what_runs_here_instead(tmp_path, name):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(BadInput, match="esc-smollm2-lora"):
        train_quietly(load_recipe(name), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", r"train\.json"),
        ('[{"scene": "s", "content": [{"AI": "Hello?"}, {"User": "Hi."}]}]', "masked"),
    ],
)
def test_empty_data_and_data_without_labels_are_refused(tiny_base, tmp_path, content, said):
    recipe = tiny(tmp_path, tiny_base)
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(BadInput, match=said):
        train_quietly(recipe, tmp_path / "run")


@pytest.mark.weights
def test_one_dialogue_is_enough_without_a_split(tiny_base, tmp_path):
    recipe = tiny(tmp_path, tiny_base, steps=2)
    one = json.loads((tmp_path / "train.json").read_text())[:1]
    (tmp_path / "train.json").write_text(json.dumps(one))
    assert train_quietly(recipe, tmp_path / "run")["train_dialogues"] == 1


@pytest.mark.weights
def test_a_full_disk_stops_the_run_with_one_sentence(tiny_base, tmp_path, monkeypatch):
    """The optimizer's file is cut short, as on a full disk, by the limit on a file's size."""
    import resource
    import signal as signals

    recipe = tiny(tmp_path, tiny_base, "full", max_steps=None, epochs=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signals.signal(signals.SIGXFSZ, signals.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000_000, before[1]))
        with pytest.raises(StorageError, match="The disk is full"):
            train_quietly(recipe, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signals.signal(signals.SIGXFSZ, handler)
    run = RunFolder(tmp_path / "run")
    assert run.status().state is RunState.FAILED
    assert run.last_checkpoint() is None


def test_faults_say_what_to_lower(tmp_path):
    import torch

    from finetune.faults import explained

    recipe = load_recipe("esc-smollm2-full")
    memory = explained(torch.OutOfMemoryError("CUDA out of memory"), recipe, tmp_path)
    assert "pack_tokens (now 1024)" in str(memory)
    assert "gradient_checkpointing" in str(memory)
    ram = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
    assert isinstance(explained(ram, recipe, tmp_path), ModelError)
    full = explained(OSError(28, "No space left on device"), recipe, tmp_path)
    assert isinstance(full, StorageError)
    assert "resume" in str(full)
    assert explained(RuntimeError("a bug"), recipe, tmp_path) is None


def test_other_data_takes_the_place_of_the_training_part(tmp_path):
    recipe = with_data(load_recipe("esc-smollm2-lora"), tmp_path / "own.jsonl")
    assert recipe.data.train == str(tmp_path / "own.jsonl")
    assert recipe.data.heldout == "finetune/corpus/heldout.json"


@pytest.mark.weights
@pytest.mark.timeout(280)
def test_accelerate_launch_trains_with_two_processes(tiny_base, tmp_path):
    path = make_recipe(tmp_path, tiny_base, steps=3)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=2"),
            *("--mixed_precision=no", "--num_machines=1", "--dynamo_backend=no"),
            *("-m", "finetune", "train", str(path), "--out", str(tmp_path / "run"), "--quiet"),
        ],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run = RunFolder(tmp_path / "run")
    assert run.finished
    assert run.metrics()["steps"] == 3
    assert (run.adapter / "adapter_model.safetensors").exists()


@pytest.mark.weights
def test_samples_are_shown_with_their_supervised_tokens(tiny_base, tmp_path, capsys):
    from finetune.show import show_samples

    show_samples(tiny(tmp_path, tiny_base), 1)
    said = capsys.readouterr().out
    first = json.loads((tmp_path / "train.json").read_text())[0]["content"]
    assert f"<<{first[1]['AI']}<|im_end|>>>" in said
    assert f"<<{first[0]['User']}" not in said
    assert "Fingerprint" in said


def test_the_shipped_artefacts_are_small_and_helped():
    for name, limit in (("smollm2-135m-lora", 16e6), ("smollm2-135m-full", 40e6)):
        folder = ARTEFACTS / name
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert size <= limit
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["heldout_perplexity"] < 0.9 * metrics["heldout_perplexity_base"]
        assert metrics["train_dialogues"] >= 130


def test_the_recorded_delta_is_within_two_percent():
    metrics = json.loads((ARTEFACTS / "smollm2-135m-full" / "metrics.json").read_text())
    ratio = metrics["heldout_perplexity_rebuilt"] / metrics["heldout_perplexity_true"]
    assert math.isclose(ratio, metrics["rebuilt_over_true"], rel_tol=1e-3)
    assert abs(ratio - 1) < 0.02


@pytest.mark.weights
def test_the_rebuilt_fine_tune_still_measures_what_was_recorded(base, tokenizer, heldout):
    """Live: what set-up rebuilds is within 2% of the true fine-tune on two held-out dialogues."""
    import torch
    from transformers import AutoModelForCausalLM

    from esc_demo.models.local.folders import file_sha256
    from esc_demo.models.local.rebuild import rebuilt_folder
    from finetune.encoding import Encoding, encode_all
    from finetune.evaluate import reply_loss

    metrics = json.loads((ARTEFACTS / "smollm2-135m-full" / "metrics.json").read_text())
    if file_sha256(base / "model.safetensors") != metrics["base_sha256"]:
        pytest.skip("the base came from the hub; the record was made on the packaged weights")
    samples = encode_all(tokenizer, heldout[:2], Encoding()).samples

    def perplexity(folder):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return reply_loss(model, samples).perplexity

    folder, _ = rebuilt_folder("finetune/artefacts/smollm2-135m-full", base, lambda note: None)
    rebuilt = perplexity(folder)
    assert rebuilt < perplexity(base)
    assert rebuilt == pytest.approx(metrics["heldout_first_two_true"], rel=0.02)


@pytest.mark.weights
def test_what_a_shipped_artefact_says_of_its_training_agrees_with_serving(tokenizer):
    """Training prompt and serving prompt are one: the page shows no mismatch by default."""
    from esc_demo.engine import PaneConfig, mismatch
    from esc_demo.models.local.folders import template_fingerprint
    from esc_demo.models.local.record import read_record

    for name in ("smollm2-135m-lora", "smollm2-135m-full"):
        record = read_record(ARTEFACTS / name, "whatever")
        assert record.trained.template == template_fingerprint(tokenizer)
        assert mismatch(record.trained, PaneConfig(name)) == ()


def test_errors_of_the_command_line_are_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "finetune", "train", "nonesuch"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: No recipe 'nonesuch'")
    assert "Traceback" not in done.stderr
    assert issubclass(BadInput, EscError)
