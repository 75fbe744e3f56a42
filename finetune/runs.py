"""The folder of a training run: what lies in it, who may write to it, and how it stands.

No PyTorch here: the page reads runs too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from esc_demo.errors import BadInput
from finetune.differences import differences
from finetune.recipes import Recipe, load_recipe, recipe_text

RUNS = Path("runs")
"""Where runs lie unless another folder is named, relative to the working folder."""


WHOLE = "whole"
"""File in a checkpoint that was written to its end."""


class RunState(StrEnum):
    """How a run stands."""

    PREPARING = "preparing"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


@dataclass(frozen=True)
class RunStatus:
    """The state of a run, with a sentence for people, and the process that writes it."""

    state: RunState
    note: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Step:
    """One line of the progress file. Losses are nats per supervised token."""

    step: int
    of: int
    epoch: float
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    tokens: int = 0
    supervised: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and its small files."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The recipe as it was started."""
        return self.path / "recipe.yaml"

    @property
    def metrics_file(self) -> Path:
        """Written last: a run with this file is finished."""
        return self.path / "metrics.json"

    @property
    def progress_file(self) -> Path:
        """One JSON object a logged step."""
        return self.path / "progress.jsonl"

    @property
    def data_file(self) -> Path:
        """Hashes and ids of the parts of the data."""
        return self.path / "data.json"

    @property
    def trainer(self) -> Path:
        """The Trainer's checkpoints."""
        return self.path / "trainer"

    @property
    def adapter(self) -> Path:
        """A LoRA run's result."""
        return self.path / "adapter"

    @property
    def weights(self) -> Path:
        """A full run's result."""
        return self.path / "weights"

    @property
    def curve(self) -> Path:
        """Picture of training and validation loss."""
        return self.path / "loss.png"

    @property
    def finished(self) -> bool:
        """Whether the run has its final figures."""
        return self.metrics_file.exists()

    def recipe(self) -> Recipe:
        """The recipe of the run.

        Raises:
            ConfigError: the folder holds no readable recipe.
        """
        return load_recipe(str(self.recipe_file))

    def metrics(self) -> dict[str, Any]:
        """The final figures.

        Raises:
            BadInput: the run is not finished.
        """
        if not self.finished:
            raise BadInput(
                f"{self.path} is not a finished run: it has no metrics.json. Finish it with"
                " `python -m finetune train RECIPE --out FOLDER --resume`."
            )
        return dict(json.loads(self.metrics_file.read_text("utf-8")))

    def status(self) -> RunStatus:
        """How the run stands; one whose process died without a word counts as interrupted."""
        try:
            found = json.loads((self.path / "status.json").read_text("utf-8"))
            status = RunStatus(RunState(found["state"]), found["note"], found["pid"])
        except (OSError, ValueError, KeyError):
            return RunStatus(RunState.FAILED, "The folder has no readable status.json.")
        alive = status.state in (RunState.PREPARING, RunState.RUNNING)
        if alive and not _is_locked(self.path):
            return RunStatus(RunState.INTERRUPTED, "The process ended without a word.", status.pid)
        return status

    def set_status(self, state: RunState, note: str = "") -> None:
        """Record how the run stands, in one step."""
        text = json.dumps({"state": state.value, "note": note, "pid": os.getpid()})
        write_whole(self.path / "status.json", text + "\n")

    def steps(self) -> list[Step]:
        """The logged steps; a line that is still being written is left out."""
        found: list[Step] = []
        try:
            lines = self.progress_file.read_text("utf-8").splitlines()
        except OSError:
            return found
        for line in lines:
            try:
                found.append(Step(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end."""
        found = self.trainer.glob("checkpoint-*")
        whole = [path for path in found if (path / WHOLE).exists()]
        return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that readers see the old or the new text, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def opened(folder: Path, recipe: Recipe, *, resume: bool) -> Iterator[RunFolder]:
    """The run's folder, held for writing while the block runs.

    Raises:
        BadInput: another process writes to it; it holds a run and `resume` is off; or, with
            `resume`, it holds none, a finished one, or one of another recipe.
    """
    run = RunFolder(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file. Name another folder with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=1)  # a look at the run's status holds it for a moment
    except Timeout as error:
        raise BadInput(
            f"Another process is training in {folder}. Name another folder with --out, or wait."
        ) from error
    try:
        if resume:
            _check_resumable(run, recipe)
        else:
            _check_new(run)
            write_whole(run.recipe_file, recipe_text(recipe))
        yield run
    finally:
        lock.release()


def _check_new(run: RunFolder) -> None:
    """Refuse to write over a run; what a run left that never took a step is cleared away."""
    if run.finished or run.last_checkpoint() or run.adapter.exists() or run.weights.exists():
        raise BadInput(
            f"The folder {run.path} already holds a run. Continue it with --resume, name another"
            " folder with --out, or delete it."
        )
    known = {".lock", "recipe.yaml", "status.json", "progress.jsonl", "data.json", "trainer"}
    half = re.compile(rf"\.({'|'.join(map(re.escape, known))})\.\d+")  # left by a killed process
    names = [path.name for path in run.path.iterdir()]
    strangers = [name for name in names if name not in known and not half.fullmatch(name)]
    if strangers:
        raise BadInput(
            f"The folder {run.path} holds other files ({', '.join(sorted(strangers)[:3])})."
            " Name an empty or new folder with --out."
        )
    for path in run.path.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _check_resumable(run: RunFolder, recipe: Recipe) -> None:
    """There is a run of this recipe, and it has something left to do."""
    if not run.recipe_file.exists():
        raise BadInput(f"{run.path} holds no run to resume. Start one without --resume.")
    if run.finished:
        raise BadInput(f"The run in {run.path} is finished. There is nothing to resume.")
    old, new = run.recipe().model_dump(mode="json"), recipe.model_dump(mode="json")
    differing = differences(old, new, leave_out={"about"})
    if differing:
        raise BadInput(
            f"The run in {run.path} was started with another recipe: {'; '.join(differing)}."
            " Resume it with its own recipe, or start anew in another folder."
        )


def _is_locked(folder: Path) -> bool:
    """Whether a process holds the folder's lock."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
