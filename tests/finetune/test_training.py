"""Training: the tokens that are supervised are those serving builds, and effects are real."""

import json
import math

import pytest

from esc_demo.contexts import ContextSpec, render_context
from esc_demo.dialogue import Role, UserProfile
from esc_demo.errors import BadInput, ConfigError
from esc_demo.prompts import PromptTemplate, build_messages
from esc_demo.settings import PROJECT_ROOT, get_settings
from finetune.data import load_extes
from finetune.recipes import load_recipe

ARTEFACTS = PROJECT_ROOT / "finetune" / "artefacts"


@pytest.fixture(scope="module")
def base(weights):
    """The folder of the base weights."""
    from esc_demo.models.local.folders import base_folder

    return base_folder("HuggingFaceTB/SmolLM2-135M-Instruct")


@pytest.fixture(scope="module")
def tokenizer(base):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


@pytest.fixture(scope="module")
def heldout():
    return load_extes(PROJECT_ROOT / "finetune" / "corpus" / "heldout.json")


@pytest.mark.weights
def test_the_supervised_prefix_is_the_serving_prompt(tokenizer, heldout):
    from esc_demo.models.local.encode import encode_prompt
    from finetune.encoding import IGNORED, encode_dialogue

    for dialogue in heldout:
        sample = encode_dialogue(tokenizer, dialogue, PromptTemplate(), max_tokens=2048)
        profiles = (UserProfile(situation=dialogue.situation), UserProfile())
        starts = [
            index
            for index, label in enumerate(sample.labels)
            if label != IGNORED and sample.labels[index - 1] == IGNORED
        ]
        replies = [i for i, turn in enumerate(dialogue.turns) if turn.role is Role.SUPPORTER]
        assert len(starts) == len(replies)
        for start, index in zip(starts, replies, strict=True):
            view = render_context(dialogue.turns[:index], ContextSpec())
            served = [
                encode_prompt(tokenizer, build_messages(view.turns, PromptTemplate(), p)).ids
                for p in profiles
            ]
            assert sample.ids[:start] in served
            reply = sample.ids[start:].index(tokenizer.eos_token_id)
            text = tokenizer.decode(sample.ids[start : start + reply])
            assert text == dialogue.turns[index].text


@pytest.mark.weights
def test_replies_only_are_supervised(tokenizer, heldout):
    from finetune.encoding import IGNORED, encode_dialogue

    sample = encode_dialogue(tokenizer, heldout[0], PromptTemplate(), max_tokens=2048)
    supervised = tokenizer.decode([label for label in sample.labels if label != IGNORED])
    for turn in heldout[0].turns:
        assert (turn.text in supervised) == (turn.role is Role.SUPPORTER)
    with pytest.raises(BadInput, match="no reply fits"):
        encode_dialogue(tokenizer, heldout[0], PromptTemplate(), max_tokens=20)


def test_recipes_refuse_what_they_do_not_know(tmp_path):
    text = (PROJECT_ROOT / "finetune" / "recipe_files" / "smollm2-lora.yaml").read_text()
    path = tmp_path / "r.yaml"
    path.write_text(text.replace("epochs: 3", "epochs: 3\nmagic: 1"))
    with pytest.raises(ConfigError, match="magic"):
        load_recipe(str(path))
    path.write_text(text.replace("method: lora", "method: full"))
    with pytest.raises(ConfigError, match="lora"):
        load_recipe(str(path))
    with pytest.raises(ConfigError, match=r"Known.*smollm2-full"):
        load_recipe("nonesuch")


def tiny_recipe(tmp_path, method):
    """One step on one dialogue."""
    source = json.loads((PROJECT_ROOT / "finetune" / "corpus" / "train.json").read_text())[:2]
    for item in source:
        item["content"] = item["content"][:4]
    data = tmp_path / "tiny.json"
    data.write_text(json.dumps(source))
    recipe = load_recipe(f"smollm2-{method}")
    return recipe.model_copy(update={"train": str(data), "heldout": str(data), "epochs": 3})


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_lora_training_moves_only_the_adapter_and_lowers_the_loss(base, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    from finetune import train as training

    trained = []
    monkeypatch.setattr(
        training, "_save", lambda model, *rest, save=training._save: trained.append(model)
    )
    result = training.train(tiny_recipe(tmp_path, "lora"), tmp_path / "run")
    assert result.metrics["heldout_perplexity"] < result.metrics["heldout_perplexity_base"]
    before = load_file(base / "model.safetensors")
    after = dict(trained[0].named_parameters())
    for name, parameter in after.items():
        if "lora_" in name:
            continue
        original = name.removeprefix("base_model.model.").replace(".base_layer", "")
        assert parameter.float().equal(before[original].float()), name
    assert any(p.abs().max() > 0 for name, p in after.items() if "lora_B" in name)


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_full_training_moves_the_weights_and_its_delta_rebuilds_them(base, tmp_path, monkeypatch):
    from finetune.pack import pack_run
    from finetune.train import train

    result = train(tiny_recipe(tmp_path, "full"), tmp_path / "run")
    assert result.metrics["heldout_perplexity"] < result.metrics["heldout_perplexity_base"]
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / base.name).symlink_to(base)
    monkeypatch.setenv("ESC_CACHE_DIR", str(cache))
    get_settings.cache_clear()
    metrics = pack_run(tmp_path / "run", tmp_path / "artefact")
    assert metrics["rebuilt_over_true"] == pytest.approx(1, abs=0.1)
    assert metrics["delta_bytes"] < 40e6


def test_the_shipped_artefacts_are_small_and_helped():
    for name, limit in (("smollm2-135m-lora", 16e6), ("smollm2-135m-full", 40e6)):
        folder = ARTEFACTS / name
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert size <= limit
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["heldout_perplexity"] < metrics["heldout_perplexity_base"]


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
    from finetune.encoding import encode_dialogue
    from finetune.evaluate import reply_loss

    metrics = json.loads((ARTEFACTS / "smollm2-135m-full" / "metrics.json").read_text())
    if file_sha256(base / "model.safetensors") != metrics["base_sha256"]:
        pytest.skip("the base came from the hub; the record was made on the packaged weights")
    samples = [
        encode_dialogue(tokenizer, dialogue, PromptTemplate(), max_tokens=1024)
        for dialogue in heldout[:2]
    ]

    def perplexity(folder):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return reply_loss(model, samples).perplexity

    folder, _ = rebuilt_folder("finetune/artefacts/smollm2-135m-full", base, lambda note: None)
    rebuilt = perplexity(folder)
    assert rebuilt < perplexity(base)
    assert rebuilt == pytest.approx(metrics["heldout_first_two_true"], rel=0.02)
