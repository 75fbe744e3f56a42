"""Files of generated replies as rows of one table: read, checked against each other, aligned.

Rows may differ in model, context and prompt. Everything else (data, mode, sampling) is the
protocol, and rows of two protocols do not belong into one table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esc_demo.errors import BadInput
from finetune.differences import flat
from finetune.generate import ItemKey, Status, read_replies
from finetune.metrics.pairs import Pair

Record = dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """What was measured elsewhere, each None where nobody did."""

    perplexity: float | None = None
    bits_per_byte: float | None = None
    g_score: float | None = None
    """A judge's mean rating in percent (rating / 5)."""


@dataclass(frozen=True)
class Run:
    """A file of replies."""

    path: Path
    header: Record
    records: dict[ItemKey, Record]
    damaged: tuple[int, ...] = ()
    """Numbers of lines that could not be read."""
    seconds: dict[ItemKey, float] = field(default_factory=dict)
    """Of each reply, without waiting for a free row; empty without a file of timings."""
    figures: Figures = Figures()

    @property
    def model(self) -> str:
        """Id of the model."""
        return str(self.header["model"].get("id") or self.header["model"].get("name") or "?")

    @property
    def context(self) -> str:
        """The representation's label."""
        return str(self.header["condition"]["context"]["label"])

    @property
    def prompt(self) -> str:
        """Whether the structured prompt was used."""
        return "on" if self.header["condition"]["prompt"] else "off"

    @property
    def label(self) -> str:
        """What tells rows apart for people."""
        return f"{self.model} · {self.context} · prompt {self.prompt}"

    def statuses(self) -> dict[str, int]:
        """How many items ended how."""
        found: dict[str, int] = {}
        for record in self.records.values():
            found[record["status"]] = found.get(record["status"], 0) + 1
        return found


def read_run(path: Path, *, strict: bool = False) -> Run:
    """Read a finished run and the files beside it.

    `NAME.timings.jsonl` holds seconds, `NAME.ppl.json` {"perplexity", "bits_per_byte"} and
    `NAME.g.json` {"g_score"}. A damaged line is left out and named unless `strict`.

    Raises:
        BadInput: no such file, not one of replies, unfinished, or a file beside it is wrong.
    """
    damaged: list[int] = []
    header, records = read_replies(path, damaged=None if strict else damaged)
    known = {ItemKey(record["dialogue"], record["item"]): record for record in records}
    return Run(path, header, known, tuple(damaged), _seconds(path), _figures(path, header))


def read_runs(paths: Sequence[Path], *, strict: bool = False) -> tuple[Run, ...]:
    """Read the runs of one table.

    Raises:
        BadInput: none or one twice, as `read_run`, or their protocols differ.
    """
    if not paths:
        raise BadInput("Name one file of generated replies or more.")
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise BadInput(f"{twice} is named twice; name each run once.")
    runs = tuple(read_run(path, strict=strict) for path in paths)
    for other in runs[1:]:
        _require_one_protocol(runs[0], other)
    return runs


def labels(runs: Sequence[Run]) -> list[str]:
    """A different label for each; the file's name is added where two would be equal."""
    plain = [run.label for run in runs]
    return [
        f"{label} · {run.path.stem}" if plain.count(label) > 1 else label
        for run, label in zip(runs, plain, strict=True)
    ]


def common_items(runs: Sequence[Run]) -> tuple[ItemKey, ...]:
    """The items every run has and that have a reference, in the first one's order.

    Raises:
        BadInput: there is none, or two runs disagree about a reference.
    """
    first = runs[0]
    keys = [
        key
        for key, record in first.records.items()
        if record["reference"].strip() and all(key in run.records for run in runs)
    ]
    if not keys:
        raise BadInput(
            "No item of these runs has a reference, so there is nothing to compare replies with."
            " Generate on data with supporter replies."
        )
    for run in runs[1:]:
        for key in keys:
            if run.records[key]["reference"] != first.records[key]["reference"]:
                raise BadInput(
                    f"{first.path} and {run.path} give dialogue {key.dialogue!r}, reply"
                    f" {key.number} different references. Generate both anew on one data file."
                )
    return tuple(keys)


def run_pairs(run: Run, keys: Sequence[ItemKey]) -> tuple[Pair, ...]:
    """Hypotheses beside references; what failed is an empty hypothesis."""
    records = [run.records[key] for key in keys]
    return tuple(
        Pair(
            "" if record["status"] == Status.FAILED else record["hypothesis"],
            record["reference"],
            record["dialogue"],
        )
        for record in records
    )


def _require_one_protocol(first: Run, other: Run) -> None:
    """Refuse two protocols, naming every entry in which they differ."""
    if first.header["protocol_hash"] == other.header["protocol_hash"]:
        return
    mine, theirs = flat(first.header["protocol"]), flat(other.header["protocol"])
    differing = [
        f"{name} is {mine.get(name)} and {theirs.get(name)}"
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]
    raise BadInput(
        f"{first.path} and {other.path} are of different protocols: {'; '.join(differing)}."
        " Score them in two tables, or generate one of them anew."
    )


def _seconds(path: Path) -> dict[ItemKey, float]:
    """Seconds by item; the last try counts, and lines torn by a kill do not."""
    timings = path.with_name(f"{path.stem}.timings.jsonl")
    found: dict[ItemKey, float] = {}
    if not timings.exists():
        return found
    for line in timings.read_text("utf-8", "replace").splitlines():
        try:
            record = json.loads(line)
            key = ItemKey(str(record["dialogue"]), int(record["item"]))
            found[key] = float(record["seconds"]) - float(record.get("queued", 0.0))
        except (ValueError, KeyError, TypeError):
            continue  # a line about the process, or a torn one
    return found


def _figures(path: Path, header: Record) -> Figures:
    """What the header or a file beside the run says."""
    given = {name: header.get(name) for name in ("perplexity", "bits_per_byte", "g_score")}
    for suffix in ("ppl", "g"):
        beside = path.with_name(f"{path.stem}.{suffix}.json")
        if beside.exists():
            given |= _read_figures(beside)
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value < float("inf")):
            raise BadInput(f"The {name} of {path} is {value!r}; it must be a number from 0.")
    if (given["g_score"] or 0) > 100:
        raise BadInput(f"The g_score of {path} is {given['g_score']}; it is a percentage.")
    return Figures(given["perplexity"], given["bits_per_byte"], given["g_score"])


def _read_figures(path: Path) -> Record:
    """The known figures of a small JSON file."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"Cannot read figures from {path}: {error}") from error
    names = ("perplexity", "bits_per_byte", "g_score")
    if not isinstance(found, dict) or not any(name in found for name in names):
        raise BadInput(f"{path} must be a JSON object with one of: {', '.join(names)}.")
    return {name: found[name] for name in names if name in found}
