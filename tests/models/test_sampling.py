"""Our sampler keeps the same tokens, with the same odds, as transformers' warpers."""

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from esc_demo.models.local.sampling import Sampler, keep_likely
from esc_demo.models.protocol import GenerationParams


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(0.7, 50, 0.95), (1.3, 5, 0.5), (0.2, 0, 0.9), (1.0, 0, 1)]
)
def test_same_distribution_as_transformers(temperature, top_k, top_p):
    logits = torch.randn(200, generator=torch.Generator().manual_seed(3)) * 4
    params = GenerationParams(temperature=temperature, top_k=top_k, top_p=top_p)
    expected = TemperatureLogitsWarper(temperature)(None, logits[None])
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    wanted = torch.softmax(expected[0], -1)
    scores, ids = keep_likely(logits, params)
    ours = torch.zeros(200).scatter(0, ids, torch.softmax(scores, -1))
    torch.testing.assert_close(ours, wanted)


def test_at_least_one_token_survives_a_tiny_top_p():
    scores, ids = keep_likely(torch.zeros(10), GenerationParams(top_p=0.01, top_k=0))
    assert len(scores) == len(ids) == 1


def test_the_seed_decides_and_nothing_else():
    logits = torch.zeros(50)
    runs = [[Sampler(GenerationParams(seed=seed)).pick(logits)] for seed in range(30)]
    again = [[Sampler(GenerationParams(seed=seed)).pick(logits)] for seed in range(30)]
    assert runs == again
    assert len({run[0] for run in runs}) > 5


def test_temperature_zero_is_greedy():
    logits = torch.tensor([0.1, 5.0, 0.3])
    assert Sampler(GenerationParams(temperature=0)).pick(logits) == 1
