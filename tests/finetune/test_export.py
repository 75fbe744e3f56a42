"""What is exported loads again and says the same; what cannot be exported says why."""

import errno
import json
import os
import shutil

import pytest

from esc_demo.errors import BadInput, ModelError, StorageError
from esc_demo.settings import PROJECT_ROOT, get_settings
from finetune.recipes import Method, load_recipe, recipe_text
from finetune.runs import RunFolder
from tests.finetune.tiny import make_base, make_recipe

TOLERANCE = 1e-3
"""Largest difference of logits, of size 0.2 or so, that rounding weights to float16 may make."""

WRITTEN = {"README.md", "recipe.yaml", "metrics.json", "loss.png"}


def kind(name):
    from finetune.card import ExportKind

    return ExportKind(name)


def export(*arguments):
    from finetune.export import export

    return export(*arguments)


@pytest.fixture(scope="module")
def tiny(weights, tmp_path_factory):
    """A random Llama of two small layers with the default model's tokenizer."""
    from esc_demo.models.local.folders import DEFAULT_BASE, base_folder

    return make_base(tmp_path_factory.mktemp("base"), base_folder(DEFAULT_BASE))


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory):
    """Weights as trainings would leave them, `full/weights` and `lora/adapter`."""
    folder = tmp_path_factory.mktemp("results")
    for method in ("full", "lora"):
        recipe = small_recipe(tiny, folder, method)
        save_result(recipe, tiny, RunFolder(folder / method))
    return folder


@pytest.fixture
def finished(tiny, results, tmp_path):
    """A finished run's folder, made by hand: `finished("lora")`."""

    def make(method, **changes):
        from esc_demo.models.local.folders import file_sha256

        recipe = small_recipe(tiny, tmp_path, method)
        run = RunFolder(tmp_path / "run")
        shutil.copytree(results / ("full" if method == "full" else "lora"), run.path)
        run.recipe_file.write_text(recipe_text(recipe))
        run.curve.write_bytes(b"a picture")
        sha = file_sha256(tiny / "model.safetensors")
        metrics = {"name": recipe.name, "base_sha256": sha, "heldout_perplexity": 9.0, **changes}
        run.metrics_file.write_text(json.dumps(metrics))
        return run

    return make


def small_recipe(base, folder, method):
    """A recipe of `method` for the tiny base, on a few short dialogues."""
    for part in ("train", "heldout"):
        source = PROJECT_ROOT / "finetune" / "corpus" / f"{part}.json"
        dialogues = json.loads(source.read_text())[:3]
        for dialogue in dialogues:
            dialogue["content"] = dialogue["content"][:4]
        (folder / f"{part}.json").write_text(json.dumps(dialogues))
    recipe = load_recipe(f"esc-smollm2-{'full' if method == 'full' else 'lora'}")
    data = recipe.data.model_copy(
        update={
            "train": str(folder / "train.json"),
            "validation": None,
            "heldout": str(folder / "heldout.json"),
        }
    )
    changes = {"base": str(base), "data": data, "method": Method(method), "patience": None}
    return recipe.model_copy(update=changes)


def save_result(recipe, base, run):
    """Save what is away from the base by random steps."""
    import torch

    from finetune.prepare import prepare

    model = loaded(base)
    torch.manual_seed(1)
    if recipe.method is Method.FULL:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        shutil.copytree(base, run.weights)  # config and tokenizer
        model.save_pretrained(run.weights)
        return
    model = prepare(model, recipe)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(run.adapter, save_embedding_layers=False)


def loaded(folder):
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(model):
    import torch

    model.eval()
    with torch.no_grad():
        return model(torch.arange(100, 140).unsqueeze(0)).logits


def files(folder):
    return {path.name for path in folder.iterdir()}


def run_card(folder, monkeypatch):
    """Run the code of the card as somebody would who stands in the folder."""
    card = (folder / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    names = {}
    monkeypatch.chdir(folder)
    exec(code.replace("max_new_tokens=80", "max_new_tokens=3"), names)
    return names


@pytest.mark.weights
def test_an_adapter_is_copied_whole_and_its_card_loads_it(finished, tmp_path, monkeypatch):
    from peft import PeftModel

    from esc_demo.contexts import ContextSpec, render_context
    from esc_demo.dialogue import Role, Turn, UserProfile
    from esc_demo.models.local.encode import encode_prompt
    from esc_demo.prompts import PromptTemplate, build_messages

    run, out = finished("lora"), tmp_path / "out"
    metrics = export(run.path, out, kind("adapter"))
    adapter = {"adapter_config.json", "adapter_model.safetensors"}
    assert files(out) == WRITTEN | adapter
    for name in adapter:
        assert (out / name).read_bytes() == (run.adapter / name).read_bytes()
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o644}
    names = run_card(out, monkeypatch)
    true = logits(PeftModel.from_pretrained(loaded(run.recipe().base), str(run.adapter)))
    assert logits(names["model"]).equal(true)
    # The card asks exactly as the page does.
    view = render_context((Turn(Role.SEEKER, "I failed my exam."),), ContextSpec())
    messages = build_messages(view.turns, PromptTemplate(), UserProfile())
    served = encode_prompt(names["tokenizer"], messages).ids
    assert tuple(names["prompt"]["input_ids"][0].tolist()) == tuple(served)


@pytest.mark.weights
def test_a_merged_adapter_says_what_base_and_adapter_say(finished, tmp_path, monkeypatch):
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    from esc_demo.models.local.folders import template_fingerprint

    run, out = finished("lora"), tmp_path / "out"
    export(run.path, out, kind("merged"))
    kept = {tensor.dtype for tensor in load_file(out / "model.safetensors").values()}
    assert {str(dtype) for dtype in kept} == {"torch.float16"}
    base = loaded(run.recipe().base)
    alone = logits(base)
    together = logits(PeftModel.from_pretrained(base, str(run.adapter)))
    merged = logits(run_card(out, monkeypatch)["model"])
    assert (merged - together).abs().max() < TOLERANCE
    assert (merged - alone).abs().max() > 50 * TOLERANCE
    ours, theirs = (AutoTokenizer.from_pretrained(p) for p in (out, run.recipe().base))
    assert template_fingerprint(ours) == template_fingerprint(theirs)


@pytest.mark.weights
def test_a_full_run_is_exported_as_it_is(finished, tmp_path):
    run, out = finished("full"), tmp_path / "out"
    out.mkdir()  # an empty folder is as good as none
    export(run.path, out, kind("merged"))
    assert (logits(loaded(out)) - logits(loaded(run.weights))).abs().max() < TOLERANCE
    assert files(tmp_path) == {"out", "run", "train.json", "heldout.json"}


@pytest.mark.weights
def test_a_delta_is_small_and_was_measured_as_it_is_rebuilt(finished, tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    from finetune.data import load
    from finetune.encoding import Encoding, encode_all
    from finetune.evaluate import reply_loss

    run, out = finished("full"), tmp_path / "out"
    cache = tmp_path / "cache"
    monkeypatch.setenv("ESC_CACHE_DIR", str(cache))
    get_settings.cache_clear()
    metrics = export(run.path, out, kind("delta"))
    assert files(out) == WRITTEN | {"delta.safetensors"}
    assert not cache.exists()  # measuring leaves nothing behind
    assert metrics["delta_bytes"] == (out / "delta.safetensors").stat().st_size
    assert metrics["delta_bytes"] * 10 < (run.weights / "model.safetensors").stat().st_size
    rebuilt = run_card(out, monkeypatch)["model"]
    dialogues = load(tmp_path / "heldout.json").dialogues
    tokenizer = AutoTokenizer.from_pretrained(run.weights)

    def perplexity(model, count):
        encoded = encode_all(tokenizer, dialogues[:count], Encoding.of(run.recipe()))
        return pytest.approx(reply_loss(model, encoded.samples).perplexity, rel=1e-4)

    true = loaded(run.weights)
    assert metrics["heldout_perplexity_rebuilt"] == perplexity(rebuilt, 3)
    assert metrics["heldout_perplexity_true"] == perplexity(true, 3)
    assert metrics["heldout_first_two_true"] == perplexity(true, 2)
    ratio = metrics["heldout_perplexity_rebuilt"] / metrics["heldout_perplexity_true"]
    assert metrics["rebuilt_over_true"] == pytest.approx(ratio, abs=1e-4)
    assert f"{metrics['heldout_perplexity_rebuilt']:,.2f}" in (out / "README.md").read_text()


@pytest.mark.weights
@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_a_real_run_leaves_can_be_exported(tiny, tmp_path, monkeypatch, method):
    from finetune.train import train

    recipe = load_recipe(str(make_recipe(tmp_path, tiny, method=method, steps=2, dialogues=2)))
    run = RunFolder(tmp_path / "run")
    metrics = train(recipe, run.path, quiet=True)
    out = tmp_path / "out"
    export(run.path, out, kind("merged"))
    assert (logits(loaded(out)) - logits(loaded(tiny))).abs().max() > 10 * TOLERANCE
    assert json.loads((out / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    for card in (run.path / "README.md", out / "README.md"):
        text = card.read_text()
        assert f"| {metrics['heldout_perplexity']:,.2f} |" in text
        assert metrics["fingerprint"] in text
        assert "![Training and validation loss by epoch](loss.png)" in text
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    run_card(run.path, monkeypatch)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("method", "form", "told"),
    [
        ("lora", "delta", "Export the adapter; it is small already"),
        ("full", "adapter", "has no adapter"),
        ("qlora", "merged", "load it on the base in 4 bits"),
    ],
)
def test_wrong_combinations_say_what_to_export_instead(finished, tmp_path, method, form, told):
    run = finished(method)
    with pytest.raises(BadInput, match=told):
        export(run.path, tmp_path / "out", kind(form))
    assert not (tmp_path / "out").exists()


@pytest.mark.weights
@pytest.mark.parametrize(("method", "form"), [("lora", "merged"), ("full", "delta")])
@pytest.mark.parametrize("sha", ["0" * 64, None])
def test_another_base_is_refused(finished, tmp_path, method, form, sha):
    run = finished(method, base_sha256=sha)
    with pytest.raises(BadInput, match="was trained on other weights"):
        export(run.path, tmp_path / "out", kind(form))
    assert "out" not in files(tmp_path)


@pytest.mark.weights
def test_an_unfinished_run_and_a_folder_in_use_are_refused(finished, tmp_path):
    run, used = finished("lora"), tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").write_text("keep me")
    with pytest.raises(BadInput, match="not empty"):
        export(run.path, used, kind("adapter"))
    with pytest.raises(BadInput, match="is a file"):
        export(run.path, used / "mine.txt", kind("adapter"))
    assert (used / "mine.txt").read_text() == "keep me"
    run.metrics_file.unlink()
    with pytest.raises(BadInput, match="not a finished run"):
        export(run.path, tmp_path / "out", kind("adapter"))
    with pytest.raises(BadInput, match="not a finished run"):
        export(tmp_path / "nowhere", tmp_path / "out", kind("adapter"))


@pytest.mark.weights
def test_a_full_disk_leaves_nothing_half_done(finished, tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from finetune import export as module

    def full(*arguments, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    def failing(number):
        def copy(*arguments, **options):
            raise OSError(number, os.strerror(number))

        return copy

    run = finished("full")
    before = files(tmp_path)
    with monkeypatch.context() as patch:  # while the delta is rebuilt for measuring
        patch.setattr("safetensors.torch.save_file", full)
        with pytest.raises(StorageError, match=r"The disk is full: .*out cannot be written"):
            export(run.path, tmp_path / "out", kind("delta"))
    for number, told in ((errno.ENOSPC, "The disk is full"), (errno.EROFS, "Read-only file")):
        monkeypatch.setattr(module.shutil, "copyfile", failing(number))
        with pytest.raises(StorageError, match=told):
            export(run.path, tmp_path / "out", kind("merged"))
    assert files(tmp_path) == before


@pytest.mark.weights
def test_damaged_results_are_refused(finished, tmp_path):
    from safetensors.torch import load_file, save_file

    run, out = finished("lora"), tmp_path / "out"
    path = run.adapter / "adapter_model.safetensors"
    true = load_file(path)
    save_file({name: tensor[:1, :].contiguous() for name, tensor in true.items()}, path)
    with pytest.raises(ModelError, match="cannot be read"):  # of another rank than it says
        export(run.path, out, kind("merged"))
    save_file(dict(list(true.items())[2:]), path)
    with pytest.raises(ModelError, match="missing adapter keys"):
        export(run.path, out, kind("merged"))
    save_file({name: tensor * float("nan") for name, tensor in true.items()}, path)
    with pytest.raises(ModelError, match="no numbers in half precision"):
        export(run.path, out, kind("merged"))
    path.unlink()
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors"):
        export(run.path, out, kind("adapter"))
    assert not out.exists()
