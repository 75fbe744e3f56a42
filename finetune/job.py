"""A training run in a process of its own: starting, stopping, resuming, and what became of it.

One run at a time. A run started here inherits an open file that is locked for as long as its
process lives, whatever becomes of the page: the lock says that a run is going on, also after a
restart, and which process holds it says whom a stop may signal. A number in a file alone is never
signalled: the system gives numbers of ended processes to others.

No PyTorch here: the page imports this.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from esc_demo.errors import BadInput, EscError
from esc_demo.settings import PROJECT_ROOT
from finetune.processes import end_hard, give_way, open_file
from finetune.recipes import load_recipe
from finetune.runs import RUNS, RunFolder, RunState, RunStatus, write_whole

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

GRACE_S = 60.0
"""Seconds a stopped run has for its last step and its checkpoint before it may be ended hard."""

_ALIVE = (RunState.PREPARING, RunState.RUNNING)
_LOG_BYTES = 20_000


@dataclass(frozen=True)
class Run:
    """A run as it stands; `active` while a process works on it."""

    folder: RunFolder
    status: RunStatus
    active: bool

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.path.name


@dataclass(frozen=True)
class _Job:
    """The process that was started last."""

    pid: int
    folder: Path


class Jobs:
    """The runs of one folder, seen from outside of them."""

    def __init__(self, runs: Path = RUNS) -> None:
        """Look after the runs in `runs`, which need not exist yet."""
        self._runs = runs.resolve()
        self._starting = threading.Lock()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, recipe: str, data: str | None = None) -> Run:
        """Begin a run of `recipe` (a name or a path) in the next free folder; returns at once.

        `data` is a file or folder to train on instead of the recipe's.

        Raises:
            ConfigError: the recipe is unknown or wrong.
            BadInput: another run is going on, or `data` does not exist.
        """
        loaded = load_recipe(recipe)
        arguments = [str(Path(recipe).absolute()) if _is_path(recipe) else recipe]
        if data:
            arguments += ["--data", str(_existing(data))]
        with self._starting:
            self._refuse_second()
            folder = self._new_folder(loaded.name)
            try:
                self._spawn(folder, [*arguments, "--out", str(folder)])
            except BaseException:
                with suppress(OSError):
                    folder.rmdir()
                raise
        return self.look(folder.name)

    def resume(self, name: str) -> Run:
        """Go on with an interrupted or failed run; returns at once.

        Raises:
            BadInput: there is no such run, it is finished or going on, or another one is.
        """
        run = self.look(name)
        if run.folder.finished:
            raise BadInput(f"The run {name} is finished. There is nothing to resume.")
        if not run.folder.recipe_file.exists():
            raise BadInput(f"The run {name} never began. Start it anew from its recipe.")
        with self._starting:
            self._refuse_second()
            folder = run.folder.path
            arguments = [str(run.folder.recipe_file), "--out", str(folder), "--resume"]
            self._spawn(folder, arguments)
        return self.look(name)

    def stop(self, name: str) -> str:
        """Ask a run to end after its step and to save; asked again after a minute, end it hard.

        Returns:
            What will happen, in a sentence.

        Raises:
            BadInput: it is not going on, was asked less than a minute ago, or its process cannot
                be told for sure.
        """
        run = self.look(name)
        if not run.active:
            raise BadInput(f"The run {name} is not going on. There is nothing to stop.")
        pid = run.status.pid
        if not self._works_on(pid, run.folder.path):
            raise BadInput(
                f"Which process works on {name} cannot be told for sure, so nothing was stopped."
                " Press Ctrl-C in the terminal where it was started."
            )
        asked = self._asked(run)
        if asked is None:
            self._asked_file(run).write_text(str(pid), "utf-8")
            os.kill(pid, signal.SIGINT)
            if run.status.state is RunState.PREPARING:
                return "It was still preparing: it ends at once, and there is nothing to save yet."
            return "It finishes its step, saves a checkpoint and ends. It can be resumed later."
        left = GRACE_S - (time.time() - asked)
        if left > 0:
            raise BadInput(
                f"The run {name} was asked to stop and is still busy with its step or with"
                f" saving. If it has not ended in {left:.0f} s, stop it again: then it ends at"
                " once, and what it did since its last checkpoint is lost."
            )
        end_hard(pid)
        return "It was ended at once. It can be resumed from its last checkpoint."

    def stopping(self, run: Run) -> bool:
        """Whether a run that is going on was asked to stop."""
        return run.active and self._asked(run) is not None

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        try:
            folders = [p for p in self._runs.iterdir() if p.is_dir() and p.name[0] != "."]
        except OSError:
            return []
        return [self._look(folder) for folder in sorted(folders, key=_born, reverse=True)]

    def look(self, name: str) -> Run:
        """The run of that name.

        Raises:
            BadInput: there is none.
        """
        folder = self._runs / name
        if not name or Path(name).name != name or not folder.is_dir():
            raise BadInput(f"There is no run {name!r} in {self._runs}.")
        return self._look(folder)

    def running(self) -> Run | None:
        """The run that is going on."""
        return next((run for run in self.runs() if run.active), None)

    def log_tail(self, name: str, lines: int = 12) -> str:
        """The last lines a run printed; a progress bar counts as its newest state only."""
        try:
            with self._log(name).open("rb") as file:
                file.seek(max(0, self._log(name).stat().st_size - _LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        shown = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
        return "\n".join([line for line in shown if line][-lines:])

    def keep(self, file: Path) -> Path:
        """A copy of somebody's data beside the runs, where a resumed run finds it again.

        Equal files share one copy.
        """
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem)[:40]
        target = self._runs / ".uploads" / f"{stem}-{digest}{file.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(file, target)
        return target

    def _look(self, folder: Path) -> Run:
        """How the run in `folder` stands; the process may not have written anything yet."""
        run = RunFolder(folder)
        job = self._job()
        status = run.status()
        if job is not None and job.folder == folder:
            if status.pid != job.pid:
                status = RunStatus(RunState.PREPARING, "The process is starting.", job.pid)
            return Run(run, status, active=True)
        if not (folder / "status.json").exists():
            status = _unspoken(run)
        return Run(run, status, active=status.state in _ALIVE)

    def _refuse_second(self) -> None:
        """One run at a time.

        Raises:
            BadInput: one is going on.
        """
        going = self.running()
        if going is not None:
            raise BadInput(
                f"The run {going.name} is going on; there is room for one at a time. Wait for it"
                " to end, or stop it first."
            )

    def _new_folder(self, name: str) -> Path:
        """A new, empty folder `name-1`, `name-2` or so on."""
        self._runs.mkdir(parents=True, exist_ok=True)
        taken = [p.name for p in self._runs.iterdir()]
        numbers = [re.fullmatch(rf"{re.escape(name)}-(\d+)(\.log)?", one) for one in taken]
        folder = self._runs / f"{name}-{1 + max((int(n[1]) for n in numbers if n), default=0)}"
        folder.mkdir()
        return folder

    def _spawn(self, folder: Path, arguments: list[str]) -> None:
        """Start the process, which inherits the locked file.

        Raises:
            BadInput: another process has the lock.
        """
        if fcntl is None:
            raise EscError(
                "The page cannot start a training on this system. Use a terminal:"
                f" `python -m finetune train {' '.join(arguments)}`."
            )
        self._asked_path(folder).unlink(missing_ok=True)
        handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BadInput(
                    f"Another run is starting or ending in {self._runs}. Wait a moment and try"
                    " again."
                ) from error
            with self._log(folder.name).open("ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "finetune", "train", *arguments],
                    cwd=PROJECT_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(handle,),
                )
            give_way(child.pid)
            write_whole(self._job_file, json.dumps({"pid": child.pid, "folder": str(folder)}))
        finally:
            os.close(handle)  # the child's copy goes on holding the lock
        self._children[child.pid] = child
        threading.Thread(target=self._reap, args=(child,), name="training", daemon=True).start()

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for a child, so that its number is given back."""
        child.wait()
        self._children.pop(child.pid, None)

    def _job(self) -> _Job | None:
        """The process started last, if it is still the one that holds the lock."""
        try:
            found = json.loads(self._job_file.read_text("utf-8"))
            job = _Job(int(found["pid"]), Path(found["folder"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return job if self._holds(job.pid, self._lock_file) else None

    def _works_on(self, pid: int, folder: Path) -> bool:
        """Whether the process `pid` is for sure the one that works on `folder`."""
        job = self._job()
        if job is not None and job.folder == folder:
            return job.pid == pid
        return self._holds(pid, folder / ".lock")

    def _holds(self, pid: int, file: Path) -> bool:
        """Whether a living process has `file` open; without /proc, only of our own children."""
        child = self._children.get(pid)
        if child is not None:
            return child.poll() is None
        handles = Path(f"/proc/{pid}/fd")
        try:
            return any(open_file(handle) == file for handle in handles.iterdir())
        except OSError:
            return False

    def _asked(self, run: Run) -> float | None:
        """When the process of a run was asked to stop."""
        path = self._asked_file(run)
        try:
            asked = path.read_text("utf-8") == str(run.status.pid)
            return path.stat().st_mtime if asked else None
        except OSError:
            return None

    def _asked_file(self, run: Run) -> Path:
        return self._asked_path(run.folder.path)

    def _asked_path(self, folder: Path) -> Path:
        return self._runs / f".{folder.name}.stop"

    def _log(self, name: str) -> Path:
        return self._runs / f"{name}.log"

    @property
    def _lock_file(self) -> Path:
        return self._runs / ".job.lock"

    @property
    def _job_file(self) -> Path:
        return self._runs / ".job.json"


@lru_cache(maxsize=1)
def gpus_here() -> int:
    """Number of CUDA GPUs of this machine, asked of the driver's own tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _unspoken(run: RunFolder) -> RunStatus:
    """The state of a folder in which no process has written its own."""
    if run.finished:
        return RunStatus(RunState.FINISHED)
    return RunStatus(RunState.FAILED, "It ended before its first step.")


def _born(folder: Path) -> float:
    """When a run began, in seconds; folders that vanish meanwhile come last."""
    for path in (folder / "recipe.yaml", folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _is_path(recipe: str) -> bool:
    """Whether `load_recipe` takes `recipe` for a path."""
    return Path(recipe).suffix in (".yaml", ".yml")


def _existing(data: str) -> Path:
    """The path of people's own data, from here or from the project.

    Raises:
        BadInput: nothing is there.
    """
    path = Path(data).expanduser()
    for candidate in (path.absolute(), PROJECT_ROOT / path):
        if candidate.exists():
            return candidate
    raise BadInput(f"There is no file {data}. Check the path of your data.")
