"""Ratings and preferences that were collected elsewhere, read from CSV: all of a file, or nothing.

Ratings need the columns rater, item, arm, dimension and score (0 to 5, or empty or "cannot_judge");
preferences need rater, item, arm_a, arm_b and choice (an arm, "tie" or "both_bad"). Both may stand
in one file with the columns of both: a row with a choice is a preference. The other columns of a
tidy frame may stand beside them; what is not known is ignored and named. All rows of a file are of
one study.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from annotations.analysis.tidy import (
    PREFERENCE_DEFAULTS,
    PREFERENCE_KEYS,
    RATING_DEFAULTS,
    RATING_KEYS,
    UNDECIDED,
    Frames,
    tidy,
)
from annotations.studies.values import StudyDimension
from annotations.values import HIGHEST_SCORE, LOWEST_SCORE, JudgeStatus, RaterKind, RatingStatus
from esc_demo.errors import BadInput

MOST_SHOWN = 8
"""Problems named before the rest are only counted."""

STATUSES = (
    *(status.value for status in RatingStatus),
    *(status.value for status in JudgeStatus if status is not JudgeStatus.OK),
)
"""What may stand under `status`: whether there is a score, or why a judge gave none."""

Row = dict[str, str]


@dataclass(frozen=True, eq=False)
class Imported:
    """The frames, and what a reader of the report should know about the files."""

    frames: Frames
    notes: tuple[str, ...]


def read_ratings(ratings: Path | None, preferences: Path | None = None) -> Imported:
    """Read one or both files.

    Raises:
        BadInput: a file cannot be read or any line is wrong; the text numbers the lines.
    """
    notes: list[str] = []
    rated = preferred = None
    if ratings is not None:
        both = _holds_both(ratings)
        if both and preferences is not None:
            raise BadInput(
                f"{ratings.name} holds preferences of its own (column 'choice'), and"
                f" {preferences.name} is given too. Put all preferences into one of them."
            )
        rated = _read(ratings, _RATINGS, notes, both)
        if len(rated):
            rated["status"] = [_status(row) for row in rated.to_dict("records")]
            rated["score"] = pd.to_numeric(rated["score"], errors="coerce")
        if both:
            preferred = _read(ratings, _PREFERENCES, notes, both)
    if preferences is not None:
        preferred = _read(preferences, _PREFERENCES, notes)
    return Imported(tidy(rated, preferred), tuple(notes))


@dataclass(frozen=True)
class _Kind:
    """One kind of rows: the columns it needs and may have, and what can be wrong with a row."""

    keys: tuple[str, ...]
    optional: frozenset[str]
    problem: Callable[[Row], str]
    chosen: bool
    """Whether its rows have a choice, where both kinds stand in one file."""

    @property
    def columns(self) -> frozenset[str]:
        """All that are read."""
        return self.optional | frozenset(self.keys)


def _holds_both(path: Path) -> bool:
    """Whether a file has the columns of ratings and those of preferences."""
    heads = next(csv.reader(io.StringIO(_text(path))), [])
    return {name.strip() for name in heads} >= {*RATING_KEYS, *PREFERENCE_KEYS}


def _read(path: Path, kind: _Kind, notes: list[str], both: bool = False) -> pd.DataFrame:
    """The checked rows of one kind in a file; with `both` there are rows of the other, too."""
    keys, problem = kind.keys, kind.problem
    reader = csv.DictReader(io.StringIO(_text(path)), strict=True)
    heads = [(name or "").strip() for name in reader.fieldnames or []]
    _check_heads(path, heads, keys)
    reader.fieldnames = heads
    ignored = [name for name in heads if name not in kind.columns]
    # With both kinds in one file, a column is named once, and only if neither kind knows it.
    named = [
        name for name in ignored if not (both and (kind.chosen or name in _PREFERENCES.columns))
    ]
    if named:
        notes.append(f"{path.name}: the columns {', '.join(map(repr, named))} are not used.")
    rows: list[Row] = []
    problems: list[str] = []
    seen: dict[tuple[str, ...], int] = {}
    identity = [name for name in heads if name in _IDENTITY and name not in ignored]
    try:
        for row in reader:
            line = reader.line_num
            clean = {name: (row[name] or "").strip() for name in heads if row[name] is not None}
            if not clean.get("rater_kind", "-"):
                clean["rater_kind"] = RaterKind.HUMAN.value
            if None in row or len(clean) < len(heads):
                problems.append(f"line {line}: not as many cells as columns ({len(heads)})")
                continue
            if both and _is_preference(clean) is not kind.chosen:
                continue
            if both and clean["choice"] and (clean["dimension"] or clean["score"]):
                problems.append(f"line {line}: a score and a choice; give each a row of its own")
                continue
            why = _empty(clean, keys) or problem(clean)
            key = _key(clean, identity)
            if not why and key in seen:
                why = f"the same question as in line {seen[key]}; number repeats in 'sample'"
            if why:
                problems.append(f"line {line}: {why}")
            seen.setdefault(key, line)
            rows.append(clean)
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    if problems:
        more = len(problems) - MOST_SHOWN
        shown = "; ".join(problems[:MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise BadInput(f"{path.name} is refused as a whole. {shown}. Mend these and try again.")
    if len(studies := sorted({row["study"] for row in rows if row.get("study")})) > 1:
        raise BadInput(
            f"{path.name} holds answers of {len(studies)} studies, and a report is about one:"
            f" {', '.join(studies[:MOST_SHOWN])}. Keep the rows of one study in each file."
        )
    if not rows and not both:
        notes.append(f"{path.name}: a heading and no rows.")
    used = [name for name in heads if name not in ignored]
    return pd.DataFrame([{name: row[name] for name in used} for row in rows], columns=used)


def _is_preference(row: Row) -> bool:
    """Whether a row of a file of both kinds is one, be its choice forgotten."""
    pair, rating = row["arm_a"] or row["arm_b"], row["dimension"] or row["score"] or row["arm"]
    return bool(row["choice"] or (pair and not rating))


_IDENTITY = {
    "study", "rater_kind", "rater", "item", "arm", "dimension", "sample", "arm_a", "arm_b",
    "side_a", "aspect", "control",
}  # fmt: skip


def _key(row: Row, identity: list[str]) -> tuple[str, ...]:
    """What makes two answers answers to one question; a pair of arms has no order."""
    values = {name: row[name] for name in identity}
    if "arm_a" in values and values["arm_a"] > values.get("arm_b", ""):
        values["arm_a"], values["arm_b"] = values["arm_b"], values["arm_a"]
        swapped = {"left": "right", "right": "left", "1": "2", "2": "1"}
        if "side_a" in values:
            values["side_a"] = swapped.get(values["side_a"], values["side_a"])
    return tuple(values[name] for name in identity)


def _text(path: Path) -> str:
    """The file's text, without a byte order mark."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path.name} is not UTF-8 (byte {error.start}); save it as such."
        ) from error
    if not text.strip():
        raise BadInput(f"{path.name} is empty. It needs a heading line and a line for each answer.")
    return text


def _check_heads(path: Path, heads: list[str], keys: tuple[str, ...]) -> None:
    """Every needed column is there once."""
    absent = [name for name in keys if name not in heads]
    if absent:
        hint = " Separate cells with commas." if len(heads) == 1 and ";" in heads[0] else ""
        raise BadInput(
            f"{path.name}, line 1: no column {', '.join(map(repr, absent))}; found are"
            f" {', '.join(map(repr, heads[:12]))}.{hint}"
        )
    twice = next((name for name in heads if heads.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{path.name}, line 1: the column {twice!r} is there twice.")


def _empty(row: Row, keys: tuple[str, ...]) -> str:
    """A needed cell without text; a score may be empty."""
    empty = [name for name in keys if name != "score" and not row[name]]
    return f"{empty[0]} is empty" if empty else ""


def _rating_problem(row: Row) -> str:
    """What is wrong with a rating, or nothing."""
    dimension, score = row["dimension"], row["score"]
    if dimension not in set(StudyDimension):
        known = ", ".join(StudyDimension)
        return f"{dimension[:40]!r} is not a dimension that is rated here ({known})"
    if (status := _status(row)) not in STATUSES:
        return f"the status is {status[:40]!r}; it must be one of {', '.join(STATUSES)}, or empty"
    if status == RatingStatus.SCORED:
        number = _whole(score)
        if number is None:
            return (
                f"the score is {score[:40]!r}; it must be a whole number from {LOWEST_SCORE} to"
                f" {HIGHEST_SCORE}, or cannot_judge"
            )
        if not LOWEST_SCORE <= number <= HIGHEST_SCORE:
            return f"the score is {number}; the scale is {LOWEST_SCORE} to {HIGHEST_SCORE}"
    return _common_problem(row)


def _preference_problem(row: Row) -> str:
    """What is wrong with a preference, or nothing."""
    first, second, choice = row["arm_a"], row["arm_b"], row["choice"]
    if first == second:
        return f"{first[:40]!r} is compared with itself"
    if choice not in (first, second, *UNDECIDED):
        return f"the choice is {choice[:40]!r}; it must be {first}, {second}, tie or both_bad"
    if row.get("side_a", "") not in ("", "left", "right", "1", "2"):
        return f"side_a is {row['side_a'][:40]!r}; it must be left or right"
    return _common_problem(row)


def _common_problem(row: Row) -> str:
    """What both kinds of rows share: who judged, and numbers that are numbers."""
    kind = row.get("rater_kind", "human")
    if kind not in ("", *RaterKind):
        return f"rater_kind is {kind[:40]!r}; it must be human or judge"
    for name in ("reply_words", "words_a", "words_b", "seconds"):
        if row.get(name) and not _is_number(row[name]):
            return f"{name} is {row[name][:40]!r}, not a number"
    return ""


def _status(row: Row) -> str:
    """The status as given, or as the score implies."""
    if row.get("status"):
        return row["status"]
    return "cannot_judge" if row["score"] in ("", "cannot_judge") else "scored"


def _whole(text: str) -> int | None:
    """A whole number; 4.0 is one, as spreadsheets write it so."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False


_RATINGS = _Kind(RATING_KEYS, frozenset({*RATING_DEFAULTS, "status"}), _rating_problem, False)
_PREFERENCES = _Kind(PREFERENCE_KEYS, frozenset(PREFERENCE_DEFAULTS), _preference_problem, True)
