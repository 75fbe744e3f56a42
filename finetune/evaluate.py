"""Perplexity over reply tokens only, and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from finetune.encoding import IGNORED, Sample


@dataclass(frozen=True)
class ReplyLoss:
    """Negative log-likelihood of replies.

    `nats` is the mean over `tokens` supervised tokens, each reply's end token included;
    `reply_bytes` is the length of the replies' text in UTF-8.
    """

    nats: float
    tokens: int
    reply_bytes: int

    @property
    def perplexity(self) -> float:
        """exp of the mean loss per reply token; comparable within one tokenizer only."""
        return math.exp(min(self.nats, 700.0))  # exp overflows above

    @property
    def bits_per_byte(self) -> float:
        """Total loss in bits over the bytes of the text; comparable across tokenizers."""
        return self.nats * self.tokens / math.log(2) / self.reply_bytes


def supervised_loss(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed cross-entropy in nats at supervised positions; logits are made for these only.

    `inputs` holds `labels` [rows, tokens] and the arguments of the model's forward pass. The
    vocabulary's projection is the widest matrix of a small model and most tokens are prompt, so
    leaving those out saves time and memory; it goes through the model's own `logits_to_keep`,
    so that wrapped models (peft, FSDP) work as they are.
    """
    arguments = dict(inputs)
    labels = arguments.pop("labels")
    following = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    positions = (following != IGNORED).any(dim=0).nonzero().squeeze(1)
    logits = model(**arguments, logits_to_keep=positions, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1),
        following[:, positions].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )


@torch.no_grad()
def reply_loss(model: Any, samples: Sequence[Sample], *, title: str = "") -> ReplyLoss:
    """Loss of `model` on the supervised tokens of `samples`, one sequence at a time.

    The mean is over tokens, not over dialogues. The model's mode (training or evaluation) is
    as before when this returns.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total = 0.0
    for sample in tqdm(samples, desc=title, disable=not title, leave=False):
        inputs = {
            "input_ids": torch.tensor([sample.ids], device=device),
            "labels": torch.tensor([sample.labels], device=device),
        }
        total += supervised_loss(model, inputs).item()
    model.train(was_training)
    count = sum(sample.supervised for sample in samples)
    return ReplyLoss(total / count, count, sum(sample.reply_bytes for sample in samples))
