"""The four trivial baselines on exactly the items that a table's runs answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esc_demo.dialogue import Dialogue, Role, Turn
from esc_demo.errors import BadInput, EscError
from esc_demo.settings import PROJECT_ROOT
from finetune.data import load, part_hash
from finetune.generate import ItemKey, Mode, items_of
from finetune.generate.sample import answered
from finetune.metrics.baselines import BASELINES, Baseline
from finetune.metrics.pairs import Pair
from finetune.metrics.runs import Run

CORPUS = PROJECT_ROOT / "finetune" / "corpus"
OWN_PARTS = ("heldout.json", "validation.json", "train.json")
TRAIN = CORPUS / "train.json"

_NEED_HISTORY = (Baseline.RETRIEVAL, Baseline.COPY)


@dataclass(frozen=True)
class Rivals:
    """Pairs of each baseline, or why there are none."""

    pairs: dict[Baseline, tuple[Pair, ...]]
    missing: dict[Baseline, str]
    train: str
    """Name of the training file, with the hash of its content."""


def rival_pairs(
    run: Run, keys: Sequence[ItemKey], *, data: Path | None, train: Path | None, seed: int
) -> Rivals:
    """What the baselines say to the items `keys` of `run`.

    `data` is the file the runs were generated on; without it the project's own corpus is tried.
    `train` is what random and TF-IDF replies are taken from, by default the project's training
    part.

    Raises:
        BadInput: `data` is not what the runs answered, or `train` overlaps it.
    """
    known = load(train or TRAIN)
    dialogues = _dialogues(run, data)
    source = f"{known.name} ({part_hash(known.dialogues)})"
    if dialogues is None:
        stand_ins = tuple(_stand_in(run, key) for key in keys)
        wanted = [name for name in BASELINES if name not in _NEED_HISTORY]
        said = {name: BASELINES[name](known.dialogues, stand_ins, seed=seed) for name in wanted}
        why = f"needs the dialogues of {run.header['data']['name']}; name that file with --data"
        references = [run.records[key]["reference"] for key in keys]
        return Rivals(
            {name: _pairs(keys, texts, references) for name, texts in said.items()},
            dict.fromkeys(_NEED_HISTORY, why),
            source,
        )
    _require_apart(known.dialogues, dialogues, source)
    items = [item for item in items_of(dialogues, Mode.AUTO) if item.reference]
    place = {item.key: number for number, item in enumerate(items)}
    if any(
        key not in place or items[place[key]].reference != run.records[key]["reference"]
        for key in keys
    ):
        raise BadInput(f"{run.path} answers other items than its data file holds; generate anew.")
    pairs: dict[Baseline, tuple[Pair, ...]] = {}
    for name, reply in BASELINES.items():
        texts = reply(known.dialogues, dialogues, seed=seed)
        chosen = [place[key] for key in keys]
        pairs[name] = _pairs(
            keys, [texts[at] for at in chosen], [items[at].reference for at in chosen]
        )
    return Rivals(pairs, {}, source)


def _pairs(
    keys: Sequence[ItemKey], hypotheses: Sequence[str], references: Sequence[str]
) -> tuple[Pair, ...]:
    """Rows of the table."""
    rows = zip(keys, hypotheses, references, strict=True)
    return tuple(Pair(text, reference, key.dialogue) for key, text, reference in rows)


def _dialogues(run: Run, data: Path | None) -> tuple[Dialogue, ...] | None:
    """The dialogues the run answered; None where they are not found and none were named."""
    protocol = run.header["protocol"]
    candidates = [data] if data is not None else [CORPUS / name for name in OWN_PARTS]
    for path in candidates:
        try:
            found = answered(load(path, allow_empty_replies=True).dialogues, protocol)
        except EscError:
            if data is not None:
                raise
            continue
        if part_hash(found) == protocol["data_hash"]:
            return found
    if data is None:
        return None
    raise BadInput(
        f"{data} is not what {run.path} was generated on (its content hash is not"
        f" {protocol['data_hash']}). Name {run.header['data']['name']} with --data."
    )


def _stand_in(run: Run, key: ItemKey) -> Dialogue:
    """A dialogue with one item, for baselines that do not read what comes before it."""
    reference = run.records[key]["reference"]
    return Dialogue((Turn(Role.SEEKER, "?"), Turn(Role.SUPPORTER, reference)), id=str(key))


def _require_apart(train: Sequence[Dialogue], test: Sequence[Dialogue], source: str) -> None:
    """A reply must not be found because it stands in the training part."""
    seen = {dialogue.turns for dialogue in train}
    both = sum(dialogue.turns in seen for dialogue in test)
    if both:
        raise BadInput(
            f"{both} of the {len(test)} dialogues the runs answered are in the training part"
            f" {source} too, so random and TF-IDF replies would be the references themselves."
            " Name another part with --train."
        )
