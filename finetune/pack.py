"""From a finished run to the small artefact that is shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from esc_demo.errors import BadInput
from esc_demo.models.local.delta import encode_delta
from esc_demo.models.local.folders import base_folder
from esc_demo.models.local.rebuild import DELTA_FILE, rebuilt_folder
from finetune.evaluate import reply_loss
from finetune.recipes import Method, Recipe, load_recipe
from finetune.train import load_samples

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def pack_run(run: Path, out: Path) -> dict[str, Any]:
    """Write the adapter, or the delta, of `run` with its recipe and measurements into `out`.

    For a full fine-tune the held-out perplexity of the rebuilt weights is measured beside
    that of the true ones.

    Returns:
        The measurements, as written to `out/metrics.json`.

    Raises:
        BadInput: `run` is not a finished run.
    """
    if not (run / "metrics.json").exists():
        raise BadInput(f"{run} is not a finished run: it has no metrics.json.")
    recipe = load_recipe(str(run / "recipe.yaml"))
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text("utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    if recipe.method is Method.LORA:
        for name in ADAPTER_FILES:
            shutil.copyfile(run / "adapter" / name, out / name)
    else:
        metrics |= _pack_full(recipe, run, out)
    shutil.copyfile(run / "recipe.yaml", out / "recipe.yaml")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
    return metrics


def _pack_full(recipe: Recipe, run: Path, out: Path) -> dict[str, Any]:
    """Write the delta and measure what set-up makes of it, beside the true fine-tune."""
    folder = base_folder(recipe.base)
    base = load_file(folder / "model.safetensors")
    tuned = load_file(run / "weights" / "model.safetensors")
    save_file(encode_delta(base, tuned), out / DELTA_FILE)
    (out / DELTA_FILE).chmod(0o644)
    heldout = load_samples(AutoTokenizer.from_pretrained(folder), recipe.heldout, recipe.max_tokens)
    true = _model(run / "weights")
    first_two = reply_loss(true, heldout[:2]).perplexity
    whole = reply_loss(true, heldout, title="true fine-tune").perplexity
    rebuilt_model = _model(rebuilt_folder(str(out.resolve()), folder, lambda note: None)[0])
    rebuilt = reply_loss(rebuilt_model, heldout, title="rebuilt fine-tune").perplexity
    return {
        "heldout_perplexity_true": round(whole, 4),
        "heldout_first_two_true": round(first_two, 4),
        "heldout_perplexity_rebuilt": round(rebuilt, 4),
        "rebuilt_over_true": round(rebuilt / whole, 5),
        "delta_bytes": (out / DELTA_FILE).stat().st_size,
    }


def _model(folder: Path) -> PreTrainedModel:
    """The weights of `folder` in float32."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model
