"""The shipped recipes: what they take from the papers, and the launch files they name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esc_demo.errors import ConfigError
from finetune.data.splits import SplitKind
from finetune.plan import LAUNCH_DIR, spread_of
from finetune.recipes import Method, Precision, load_recipe, recipe_names, recipe_text
from finetune.shapes import shape_of

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ACCELERATE_FILES = sorted(path.name for path in LAUNCH_DIR.glob("*.yaml"))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_survives_saving(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    saved = tmp_path / "recipe.yaml"
    saved.write_text(recipe_text(recipe), "utf-8")
    assert load_recipe(str(saved)) == recipe
    assert recipe.max_tokens <= shape_of(recipe.base).max_positions


@pytest.mark.parametrize(
    ("name", "base", "system_role"),
    [
        ("paper-b-mistral-lora", "mistralai/Mistral-7B-Instruct-v0.2", False),
        ("paper-b-llama2-lora", "meta-llama/Llama-2-7b-chat-hf", True),
    ],
)
def test_paper_b_has_the_settings_of_its_table_2(name: str, base: str, system_role: bool) -> None:
    recipe = load_recipe(name)
    assert recipe.lora is not None
    assert (recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == (64, 32, 0.1)
    assert recipe.lora.target_modules == ATTENTION
    assert (recipe.learning_rate, recipe.epochs) == (2e-4, 50)
    assert recipe.precision is Precision.FP16
    assert recipe.data.split is SplitKind.EXTES
    assert (recipe.base, recipe.system_role, recipe.gpus) == (base, system_role, 4)


@pytest.mark.parametrize("rank", [8, 16, 32])
def test_paper_a_has_the_ranks_of_its_table_1(rank: int) -> None:
    recipe = load_recipe(f"paper-a-qwen72b-lora-r{rank}")
    assert recipe.base == "Qwen/Qwen2.5-72B-Instruct"
    assert recipe.lora is not None
    assert (recipe.lora.r, recipe.lora.alpha) == (rank, 2 * rank)
    assert recipe.prompt
    assert recipe.data.split is SplitKind.NLPCC


@pytest.mark.parametrize("name", ["paper-a-qwen7b-full", "paper-a-qwen72b-lora-r32"])
def test_second_submission_differs_only_in_its_data(name: str) -> None:
    first, second = load_recipe(name), load_recipe(f"{name}-trainval")
    assert not first.data.train_on_validation
    assert second.data.train_on_validation
    same = first.model_copy(update={"name": second.name, "about": second.about})
    assert same.model_copy(update={"data": second.data}) == second


def test_paper_a_full_trains_every_weight_of_the_7b() -> None:
    recipe = load_recipe("paper-a-qwen7b-full")
    assert (recipe.base, recipe.method) == ("Qwen/Qwen2.5-7B-Instruct", Method.FULL)


@pytest.mark.parametrize("name", [n for n in recipe_names() if n.startswith("paper-")])
def test_paper_recipes_name_source_and_own_choices(name: str) -> None:
    about = load_recipe(name).about
    assert "Table" in about
    assert "section" in about
    assert "Not stated and chosen here" in about


@pytest.mark.parametrize("name", [n for n in recipe_names() if load_recipe(n).launch])
def test_launch_file_agrees_with_its_recipe(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    recipe = load_recipe(name)
    config = load_config_from_file(str(LAUNCH_DIR / str(recipe.launch)))
    assert config.num_processes == recipe.gpus
    assert config.mixed_precision == recipe.precision.value
    assert spread_of(recipe).value.startswith(("FSDP", "data parallel"))


@pytest.mark.parametrize("file", ACCELERATE_FILES)
def test_accelerate_launch_understands_every_key(file: str) -> None:
    """`accelerate launch` sets any key as an attribute: a misspelt one would be lost silently."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(LAUNCH_DIR / file))
    known = vars(launch_command_parser().parse_args(["train.py"]))
    for section in (config.fsdp_config, config.deepspeed_config):
        assert set(section) <= set(known), f"{set(section) - set(known)} are no options"


@pytest.mark.parametrize("file", [f for f in ACCELERATE_FILES if f.startswith("fsdp")])
def test_fsdp_plugin_takes_the_values(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils import FullyShardedDataParallelPlugin

    environment = _launch_environment(file)
    for key, value in environment.items():
        if key.startswith("FSDP_"):
            monkeypatch.setenv(key, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.transformer_cls_names_to_wrap == ["Qwen2DecoderLayer"]
    assert not plugin.activation_checkpointing  # the recipe's: the Trainer refuses both


@pytest.mark.parametrize("file", [f for f in ACCELERATE_FILES if f.startswith("zero3")])
def test_deepspeed_plugin_takes_the_values(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import DeepSpeedPlugin

    config = load_config_from_file(str(LAUNCH_DIR / file))
    monkeypatch.chdir(LAUNCH_DIR.parents[1])
    monkeypatch.setenv(
        "ACCELERATE_DEEPSPEED_CONFIG_FILE", config.deepspeed_config["deepspeed_config_file"]
    )
    fields = [*config.deepspeed_config, *(["mixed_precision"] if config.mixed_precision else [])]
    monkeypatch.setenv("ACCELERATE_CONFIG_DS_FIELDS", ",".join(fields))
    plugin = DeepSpeedPlugin()
    assert plugin.zero_stage == 3
    assert plugin.zero3_save_16bit_model
    assert plugin.zero3_init_flag
    assert plugin.deepspeed_config["bf16"] == {"enabled": "auto"}


def test_launch_files_exist_in_pairs() -> None:
    for work in ("7b-full", "72b-lora"):
        assert (LAUNCH_DIR / f"fsdp-{work}.yaml").exists()
        config = json.loads((LAUNCH_DIR / f"zero3-{work}.json").read_text("utf-8"))
        assert config["zero_optimization"]["stage"] == 3


def test_unknown_launch_file_is_named() -> None:
    recipe = load_recipe("paper-a-qwen7b-full").model_copy(update={"launch": "nowhere.yaml"})
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*Known: ddp-7b-lora\.yaml"):
        spread_of(recipe)


def _launch_environment(file: str) -> dict[str, str]:
    """The variables that `accelerate launch` gives to the processes it starts."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    line = ["--config_file", str(LAUNCH_DIR / file), "-m", "finetune", "train", "recipe"]
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(line))
    return {key: str(value) for key, value in prepare_multi_gpu_env(arguments).items()}
