"""Perplexity over reply tokens only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from finetune.encoding import Sample


@dataclass(frozen=True)
class ReplyLoss:
    """Mean negative log-likelihood in nats over `tokens` supervised tokens."""

    nats: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp of the mean loss per reply token."""
        return math.exp(self.nats)


@torch.no_grad()
def reply_loss(model: PreTrainedModel, samples: Sequence[Sample], *, title: str = "") -> ReplyLoss:
    """Loss of `model` on the supervised tokens of `samples`, one sequence at a time.

    The mean is over tokens, not over dialogues. The model is left in evaluation mode.
    """
    model.eval()
    total, count = 0.0, 0
    for sample in tqdm(samples, desc=title, disable=not title, leave=False):
        ids = torch.tensor([sample.ids], device=model.device)
        labels = torch.tensor(sample.labels[1:], device=model.device)
        logits = model(input_ids=ids).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        count += sample.supervised
    return ReplyLoss(total / count, count)
