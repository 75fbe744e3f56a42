"""The parts that a recipe trains on, watches, and measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esc_demo.dialogue import Dialogue
from finetune.data.dataset import DataSet
from finetune.data.loading import load
from finetune.data.splits import (
    Split,
    SplitKind,
    load_official_esconv,
    split_extes,
    split_nlpcc,
    split_of_esconv,
    train_on_validation,
)

if TYPE_CHECKING:
    from finetune.recipes import DataRecipe


@dataclass(frozen=True)
class Parts:
    """What a training run reads. No two parts share a dialogue; a part may be empty."""

    split: Split
    sources: tuple[DataSet, ...]
    """The files, whole, with their problems and checksums."""

    @property
    def train(self) -> tuple[Dialogue, ...]:
        """Trained on, in this order before shuffling."""
        return self.split.train

    @property
    def validation(self) -> tuple[Dialogue, ...]:
        """Watched for early stopping."""
        return self.split.validation

    @property
    def heldout(self) -> tuple[Dialogue, ...]:
        """Only measured, after training."""
        return self.split.test

    @property
    def content_hash(self) -> str:
        """One hash of the data and of how it is divided and ordered."""
        return self.split.hashes["split"]


def load_parts(recipe: DataRecipe, root: Path) -> Parts:
    """Read and divide the dialogues as `recipe` says; relative paths start at `root`.

    The split extes has no validation part, as in paper B.

    Raises:
        BadInput: a file is unusable, two parts share a dialogue, or there is no validation
            part to train on.
    """
    parts = _divided(recipe, root)
    if not recipe.train_on_validation:
        return parts
    return Parts(train_on_validation(parts.split), parts.sources)


def _divided(recipe: DataRecipe, root: Path) -> Parts:
    """The parts by their files, or by dividing one."""
    path = root / recipe.train
    if recipe.split is SplitKind.ESCONV:
        sets = load_official_esconv(path)
        return Parts(split_of_esconv(sets), tuple(sets.values()))
    whole = load(path, recipe.format)
    if recipe.split is SplitKind.EXTES:
        return Parts(split_extes(whole.dialogues, recipe.split_seed), (whole,))
    if recipe.split is SplitKind.NLPCC:
        return Parts(split_nlpcc(whole.dialogues, recipe.split_seed), (whole,))
    validation, heldout = (
        load(root / name, recipe.format) if name else None
        for name in (recipe.validation, recipe.heldout)
    )
    split = Split(
        whole.dialogues,
        validation.dialogues if validation else (),
        heldout.dialogues if heldout else (),
        SplitKind.FILES,
    )
    return Parts(split, tuple(data for data in (whole, validation, heldout) if data))
