"""A look at what training sees: sequences with the supervised tokens coloured."""

from __future__ import annotations

import sys
from itertools import groupby

import typer
from transformers import PreTrainedTokenizerBase

from finetune.encoding import IGNORED, Encoding, Sample, encode_dialogue
from finetune.recipes import Recipe
from finetune.train import gather

_COLOUR = {"fg": typer.colors.GREEN, "bold": True}


def show_samples(recipe: Recipe, count: int) -> None:
    """Print the sequences of the first `count` training dialogues of `recipe`.

    Tokens with loss are green and bold; where the output is no terminal, they stand between
    the marks << and >>.

    Raises:
        BadInput: a data file is wrong.
        AssetError: the tokenizer is missing.
    """
    material = gather(recipe)
    trained = material.encoding.trained_on(material.tokenizer)
    total = material.train
    typer.echo(
        f"{recipe.name}: {len(material.parts.train)} dialogues, {len(total.samples)} sequences,"
        f" {total.tokens:,} tokens, {total.supervised:,} of them with loss"
        f" ({total.left_out} replies did not fit). Fingerprint {trained.fingerprint}:"
        f" prompt {trained.prompt_hash}, context {trained.context}, template {trained.template}."
    )
    for dialogue in material.parts.train[:count]:
        encoded = encode_dialogue(material.tokenizer, dialogue, Encoding.of(recipe))
        for number, sample in enumerate(encoded.samples, 1):
            typer.secho(
                f"\n--- {sample.dialogue} · sequence {number} of {len(encoded.samples)} ·"
                f" {len(sample.ids):,} tokens, {sample.supervised:,} with loss ---",
                dim=True,
            )
            typer.echo(coloured(material.tokenizer, sample, colour=sys.stdout.isatty()))


def coloured(tokenizer: PreTrainedTokenizerBase, sample: Sample, *, colour: bool) -> str:
    """The text of `sample` with its supervised runs marked."""
    parts: list[str] = []
    pairs = zip(sample.ids, sample.labels, strict=True)
    for supervised, run in groupby(pairs, key=lambda pair: pair[1] != IGNORED):
        text = str(tokenizer.decode([token for token, _ in run]))
        if not supervised:
            parts.append(text)
        elif colour:
            parts.append(typer.style(text, **_COLOUR))
        else:
            parts.append(f"<<{text}>>")
    return "".join(parts)
