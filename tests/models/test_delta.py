"""The compact difference of a full fine-tune."""

import pytest
import torch

from esc_demo.errors import ModelError
from esc_demo.models.local.delta import apply_delta, encode_delta


def weights(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "linear.weight": torch.randn(7, 13, generator=generator) * scale,
        "norm.weight": torch.randn(13, generator=generator) * scale,
    }


def test_signs_survive_and_the_scale_is_the_mean_change_of_the_row():
    base, change = weights(0), weights(1, 0.01)
    tuned = {name: base[name] + change[name] for name in base}
    rebuilt = apply_delta(base, encode_delta(base, tuned))
    difference = rebuilt["linear.weight"] - base["linear.weight"]
    assert torch.equal(difference > 0, change["linear.weight"] > 0)
    expected = change["linear.weight"].abs().mean(1, keepdim=True).expand(7, 13)
    torch.testing.assert_close(difference.abs(), expected, rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(rebuilt["norm.weight"], tuned["norm.weight"], rtol=1e-4, atol=1e-5)


def test_one_bit_a_weight():
    delta = encode_delta(weights(0), weights(1))
    assert delta["linear.weight.signs"].shape == (7, 2)
    assert delta["linear.weight.signs"].dtype == torch.uint8


@pytest.mark.parametrize(
    "other",
    [
        {"linear.weight": torch.zeros(7, 13)},
        {"linear.weight": torch.zeros(7, 12), "norm.weight": torch.zeros(13)},
        {"linear.weight": torch.zeros(5, 13), "norm.weight": torch.zeros(13)},
    ],
)
def test_a_delta_for_another_base_is_refused(other):
    delta = encode_delta(weights(0), weights(1))
    with pytest.raises(ModelError, match="another base"):
        apply_delta(other, delta)
