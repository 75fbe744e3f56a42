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


def test_signs_survive_and_a_row_has_the_means_of_its_two_groups():
    base, change = weights(0), weights(1, 0.01)
    tuned = {name: base[name] + change[name] for name in base}
    rebuilt = apply_delta(base, encode_delta(base, tuned))
    difference = rebuilt["linear.weight"] - base["linear.weight"]
    exact = change["linear.weight"]
    assert torch.equal(difference > 0, exact > 0)
    for row in range(7):
        for size in difference[row].abs().unique():
            group = torch.isclose(difference[row].abs(), size, rtol=1e-3)
            assert float(exact[row][group].abs().mean()) == pytest.approx(float(size), rel=5e-3)
    torch.testing.assert_close(rebuilt["norm.weight"], tuned["norm.weight"], rtol=1e-4, atol=1e-5)


def test_two_magnitudes_are_closer_than_one():
    base, change = weights(0), weights(1, 0.01)
    tuned = {name: base[name] + change[name] for name in base}
    exact = change["linear.weight"]
    rebuilt = apply_delta(base, encode_delta(base, tuned))["linear.weight"] - base["linear.weight"]
    one = exact.sign() * exact.abs().mean(1, keepdim=True)
    assert float((rebuilt - exact).norm()) < 0.75 * float((one - exact).norm())


def test_two_bits_a_weight():
    delta = encode_delta(weights(0), weights(1))
    for bits in (delta["linear.weight.signs"], delta["linear.weight.large"]):
        assert bits.shape == (7, 2)
        assert bits.dtype == torch.uint8


def test_a_matrix_that_did_not_change_stays():
    base = weights(0)
    rebuilt = apply_delta(base, encode_delta(base, base))
    assert all(torch.equal(rebuilt[name], base[name]) for name in base)


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
