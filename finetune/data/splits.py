"""Training, validation and test parts, always by whole dialogues.

A dialogue that occurs more than once in a set goes, with all its copies, where its first
copy goes: a copy in another part would be a leak.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from esc_demo.dialogue import Dialogue
from esc_demo.errors import BadInput
from finetune.data.dataset import DataSet, content_key, part_hash, short_hash
from finetune.data.formats import DataFormat
from finetune.data.loading import load

ESCONV_FILES = {"train": "train.jsonl", "validation": "valid.jsonl", "test": "test.jsonl"}
"""Files of the official split by the name of the part."""
EXTES_TEST_SHARE = 0.2


class SplitKind(StrEnum):
    """How a data set is divided.

    `files` takes each part from a file of its own; `esconv` is the official split (a folder
    with train.jsonl, valid.jsonl and test.jsonl); `extes` is paper B's 80/20 stratified by
    canonical scene; `nlpcc` is 8:1:1.
    """

    FILES = "files"
    ESCONV = "esconv"
    EXTES = "extes"
    NLPCC = "nlpcc"


@dataclass(frozen=True)
class Split:
    """Three parts without a common dialogue; a part may be empty."""

    train: tuple[Dialogue, ...]
    validation: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]
    kind: SplitKind
    seed: int | None = None
    """Seed of the division; None where it is fixed by files."""

    def __post_init__(self) -> None:
        """Checked whenever a split is made, so that none with a leak can exist.

        Raises:
            BadInput: two parts share a dialogue.
        """
        check_disjoint(self.parts)

    @property
    def parts(self) -> dict[str, tuple[Dialogue, ...]]:
        """The parts by name, empty ones included."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def hashes(self) -> dict[str, str]:
        """`part_hash` of every part, and under `split` one hash over them."""
        hashes = {name: part_hash(dialogues) for name, dialogues in self.parts.items()}
        return hashes | {"split": short_hash(list(hashes.values()))}


def check_disjoint(parts: Mapping[str, Sequence[Dialogue]]) -> None:
    """Refuse parts of which two hold one dialogue, by what is said in it or by its id.

    Raises:
        BadInput: they do; the text names both dialogues and their parts.
    """
    by_content: dict[str, tuple[str, str]] = {}
    by_id: dict[str, str] = {}
    for part, dialogues in parts.items():
        for dialogue in dialogues:
            owner, first = by_content.setdefault(content_key(dialogue), (part, dialogue.id))
            if owner != part:
                raise BadInput(
                    f"The parts {owner} and {part} share a dialogue: {first!r} in {owner} and"
                    f" {dialogue.id!r} in {part} say the same. Take it out of one of them."
                )
            if dialogue.id and by_id.setdefault(dialogue.id, part) != part:
                raise BadInput(
                    f"The id {dialogue.id!r} occurs in the parts {by_id[dialogue.id]} and {part}."
                    " Give every dialogue an id of its own."
                )


def train_on_validation(split: Split) -> Split:
    """The same split with the validation part added to the training part (paper A, Table 2).

    Raises:
        BadInput: there is no validation part.
    """
    if not split.validation:
        raise BadInput(f"The split {split.kind} has no validation part to train on.")
    return replace(split, train=split.train + split.validation, validation=())


def load_official_esconv(folder: Path) -> dict[str, DataSet]:
    """The three files of ESConv's official split, by the name of the part.

    Raises:
        BadInput: `folder` is a file, or a file is missing or unusable.
    """
    if folder.is_file():
        raise BadInput(
            f"{folder} is one file; ESConv's official split is a folder with"
            f" {', '.join(ESCONV_FILES.values())}. The original ESConv.json has no official split."
        )
    missing = [name for name in ESCONV_FILES.values() if not (folder / name).is_file()]
    if missing:
        raise BadInput(
            f"{folder} has no {' and no '.join(missing)}; ESConv's official split needs"
            f" {', '.join(ESCONV_FILES.values())}."
        )
    return {part: load(folder / name, DataFormat.ESCONV) for part, name in ESCONV_FILES.items()}


def split_esconv(folder: Path) -> Split:
    """ESConv's official split.

    Raises:
        BadInput: files are missing or share a dialogue.
    """
    return split_of_esconv(load_official_esconv(folder))


def split_of_esconv(sets: Mapping[str, DataSet]) -> Split:
    """The official split of files that were read.

    Raises:
        BadInput: two of them share a dialogue.
    """
    train, validation, test = (sets[name].dialogues for name in ESCONV_FILES)
    return Split(train, validation, test, SplitKind.ESCONV)


def split_extes(
    dialogues: Sequence[Dialogue], seed: int = 0, *, validation_share: float = 0.0
) -> Split:
    """Paper B's split: 80/20, stratified by canonical scene, drawn by StratifiedShuffleSplit.

    The paper has no validation part; `validation_share` takes that share of the training part
    in the same manner. A scene with a single dialogue cannot be on both sides: it goes to
    training.

    Raises:
        BadInput: too few dialogues, or a dialogue without a scene.
    """
    _refuse_one(dialogues)
    unnamed = next((dialogue.id for dialogue in dialogues if not dialogue.scene), None)
    if unnamed is not None:
        raise BadInput(f"Dialogue {unnamed!r} has no scene; the split extes goes by scenes.")
    rest, test = _stratified(dialogues, EXTES_TEST_SHARE, seed)
    if not validation_share:
        return Split(rest, (), test, SplitKind.EXTES, seed)
    train, validation = _stratified(rest, validation_share, seed)
    return Split(train, validation, test, SplitKind.EXTES, seed)


def split_nlpcc(dialogues: Sequence[Dialogue], seed: int = 0) -> Split:
    """8:1:1 in seeded random order: a tenth each, at least one, for validation and test.

    Raises:
        BadInput: fewer than three different dialogues.
    """
    _refuse_one(dialogues)
    keyed = _keyed(dialogues)
    order = list(dict(keyed))
    if len(order) < 3:
        raise BadInput(f"{len(order)} different dialogues cannot make three parts.")
    random.Random(seed).shuffle(order)
    tenth = max(1, round(len(order) / 10))
    test, validation = set(order[:tenth]), set(order[tenth : 2 * tenth])
    return Split(
        _of(keyed, set(order[2 * tenth :])),
        _of(keyed, validation),
        _of(keyed, test),
        SplitKind.NLPCC,
        seed,
    )


def _stratified(
    dialogues: Sequence[Dialogue], share: float, seed: int
) -> tuple[tuple[Dialogue, ...], tuple[Dialogue, ...]]:
    """(rest, share), each with the scenes in proportion and in the order of `dialogues`."""
    from sklearn.model_selection import StratifiedShuffleSplit  # noqa: PLC0415 (slow to import)

    keyed = _keyed(dialogues)
    firsts = dict(reversed(keyed))  # of equal dialogues the first one's scene counts
    count = Counter(dialogue.scene for dialogue in firsts.values())
    keys = [key for key in dict(keyed) if count[firsts[key].scene] > 1]
    alone = set(firsts) - set(keys)
    scenes = [firsts[key].scene for key in keys]
    drawn = math.ceil(share * len(keys))  # as StratifiedShuffleSplit rounds
    kinds = len(set(scenes))
    if not kinds or min(drawn, len(keys) - drawn) < kinds:
        raise BadInput(
            f"{len(keys)} dialogues of {kinds} scenes that occur more than once are too few: a"
            f" share of {share:.0%} must hold each of these scenes. Use the split files instead."
        )
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    rest, part = next(splitter.split(keys, scenes))
    return (
        _of(keyed, {keys[index] for index in rest} | alone),
        _of(keyed, {keys[index] for index in part}),
    )


def _keyed(dialogues: Sequence[Dialogue]) -> list[tuple[str, Dialogue]]:
    """Each dialogue with its content's key, in order."""
    return [(content_key(dialogue), dialogue) for dialogue in dialogues]


def _of(keyed: Sequence[tuple[str, Dialogue]], keys: set[str]) -> tuple[Dialogue, ...]:
    """The dialogues whose content is among `keys`, copies included, in order."""
    return tuple(dialogue for key, dialogue in keyed if key in keys)


def _refuse_one(dialogues: Sequence[Dialogue]) -> None:
    """One dialogue cannot be divided."""
    if len(dialogues) < 2:
        raise BadInput(f"{len(dialogues)} dialogue cannot be split: dialogues are never cut.")
