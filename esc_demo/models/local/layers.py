"""The two kinds of linear layer behind fair side-by-side decoding.

`Int8Linear` keeps one scale per output row, so no row of a batch, and so no pane or visitor,
can influence another (tensor-wide activation scales do: see docs/decisions.md). `AdaptedLinear`
adds a LoRA update to those rows of a batch that ask for it, row by row, so that a row's
arithmetic never depends on who else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional


@dataclass
class BatchPlan:
    """Which adapter each row of the forward pass under way uses; None is the bare base.

    One plan belongs to one weight set and is written only by the thread that runs it.
    """

    adapters: Sequence[str | None] = field(default_factory=tuple)


@dataclass(frozen=True)
class LowRank:
    """A LoRA update of one layer: `up @ down @ x`; `up` already carries alpha / r."""

    down: torch.Tensor
    up: torch.Tensor

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """The update for `inputs` [..., in], as [..., out]."""
        return functional.linear(functional.linear(inputs, self.down), self.up)


class Int8Linear(nn.Module):
    """Weight-only int8 with a scale per output row; symmetric, rounded to nearest.

    Input and output are float32 [rows, features]. The product itself runs in
    `torch._weight_int8pack_mm` on bfloat16 activations, its only fast form on AVX2.
    """

    levels: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        """Quantise `weight` [out, in]; `bias` [out] stays in float32."""
        super().__init__()
        scale = weight.abs().amax(1).clamp(min=1e-12) / 127.0
        levels = torch.round(weight / scale[:, None]).clamp(-127, 127).to(torch.int8)
        self.register_buffer("levels", levels.contiguous(), persistent=False)
        self.register_buffer("scale", scale.to(torch.bfloat16), persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The layer's output, float32 [rows, out]."""
        product = torch._weight_int8pack_mm(inputs.to(torch.bfloat16), self.levels, self.scale)
        output = product.float()
        return output if self.bias is None else output + self.bias


class AdaptedLinear(nn.Module):
    """A frozen linear layer and, per adapter, a low-rank update."""

    def __init__(self, inner: nn.Module, plan: BatchPlan) -> None:
        """Wrap `inner`, which maps [batch, tokens, in] to [batch, tokens, out]."""
        super().__init__()
        self.inner = inner
        self.updates: dict[str, LowRank] = {}
        self._plan = plan

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The inner output, updated in those rows whose adapter touches this layer."""
        output: torch.Tensor = self.inner(inputs)
        for row, name in enumerate(self._plan.adapters):
            if name is not None and name in self.updates:
                output[row] += self.updates[name](inputs[row])
        return output
