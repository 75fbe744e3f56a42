"""The files of generated replies in the folder of runs: found, named and grouped.

Only the first line of a file is read, so that looking for runs stays quick whatever they hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from finetune.generate.store import KIND

EVERY_GROUP = ""
"""The choice that shows runs of all data."""

_LONGEST_HEADER = 1_000_000
"""Bytes; a first line that is longer is no header of ours."""


@dataclass(frozen=True)
class RunFile:
    """A file of replies, as its header says."""

    path: Path
    name: str
    """Where it lies below the folder of runs; what the page calls it by."""
    label: str
    """Model, context and prompt."""
    group: str
    """Data, mode and sampling: what runs of one table share, in words."""
    run_hash: str
    replies: int
    """Lines with a reply, damaged ones too."""
    items: int
    """How many there are when it is finished."""
    changed: float
    """When it was last written, in seconds since 1970."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be written."""
        return self.replies >= self.items


@dataclass(frozen=True)
class Found:
    """What lies in the folder."""

    ready: tuple[RunFile, ...]
    """Those that can be scored, by group, the one that was written last first."""
    unfinished: tuple[RunFile, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of `ready`."""
        return tuple(dict.fromkeys(run.group for run in self.ready))

    def of(self, group: str) -> tuple[RunFile, ...]:
        """The runs of a group, or all."""
        return tuple(run for run in self.ready if group in (EVERY_GROUP, run.group))

    def named(self, names: Sequence[str]) -> tuple[RunFile, ...]:
        """The runs of some names, in their order; a name that is none is left out."""
        known = {run.name: run for run in self.ready}
        return tuple(known[name] for name in dict.fromkeys(names) if name in known)


def find_runs(folder: Path) -> Found:
    """Look through `folder`; what is no file of replies, or cannot be read, is passed over."""
    runs: list[RunFile] = []
    for path in sorted(folder.rglob("*.jsonl")) if folder.is_dir() else ():
        if path.name.endswith(".timings.jsonl") or path.name.startswith("."):
            continue
        try:
            stat = path.stat()
            head, lines = _look(path, stat.st_mtime_ns, stat.st_size)
            if head is not None:
                name = path.relative_to(folder).as_posix()
                runs.append(_described(path, name, json.loads(head), lines, stat.st_mtime))
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            continue
    newest: dict[str, float] = {}
    for run in runs:
        newest[run.group] = max(newest.get(run.group, 0.0), run.changed)
    runs.sort(key=lambda run: (-newest[run.group], run.group, run.label, run.name))
    return Found(
        tuple(run for run in runs if run.finished),
        tuple(run for run in runs if not run.finished),
    )


def choices(runs: Sequence[RunFile], *, grouped: bool) -> list[tuple[str, str]]:
    """What a list shows and stands for; the group is said where there may be several."""
    shown = [f"{run.label} · {run.group}" if grouped else run.label for run in runs]
    return [
        (f"{text} · {run.path.stem}" if shown.count(text) > 1 else text, run.name)
        for run, text in zip(runs, shown, strict=True)
    ]


@lru_cache(maxsize=512)
def _look(path: Path, changed: int, size: int) -> tuple[str | None, int]:
    """First line and number of further ones; the former None where it is no header.

    `changed` and `size` are there to be remembered by: a file that grew is read again.
    """
    with path.open("rb") as file:
        first = file.readline(_LONGEST_HEADER)
        try:
            head = json.loads(first)
        except ValueError:
            return None, 0
        if not isinstance(head, dict) or head.get("kind") != KIND:
            return None, 0
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return first.decode(), lines


def _described(path: Path, name: str, head: dict[str, Any], lines: int, changed: float) -> RunFile:
    """A file with its header in words.

    Raises:
        KeyError, TypeError: an entry is missing.
    """
    model, condition, protocol = head["model"], head["condition"], head["protocol"]
    prompt = "on" if condition["prompt"] else "off"
    label = f"{model.get('id') or model.get('name') or '?'} · {condition['context']['label']}"
    return RunFile(
        path,
        name,
        f"{label} · prompt {prompt}",
        _group(str(head["data"]["name"]), protocol),
        str(head["run_hash"]),
        lines,
        int(protocol["items"]),
        changed,
    )


def _group(data: str, protocol: dict[str, Any]) -> str:
    """The protocol in words."""
    params = protocol.get("params", {})
    sampling = f"seed {params.get('seed', '?')}" if params.get("temperature") else "greedy"
    words = [data, f"{protocol['dialogues']:,} dialogues, {protocol['items']:,} replies"]
    words += [{"forced": "gold history", "auto": "own history"}.get(str(protocol.get("mode")), "")]
    return " · ".join(word for word in [*words, sampling] if word)
