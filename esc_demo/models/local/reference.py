"""Plain float32 transformers and peft: what our decoding is measured and tested against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from esc_demo.dialogue import Message
from esc_demo.models.local.encode import encode_prompt
from esc_demo.models.local.folders import artefact_folder, base_folder
from esc_demo.models.local.rebuild import rebuilt_folder
from esc_demo.models.specs import ModelSpec, Variant


class ReferenceModels:
    """float32 models by spec; each is loaded on first use, LoRA through peft."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._models: dict[str, Any] = {}
        self._tokenizers: dict[str, Any] = {}

    def model(self, spec: ModelSpec) -> Any:
        """The float32 model of `spec`.

        Raises:
            EscError: the weights are missing or damaged.
        """
        if spec.id not in self._models:
            base = base_folder(spec.base)
            folder = base
            if spec.weights is not None:
                folder, _ = rebuilt_folder(spec.weights, base, lambda note: None)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            if spec.variant is Variant.LORA and spec.adapter is not None:
                adapter = artefact_folder(spec.adapter, "adapter_config.json")
                model = PeftModel.from_pretrained(model, str(adapter))
            self._models[spec.id] = model.eval()
            self._tokenizers.setdefault(spec.base, AutoTokenizer.from_pretrained(base))
        return self._models[spec.id]

    @torch.inference_mode()
    def generate(self, spec: ModelSpec, messages: Sequence[Message], tokens: int) -> int:
        """Write exactly `tokens` greedy tokens; returns that number."""
        model = self.model(spec)
        ids = torch.tensor([encode_prompt(self._tokenizers[spec.base], messages).ids])
        written = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
        )
        return int(written.shape[1] - ids.shape[1])
