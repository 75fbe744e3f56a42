"""Files of externally collected answers, read line by line and checked as far as they alone can be.

A file of ratings has the columns `rater, item, arm, dimension, score`, and in a study of pairs
`side` (1 or left: shown first; 2 or right) and, unless both arms are rated, `other_arm`. A file of
preferences has `rater, item, arm_a, arm_b, side_a, choice` (an arm, `tie` or `both_bad`). Both may
have `seconds` (time at the screen) and `submitted_at` (ISO 8601 with time zone), the same on all
lines of a screen; `study`, `rater_kind` (human) and `kind` (main) may repeat what is known.
All that the study asks about an item must be there, if need be from two files imported at once.
Further columns are not used. An empty score, or `cannot_judge`, says that it cannot be judged.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from annotations.values import HIGHEST_SCORE, LOWEST_SCORE, Score, StudyDimension
from esc_demo.errors import BadInput

RATING_COLUMNS = ("rater", "item", "arm", "dimension", "score")
PREFERENCE_COLUMNS = ("rater", "item", "arm_a", "arm_b", "side_a", "choice")
OPTIONAL_COLUMNS = (
    *("other_arm", "side", "status", "seconds", "submitted_at", "study", "rater_kind", "kind"),
)
UNDECIDED = ("tie", "both_bad")

MOST_SHOWN = 8
"""Problems named before the rest are only counted."""

MAX_RATER_CHARS = 200
_SHOWN_CHARS = 40
_CANNOT_JUDGE = "cannot_judge"
_SIDES = {"1": 1, "left": 1, "2": 2, "right": 2, "": None}

Cells = dict[str, str]
T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Place:
    """A line of one of the files, both counted from 1."""

    file: int
    line: int


@dataclass(frozen=True)
class Answer:
    """What one line says: a score of `arm`, or a preference (`dimension` is None).

    `sides` has an entry for each arm named on the line: 1 shown first, 2 second, None unknown.
    """

    at: Place
    rater: str
    item: str
    sides: dict[str, int | None]
    arm: str
    dimension: StudyDimension | None
    score: Score | None
    choice: str
    seconds: float | None
    submitted_at: datetime | None


@dataclass
class Problems:
    """What is wrong, collected so that a person can mend it all at once."""

    names: tuple[str, ...]
    found: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, at: Place, sentence: str) -> None:
        """Note one."""
        self.found.append((at, sentence))

    def name(self, at: Place) -> str:
        """`line 7`, with the file's name where there are two."""
        return f"{self.names[at.file - 1]}, line {at.line}" if self.names[1:] else f"line {at.line}"

    def refuse(self) -> None:
        """Raise `BadInput` when there is any."""
        if not self.found:
            return
        self.found.sort(key=lambda one: one[0])
        lines = [f"{self.name(at)}: {sentence}" for at, sentence in self.found[:MOST_SHOWN]]
        more = len(self.found) - MOST_SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        raise BadInput(
            f"Nothing was imported from {', '.join(self.names)}. {'; '.join(lines)}{tail}. Mend"
            " these and try again."
        )


@dataclass(frozen=True, eq=False)
class Files:
    """All lines of all files, and a hash by which they are known again."""

    answers: tuple[Answer, ...]
    content_hash: str
    unused: tuple[str, ...]
    problems: Problems


def read_files(paths: Sequence[Path], slug: str, now: datetime) -> Files:
    """Read every file for the study `slug`; what is wrong with single lines is in `problems`.

    Raises:
        BadInput: a file cannot be read, or its heading lacks a column.
    """
    problems = Problems(tuple(path.name for path in paths))
    answers: list[Answer] = []
    hashes, unused = [], []
    for number, path in enumerate(paths, 1):
        content = _content(path)
        hashes.append(hashlib.sha256(content).hexdigest())
        lines = _Lines(number, path, content, slug, problems, now)
        answers += lines.answers()
        unused += [f"{path.name}: {name}" for name in lines.unused]
    if len(set(hashes)) < len(hashes):
        raise BadInput("The same file is named twice. Name each file once.")
    whole = hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()
    return Files(tuple(answers), whole, tuple(unused), problems)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


class _Lines:
    """The lines of one file."""

    def __init__(
        self,
        number: int,
        path: Path,
        content: bytes,
        slug: str,
        problems: Problems,
        now: datetime,
    ) -> None:
        """Read the heading."""
        self._number, self._slug, self._problems, self._now = number, slug, problems, now
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{path.name} is not UTF-8 (byte {error.start}). Save it as CSV in UTF-8."
            ) from error
        self._rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            self._heads = [name.strip() for name in next(self._rows, [])]
        except csv.Error as error:
            raise BadInput(f"{path.name}, line 1: {error}.") from error
        heads = set(self._heads)
        self._preferences = "choice" in heads or "arm_a" in heads
        needed = PREFERENCE_COLUMNS if self._preferences else RATING_COLUMNS
        if absent := [name for name in needed if name not in heads]:
            raise BadInput(
                f"{path.name}, line 1: no column {', '.join(map(repr, absent))}. Ratings need"
                f" {', '.join(RATING_COLUMNS)}; preferences need {', '.join(PREFERENCE_COLUMNS)}."
            )
        if twice := sorted({name for name in heads if self._heads.count(name) > 1}):
            raise BadInput(f"{path.name}, line 1: the column {twice[0]!r} is there twice.")
        self.unused = [name for name in self._heads if name not in (*needed, *OPTIONAL_COLUMNS)]

    def answers(self) -> list[Answer]:
        """What the lines say; lines with a problem are left out."""
        found = []
        try:
            for row in self._rows:
                at = Place(self._number, self._rows.line_num)
                if not row:
                    continue
                if len(row) != len(self._heads):
                    said = f"{len(row)} cells, but {len(self._heads)} columns"
                    self._problems.add(at, said)
                    continue
                cells = {name: cell.strip() for name, cell in zip(self._heads, row, strict=True)}
                try:
                    found.append(self._answer(at, cells))
                except _Wrong as error:
                    self._problems.add(at, str(error))
        except csv.Error as error:
            self._problems.add(Place(self._number, self._rows.line_num), str(error))
        return found

    def _answer(self, at: Place, cells: Cells) -> Answer:
        for name in ("rater", "item"):
            if not cells[name]:
                raise _Wrong(f"{name} is empty")
        if len(cells["rater"]) > MAX_RATER_CHARS:
            raise _Wrong(f"rater is longer than {MAX_RATER_CHARS} characters")
        if cells.get("study", "") not in ("", self._slug):
            raise _Wrong(f"study is {_short(cells['study'])}, not {self._slug}")
        if cells.get("rater_kind", "") not in ("", "human"):
            raise _Wrong("rater_kind must be human; a judge's ratings go to `report --ratings`")
        if cells.get("kind", "") not in ("", "main"):
            raise _Wrong("kind must be main; gold items and repeats are not imported")
        arm, dimension, score, choice = "", None, None, ""
        if self._preferences:
            sides, choice = _pair(cells)
        else:
            sides, arm = _shown(cells), cells["arm"]
            dimension, score = _dimension(cells["dimension"]), _score(cells)
        return Answer(
            at,
            cells["rater"],
            cells["item"],
            sides,
            arm,
            dimension,
            score,
            choice,
            _read(cells, "seconds", _seconds),
            _read(cells, "submitted_at", self._moment),
        )

    def _moment(self, text: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None or moment > self._now:
                return None
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):  # the first day of all has no UTC east of Greenwich
            return None


class _Wrong(Exception):
    """What is wrong with one line."""


def _shown(cells: Cells) -> dict[str, int | None]:
    """Where the rated reply stood, and the one beside it if it is named."""
    arm, other = cells["arm"], cells.get("other_arm", "")
    if not arm:
        raise _Wrong("arm is empty")
    if arm == other:
        raise _Wrong(f"arm and other_arm are both {_short(arm)}")
    side = _side(cells.get("side", ""), "side")
    return {arm: side} | ({other: side and 3 - side} if other else {})


def _pair(cells: Cells) -> tuple[dict[str, int | None], str]:
    """Where both replies stood, and which was preferred."""
    first, second, choice = cells["arm_a"], cells["arm_b"], cells["choice"]
    if not first or not second or first == second:
        raise _Wrong("arm_a and arm_b must be two different arms")
    if choice not in (first, second, *UNDECIDED):
        raise _Wrong(f"choice is {_short(choice)}; it must be {first}, {second}, tie or both_bad")
    side = _side(cells["side_a"], "side_a")
    return {first: side, second: side and 3 - side}, choice


def _side(text: str, name: str) -> int | None:
    if text not in _SIDES:
        raise _Wrong(f"{name} is {_short(text)}; it must be 1 (or left) or 2 (or right)")
    return _SIDES[text]


def _dimension(text: str) -> StudyDimension:
    try:
        return StudyDimension(text)
    except ValueError as error:
        known = ", ".join(StudyDimension)
        raise _Wrong(f"dimension is {_short(text)}; known are {known}") from error


def _score(cells: Cells) -> Score:
    """The score; spreadsheets may write 4.0 for 4."""
    text, status = cells["score"], cells.get("status", "")
    if status not in ("", "scored", _CANNOT_JUDGE):
        raise _Wrong(f"status is {_short(status)}; it must be scored or {_CANNOT_JUDGE}")
    unknown = text in ("", _CANNOT_JUDGE)
    if status and unknown != (status == _CANNOT_JUDGE):
        raise _Wrong(f"status is {status}, but the score is {_short(text)}")
    if unknown:
        return "cannot_judge"
    number = _number(text)
    if number is None or number not in range(LOWEST_SCORE, HIGHEST_SCORE + 1):
        raise _Wrong(
            f"score is {_short(text)}; it must be a whole number from {LOWEST_SCORE} to"
            f" {HIGHEST_SCORE}, or {_CANNOT_JUDGE}"
        )
    return int(number)


def _read(cells: Cells, name: str, parse: Callable[[str], T | None]) -> T | None:
    """An optional cell."""
    if not (text := cells.get(name, "")):
        return None
    if (value := parse(text)) is None:
        wanted = {
            "seconds": "a number of seconds, 0 or more",
            "submitted_at": "a past moment with time zone, as in 2026-05-01T09:00:00Z",
        }
        raise _Wrong(f"{name} is {_short(text)}; it must be {wanted[name]}")
    return value


def _seconds(text: str) -> float | None:
    number = _number(text)
    return number if number is not None and number >= 0 else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")
