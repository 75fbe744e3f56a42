"""One training loop for LoRA and full fine-tuning; only the preparation of the model differs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from esc_demo.models.local.folders import base_folder, file_sha256, template_fingerprint
from esc_demo.prompts import PromptTemplate
from esc_demo.settings import PROJECT_ROOT
from finetune.data import load_extes
from finetune.encoding import IGNORED, Sample, corpus_hash, encode_dialogue
from finetune.evaluate import reply_loss
from finetune.recipes import Method, Recipe

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """Where a run left its files, and its measurements (also in `metrics.json`)."""

    folder: Path
    metrics: dict[str, Any]


def train(recipe: Recipe, out: Path) -> RunResult:
    """Train as `recipe` says and leave recipe, metrics and weights in the new folder `out`.

    LoRA runs leave `out/adapter`, full runs `out/weights` (float32 safetensors).

    Raises:
        BadInput: a dialogue file is wrong.
        AssetError: the base weights are missing.
    """
    torch.manual_seed(recipe.seed)
    base = base_folder(recipe.base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    samples = load_samples(tokenizer, recipe.train, recipe.max_tokens)
    heldout = load_samples(tokenizer, recipe.heldout, recipe.max_tokens)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = reply_loss(model, heldout, title="held-out before")
    model = _prepare(model, recipe)
    started = time.perf_counter()
    trainer = Trainer(
        model=model,
        args=_arguments(recipe, out),
        train_dataset=[{"ids": s.ids, "labels": s.labels} for s in samples],
        data_collator=lambda batch: _collate(batch, int(tokenizer.pad_token_id)),
    )
    loss = trainer.train().training_loss
    seconds = time.perf_counter() - started
    after = reply_loss(model, heldout, title="held-out after")
    tokens = sum(len(s.ids) for s in samples)
    metrics = {
        "base": recipe.base,
        "base_sha256": file_sha256(base / "model.safetensors"),
        "method": recipe.method.value,
        "corpus_hash": corpus_hash(samples),
        "prompt_hash": PromptTemplate().content_hash,
        "template_fingerprint": template_fingerprint(tokenizer),
        "train_dialogues": len(samples),
        "train_tokens": tokens,
        "supervised_tokens": sum(s.supervised for s in samples),
        "heldout_dialogues": len(heldout),
        "heldout_reply_tokens": after.tokens,
        "heldout_perplexity_base": round(before.perplexity, 4),
        "heldout_perplexity": round(after.perplexity, 4),
        "train_loss": round(loss, 4),
        "train_seconds": round(seconds, 1),
        "tokens_per_second": round(tokens * recipe.epochs / seconds, 1),
    }
    _save(model, recipe, metrics, out)
    return RunResult(out, metrics)


def load_samples(tokenizer: PreTrainedTokenizerBase, path: str, max_tokens: int) -> list[Sample]:
    """Encode every dialogue of a file (relative paths start at the project root)."""
    return [
        encode_dialogue(tokenizer, dialogue, PromptTemplate(), max_tokens=max_tokens)
        for dialogue in load_extes(PROJECT_ROOT / path)
    ]


def _prepare(model: PreTrainedModel, recipe: Recipe) -> Any:
    """The only step in which LoRA and full fine-tuning differ."""
    if recipe.lora is None:
        return model
    config = LoraConfig(
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=recipe.lora.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    # peft notes the folder the base was read from; what others need is its public name.
    adapted.peft_config["default"].base_model_name_or_path = recipe.base
    return adapted


def _arguments(recipe: Recipe, out: Path) -> TrainingArguments:
    """The recipe in the Trainer's words."""
    return TrainingArguments(
        output_dir=str(out / "trainer"),
        learning_rate=recipe.learning_rate,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        warmup_steps=recipe.warmup_ratio,
        lr_scheduler_type="cosine",
        weight_decay=recipe.weight_decay,
        logging_steps=2,
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=recipe.seed,
    )


def _collate(batch: Sequence[dict[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """Pad on the right to the longest; padding has neither attention nor loss."""
    longest = max(len(item["ids"]) for item in batch)

    def rows(key: str, fill: int) -> torch.Tensor:
        return torch.tensor([[*i[key], *[fill] * (longest - len(i[key]))] for i in batch])

    mask = [[1] * len(i["ids"]) + [0] * (longest - len(i["ids"])) for i in batch]
    return {
        "input_ids": rows("ids", pad),
        "labels": rows("labels", IGNORED),
        "attention_mask": torch.tensor(mask),
    }


def _save(model: Any, recipe: Recipe, metrics: dict[str, Any], out: Path) -> None:
    """Weights, recipe and metrics into the run's folder."""
    if recipe.method is Method.LORA:
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.half()
        model.save_pretrained(out / "adapter", save_embedding_layers=False)
    else:
        model.save_pretrained(out / "weights")
    recipe_text = yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True))
    (out / "recipe.yaml").write_text(recipe_text, "utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
