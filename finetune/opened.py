"""A finished run as a model that can answer, on the page or for evaluation."""

from __future__ import annotations

import re
from typing import Any

from esc_demo.errors import BadInput, ConfigError
from esc_demo.models.specs import ModelCatalogue, ModelSpec, Quantisation, Variant
from finetune.recipes import Method, Recipe
from finetune.runs import RunFolder
from finetune.shapes import shape_of

_LABELS = {Method.LORA: "LoRA", Method.QLORA: "QLoRA", Method.FULL: "Full fine-tune"}

_INT8_TARGETS = {"q_proj", "k_proj", "v_proj", "o_proj"}
"""Layers whose adapters can lie on int8 weights."""


def spec_of(run: RunFolder, catalogue: ModelCatalogue) -> ModelSpec:
    """The result of `run` as a model that stands beside those of the same base.

    Raises:
        BadInput: the run is not finished, or its result is gone.
        ConfigError: the run has no readable recipe.
    """
    recipe = run.recipe()
    full = recipe.method is Method.FULL
    result = run.weights if full else run.adapter
    if not run.finished or not result.is_dir():
        raise BadInput(
            f"The run {run.path.name} has no finished {result.name} to open. Resume it, or train"
            " anew."
        )
    name = run.path.name
    return ModelSpec(
        id="run-" + re.sub(r"[^a-z0-9._-]+", "-", name.lower()),
        label=f"{_LABELS[recipe.method]} · {name}",
        base=recipe.base,
        variant=Variant.FULL if full else Variant.LORA,
        adapter=None if full else str(result),
        weights=str(result) if full else None,
        **_like_its_base(recipe, catalogue),
    )


def _like_its_base(recipe: Recipe, catalogue: ModelCatalogue) -> dict[str, Any]:
    """Everything that makes two models comparable, from the first offered one with that base."""
    known = [spec for spec in catalogue.specs.values() if spec.base == recipe.base]
    if not known:
        return {
            "family": recipe.base.rstrip("/").rsplit("/", 1)[-1],
            "context_length": _context_length(recipe),
            "system_role": recipe.system_role,
            "needs_gpu": recipe.needs_gpu,
            "licence": recipe.base_licence,
        }
    shared = ("family", "quantisation", "device", "context_length", "system_role", "needs_gpu")
    values = {name: getattr(known[0], name) for name in (*shared, "licence")}
    values["system_role"] = recipe.system_role  # as it was trained, whatever others do
    targets = set(recipe.lora.target_modules) if recipe.lora else set()
    if values["quantisation"] is Quantisation.INT8 and targets - _INT8_TARGETS:
        values["quantisation"] = Quantisation.NONE
    return values


def _context_length(recipe: Recipe) -> int:
    """Tokens a base reads that no offered model has; at least what it was trained on."""
    try:
        return shape_of(recipe.base).max_positions
    except ConfigError:
        return recipe.max_tokens
