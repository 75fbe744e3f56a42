"""A full fine-tune as a compact difference to its base: two bits a weight and two scales a row.

Per matrix row, the change of every weight is kept as its sign and as one of two magnitudes. With
signs and sizes fixed, the mean of each group is the magnitude of least squared error; which
weights are large is found by Lloyd's algorithm (Lloyd, 1982) on the magnitudes of the row. One
bit a weight (the construction of BitDelta, Liu et al., 2024) is half the size and not close
enough for a small model: see docs/decisions.md. Vectors (the norms) are kept in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from esc_demo.errors import ModelError

_SIGNS, _LARGE, _SCALE, _SHAPE, _PLAIN = ".signs", ".large", ".scale", ".shape", ".plain"
_ROUNDS = 8
"""Lloyd's algorithm hardly moves after five."""


def encode_delta(
    base: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Compact difference `tuned - base`; both map names to float tensors of equal shapes.

    Returns:
        For a matrix [rows, columns] `name.signs` and `name.large` uint8 [rows,
        ceil(columns / 8)], least significant bit first, `name.scale` float16 [rows, 2] (small,
        large) and `name.shape`; otherwise `name.plain` in float16.
    """
    packed: dict[str, torch.Tensor] = {}
    for name, tensor in tuned.items():
        change = tensor.float() - base[name].float()
        if change.ndim != 2:
            packed[name + _PLAIN] = change.half()
            continue
        large, scale = _two_magnitudes(change.abs())
        packed[name + _SIGNS] = _pack(change > 0)
        packed[name + _LARGE] = _pack(large)
        packed[name + _SCALE] = scale.half()
        packed[name + _SHAPE] = torch.tensor(change.shape)
    return packed


def _two_magnitudes(sizes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which entries of each row are large, and the two magnitudes [rows, 2]."""
    threshold = sizes.mean(1, keepdim=True)
    for _ in range(_ROUNDS):
        large = sizes > threshold
        means = [
            (sizes * group).sum(1, keepdim=True) / group.sum(1, keepdim=True).clamp(min=1)
            for group in (~large, large)
        ]
        threshold = (means[0] + means[1]) / 2
    return large, torch.cat(means, 1)


def apply_delta(
    base: Mapping[str, torch.Tensor], delta: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The rebuilt fine-tune in float32.

    Raises:
        ModelError: the delta belongs to a model of other names or shapes.
    """
    names = {key.rsplit(".", 1)[0] for key in delta}
    if names != set(base):
        odd = sorted(names ^ set(base))[0]
        raise ModelError(
            f"The full fine-tune's delta belongs to another base model: {odd!r} is only in one."
            " Check `base` and `weights` in models.yaml."
        )
    rebuilt: dict[str, torch.Tensor] = {}
    for name, tensor in base.items():
        weight = tensor.float()
        change = _change(delta, name)
        if change.shape != weight.shape:
            raise ModelError(
                f"The full fine-tune's delta belongs to another base model: {name!r} is"
                f" {tuple(weight.shape)} in the base and {tuple(change.shape)} in the delta."
            )
        rebuilt[name] = weight + change
    return rebuilt


def _change(delta: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """The change of one tensor, float32."""
    if name + _PLAIN in delta:
        return delta[name + _PLAIN].float()
    columns = int(delta[name + _SHAPE][1])
    signs = _unpack(delta[name + _SIGNS], columns).float() * 2 - 1
    small, large = delta[name + _SCALE].float().split(1, 1)
    return signs * torch.where(_unpack(delta[name + _LARGE], columns), large, small)


def _pack(bits: torch.Tensor) -> torch.Tensor:
    """Eight booleans of a row into a byte."""
    columns = bits.shape[1]
    padded = torch.nn.functional.pad(bits, (0, -columns % 8)).view(bits.shape[0], -1, 8)
    weights = torch.tensor([1 << i for i in range(8)], dtype=torch.uint8)
    return (padded.to(torch.uint8) * weights).sum(-1, dtype=torch.uint8)


def _unpack(packed: torch.Tensor, columns: int) -> torch.Tensor:
    """Booleans [rows, columns]."""
    shifts = torch.arange(8, dtype=torch.uint8)
    bits = (packed[:, :, None] >> shifts) & 1
    return bits.view(packed.shape[0], -1)[:, :columns].bool()
