"""Estimates against known totals, what autograd really keeps, and measured peaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from esc_demo.errors import BadInput, ConfigError
from finetune import footprint
from finetune.footprint import Layout, Spread
from finetune.plan import Plan, plan, plan_text, runs_here
from finetune.recipes import Batching, Recipe, load_recipe
from finetune.shapes import AttentionBias, load_shapes, parameter_count, read_shape, shape_of

MEASURED = json.loads((Path(__file__).parent / "measured_peaks.json").read_text("utf-8"))
CPU = Layout(Spread.CPU, 1)


def planned(name: str, changes: dict[str, Any] | None = None, **arguments: Any) -> Plan:
    recipe = load_recipe(name).model_copy(update=changes or {})
    return plan(recipe, shape_of(recipe.base), **arguments)


def size(of: Plan, part: str) -> float:
    return sum(p.size for p in of.parts if p.name == part)


@pytest.mark.parametrize(
    ("base", "parameters"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("mistralai/Mistral-7B-Instruct-v0.2", 7_241_732_096),
        ("meta-llama/Llama-2-7b-chat-hf", 6_738_415_616),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
    ],
)
def test_parameter_count_is_exact(base: str, parameters: int) -> None:
    assert parameter_count(shape_of(base)) == parameters


@pytest.mark.weights
def test_shape_of_the_default_base_equals_its_config(weights: Path) -> None:
    listed = shape_of("HuggingFaceTB/SmolLM2-135M-Instruct")
    read = shape_of(str(weights / "SmolLM2-135M-Instruct"))
    same = {"name": listed.name, "source": listed.source}
    assert read.model_copy(update=same) == listed


def test_qwen_config_has_biases_without_saying_so(tmp_path: Path) -> None:
    config = {
        "model_type": "qwen2",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 100,
        "max_position_embeddings": 512,
    }
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    shape = read_shape(tmp_path)
    assert shape.attention_bias is AttentionBias.QKV
    assert (shape.kv_heads, shape.head_dim) == (4, 16)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("{", "cannot be read"),
        ('{"model_type": "gpt2"}', "model_type gpt2"),
        ('{"model_type": "llama", "num_attention_heads": 2}', "has no hidden_size"),
    ],
)
def test_unfit_config_is_refused(tmp_path: Path, config: str, sentence: str) -> None:
    (tmp_path / "config.json").write_text(config, "utf-8")
    with pytest.raises(ConfigError, match=sentence):
        shape_of(str(tmp_path))


def test_unknown_base_names_the_known() -> None:
    with pytest.raises(ConfigError, match=r"nobody/nothing.*Known: HuggingFaceTB"):
        shape_of("nobody/nothing")


def test_unknown_key_in_shapes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shapes.yaml"
    path.write_text("version: 1\nshapes: []\ncolour: blue\n", "utf-8")
    with pytest.raises(ConfigError, match="colour"):
        load_shapes(path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dropout", [None, 0.0, 0.1])
def test_activations_are_what_autograd_keeps(
    tmp_path: Path, dropout: float | None, packed: bool
) -> None:
    """A small model of the same architecture, with every saved tensor counted once."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        vocab_size=128,
        max_position_embeddings=512,
        use_cache=False,
    )
    model: Any = LlamaForCausalLM(config)
    config.save_pretrained(tmp_path)
    names = ["q_proj", "k_proj", "v_proj", "o_proj"]
    changes: dict[str, Any] = {"max_tokens": 256, "pack_tokens": 256}
    recipe = load_recipe("esc-smollm2-full" if dropout is None else "esc-smollm2-lora")
    if dropout is not None:
        adapter = LoraConfig(r=16, lora_alpha=32, lora_dropout=dropout, target_modules=names)
        model = get_peft_model(model, adapter)
        assert recipe.lora is not None
        changes["lora"] = recipe.lora.model_copy(update={"dropout": dropout})
    if not packed:
        changes["batching"] = Batching.PADDED
    recipe = recipe.model_copy(update=changes)
    ids = torch.arange(256)[None] % 128
    positions = torch.arange(256) % (128 if packed else 256)
    kept: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # The graph must live while its tensors are counted: addresses are used again.
        graph = model.train()(input_ids=ids, position_ids=positions[None]).logits.sum()
    assert graph.requires_grad
    estimate = footprint.activation_bytes(recipe, read_shape(tmp_path), CPU)
    assert estimate == pytest.approx(sum(kept.values()), rel=0.06)


@pytest.mark.parametrize("peak", MEASURED["peaks"], ids=lambda p: f"{p['recipe']}-{p['tokens']}")
def test_plan_lies_near_the_measured_peak(peak: dict[str, Any]) -> None:
    changes = {
        "batching": Batching.PACKED if peak["packed"] else Batching.PADDED,
        "max_tokens": peak["tokens"],
        "pack_tokens": peak["tokens"],
        "gradient_checkpointing": peak["checkpointing"],
    }
    estimate = planned(peak["recipe"], changes)
    assert estimate.total_bytes - size(estimate, "fixed") == pytest.approx(peak["bytes"], rel=0.25)


def test_lora_trains_the_adapters_only() -> None:
    # 30 layers x 16 x (576 + 576 + 2 x (576 + 192) + 576 + 576)
    assert planned("esc-smollm2-lora").trainable_parameters == 1_843_200
    assert planned("esc-smollm2-full").trainable_parameters == 134_515_008


def test_sharding_divides_what_it_can() -> None:
    few, many = (planned("paper-a-qwen7b-full", gpus=n) for n in (8, 16))
    assert size(few, "optimizer") == pytest.approx(8 * 7_615_616_512 / 8)
    assert size(many, "optimizer") == pytest.approx(size(few, "optimizer") / 2)
    assert size(few, "activations") == size(many, "activations")
    assert many.total_bytes < few.total_bytes


def test_copies_do_not_shrink_with_more_gpus() -> None:
    two, four = (planned("paper-b-mistral-lora", gpus=n) for n in (2, 4))
    assert two.total_bytes == four.total_bytes
    assert two.tokens_per_step * 2 == four.tokens_per_step


def test_recomputation_and_4_bits_save_memory() -> None:
    with_it = planned("paper-b-mistral-lora")
    without = planned("paper-b-mistral-lora", {"gradient_checkpointing": False})
    assert size(without, "activations") > 5 * size(with_it, "activations")
    assert size(planned("esc-mistral-qlora"), "weights") < size(with_it, "weights") / 2


def test_accumulating_under_fsdp_holds_whole_gradients() -> None:
    once, twice = (planned("paper-a-qwen7b-full", {"accumulation": n}) for n in (1, 2))
    assert size(twice, "gradients") - size(once, "gradients") > 2 * 4e9
    assert "`accumulation: 1`" in plan_text(twice)


def test_zero3_keeps_its_float32_weights_in_the_optimizer() -> None:
    zero3 = planned("paper-a-qwen7b-full", {"launch": "zero3-7b-full.yaml"})
    assert zero3.layout.spread is Spread.ZERO3
    assert size(zero3, "optimizer") == pytest.approx(12 * 7_615_616_512 / 8)


def test_verdicts_name_the_gpus_that_hold_it() -> None:
    fits = {fit.gigabytes: fit.gpus for fit in planned("esc-mistral-qlora").fits}
    assert fits[24] == 1
    full = {fit.gigabytes: fit.gpus for fit in planned("paper-a-qwen7b-full").fits}
    assert full[80] in (2, 4)
    assert full[24] is None or full[24] >= 8
    alone = planned("paper-a-qwen7b-full", {"launch": None})
    assert "No common GPU holds it" in alone.verdict
    assert "of RAM" in planned("esc-smollm2-lora").verdict


def test_steps_and_tokens() -> None:
    lora = planned("esc-smollm2-lora", train_tokens=40 * 1024, rows=40)
    assert (lora.steps, lora.total_tokens) == (10, 40 * 1024)
    thrice = planned("esc-smollm2-lora", {"epochs": 3}, train_tokens=40 * 1024, rows=40)
    assert (thrice.steps, thrice.total_tokens) == (30, 3 * 40 * 1024)
    assert planned("esc-smollm2-lora").steps is None
    capped = planned("esc-smollm2-lora", {"max_steps": 5}, train_tokens=40 * 1024, rows=40)
    assert (capped.steps, capped.total_tokens) == (5, 20 * 1024)
    padded = {"batching": Batching.PADDED, "batch_size": 4}
    assert planned("esc-smollm2-lora", padded, train_tokens=9, rows=32).steps == 2


def test_plan_text_shows_every_part_and_the_sum() -> None:
    text = plan_text(planned("paper-a-qwen72b-lora-r16"))
    for word in ("weights", "gradients", "optimizer", "activations", "logits", "total", "FSDP"):
        assert word in text
    assert "72,706,203,648 parameters, 65,536,000 trained (0.09%)" in text


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(BadInput, match="--gpus 0"):
        planned("paper-a-qwen7b-full", gpus=0)
    lora = load_recipe("esc-smollm2-lora").lora
    assert lora is not None
    wrong = {"lora": lora.model_copy(update={"target_modules": ["c_attn"]})}
    with pytest.raises(ConfigError, match="c_attn"):
        planned("esc-smollm2-lora", wrong)


@pytest.mark.parametrize(
    ("name", "has_cuda", "gpus", "runs"),
    [
        ("esc-smollm2-lora", False, 0, True),
        ("esc-mistral-qlora", True, 1, True),
        ("esc-mistral-qlora", False, 0, False),
        ("paper-a-qwen72b-lora-r8", False, 0, False),
        ("paper-a-qwen72b-lora-r8", True, 8, True),
    ],
)
def test_a_recipe_for_gpus_says_what_runs_instead(
    name: str, has_cuda: bool, gpus: int, runs: bool
) -> None:
    recipe: Recipe = load_recipe(name)
    problem = runs_here(recipe, has_cuda, gpus)
    assert (problem is None) is runs
    if problem:
        assert name in problem
        assert "esc-smollm2-lora" in problem
