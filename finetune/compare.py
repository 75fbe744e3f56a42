"""Several models on the same dialogues: perplexity per reply token and bits per byte."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from esc_demo.errors import BadInput, EscError, ModelError
from esc_demo.models import ModelSpec, load_specs
from esc_demo.models.local.folders import artefact_folder, base_folder
from esc_demo.models.local.rebuild import rebuilt_folder
from esc_demo.models.local.weights import four_bit
from esc_demo.settings import PROJECT_ROOT, get_settings
from finetune.data import load
from finetune.encoding import Encoded, Encoding, encode_all
from finetune.evaluate import ReplyLoss, reply_loss
from finetune.opened import spec_of
from finetune.recipes import Method
from finetune.runs import RunFolder

HELDOUT = PROJECT_ROOT / "finetune" / "corpus" / "heldout.json"
_WINDOW = 2048


@dataclass(frozen=True)
class ModelLoss:
    """What one model made of one data set."""

    model: str
    asked: str
    data: str
    data_hash: str
    dialogues: int
    replies: int
    left_out: int
    loss: ReplyLoss

    def record(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "model": self.model,
            "asked": self.asked,
            "data": self.data,
            "data_hash": self.data_hash,
            "dialogues": self.dialogues,
            "replies": self.replies,
            "replies_left_out": self.left_out,
            "reply_tokens": self.loss.tokens,
            "perplexity": round(self.loss.perplexity, 4),
            "bits_per_byte": round(self.loss.bits_per_byte, 5),
        }


@dataclass(frozen=True)
class _Part:
    """One data set, encoded for one tokenizer."""

    name: str
    data_hash: str
    dialogues: int
    encoded: Encoded


def compare_losses(
    models: Sequence[str], data: Sequence[Path] | None, limit: int | None
) -> list[ModelLoss]:
    """Measure each model, an id of `models.yaml` or a run's folder, on each data set.

    Adjacent turns of one speaker are merged, no profile is told, and every reply that fits into
    the window together with its message counts. Prompt and context are those a run was trained
    with; models of `models.yaml` get the structured prompt and the raw context. The weights are
    read in float32 on a CPU and in bfloat16 on CUDA, those of QLoRA runs in 4 bits.

    Raises:
        BadInput: no model, an unknown one, or a wrong data file.
        AssetError: weights are missing.
    """
    if not models:
        raise BadInput("Name at least one model, for example --models base,lora,full.")
    named = [asked(name) for name in models]  # all, before minutes are spent on the first
    parts: dict[tuple[str, Encoding], list[_Part]] = {}
    found: list[ModelLoss] = []
    for spec, encoding, four_bits in named:
        key = (spec.base, encoding)
        if key not in parts:
            parts[key] = _encode(spec, encoding, data or [HELDOUT], limit)
        with loaded(spec, four_bits=four_bits) as model:
            for part in parts[key]:
                title = f"{spec.id} on {part.name}"
                loss = reply_loss(model, part.encoded.samples, title=title)
                found.append(
                    ModelLoss(
                        spec.id,
                        _words(encoding),
                        part.name,
                        part.data_hash,
                        part.dialogues,
                        part.encoded.replies,
                        part.encoded.left_out,
                        loss,
                    )
                )
    return found


def losses_text(found: Sequence[ModelLoss]) -> str:
    """A table in Markdown, one line a model and data set."""
    lines = [
        "| data (dialogues, reply tokens) | model | asked with | perplexity | bits per byte |",
        "|---|---|---|---|---|",
    ]
    for one in sorted(found, key=lambda one: [f.data for f in found].index(one.data)):
        lines.append(
            f"| {one.data} ({one.dialogues}, {one.loss.tokens:,}) | {one.model} | {one.asked} |"
            f" {one.loss.perplexity:.2f} | {one.loss.bits_per_byte:.4f} |"
        )
    left_out = sum(one.left_out for one in found)
    lines.append("")
    lines.append(
        "Loss on replies only, no profile told, adjacent turns of one speaker merged;"
        f" {left_out} replies did not fit the window."
    )
    return "\n".join(lines)


class Asked(NamedTuple):
    """A model, and how it is asked."""

    spec: ModelSpec
    encoding: Encoding
    four_bits: bool


def asked(name: str) -> Asked:
    """The model called `name` in models.yaml, or made by the run in the folder `name`."""
    catalogue = load_specs(get_settings().models_file)
    run = RunFolder(Path(name))
    if not run.recipe_file.exists():
        spec = catalogue[name]
        return Asked(spec, _within(Encoding(system_role=spec.system_role), spec), False)
    spec, recipe = spec_of(run, catalogue), run.recipe()
    return Asked(spec, _within(Encoding.of(recipe), spec), recipe.method is Method.QLORA)


def _within(encoding: Encoding, spec: ModelSpec) -> Encoding:
    """Without a profile, and with the whole window."""
    return replace(encoding, profile_share=0, max_tokens=min(spec.context_length, _WINDOW))


def _words(encoding: Encoding) -> str:
    """How models are asked, for a table."""
    prompt = "structured prompt" if encoding.template.enabled else "no prompt"
    return f"{encoding.context.label()}, {prompt}"


def _encode(
    spec: ModelSpec, encoding: Encoding, data: Sequence[Path], limit: int | None
) -> list[_Part]:
    """Every data set for the tokenizer of `spec`."""
    tokenizer = AutoTokenizer.from_pretrained(base_folder(spec.base))
    parts = []
    for path in data:
        whole = load(path)
        dialogues = whole.dialogues[:limit]
        encoded = encode_all(tokenizer, dialogues, encoding, title=f"encoding {path.name}")
        name = path.stem if limit is None else f"{path.stem}, first {len(dialogues)}"
        parts.append(_Part(name, whole.content_hash, len(dialogues), encoded))
    return parts


@contextmanager
def loaded(spec: ModelSpec, *, four_bits: bool = False) -> Iterator[Any]:
    """The weights of `spec` in float32, bfloat16 on CUDA, or 4 bits; freed afterwards."""
    base = base_folder(spec.base)
    folder = base
    if spec.weights is not None:
        folder, _ = rebuilt_folder(spec.weights, base, lambda note: None)
    cuda = torch.cuda.is_available()
    if (spec.needs_gpu or four_bits) and not cuda:
        raise ModelError(f"{spec.label} needs a GPU, and there is none here.")
    arguments: dict[str, Any] = {"dtype": torch.bfloat16 if cuda else torch.float32}
    if four_bits:
        arguments["quantization_config"] = four_bit(torch.bfloat16)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(folder, **arguments)
        if spec.adapter is not None:
            adapter = artefact_folder(spec.adapter, "adapter_config.json")
            model = PeftModel.from_pretrained(model, str(adapter))
    except EscError:
        raise
    except Exception as error:  # safetensors, json and peft each raise their own kinds
        raise ModelError(f"{spec.label} cannot be read from {folder}: {error}") from error
    yield (model if four_bits else model.to("cuda" if cuda else "cpu")).eval()
    del model
    gc.collect()
