"""Rows hold whole sequences, and sequences in one row never see each other."""

from dataclasses import replace

import pytest

from finetune.batches import Collator, make_rows, pack
from finetune.encoding import IGNORED, Sample
from finetune.recipes import Batching, load_recipe


def sample(length, name="d", start=5):
    ids = tuple(range(start, start + length))
    return Sample(ids, (IGNORED,) * (length - 2) + ids[-2:], name)


def test_packing_keeps_every_sequence_whole_and_within_the_limit():
    samples = [sample(length, f"d{length}") for length in range(3, 60)]
    groups = pack(samples, 100, seed=1)
    assert sorted(s.dialogue for g in groups for s in g) == sorted(s.dialogue for s in samples)
    assert all(sum(len(s.ids) for s in group) <= 100 for group in groups)
    total = sum(len(s.ids) for s in samples)
    assert len(groups) <= 1.2 * total / 100 + 1
    assert groups == pack(samples, 100, seed=1)
    assert groups != pack(samples, 100, seed=2)


def test_a_sequence_beyond_the_limit_stands_alone():
    groups = pack([sample(150), sample(10)], 100, seed=0)
    assert sorted(len(g) for g in groups) == [1, 1]


def test_rows_of_both_kinds():
    samples = [sample(10), sample(20), sample(30)]
    recipe = load_recipe("esc-smollm2-lora")
    (row,) = make_rows(samples, recipe)
    assert sorted(i for i, p in enumerate(row["position_ids"]) if p == 0)[0] == 0
    assert row["position_ids"].count(0) == 3
    padded = recipe.model_copy(update={"batching": Batching.PADDED})
    assert len(make_rows(samples, padded)) == 3


def test_several_packed_rows_keep_their_positions():
    recipe = load_recipe("esc-smollm2-lora").model_copy(update={"pack_tokens": 30})
    rows = make_rows([sample(10), sample(20), sample(25)], recipe)
    batch = Collator(pad=0)(rows)
    assert "attention_mask" not in batch
    assert batch["position_ids"].shape == (2, 30)
    assert (batch["position_ids"] == 0).sum() >= 3


def test_padding_has_neither_attention_nor_loss():
    recipe = load_recipe("esc-smollm2-lora").model_copy(update={"batching": Batching.PADDED})
    batch = Collator(pad=0)(make_rows([sample(4, "a"), sample(7, "b")], recipe))
    assert batch["input_ids"].shape == (2, 7)
    assert batch["attention_mask"].sum(dim=1).tolist() == [4, 7]
    assert batch["labels"][0, 4:].tolist() == [IGNORED] * 3
    assert batch["dialogues"] == ["a", "b"]
    assert "position_ids" not in batch


@pytest.mark.weights
def test_packed_sequences_do_not_see_each_other(tiny_base, tokenizer, heldout):
    """Loss and gradients of a packed row are the sums over its sequences alone."""
    import torch
    from transformers import AutoModelForCausalLM

    from esc_demo.prompts import PromptTemplate
    from finetune.encoding import Encoding, encode_all
    from finetune.evaluate import supervised_loss

    plain = Encoding(template=PromptTemplate.off(), max_tokens=400)
    short = [replace(dialogue, turns=dialogue.turns[:4]) for dialogue in heldout[:3]]
    samples = encode_all(tokenizer, short, plain).samples
    recipe = load_recipe("esc-smollm2-lora")
    # In double precision what leaks stands far above what rounding does.
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float64)
    weight = model.model.layers[0].self_attn.k_proj.weight
    collate = Collator(pad=0)

    def measured(rows):
        model.zero_grad()
        total = 0.0
        for row in rows:
            batch = collate([row])
            batch.pop("dialogues")
            loss = supervised_loss(model, batch)
            loss.backward()
            total += loss.item()
        return total, weight.grad.clone()

    (packed,) = make_rows(samples, recipe.model_copy(update={"pack_tokens": 4096}))
    alone = make_rows(samples, recipe.model_copy(update={"batching": Batching.PADDED}))
    together, gradient = measured([packed])
    apart, gradients = measured(alone)
    assert together == pytest.approx(apart, rel=1e-6)  # logits are cast to single precision
    scale = gradients.abs().max().item()
    assert (gradient - gradients).abs().max().item() < 1e-5 * scale
    # Without the restarting positions the sequences would see each other, and it would show.
    _, leaking = measured([{**packed, "position_ids": list(range(len(packed["input_ids"])))}])
    assert (leaking - gradients).abs().max().item() > 1e-2 * scale


@pytest.mark.weights
def test_the_loss_is_the_models_own_at_supervised_positions(tiny_base, tokenizer, heldout):
    """Leaving out the logits of prompts changes neither loss nor gradient."""
    import torch
    from transformers import AutoModelForCausalLM

    from finetune.encoding import Encoding, encode_dialogue
    from finetune.evaluate import supervised_loss

    samples = encode_dialogue(tokenizer, heldout[0], Encoding(max_tokens=1024)).samples
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    recipe = load_recipe("esc-smollm2-lora").model_copy(update={"batching": Batching.PADDED})
    batch = Collator(pad=0)(make_rows([*samples, sample(50)], recipe))
    batch.pop("dialogues")
    ours = supervised_loss(model, batch)
    count = int((batch["labels"][:, 1:] != IGNORED).sum())
    theirs = model(**batch).loss * count
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
