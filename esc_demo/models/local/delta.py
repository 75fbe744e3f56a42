"""A full fine-tune as a compact difference to its base.

Per matrix: the sign of every weight's change as one bit and one scale per row; a row's change is
then `scale * sign`. With the signs fixed, the mean absolute change of the row is the scale that
minimises the squared error (the construction of BitDelta, Liu et al., 2024, with a scale per
row instead of per matrix). Vectors (the norms) are kept as half-precision differences.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from esc_demo.errors import ModelError

_SIGNS, _SCALE, _SHAPE, _PLAIN = ".signs", ".scale", ".shape", ".plain"


def encode_delta(
    base: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Compact difference `tuned - base`; both map names to float tensors of equal shapes.

    Returns:
        For a matrix [rows, columns] `name.signs` uint8 [rows, ceil(columns / 8)], least
        significant bit first, `name.scale` float16 [rows] and `name.shape`; otherwise
        `name.plain` in float16.
    """
    packed: dict[str, torch.Tensor] = {}
    for name, tensor in tuned.items():
        change = tensor.float() - base[name].float()
        if change.ndim == 2:
            packed[name + _SIGNS] = _pack(change > 0)
            packed[name + _SCALE] = change.abs().mean(1).half()
            packed[name + _SHAPE] = torch.tensor(change.shape)
        else:
            packed[name + _PLAIN] = change.half()
    return packed


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
        if name + _PLAIN in delta:
            change = delta[name + _PLAIN].float()
        else:
            signs = _unpack(delta[name + _SIGNS], int(delta[name + _SHAPE][1]))
            change = signs * delta[name + _SCALE].float()[:, None]
        if change.shape != weight.shape:
            raise ModelError(
                f"The full fine-tune's delta belongs to another base model: {name!r} is"
                f" {tuple(weight.shape)} in the base and {tuple(change.shape)} in the delta."
            )
        rebuilt[name] = weight + change
    return rebuilt


def _pack(bits: torch.Tensor) -> torch.Tensor:
    """Eight booleans of a row into a byte."""
    columns = bits.shape[1]
    padded = torch.nn.functional.pad(bits, (0, -columns % 8)).view(bits.shape[0], -1, 8)
    weights = torch.tensor([1 << i for i in range(8)], dtype=torch.uint8)
    return (padded.to(torch.uint8) * weights).sum(-1, dtype=torch.uint8)


def _unpack(packed: torch.Tensor, columns: int) -> torch.Tensor:
    """Signs as +1 and -1, float32 [rows, columns]."""
    shifts = torch.arange(8, dtype=torch.uint8)
    bits = (packed[:, :, None] >> shifts) & 1
    return bits.view(packed.shape[0], -1)[:, :columns].float() * 2 - 1
