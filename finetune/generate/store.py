"""The file of replies: a header, then one line an item, safe against a kill at any moment.

While a run is under way, lines are appended in the order in which replies end, each on the
disk before the next. When no item is left, the file is put into item order in one step, so that
a run that was broken off and resumed ends in the same bytes as one that was not. Times and dates
would break that promise; they go into a second file, `NAME.timings.jsonl`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from esc_demo.errors import BadInput, EscError, StorageError
from esc_demo.storage import is_disk_full
from finetune.differences import differences
from finetune.generate.items import ItemKey

KIND = "esc-replies"
"""What a header says of the file."""

_HASHES = ("run_hash", "protocol_hash")


class Status(StrEnum):
    """How an item ended.

    `ok`: a reply, perhaps an empty one. `failed`: none, and asked for again on resuming.
    `refused`: the endpoint's model declined; its words are the hypothesis. `content_filtered`:
    the endpoint withheld the reply, or a part of it. `too_long`: the message and the prompt do
    not fit into the window, whatever is dropped.
    """

    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"
    CONTENT_FILTERED = "content_filtered"
    TOO_LONG = "too_long"


@dataclass(frozen=True)
class Saved:
    """A line of the file: its exact text and what the run needs of it."""

    line: str
    key: ItemKey
    status: Status
    hypothesis: str

    @classmethod
    def of(cls, record: dict[str, Any]) -> Saved:
        """The line of an item's record."""
        return cls.parsed(_line(record))

    @classmethod
    def parsed(cls, line: str) -> Saved:
        """A line as it was read.

        Raises:
            ValueError, KeyError, TypeError: it is no item's line.
        """
        if not line.isascii():  # `_line` writes nothing else
            raise ValueError("bytes that were never written")
        record = json.loads(line)
        key = ItemKey(str(record["dialogue"]), int(record["item"]))
        return cls(line, key, Status(record["status"]), str(record["hypothesis"]))


class Output:
    """The replies that are there, and the two files they are appended to."""

    def __init__(self, path: Path, header: dict[str, Any], notes: list[str]) -> None:
        """Begin the file, or go on with it; remarks for people are added to `notes`.

        Raises:
            BadInput: the file is none of replies, or was begun with other settings.
        """
        self.path = path
        self.timings = path.with_name(f"{path.stem}.timings.jsonl")
        self.saved: dict[ItemKey, Saved] = {}
        self._header = _line(header)
        with _clear_errors(path):
            self._read(header, notes)
            _drop_torn_line(self.timings)

    def _read(self, header: dict[str, Any], notes: list[str]) -> None:
        """Take over what an earlier process wrote, or write the header."""
        raw = self.path.read_bytes() if self.path.exists() else b""
        if self._header.encode().startswith(raw):  # nothing, or a header that was being written
            self.path.write_bytes(b"")
            _append(self.path, self._header)
            return
        lines = _lines(raw)
        differing = differences(_parsed_header(self.path, lines[0]), header, leave_out=_HASHES)
        if differing:
            raise BadInput(
                f"{self.path} was begun with other settings: {'; '.join(differing)}. Resume it"
                " with its own, or name another file with --out."
            )
        _drop_torn_line(self.path)  # only now: a file that is none of ours stays as it is
        if not raw.endswith(b"\n"):
            lines.pop()
        for number, line in enumerate(lines[1:], 2):
            try:
                found = Saved.parsed(line)
            except (ValueError, KeyError, TypeError):
                notes.append(f"Line {number} of {self.path} is damaged; it is written anew.")
            else:
                self.saved[found.key] = found

    def done(self, key: ItemKey) -> bool:
        """Whether an item needs no further try."""
        return key in self.saved and self.saved[key].status is not Status.FAILED

    def own(self, dialogue: str, upto: int) -> list[str]:
        """The texts of the first `upto` replies of a dialogue."""
        return [self.saved[ItemKey(dialogue, index)].hypothesis for index in range(upto)]

    def add(self, saved: Saved, timing: dict[str, Any]) -> None:
        """Append one item; its line is on the disk when this returns.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        with _clear_errors(self.path):
            _append(self.path, saved.line)
            self.saved[saved.key] = saved
            self.note_times(timing)

    def note_times(self, record: dict[str, Any]) -> None:
        """Append one line to the file of timings."""
        with _clear_errors(self.timings):
            _append(self.timings, _line(record), sync=False)

    def finish(self, order: Sequence[ItemKey]) -> None:
        """Put the file into item order, one line an item, in one step.

        Raises:
            StorageError: it cannot be written.
        """
        text = self._header + "".join(self.saved[key].line for key in order)
        if text.encode() == self.path.read_bytes():
            return
        temporary = self.path.with_name(f".{self.path.name}.ordered")
        with _clear_errors(self.path):
            with temporary.open("wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)


@contextmanager
def held(path: Path, *, resume: bool) -> Iterator[None]:
    """Hold a file of replies for writing; it need not be there yet.

    Raises:
        BadInput: another process writes it, it is there and `resume` is off, or it is a folder.
        StorageError: its folder cannot be written.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder. Name a file with --out.")
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BadInput(
                f"Another process is writing {path}. Wait for it, or name another file with --out."
            ) from error
    try:
        if path.exists() and path.stat().st_size and not resume:
            raise BadInput(
                f"{path} is there already. Go on with it with --resume, name another file with"
                " --out, or delete it."
            )
        yield
    finally:
        lock.release()


def read_replies(
    path: Path, *, damaged: list[int] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and item records of a file of replies, for scoring.

    With a list `damaged`, the numbers of damaged lines are added to it and the rest is read.

    Raises:
        BadInput: not such a file, unfinished, or a line is damaged; the text names the line.
    """
    try:
        lines = _lines(path.read_bytes())
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}.") from error
    head = _parsed_header(path, lines[0])
    records = []
    for number, line in enumerate(lines[1:], 2):
        try:
            Saved.parsed(line)
        except (ValueError, KeyError, TypeError) as error:
            if damaged is not None:
                damaged.append(number)
                continue
            raise BadInput(f"{path}, line {number} is damaged. Mend it with --resume.") from error
        records.append(json.loads(line))
    wanted = head["protocol"]["items"]
    found = len({(record["dialogue"], record["item"]) for record in records})
    if found + len(damaged or ()) < wanted:
        raise BadInput(
            f"{path} is unfinished: {len(records):,} of {wanted:,} replies. Finish it with"
            " `python -m finetune generate` and --resume."
        )
    return head, records


def _parsed_header(path: Path, line: str) -> dict[str, Any]:
    """The header in the first line of `path`.

    Raises:
        BadInput: it is none.
    """
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise BadInput(f"{path} does not begin with the header of a file of generated replies.")
    return found


def _line(record: dict[str, Any]) -> str:
    """A record as one line; `\\u` escapes keep line separators inside texts from ending it."""
    return json.dumps(record) + "\n"


def _append(path: Path, line: str, *, sync: bool = True) -> None:
    """Append a whole line, in one write."""
    with path.open("ab") as file:
        file.write(line.encode())
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    """Cut off what follows the last line end: a line that was being written at a kill."""
    if not path.exists():
        return
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        with path.open("r+b") as file:
            file.truncate(whole)


def _lines(raw: bytes) -> list[str]:
    """The lines of a file with their ends, at least one; bytes that are no text stay visible."""
    return raw.decode("utf-8", "replace").splitlines(keepends=True) or [""]


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system into one clear line.

    Raises:
        StorageError: the disk is full, or `path` cannot be written.
    """
    try:
        yield
    except EscError:
        raise
    except OSError as error:
        why = "the disk is full" if is_disk_full(error) else error.strerror or str(error)
        raise StorageError(
            f"Cannot write {path}: {why}. Mend that, then go on with --resume; what is written"
            " is kept."
        ) from error
