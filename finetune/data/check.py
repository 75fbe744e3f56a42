"""What is in a dialogue file: counts, lengths, labels, problems; as text or as JSON."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from esc_demo.dialogue import Dialogue, Role
from esc_demo.errors import BadInput
from finetune.data.dataset import DataSet, Problem
from finetune.data.formats import DataFormat
from finetune.data.loading import load
from finetune.data.splits import (
    Split,
    SplitKind,
    load_official_esconv,
    split_extes,
    split_nlpcc,
    split_of_esconv,
)

_PLACES = 3
"""How many places a group of problems shows."""


@dataclass(frozen=True)
class Spread:
    """Least, median, mean and greatest of some whole numbers."""

    min: int
    median: float
    mean: float
    max: int


@dataclass(frozen=True)
class ProblemGroup:
    """One kind of problem and where it occurs."""

    what: str
    fixed: bool
    count: int
    where: tuple[str, ...]
    """The first few places."""


@dataclass(frozen=True)
class SetReport:
    """One file. Utterances are counted as they are cut in the file, not merged."""

    name: str
    format: DataFormat
    dialogues: int
    utterances: int
    supporter_share: float
    """Of the utterances, from 0 to 1."""
    utterances_per_dialogue: Spread
    words_per_utterance: Spread
    """Words are what white space separates."""
    same_speaker_pairs: int
    """Adjacent utterances of one speaker."""
    opened_by_supporter: int
    strategies: dict[str, int]
    """Supporter turns by strategy, the most frequent first; "(none)" without one."""
    scenes: dict[str, int]
    problem_types: dict[str, int]
    emotions: dict[str, int]
    problems: tuple[ProblemGroup, ...]
    content_hash: str
    source_sha256: str


@dataclass(frozen=True)
class SplitReport:
    """Parts that share no dialogue."""

    kind: SplitKind
    seed: int | None
    dialogues: dict[str, int]
    hashes: dict[str, str]


@dataclass(frozen=True)
class CheckReport:
    """The sets that were read and the split, where one was asked for or found."""

    sets: tuple[SetReport, ...]
    split: SplitReport | None

    def as_json(self) -> str:
        """All of it, for programs."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def as_text(self) -> str:
        """All of it, for people: plain lines that survive a pipe."""
        lines = [line for report in self.sets for line in (*_set_lines(report), "")]
        if self.split:
            lines += _split_lines(self.split)
        return "\n".join(lines).rstrip("\n")


def check(
    path: Path,
    format: DataFormat = DataFormat.AUTO,
    *,
    split: SplitKind | None = None,
    seed: int = 0,
    allow_empty_replies: bool = False,
) -> CheckReport:
    """Read `path`, divide it if `split` says so, and count.

    A folder is taken for ESConv's official split. `seed` is that of the split, where it has
    one.

    Raises:
        BadInput: a file is unusable, parts share a dialogue, or the split does not apply.
    """
    if path.is_dir() or split is SplitKind.ESCONV:
        if split not in (None, SplitKind.ESCONV) or format not in (
            DataFormat.AUTO,
            DataFormat.ESCONV,
        ):
            raise BadInput(f"{path} is a folder; only ESConv's official split is read from one.")
        sets = load_official_esconv(path)
        reports = tuple(map(summarise, sets.values()))
        return CheckReport(reports, _split_report(split_of_esconv(sets)))
    data = load(path, format, allow_empty_replies=allow_empty_replies)
    if split is None:
        return CheckReport((summarise(data),), None)
    if split is SplitKind.FILES:
        raise BadInput("The split files takes several files; check each of them by itself.")
    divide = split_extes if split is SplitKind.EXTES else split_nlpcc
    return CheckReport((summarise(data),), _split_report(divide(data.dialogues, seed)))


def summarise(data: DataSet) -> SetReport:
    """Counts of one set."""
    dialogues = data.dialogues
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    supporter = [turn for turn in turns if turn.role is Role.SUPPORTER]
    return SetReport(
        name=data.name,
        format=data.format,
        dialogues=len(dialogues),
        utterances=len(turns),
        supporter_share=len(supporter) / len(turns),
        utterances_per_dialogue=_spread(len(dialogue.turns) for dialogue in dialogues),
        words_per_utterance=_spread(len(turn.text.split()) for turn in turns),
        same_speaker_pairs=sum(map(_same_speaker_pairs, dialogues)),
        opened_by_supporter=sum(d.turns[0].role is Role.SUPPORTER for d in dialogues),
        strategies=_counts(turn.strategy for turn in supporter),
        scenes=_counts(dialogue.scene for dialogue in dialogues),
        problem_types=_counts(d.profile.problem_type for d in dialogues),
        emotions=_counts(d.profile.emotion_type for d in dialogues),
        problems=_grouped(data.problems),
        content_hash=data.content_hash,
        source_sha256=data.source_sha256,
    )


def _same_speaker_pairs(dialogue: Dialogue) -> int:
    """Adjacent utterances of one speaker."""
    return sum(one.role is two.role for one, two in pairwise(dialogue.turns))


def _spread(numbers: Iterable[int]) -> Spread:
    """Of at least one number."""
    values = list(numbers)
    return Spread(min(values), statistics.median(values), statistics.fmean(values), max(values))


def _counts(labels: Iterable[str | None]) -> dict[str, int]:
    """The most frequent first; equal ones by name."""
    counted = Counter(label or "(none)" for label in labels)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _grouped(problems: Sequence[Problem]) -> tuple[ProblemGroup, ...]:
    """By what was found, what is still in the data first."""
    places: dict[tuple[bool, str], list[str]] = {}
    for problem in problems:
        places.setdefault((problem.fixed, problem.what), []).append(problem.where)
    ordered = sorted(places.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1]))
    return tuple(
        ProblemGroup(what, fixed, len(where), tuple(where[:_PLACES]))
        for (fixed, what), where in ordered
    )


def _split_report(split: Split) -> SplitReport:
    """Sizes and hashes of the parts."""
    sizes = {name: len(part) for name, part in split.parts.items()}
    return SplitReport(split.kind, split.seed, sizes, split.hashes)


def _set_lines(report: SetReport) -> list[str]:
    """One set in words."""
    lines = [
        f"{report.name}: {report.dialogues:,} dialogues, {report.utterances:,} utterances",
        f"  format                    {report.format}",
        f"  by the supporter          {report.supporter_share:.1%} of the utterances",
        f"  utterances per dialogue   {_spread_text(report.utterances_per_dialogue)}",
        f"  words per utterance       {_spread_text(report.words_per_utterance)}",
        f"  same speaker twice        {report.same_speaker_pairs:,} adjacent pairs",
        f"  opened by the supporter   {report.opened_by_supporter:,} dialogues",
        f"  hash of the dialogues     {report.content_hash}",
        f"  SHA-256 of the file       {report.source_sha256}",
    ]
    lines += _count_lines("strategies (supporter turns)", report.strategies)
    if report.scenes != report.problem_types:
        lines += _count_lines("scenes", report.scenes)
    lines += _count_lines("problem types", report.problem_types)
    lines += _count_lines("emotions", report.emotions)
    lines.append("  problems")
    if not report.problems:
        lines.append("      none found")
    for group in report.problems:
        state = "fixed" if group.fixed else "left as it is"
        more = "; ..." if group.count > len(group.where) else ""
        lines.append(f"    {group.count:6,}  {group.what} [{state}]")
        lines.append(f"            {'; '.join(group.where)}{more}")
    return lines


def _count_lines(title: str, counts: Mapping[str, int]) -> list[str]:
    """A heading and one line a label; nothing where no dialogue has such a label."""
    if set(counts) == {"(none)"}:
        return []
    return [f"  {title}", *(f"    {count:6,}  {label}" for label, count in counts.items())]


def _spread_text(spread: Spread) -> str:
    """Four numbers on one line."""
    return f"min {spread.min}, median {spread.median:g}, mean {spread.mean:.1f}, max {spread.max}"


def _split_lines(split: SplitReport) -> list[str]:
    """The parts in words."""
    seed = "" if split.seed is None else f", seed {split.seed}"
    lines = [f"split {split.kind}{seed}: no two parts share a dialogue"]
    for name, count in split.dialogues.items():
        lines.append(f"  {name:<12}{count:6,} dialogues  {split.hashes[name]}")
    return [*lines, f"  hash of the split           {split.hashes['split']}"]
