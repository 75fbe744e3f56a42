"""The same scores by emotion, problem, scenario, strategy and stage of the dialogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from finetune.metrics.bootstrap import Interval, intervals
from finetune.metrics.measured import NAMES
from finetune.metrics.runs import Record
from finetune.metrics.scores import Scores

UNLABELLED = "(none)"
STAGES = ("first third", "middle third", "last third")


@dataclass(frozen=True)
class Sliced:
    """A row in a slice. Of a slice in one dialogue there are values without intervals."""

    label: str
    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Slice:
    """Some of the items."""

    by: str
    """`emotion`, `problem`, `scenario`, `strategy` or `stage`."""
    value: str
    n: int
    """Replies."""
    dialogues: int
    rows: tuple[Sliced, ...]


def stage(record: Record) -> str:
    """In which third of its dialogue's replies an item stands."""
    return STAGES[3 * record["item"] // max(record["items"], 1)]


def _label(key: str) -> Callable[[Record], str]:
    """Reads one label; spellings that differ in case and white space are one."""
    return lambda record: " ".join(str(record[key] or "").split()).lower() or UNLABELLED


DIMENSIONS: dict[str, Callable[[Record], str]] = {
    "emotion": _label("emotion"),
    "problem": _label("problem"),
    "scenario": _label("scene"),
    "strategy": _label("strategy"),
    "stage": stage,
}


def make_slices(
    rows: Sequence[tuple[str, Scores]],
    records: Sequence[Record],
    *,
    replicates: int = 2000,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Slice, ...]:
    """Every slice, the largest of a dimension first (stages in order).

    `records` give the labels and stand in the order of every row's pairs. A dimension in which
    all items are alike is left out, and one that parts them as an earlier one does (ESConv's
    scenario is its problem). Distinct-n is too: it falls with the amount of text, so that
    slices of unlike size would not compare. `progress` is told of dimensions done, of all.
    """
    bare = [(label, _comparable(scores)) for label, scores in rows]
    found: list[Slice] = []
    partitions: list[set[tuple[int, ...]]] = []
    for number, (by, read) in enumerate(DIMENSIONS.items()):
        progress(number, len(DIMENSIONS))
        members: dict[str, list[int]] = {}
        for index, record in enumerate(records):
            members.setdefault(read(record), []).append(index)
        partition = {tuple(indices) for indices in members.values()}
        if len(members) < 2 or partition in partitions:
            continue
        partitions.append(partition)
        order = [name for name in STAGES if name in members]
        if by != "stage":
            order = sorted(members, key=lambda name: (-len(members[name]), name))
        found += [
            _slice(by, value, bare, members[value], replicates=replicates, seed=seed)
            for value in order
        ]
    return tuple(found)


def _slice(
    by: str,
    value: str,
    rows: Sequence[tuple[str, Scores]],
    chosen: Sequence[int],
    *,
    replicates: int,
    seed: int,
) -> Slice:
    """One slice of every row."""
    sliced: list[Sliced] = []
    for label, scores in rows:
        part = scores.select(chosen)
        several = len(part.units) > 1
        between = intervals(part, replicates=replicates, seed=seed) if several else {}
        sliced.append(Sliced(label, part.values, between))
    dialogues = {rows[0][1].dialogues[index] for index in chosen}
    return Slice(by, value, len(chosen), len(dialogues), tuple(sliced))


def _comparable(scores: Scores) -> Scores:
    """Without distinct-n, and without what is measured once a dialogue or run."""
    metrics = tuple(one for one in scores.profile.metrics if one.name not in NAMES)
    names = {one.name for one in metrics}
    profile = replace(
        scores.profile,
        metrics=metrics,
        distinct=(),
        columns=tuple(name for name in scores.profile.columns if name in names),
    )
    stats = {name: rows for name, rows in scores.stats.items() if name in names}
    return replace(scores, profile=profile, stats=stats, g_score=None)
