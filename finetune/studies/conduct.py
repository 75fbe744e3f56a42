"""Running a study: replies and losses of every cell, model after model, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esc_demo.contexts import ContextKind
from esc_demo.contexts.keypos import warm_up
from esc_demo.errors import BadInput
from esc_demo.settings import get_settings
from finetune.generate.job import run_job
from finetune.generate.models import ENDPOINT, EndpointOptions, ModelNames
from finetune.studies.conditions import Condition, conditions_of, job_of, replies_file
from finetune.studies.grid import Grid, Source
from finetune.studies.likelihood import measure_run, read_loss, write_loss

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """One condition on one data set."""

    source: Source
    condition: Condition
    out: Path

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.source.entry.name} · {self.condition.label}"


def cells_of(grid: Grid, sources: Sequence[Source], folder: Path) -> tuple[Cell, ...]:
    """The cells in working order: everything of one model, data set after data set.

    Raises:
        BadInput: two models would write the same files.
    """
    cells = tuple(
        Cell(source, condition, replies_file(folder, source.entry, condition))
        for model in grid.models
        for source in sources
        if source.path is not None
        for condition in conditions_of(grid)
        if condition.model == model
    )
    if len({cell.out for cell in cells}) < len(cells):
        raise BadInput(
            f"Two models of the grid {grid.name} end in the same name; rename the folder of one."
        )
    return cells


def conduct(
    grid: Grid, sources: Sequence[Source], folder: Path, *, resume: bool, say: Say
) -> tuple[Cell, ...]:
    """Write the replies and losses of every cell that lack them.

    Raises:
        EscError: a file is there and `resume` is off, or as `run_job` and `measure_run`.
        KeyboardInterrupt: a person stopped it; what was written is kept.
    """
    cells = cells_of(grid, sources, folder)
    there = [cell.out for cell in cells if cell.out.exists()]
    if there and not resume:
        raise BadInput(
            f"{there[0]} is there already. Go on with the study with --resume, or name another"
            " folder with --runs."
        )
    names = ModelNames(get_settings())
    for model in grid.models:
        names.check(model)
    if any(entry.kind is ContextKind.KEYPOS for entry in grid.contexts):
        warm_up()  # a missing tagger is said now, and not after half an hour
    progress = Progress(len(cells), sum(_measurable(cell) for cell in cells), say)
    for model in grid.models:
        mine = [cell for cell in cells if cell.condition.model == model]
        for cell in mine:
            _write(grid, cell, names, progress)
        _measure([cell for cell in mine if _measurable(cell)], progress)
    return cells


def _write(grid: Grid, cell: Cell, names: ModelNames, progress: Progress) -> None:
    """The replies of one cell."""
    assert cell.source.path is not None  # `cells_of` leaves the others out
    job = job_of(grid, cell.source.entry, cell.source.path, cell.condition)
    started = time.monotonic()
    found = run_job(job, cell.out, EndpointOptions(), resume=True, say=progress.say, names=names)
    wrote = found["written_now"]
    spent = time.monotonic() - started
    what = f"{cell.label}: {found['replies']} replies"
    if failed := found["statuses"].get("failed", 0):
        what += f", {failed} of them failed"
    progress.done("write", what, spent if wrote else None)


def _measure(cells: Sequence[Cell], progress: Progress) -> None:
    """The losses of the cells of one model, which is loaded only where one is missing."""
    with ExitStack() as stack:
        opened: tuple[Any, Any] | None = None
        for cell in cells:
            if read_loss(cell.out) is not None:
                progress.done("measure", f"{cell.label}: perplexity", None)
                continue
            if opened is None:
                opened = _open(stack, cell.condition.model)
            started = time.monotonic()
            loss = measure_run(*opened, cell.out)
            write_loss(cell.out, loss)
            figure = loss.record()["perplexity"]
            spent = time.monotonic() - started
            progress.done("measure", f"{cell.label}: perplexity {figure:.2f}", spent)


def _open(stack: ExitStack, name: str) -> tuple[Any, Any]:
    """Weights in the arithmetic of `evaluate --ppl`, and their tokenizer."""
    from transformers import AutoTokenizer  # noqa: PLC0415 (slow to import)

    from esc_demo.models.local.folders import base_folder  # noqa: PLC0415
    from finetune.compare import asked, loaded  # noqa: PLC0415

    found = asked(name)
    model = stack.enter_context(loaded(found.spec, four_bits=found.four_bits))
    return model, AutoTokenizer.from_pretrained(base_folder(found.spec.base))


def _measurable(cell: Cell) -> bool:
    """Whether likelihoods can be had: an endpoint and a script tell none."""
    return not (cell.condition.model.startswith(ENDPOINT) or get_settings().scripted)


@dataclass
class Progress:
    """Says what is done and how long the rest will take."""

    writes: int
    measures: int
    say: Say
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"write": [], "measure": []})
    counts: dict[str, int] = field(default_factory=lambda: {"write": 0, "measure": 0})

    def done(self, kind: str, what: str, seconds: float | None) -> None:
        """Count a step; without seconds it was done before."""
        self.counts[kind] += 1
        if seconds is not None:
            self.seconds[kind].append(seconds)
        took = "was there already" if seconds is None else f"{seconds:.0f} s"
        total = self.writes + self.measures
        self.say(f"[{sum(self.counts.values())}/{total}] {what} ({took}{self._left()})")

    def _left(self) -> str:
        """Time left, from the mean of the steps of each kind that this process has made."""
        means = {kind: sum(took) / len(took) for kind, took in self.seconds.items() if took}
        if not means:
            return ""
        rest = {
            "write": self.writes - self.counts["write"],
            "measure": self.measures - self.counts["measure"],
        }
        known = max(means.values())  # a kind not yet seen is taken to be as slow as the other
        left = sum(count * means.get(kind, known) for kind, count in rest.items())
        return f"; about {left / 60:.0f} min left" if left > 90 else f"; about {left:.0f} s left"
