"""One table: runs and the trivial baselines on the same items, with intervals and differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from esc_demo.settings import get_settings
from finetune.generate import ItemKey
from finetune.metrics.bertscore import BertScore, bert_score
from finetune.metrics.bootstrap import (
    LEVEL,
    REPLICATES,
    Difference,
    Interval,
    differences,
    holm,
    intervals,
)
from finetune.metrics.measured import NAMES, with_measured
from finetune.metrics.pairs import Pair
from finetune.metrics.profiles import ProfileName
from finetune.metrics.resources import Resources, find_resources
from finetune.metrics.rivals import Rivals, rival_pairs
from finetune.metrics.runs import Run, common_items, labels, run_pairs
from finetune.metrics.scores import Scores, score
from finetune.metrics.slices import Slice, make_slices

BERT = ("BERTScore P", "BERTScore R", "BERTScore F1")
_NO_PPL = (
    "needs the model: python -m finetune evaluate --ppl --json, its figures saved beside the run"
    " as NAME.ppl.json"
)
_BASELINE = "a baseline has neither prompt nor model"

_Thing = TypeVar("_Thing")

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps of it are, and how many there are."""


@dataclass(frozen=True)
class Row:
    """A system."""

    label: str
    kind: str
    """`run` or `baseline`."""
    about: dict[str, Any]
    """Of a run: file, hashes, model, condition, how items ended, damaged lines."""
    scores: Scores | None
    """None for a baseline that could not be computed."""
    values: dict[str, float]
    intervals: dict[str, Interval]
    missing: dict[str, str]
    """Why a column is empty."""
    differences: dict[str, Difference]
    """This row minus the first one."""

    @property
    def model(self) -> str:
        """The model, or the name of the baseline."""
        return str(self.about.get("model_id", self.label))


@dataclass(frozen=True)
class Table:
    """What `score RUN...` shows."""

    profile: ProfileName
    header: dict[str, Any]
    rows: tuple[Row, ...]
    slices: tuple[Slice, ...]
    notes: tuple[str, ...]


def make_table(
    runs: Sequence[Run],
    profile: ProfileName,
    *,
    data: Path | None = None,
    train: Path | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
    resources: Resources | None = None,
    progress: Progress = lambda what, done, of: None,
    sliced: bool = True,
) -> Table:
    """Score `runs` (of one protocol, see `read_runs`) and the baselines.

    Slices of many runs take long; without `sliced` there are none.
    `progress` is called now and then from the calling thread, for people who wait.

    Raises:
        BadInput: no common item, or the data file is not what the runs answered.
    """
    found = resources or find_resources(get_settings())
    keys = common_items(runs)
    progress("baselines", 0, 1)
    rivals = rival_pairs(runs[0], keys, data=data, train=train, seed=seed)
    named = list(zip(runs, labels(runs), strict=True))
    rows = [
        _run_row(run, label, keys, profile, found)
        for run, label in _told(named, "scores", progress)
    ]
    rows += _baseline_rows(rivals, profile, found)
    notes = _notes(runs, keys)
    first = rows[0].scores
    assert first is not None  # a run always has scores
    if len(first.units) > 1:
        told = _told(rows, "intervals", progress)
        rows = [_with_intervals(row, replicates, seed) for row in told]
        progress("differences", 0, 1)
        rows, uncompared = _with_differences(rows, replicates, seed)
        notes += uncompared
    else:
        notes.append("No intervals: all replies are of one dialogue; they need two or more.")
    labelled = [(row.label, row.scores) for row in rows if row.scores is not None]
    records = [runs[0].records[key] for key in keys]
    slices: tuple[Slice, ...] = ()
    if sliced:
        slices = make_slices(
            labelled,
            records,
            replicates=replicates,
            seed=seed,
            progress=lambda done, of: progress("slices", done, of),
        )
    header = _header(runs[0], first, rivals, seed, replicates)
    return Table(profile, header, tuple(rows), slices, tuple(notes))


def _told(things: Sequence[_Thing], what: str, progress: Progress) -> Iterator[_Thing]:
    """The things one by one, with word of each."""
    for number, thing in enumerate(things):
        progress(what, number, len(things))
        yield thing


def _run_row(
    run: Run, label: str, keys: Sequence[ItemKey], profile: ProfileName, resources: Resources
) -> Row:
    """A run without its intervals."""
    pairs = run_pairs(run, keys)
    g_score = run.figures.g_score if profile is ProfileName.NLPCC2025 else None
    scores = with_measured(score(pairs, profile, resources=resources, g_score=g_score), run, keys)
    values, missing = _more(pairs, profile)
    if profile is ProfileName.ESCONV:
        elsewhere = {
            "Perplexity": run.figures.perplexity,
            "Bits per byte": run.figures.bits_per_byte,
        }
        values |= {name: value for name, value in elsewhere.items() if value is not None}
        missing |= {name: _NO_PPL for name, value in elsewhere.items() if value is None}
    about = {
        "file": run.path.name,
        "model_id": run.model,
        "context": run.context,
        "prompt": run.prompt,
        "run_hash": run.header["run_hash"],
        "model": run.header["model"],
        "condition": run.header["condition"],
        "versions": run.header["versions"],
        "statuses": run.statuses(),
        "damaged_lines": list(run.damaged),
    }
    return _row(label, "run", about, scores, values, missing)


def _baseline_rows(rivals: Rivals, profile: ProfileName, resources: Resources) -> list[Row]:
    """The baselines, those without pairs too."""
    nothing = [*NAMES, *(("Perplexity", "Bits per byte") if profile is ProfileName.ESCONV else ())]
    rows: list[Row] = []
    for name, pairs in rivals.pairs.items():
        values, missing = _more(pairs, profile)
        missing |= dict.fromkeys(nothing, _BASELINE)
        scores = score(pairs, profile, resources=resources)
        rows.append(_row(name.value, "baseline", {}, scores, values, missing))
    for name, why in rivals.missing.items():
        rows.append(Row(name.value, "baseline", {}, None, {}, {}, {"all": why}, {}))
    return rows


def _row(
    label: str,
    kind: str,
    about: dict[str, Any],
    scores: Scores,
    more: dict[str, float],
    missing: dict[str, str],
) -> Row:
    """A row with its values."""
    about = about | {"empty": int(scores.empty.sum())}
    values = {**scores.values, **more}
    return Row(label, kind, about, scores, values, {}, {**scores.missing, **missing}, {})


def _more(pairs: Sequence[Pair], profile: ProfileName) -> tuple[dict[str, float], dict[str, str]]:
    """BERTScore, or why not, under the profile that has it."""
    if profile is not ProfileName.ESCONV:
        return {}, {}
    found = bert_score(pairs)
    if isinstance(found, BertScore):
        return dict(zip(BERT, (found.precision, found.recall, found.f1), strict=True)), {}
    return {}, dict.fromkeys(BERT, str(found))


def _with_intervals(row: Row, replicates: int, seed: int) -> Row:
    """The row with the intervals of all that is drawn over dialogues."""
    if row.scores is None:
        return row
    return replace(row, intervals=intervals(row.scores, replicates=replicates, seed=seed))


def _with_differences(
    rows: Sequence[Row], replicates: int, seed: int
) -> tuple[list[Row], list[str]]:
    """Every row minus the first, p values corrected over the rows for each metric."""
    first = rows[0].scores
    assert first is not None
    notes: list[str] = []
    raw: list[dict[str, Difference]] = []
    for row in rows:
        if row.scores is None or row.scores is first:
            raw.append({})
            continue
        mine, theirs = _spoken(row.scores), _spoken(first)
        names = [name for name in row.scores.values if name in first.values]
        if mine != theirs:
            names = [name for name in names if not counts_ngrams(name, first)]
            notes.append(
                f"Distinct-n and totals of {row.label!r} are not compared with"
                f" {rows[0].label!r}: {mine} replies with words against {theirs}, and distinct-n"
                " falls with their number."
            )
        raw.append(differences(row.scores, first, metrics=names, replicates=replicates, seed=seed))
    metrics = dict.fromkeys(name for found in raw for name in found)
    for name in metrics:
        corrected = holm({str(at): found[name].p for at, found in enumerate(raw) if name in found})
        for at, p in corrected.items():
            raw[int(at)][name] = replace(raw[int(at)][name], p_holm=p)
    return [replace(row, differences=found) for row, found in zip(rows, raw, strict=True)], notes


def counts_ngrams(name: str, scores: Scores) -> bool:
    """Whether a column is distinct-n, or a total that holds it."""
    return name.startswith("Total") or name in {one.name for one in scores.profile.distinct}


def _spoken(scores: Scores) -> int:
    """Replies that are not empty."""
    return int((~scores.empty).sum())


def _notes(runs: Sequence[Run], keys: Sequence[ItemKey]) -> list[str]:
    """What a reader must know of these files."""
    notes: list[str] = []
    for run, label in zip(runs, labels(runs), strict=True):
        if run.damaged:
            lines = ", ".join(map(str, run.damaged))
            notes.append(f"{run.path.name}: line {lines} is damaged and left out of every row.")
        ended = {name: count for name, count in run.statuses().items() if name != "ok"}
        if ended:
            said = ", ".join(f"{count} {name}" for name, count in ended.items())
            notes.append(f"{label}: {said} (failed ones count as empty replies, which score 0).")
    items = runs[0].header["protocol"]["items"]
    if len(keys) < items:
        notes.append(
            f"{items - len(keys)} of {items} items are left out of every row: damaged in one of"
            " the files, or without a reference."
        )
    return notes


def _header(run: Run, scores: Scores, rivals: Rivals, seed: int, replicates: int) -> dict[str, Any]:
    """What the table must state."""
    return {
        "protocol": run.header["protocol"],
        "protocol_hash": run.header["protocol_hash"],
        "data": run.header["data"],
        **{key: value for key, value in scores.header.record().items() if key != "empty"},
        "baselines": {"train": rivals.train, "seed": seed},
        "intervals": {"method": "percentile bootstrap over dialogues", "level": LEVEL}
        | {"replicates": replicates, "seed": seed},
        "differences": "row minus the first row, on the same draws; Holm over the rows",
        "utterance_length": "Treebank tokens of an utterance as the model was shown it",
    }
