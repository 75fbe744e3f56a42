"""How sequences share a forward pass: packed without padding, or padded rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypedDict

import torch

from finetune.encoding import IGNORED, Sample
from finetune.recipes import Batching, Recipe


class Row(TypedDict):
    """One row of a forward pass, as the Trainer's data set holds it.

    `position_ids` begin anew with each sequence of the row; transformers keeps the attention
    of such sequences apart. `input_ids` is the name by which its length sampler measures rows.
    """

    input_ids: list[int]
    labels: list[int]
    position_ids: list[int]
    dialogues: list[str]


def make_rows(samples: Sequence[Sample], recipe: Recipe) -> list[Row]:
    """The rows of one pass over `samples`: whole sequences, each in exactly one row."""
    if recipe.batching is Batching.PACKED:
        return [_row(group) for group in pack(samples, recipe.pack_tokens, recipe.seed)]
    return [_row([sample]) for sample in samples]


def pack(samples: Sequence[Sample], limit: int, seed: int) -> list[list[Sample]]:
    """Group sequences so that each group has at most `limit` tokens.

    First fit over an order shuffled by `seed`: near to the fewest groups, and unlike sorting by
    length it does not put the same neighbours together whatever the seed. A sequence longer
    than `limit` stands alone.
    """
    order = list(samples)
    random.Random(seed).shuffle(order)
    groups: list[list[Sample]] = []
    room: list[int] = []
    for sample in order:
        size = len(sample.ids)
        place = next((i for i, free in enumerate(room) if free >= size), None)
        if place is None:
            groups.append([sample])
            room.append(limit - size)
        else:
            groups[place].append(sample)
            room[place] -= size
    return groups


def _row(group: Sequence[Sample]) -> Row:
    """Several sequences behind one another."""
    return Row(
        input_ids=[token for sample in group for token in sample.ids],
        labels=[label for sample in group for label in sample.labels],
        position_ids=[position for sample in group for position in range(len(sample.ids))],
        dialogues=[sample.dialogue for sample in group],
    )


class Collator:
    """Makes the tensors of a forward pass from rows.

    Several rows are padded on the right to the longest; padding has neither attention nor
    loss. A single row needs no mask, which lets attention take its fastest way.
    """

    def __init__(self, pad: int) -> None:
        """`pad` is the id that fills rows up."""
        self._pad = pad

    def __call__(self, rows: Sequence[Row]) -> dict[str, object]:
        """Tensors [rows, tokens] and the dialogues they come from."""
        longest = max(len(row["input_ids"]) for row in rows)
        batch: dict[str, object] = {
            "input_ids": _fill([row["input_ids"] for row in rows], longest, self._pad),
            "labels": _fill([row["labels"] for row in rows], longest, IGNORED),
            "dialogues": [name for row in rows for name in row["dialogues"]],
        }
        if any(row["position_ids"].count(0) > 1 for row in rows):
            # Packed. Padding gets position 0, which makes each of its tokens a sequence alone.
            batch["position_ids"] = _fill([row["position_ids"] for row in rows], longest, 0)
        elif len(rows) > 1:
            ones = [[1] * len(row["input_ids"]) for row in rows]
            batch["attention_mask"] = _fill(ones, longest, 0)
        return batch


def _fill(rows: Sequence[Sequence[int]], longest: int, value: int) -> torch.Tensor:
    """A rectangle of `rows`, filled with `value` on the right."""
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
