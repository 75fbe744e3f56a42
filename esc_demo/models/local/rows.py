"""One key-value cache per row, and attention that reads each row by itself.

Padding rows to one length would make a row's sums depend on its neighbours' lengths; here a
row's attention is the same call with the same shapes whoever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ATTENTION = "esc_rows"
"""Name under which the attention is registered with transformers."""


class Row:
    """Keys and values of one conversation: [layers, kv heads, capacity, head size]."""

    def __init__(
        self, layers: int, heads: int, size: int, capacity: int, like: torch.Tensor
    ) -> None:
        """Room for `capacity` tokens, of the type and on the device of `like`."""
        shape = (layers, heads, capacity, size)
        self.keys = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.values = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.length = 0
        self.added = 0

    @property
    def bytes(self) -> int:
        """Memory of keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Store new keys and values [kv heads, tokens, head size] of one layer."""
        self.added = keys.shape[1]
        window = slice(self.length, self.length + self.added)
        self.keys[layer, :, window] = keys
        self.values[layer, :, window] = values

    def advance(self) -> None:
        """Count the tokens appended to all layers."""
        self.length += self.added
        self.added = 0

    def copy_prefix(self, other: Row, length: int) -> None:
        """Take over the first `length` tokens of `other`."""
        self.keys[:, :, :length] = other.keys[:, :, :length]
        self.values[:, :, :length] = other.values[:, :, :length]
        self.length = length


class RowCaches:
    """The rows of one forward pass, in the shape of a transformers cache."""

    is_compileable = False

    def __init__(self, rows: Sequence[Row]) -> None:
        """Rows in batch order."""
        self.rows = rows

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Zero: positions are given explicitly, row by row."""
        return 0

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append this layer's keys and values [batch, kv heads, tokens, size] to each row."""
        for index, row in enumerate(self.rows):
            row.append(layer, keys[index], values[index])
        return keys, values


def attend_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    rows: Sequence[Row] = (),
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of `query` [batch, heads, tokens, size], one row at a time.

    Returns:
        Output [batch, tokens, heads, size], and no weights.
    """
    outputs = []
    layer = module.layer_idx
    for index, row in enumerate(rows):
        total = row.length + row.added
        mask = None
        if row.added > 1:
            shape = (row.added, total)
            mask = torch.ones(shape, dtype=torch.bool, device=query.device).tril(row.length)
        outputs.append(
            functional.scaled_dot_product_attention(
                query[index : index + 1],
                row.keys[layer, :, :total].unsqueeze(0),
                row.values[layer, :, :total].unsqueeze(0),
                attn_mask=mask,
                scale=scaling,
                enable_gqa=True,
            )
        )
    return torch.cat(outputs).transpose(1, 2), None


def register() -> None:
    """Make the attention known to transformers; calling it again changes nothing."""
    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend_rows)
