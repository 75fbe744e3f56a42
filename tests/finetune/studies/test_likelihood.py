"""Losses behind recorded prompts equal those of the sequences read whole."""

import pytest

from finetune.encoding import IGNORED, Sample
from finetune.studies.likelihood import DialogueLoss, PrefixReader, RunLoss

pytestmark = pytest.mark.weights


def test_a_kept_beginning_changes_no_loss(tiny_base):
    from transformers import AutoModelForCausalLM

    from finetune.evaluate import reply_loss

    model = AutoModelForCausalLM.from_pretrained(tiny_base).eval()
    start = list(range(100, 140))
    cases = [
        (start, [7, 8, 9]),
        ([*start, 7, 8, 9, 50, 51], [60, 61]),  # goes on where the first ended
        ([*start[:20], 5], [11, 12, 13, 14]),  # shares half
        ([*start[:20], 5], [11, 12, 13]),  # the same prompt: its last token is read again
        ([900], [901, 902]),  # shares nothing
    ]
    reader = PrefixReader(model)
    for prompt, reply in cases:
        sample = Sample((*prompt, *reply), (*[IGNORED] * len(prompt), *reply), "", 1)
        whole = reply_loss(model, [sample])
        assert reader.loss(prompt, reply) == pytest.approx(whole.nats * whole.tokens, rel=1e-5)


def test_what_is_saved_is_the_sum_over_dialogues():
    loss = RunLoss(
        "hash",
        "float32, cpu",
        0,
        {"a": DialogueLoss(6.0, 3, 4, 1), "b": DialogueLoss(2.0, 1, 6, 1)},
    )
    record = loss.record()
    assert record["perplexity"] == pytest.approx(2.718281828**2)
    assert record["bits_per_byte"] == pytest.approx(8 / 0.69314718056 / 10)
    assert (record["reply_tokens"], record["replies"]) == (4, 2)
