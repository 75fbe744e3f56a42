"""Making a model ready for training: the one step in which LoRA, QLoRA and full differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM

from esc_demo.errors import BadInput
from esc_demo.models.local.weights import four_bit
from finetune.recipes import Method, Precision, Recipe

_HALF = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


def load_base(recipe: Recipe, base: Path) -> Any:
    """The base weights as `recipe` trains on them.

    Weights that are trained are float32, whatever the arithmetic; a frozen base may lie in half
    precision (LoRA) or in 4 bits (QLoRA: nf4 with double quantisation, Dettmers et al., 2023).

    Raises:
        BadInput: QLoRA without CUDA.
    """
    arguments: dict[str, Any] = {"dtype": torch.float32}
    if recipe.method is not Method.FULL:
        arguments["dtype"] = _HALF.get(recipe.precision, torch.float32)
    if recipe.method is Method.QLORA:
        if not torch.cuda.is_available():
            raise BadInput(
                f"{recipe.name} keeps its base in 4 bits, which needs CUDA; there is none here."
                " esc-smollm2-lora runs on a CPU."
            )
        arguments["quantization_config"] = four_bit(_HALF.get(recipe.precision, torch.bfloat16))
    return AutoModelForCausalLM.from_pretrained(base, **arguments)


def prepare(model: Any, recipe: Recipe) -> Any:
    """`model` with what is to be trained: every weight, or fresh adapters on a frozen base."""
    if recipe.lora is None:
        return model
    if recipe.method is Method.QLORA:
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.gradient_checkpointing
        )
    config = LoraConfig(
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=recipe.lora.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:  # peft: no module has such a name
        raise BadInput(
            f"{recipe.name}: lora.target_modules {recipe.lora.target_modules} do not fit"
            f" {recipe.base}: {error}"
        ) from error
    # peft notes the folder the base was read from; what others need is its public name.
    adapted.peft_config["default"].base_model_name_or_path = recipe.base
    return adapted
