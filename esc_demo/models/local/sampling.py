"""Choosing the next token: temperature, then top-k, then top-p, as transformers orders them."""

from __future__ import annotations

import torch

from esc_demo.models.protocol import GenerationParams


class Sampler:
    """One reply's choices, from its own random generator on the CPU.

    Parameters are those of `GenerationParams`; temperature 0 takes the most likely token.
    """

    def __init__(self, params: GenerationParams) -> None:
        """Start the generator at the request's seed."""
        self._params = params
        self._generator = torch.Generator().manual_seed(params.seed)

    def pick(self, logits: torch.Tensor) -> int:
        """The next token id for `logits` [vocabulary] of one row."""
        if self._params.temperature == 0:
            return int(logits.argmax())
        scores, ids = keep_likely(logits.float().cpu(), self._params)
        chosen = torch.multinomial(torch.softmax(scores, -1), 1, generator=self._generator)
        return int(ids[chosen])


def keep_likely(
    logits: torch.Tensor, params: GenerationParams
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and ids that survive temperature, top-k and top-p, most likely first.

    Top-p keeps the smallest set whose probability reaches `top_p` (Holtzman et al., 2020), at
    least one token.
    """
    scores = logits / params.temperature
    k = min(params.top_k, scores.shape[-1]) if params.top_k else scores.shape[-1]
    scores, ids = torch.topk(scores, k)
    if params.top_p < 1:
        probabilities = torch.softmax(scores, -1)
        before = probabilities.cumsum(-1) - probabilities
        kept = int((before < params.top_p).sum())
        scores, ids = scores[: max(kept, 1)], ids[: max(kept, 1)]
    return scores, ids
