"""One decoding step of a Llama-shaped model in int8, for several rows at once, on a CPU.

transformers reads prompts; this writes tokens. It is the same architecture (RMSNorm, rotary
positions, grouped-query attention, SwiGLU) with fused projections and no per-module overhead,
which is where most of a small model's step goes. Every operation treats each row by itself:
a row's logits are bit for bit the same alone and in company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from esc_demo.models.local.layers import AdaptedLinear, Int8Linear, LowRank
from esc_demo.models.local.rows import Row


@dataclass(frozen=True)
class _Layer:
    """One transformer block: quantised products, norms, and the block it came from."""

    source: Any
    attention_norm: torch.Tensor
    qkv: Int8Linear
    out: Int8Linear
    mlp_norm: torch.Tensor
    gate_up: Int8Linear
    down: Int8Linear


class Int8Decoder:
    """Decodes with int8 copies of the weights of `model` (llama, mistral or qwen2)."""

    def __init__(self, model: Any) -> None:
        """Quantise `model`, a float32 causal LM."""
        config = model.config
        self._epsilon = config.rms_norm_eps
        self._size = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        self._heads = config.num_attention_heads
        self._kv_heads = config.num_key_value_heads
        self._embedding = model.get_input_embeddings().weight.data
        self._final_norm = model.model.norm.weight.data
        self._head = _fused(model.lm_head)
        self._layers = [_layer(block) for block in model.model.layers]
        self._low_rank: dict[str, list[tuple[LowRank | None, LowRank | None]]] = {}
        ids = torch.arange(config.max_position_embeddings)[None]
        cos, sin = model.model.rotary_emb(self._embedding, ids)
        self._cos, self._sin = cos[0], sin[0]

    def add_adapter(self, name: str) -> None:
        """Take over adapter `name` from the `AdaptedLinear` layers of the model."""
        updates = []
        for layer in self._layers:
            block = layer.source.self_attn
            projections = (block.q_proj, block.k_proj, block.v_proj)
            updates.append((_stacked(projections, name), _stacked((block.o_proj,), name)))
        self._low_rank[name] = updates

    def step(
        self, rows: Sequence[Row], tokens: Sequence[int], adapters: Sequence[str | None]
    ) -> torch.Tensor:
        """Append one token to each row; returns the next logits [rows, vocabulary]."""
        positions = [row.length for row in rows]
        turn = (self._cos[positions][:, None], self._sin[positions][:, None])
        adapted = [
            (index, self._low_rank[name]) for index, name in enumerate(adapters) if name is not None
        ]
        hidden = self._embedding[list(tokens)]
        for index, layer in enumerate(self._layers):
            normed = self._norm(hidden, layer.attention_norm)
            mixed = layer.qkv(normed)
            for row, updates in adapted:
                if (update := updates[index][0]) is not None:
                    mixed[row] += update(normed[row])
            attended = self._attend(mixed, rows, index, turn)
            output = layer.out(attended)
            for row, updates in adapted:
                if (update := updates[index][1]) is not None:
                    output[row] += update(attended[row])
            hidden = hidden + output
            gate, up = layer.gate_up(self._norm(hidden, layer.mlp_norm)).chunk(2, -1)
            hidden = hidden + layer.down(functional.silu(gate) * up)
        logits: torch.Tensor = self._head(self._norm(hidden, self._final_norm))
        return logits

    def _norm(self, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Root-mean-square norm over the features."""
        return functional.rms_norm(hidden, (hidden.shape[-1],), weight, self._epsilon)

    def _attend(
        self,
        mixed: torch.Tensor,
        rows: Sequence[Row],
        layer: int,
        turn: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """Attention of the new tokens over their own rows: [rows, heads * size]."""
        both = self._heads + self._kv_heads
        heads = mixed.view(len(rows), both + self._kv_heads, self._size)
        turned = _rotate(heads[:, :both], *turn)
        queries, keys, values = (
            turned[:, : self._heads],
            turned[:, self._heads :],
            heads[:, both:],
        )
        outputs = []
        for index, row in enumerate(rows):
            row.append(layer, keys[index][:, None], values[index][:, None])
            total = row.length + 1
            outputs.append(
                functional.scaled_dot_product_attention(
                    queries[index][None, :, None],
                    row.keys[None, layer, :, :total],
                    row.values[None, layer, :, :total],
                    enable_gqa=True,
                )
            )
        return torch.cat(outputs).view(len(rows), -1)


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding in the half-split layout of transformers."""
    one, two = heads.chunk(2, -1)
    return heads * cos + torch.cat((-two, one), -1) * sin


def _layer(block: Any) -> _Layer:
    """The quantised form of one transformer block."""
    attention = block.self_attn
    return _Layer(
        source=block,
        attention_norm=block.input_layernorm.weight.data,
        qkv=_fused(attention.q_proj, attention.k_proj, attention.v_proj),
        out=_fused(attention.o_proj),
        mlp_norm=block.post_attention_layernorm.weight.data,
        gate_up=_fused(block.mlp.gate_proj, block.mlp.up_proj),
        down=_fused(block.mlp.down_proj),
    )


def _fused(*linears: nn.Linear) -> Int8Linear:
    """Several layers with one input as one; rows keep their own scales, so nothing is mixed."""
    weight = torch.cat([linear.weight.data for linear in linears])
    biases = [linear.bias for linear in linears]
    if all(bias is None for bias in biases):
        return Int8Linear(weight)
    filled = [
        torch.zeros(linear.out_features) if bias is None else bias.data
        for linear, bias in zip(linears, biases, strict=True)
    ]
    return Int8Linear(weight, torch.cat(filled))


def _stacked(layers: Sequence[nn.Module], name: str) -> LowRank | None:
    """The updates of side-by-side layers as one, block-diagonal in `up`; None without any."""
    updates = [
        layer.updates.get(name) if isinstance(layer, AdaptedLinear) else None for layer in layers
    ]
    present = [update for update in updates if update is not None]
    if not present:
        return None
    down = torch.cat([update.down for update in present])
    up = torch.zeros(sum(_width(layer) for layer in layers), down.shape[0])
    top = left = 0
    for layer, update in zip(layers, updates, strict=True):
        if update is not None:
            rank = update.down.shape[0]
            up[top : top + _width(layer), left : left + rank] = update.up
            left += rank
        top += _width(layer)
    return LowRank(down, up)


def _width(layer: nn.Module) -> int:
    """Output features of a plain or wrapped linear layer."""
    inner = layer.inner if isinstance(layer, AdaptedLinear) else layer
    assert isinstance(inner, nn.Linear)
    return inner.out_features
