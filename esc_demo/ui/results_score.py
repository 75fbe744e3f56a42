"""Scoring runs behind the page's back: one table at a time, with progress, and kept a while.

This module leads to the scorer and is imported when a person first asks for a table.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from esc_demo.errors import BadInput, EscError
from finetune.generate import ItemKey
from finetune.metrics.layout import LAYOUTS, write_all
from finetune.metrics.profiles import ProfileName
from finetune.metrics.runs import Run, common_items, read_runs
from finetune.metrics.tables import Table, make_table

_log = logging.getLogger(__name__)

MOST_KEPT = 6
"""Tables kept in memory; the one unused for longest is forgotten first."""

MOST_WAITING = 4
"""Tables that may wait for their turn."""

_STAGES = {
    "reading": "Reading the replies",
    "baselines": "Making the baselines",
    "scores": "Scoring replies",
    "intervals": "Drawing intervals",
    "differences": "Comparing runs pair by pair",
    "slices": "Slicing by emotion, problem, scenario, strategy and stage",
    "writing": "Writing the files to download",
}


@dataclass(frozen=True)
class Asked:
    """A table as it was asked for; equal ones are scored once."""

    files: tuple[Path, ...]
    """The first is what the others are compared with."""
    stamps: tuple[str, ...]
    """Run hash of each, and when it and the files beside it were last written."""
    profile: str
    replicates: int
    data: Path | None = None


@dataclass(frozen=True)
class ReplyLines:
    """Where the replies of a file stand in it, so that one can be read without the others."""

    path: Path
    label: str
    context: str
    at: dict[ItemKey, int]
    """Offset of each line in bytes."""

    def read(self, key: ItemKey) -> dict[str, Any]:
        """The record of one item.

        Raises:
            BadInput: the file has changed since it was scored, or is gone.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.at[key])
                record = json.loads(file.readline())
            if (str(record["dialogue"]), int(record["item"])) != key:
                raise ValueError("another item")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{self.path} has changed since it was scored. Press Score again."
            ) from error
        return dict(record)


@dataclass(frozen=True)
class Item:
    """A reply that every run wrote."""

    key: ItemKey
    of: int
    """Replies of the dialogue."""
    reference: str


@dataclass(frozen=True)
class Scored:
    """A table with what the page needs beside it. Its rows come without their raw scores."""

    table: Table
    main: tuple[tuple[str, str], ...]
    """Heading and metric of the papers' columns."""
    ngrams: frozenset[str]
    """Metrics that compare only at equal numbers of replies with words."""
    items: tuple[Item, ...]
    each: dict[str, dict[str, list[float]]]
    """By label of a run and metric, the value of each reply, in the order of `items`."""
    runs: tuple[ReplyLines, ...]
    files: dict[str, Path]
    """To download, by name."""


class Job:
    """A table being made."""

    def __init__(self) -> None:
        """Wait for its turn."""
        self.stage = "Waiting for another table to be done"
        self.share = 0.0
        """How much is done, from 0 to 1."""
        self.result: Scored | None = None
        self.problem = ""
        self._done = threading.Event()

    @property
    def done(self) -> bool:
        """Whether there is a result or a problem."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end at most `seconds`; True when it has come."""
        return self._done.wait(seconds)

    def tell(self, what: str, done: int, of: int) -> None:
        """Note how far it is; stages count alike."""
        stages = list(_STAGES)
        self.stage = _STAGES[what]
        self.share = (stages.index(what) + done / max(1, of)) / len(stages)

    def end(self, result: Scored | None, problem: str) -> None:
        """Note what came of it."""
        self.result, self.problem = result, problem
        self._done.set()


class Scoring:
    """The tables that were asked for. They belong to the machine, not to a visitor."""

    def __init__(self) -> None:
        """Start without any."""
        self._jobs: OrderedDict[Asked, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="esc-results-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._written = 0

    def start(self, asked: Asked) -> Job:
        """Score a table in a thread of its own, or join in where it is being scored or kept.

        Raises:
            BadInput: too many others are waiting.
        """
        with self._lock:
            known = self._jobs.get(asked)
            if known is not None and not (known.done and known.result is None):
                self._jobs.move_to_end(asked)
                return known
            if sum(not job.done for job in self._jobs.values()) > MOST_WAITING:
                raise BadInput("Several tables are being scored already. Try again in a minute.")
            job = self._jobs[asked] = Job()
            self._jobs.move_to_end(asked)
            ended = [key for key, old in self._jobs.items() if old.done]
            for key in ended[: max(0, len(self._jobs) - MOST_KEPT)]:
                del self._jobs[key]
        threading.Thread(target=self._run, args=(asked, job), name="score", daemon=True).start()
        return job

    def kept(self, asked: Asked | None) -> Scored | None:
        """A table that was scored before, if it is still there."""
        with self._lock:
            job = self._jobs.get(asked) if asked is not None else None
            if asked is not None and job is not None:
                self._jobs.move_to_end(asked)
            return job.result if job is not None else None

    def _run(self, asked: Asked, job: Job) -> None:
        """One table at a time: two would only make each other slow."""
        with self._turn:
            try:
                self._written += 1
                folder = self._folder / str(self._written)
                job.end(score_table(asked, folder, job), "")
            except EscError as error:
                job.end(None, str(error))
            except Exception:
                _log.exception("scoring %s failed", asked)
                job.end(None, "Scoring failed. The log of the page has details.")


def stamp(path: Path, run_hash: str) -> str:
    """What changes when a run or a file beside it does."""
    beside = (path, *(path.with_name(path.stem + end) for end in _BESIDE))
    times = [f"{one.stat().st_mtime_ns}.{one.stat().st_size}" for one in beside if one.exists()]
    return " ".join([run_hash, *times])


_BESIDE = (".timings.jsonl", ".ppl.json", ".g.json")


def score_table(asked: Asked, folder: Path, job: Job) -> Scored:
    """Read, score and write to `folder`.

    Raises:
        EscError: a run cannot be used, or the runs cannot stand in one table.
    """
    job.tell("reading", 0, 1)
    runs = read_runs(asked.files)
    profile = ProfileName(asked.profile)
    table = make_table(
        runs, profile, data=asked.data, replicates=asked.replicates, progress=job.tell
    )
    job.tell("writing", 0, 1)
    written = {path.name: path for path in write_all(table, folder)}
    each = {
        row.label: {name: values.tolist() for name, values in row.scores.each().items()}
        for row in table.rows
        if row.scores is not None and row.kind == "run"
    }
    first = table.rows[0].scores
    distinct = {one.name for one in first.profile.distinct} if first else set()
    ngrams = distinct | {name for name in table.rows[0].values if name.startswith("Total")}
    records = runs[0].records
    items = tuple(
        Item(key, records[key]["items"], records[key]["reference"]) for key in common_items(runs)
    )
    return Scored(
        replace(table, rows=tuple(replace(row, scores=None) for row in table.rows)),
        _main_columns(profile),
        frozenset(ngrams),
        items,
        each,
        tuple(_lines(run, row.label) for run, row in zip(runs, table.rows, strict=False)),
        written,
    )


def _main_columns(profile: ProfileName) -> tuple[tuple[str, str], ...]:
    """The papers' columns; tokens kept is always among them, for the plot is over it."""
    columns = [pair for layout in LAYOUTS[profile] for pair in layout.columns]
    if all(metric != "Tokens kept" for _, metric in columns):
        columns.append(("Tokens kept (%)", "Tokens kept"))
    return tuple(columns)


def _lines(run: Run, label: str) -> ReplyLines:
    """Where the lines of a run stand."""
    at: dict[ItemKey, int] = {}
    offset = 0
    with run.path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                at[ItemKey(str(record["dialogue"]), int(record["item"]))] = offset
            except (ValueError, KeyError, TypeError):
                pass  # the header, or a damaged line
            offset += len(line)
    return ReplyLines(run.path, label, run.context, at)
