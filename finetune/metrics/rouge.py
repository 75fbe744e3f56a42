"""ROUGE-L (Lin, 2004): the longest common subsequence of two token lists."""

from __future__ import annotations

from finetune.metrics.tokens import Tokens, require_tokens

ESCONV_BETA = 1.2
"""Weight of recall in ESConv's script."""


def lcs_length(left: Tokens, right: Tokens) -> int:
    """Length of the longest common subsequence.

    One integer holds a whole row of the usual table, a bit a token (Hyyrö, 2004).

    Raises:
        NotTokens: a text instead of tokens.
    """
    require_tokens(left, right)
    where: dict[str, int] = {}
    bit = 1
    for token in left:
        where[token] = where.get(token, 0) | bit
        bit <<= 1
    full = bit - 1
    row = full
    for token in right:
        matches = where.get(token)
        if matches is not None:
            both = row & matches
            row = ((row + both) | (row - both)) & full
    return len(left) - row.bit_count()


def rouge_l(hypothesis: Tokens, reference: Tokens) -> float:
    """Balanced F of the LCS, 0 to 1, as rouge_score's rougeL on the same tokens.

    Raises:
        NotTokens: a text instead of tokens.
    """
    common = lcs_length(reference, hypothesis)
    if not common:
        return 0.0
    precision, recall = common / len(hypothesis), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def rouge_l_beta(hypothesis: Tokens, reference: Tokens, beta: float = ESCONV_BETA) -> float:
    """F of the LCS with recall weighted by `beta`, 0 to 1, as ESConv's script has it.

    Raises:
        NotTokens: a text instead of tokens.
    """
    common = lcs_length(reference, hypothesis)
    if not common:
        return 0.0
    precision, recall = common / len(hypothesis), common / len(reference)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
