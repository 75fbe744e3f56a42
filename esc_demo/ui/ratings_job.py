"""Reports of studies made behind the page's back: one at a time, in a process of their own.

An analysis keeps a processor busy for seconds to minutes; in this process it would take turns
with the models and the chats. The child is the command of the README, at low priority.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
import zipfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from annotations import Store
from annotations.studies.values import StudyStatus
from esc_demo.errors import BadInput, EscError, StorageError
from esc_demo.settings import PROJECT_ROOT, handed_on

if TYPE_CHECKING:  # they lead to pandas and scipy
    from annotations.analysis.tidy import Frames
    from annotations.reports.sources import ReportSource
    from esc_demo.ui.ratings_lines import Line

_log = logging.getLogger(__name__)

MOST_KEPT = 8
"""Reports kept; the one unused for longest is forgotten first."""

MOST_WAITING = 4
LONGEST_S = 1800.0
"""An analysis that takes longer is ended."""

_COMMAND = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from annotations.cli import main; main()"
)
_NICE = 10


@dataclass(frozen=True)
class Ticket:
    """A report as it was made: of which answers, and which of them."""

    slug: str
    stratum: str
    """Empty for all."""
    state: str
    """Hash of the answers and of what is said about them."""


@dataclass(frozen=True, eq=False)
class Made:
    """A report with what the page needs beside it."""

    title: str
    status: StudyStatus
    strata: tuple[str, ...]
    page: str
    """The whole of report.html."""
    archive: Path
    frames: Frames
    """Only the stratum."""
    lines: tuple[Line, ...]

    @property
    def public(self) -> bool:
        """Whether everybody may see it: nobody is rating any more."""
        return self.status is StudyStatus.CLOSED


class Job:
    """A report being made."""

    def __init__(self) -> None:
        """Wait for its turn."""
        self.stage = "Waiting for another report to be done"
        self.began = time.monotonic()
        self.ticket: Ticket | None = None
        self.made: Made | None = None
        self.problem = ""
        self._done = threading.Event()

    @property
    def done(self) -> bool:
        """Whether there is a report or a problem."""
        return self._done.is_set()

    @property
    def seconds(self) -> int:
        """Since it was asked for."""
        return int(time.monotonic() - self.began)

    def wait(self, seconds: float) -> bool:
        """Wait for the end at most `seconds`; True when it has come."""
        return self._done.wait(seconds)

    def end(self, ticket: Ticket | None, made: Made | None, problem: str) -> None:
        """Note what came of it."""
        self.ticket, self.made, self.problem = ticket, made, problem
        self._done.set()


class Reports:
    """The reports of the studies in one database. They belong to the machine, not to a visitor."""

    def __init__(self, store: Store, url: str) -> None:
        """`url` is the store's, for the child."""
        self._store = store
        self._url = url
        self._kept: OrderedDict[Ticket, Made] = OrderedDict()
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="esc-ratings-"))
        self._children: set[subprocess.Popen[bytes]] = set()
        weakref.finalize(self, _clean_up, self._folder, self._children)
        self.analysed = 0
        """Analyses made so far; those kept are not made again."""

    def start(self, slug: str, stratum: str) -> Job:
        """Make a report in a thread of its own, or join in where it is being made.

        Raises:
            BadInput: too many others are waiting.
        """
        with self._lock:
            job = self._jobs.get((slug, stratum))
            if job is not None and not job.done:
                return job
            self._jobs = {key: one for key, one in self._jobs.items() if not one.done}
            if len(self._jobs) > MOST_WAITING:
                raise BadInput("Several reports are being made already. Try again in a minute.")
            job = self._jobs[slug, stratum] = Job()
        threading.Thread(
            target=self._run, args=(slug, stratum, job), name="ratings", daemon=True
        ).start()
        return job

    def kept(self, ticket: Ticket | None) -> Made | None:
        """A report that was made before, if it is still there."""
        with self._lock:
            made = self._kept.get(ticket) if ticket is not None else None
            if ticket is not None and made is not None:
                self._kept.move_to_end(ticket)
            return made

    def _run(self, slug: str, stratum: str, job: Job) -> None:
        try:
            with self._turn:  # two would only make each other slow
                job.stage = "Reading the answers"
                status, source = read_source(self._store, slug)
                ticket = Ticket(slug, stratum, state_of(status, source))
                made = self.kept(ticket)
                if made is None:
                    made = self._make(ticket, status, source, job)
                    self._keep(ticket, made)
            job.end(ticket, made, "")
        except EscError as error:
            job.end(None, None, str(error))
        except Exception:
            _log.exception("the report of %s failed", slug)
            job.end(None, None, "The report failed. The log of the page has details.")

    def _make(self, ticket: Ticket, status: StudyStatus, source: ReportSource, job: Job) -> Made:
        """Have it analysed, and read the numbers behind it meanwhile."""
        from esc_demo.ui.ratings_numbers import lines_of  # noqa: PLC0415 (leads to pandas)

        strata = source.frames.strata
        if ticket.stratum and ticket.stratum not in strata:
            raise BadInput(
                f"There is no stratum {ticket.stratum!r}. Choose one of those shown, or all."
            )
        frames = source.frames.within(ticket.stratum) if ticket.stratum else source.frames
        ratings, preferences = len(frames.ratings), len(frames.preferences)
        job.stage = f"Analysing {ratings:,} scores and {preferences:,} preferences"
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        self.analysed += 1
        self._analyse(ticket, folder)
        archive = folder / f"{ticket.slug}-report{'-stratum' if ticket.stratum else ''}.zip"
        page = (folder / "report" / "report.html").read_text("utf-8")
        archive.write_bytes(_zipped(folder / "report"))
        return Made(source.title, status, strata, page, archive, frames, lines_of(frames))

    def _analyse(self, ticket: Ticket, folder: Path) -> None:
        """Run `python -m annotations report`.

        Raises:
            BadInput: the command says why it cannot be done.
            StorageError: it was ended, or crashed.
        """
        arguments = ["report", "--study", ticket.slug, "--out", str(folder / "report")]
        if ticket.stratum:
            arguments += ["--stratum", ticket.stratum]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        child = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, str(PROJECT_ROOT), *arguments],
            env=handed_on(ESC_DATABASE_URL=self._url, PYTHONIOENCODING="utf-8", **one_thread),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._children.add(child)
        try:
            if hasattr(os, "setpriority"):
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
            _, said = child.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired as error:
            raise StorageError(
                f"The analysis took longer than {LONGEST_S / 60:.0f} minutes and was ended. Run"
                f" `python -m annotations report --study {ticket.slug} --out FOLDER` instead."
            ) from error
        finally:
            child.kill()
            child.wait()
            self._children.discard(child)
        text = said.decode("utf-8", "replace").strip()
        if child.returncode == 2 and text.startswith("error: "):
            raise BadInput(text.removeprefix("error: "))
        if child.returncode:
            _log.error("the report of %s ended with %s: %s", ticket.slug, child.returncode, text)
            raise StorageError("The analysis failed. The log of the page has details.")

    def _keep(self, ticket: Ticket, made: Made) -> None:
        """Remember a report; forget old ones with their files."""
        with self._lock:
            self._kept[ticket] = made
            while len(self._kept) > MOST_KEPT:
                _, old = self._kept.popitem(last=False)
                shutil.rmtree(old.archive.parent, ignore_errors=True)


def read_source(store: Store, slug: str) -> tuple[StudyStatus, ReportSource]:
    """What the command will read too."""
    from annotations.reports.sources import of_answers  # noqa: PLC0415 (leads to scipy)
    from annotations.studies.answers import read_answers  # noqa: PLC0415

    answers = read_answers(store, slug)
    return answers.view.status, of_answers(answers)


def state_of(status: StudyStatus, source: ReportSource) -> str:
    """A hash that changes with every answer, and with what the notes say of them."""
    found = hashlib.sha256(f"{status.value}\0{source.title}\0{source.plan}".encode())
    frames = source.frames
    tables = (frames.ratings.to_csv(index=False), frames.preferences.to_csv(index=False))
    for part in (*source.notes, *tables):
        found.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()


def _zipped(folder: Path) -> bytes:
    """All files below a folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, Path("report") / path.relative_to(folder))
    return content.getvalue()


def _clean_up(folder: Path, children: set[subprocess.Popen[bytes]]) -> None:
    """With this process its children and files go, too."""
    for child in tuple(children):
        child.kill()
    shutil.rmtree(folder, ignore_errors=True)
