"""The one thread that runs a device: rows join and leave between any two steps.

A step is one decoding pass over all rows of a weight set, or one block of a prompt. Before each
step every row's stop signal is read, so a stopped or abandoned reply frees its place at once.
Prompts are read in blocks of fixed size counted from the start, and a new prompt takes over
the blocks it shares with a recent one; either way a block is computed by the same call with
the same shapes, which is why a reply does not depend on what ran before or beside it.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from esc_demo.models.local.rows import Row
from esc_demo.models.local.sampling import Sampler
from esc_demo.models.local.weights import WeightSet
from esc_demo.models.protocol import FinishReason, GenerationParams, StopSignal

_log = logging.getLogger(__name__)

BLOCK = 64
"""Prompt tokens per step."""

REMEMBERED_BYTES = 512 * 2**20
"""Memory for prompt blocks that are kept for reuse."""


@dataclass(eq=False)
class Job:
    """One reply under way; touched by the worker only, once submitted."""

    weights: WeightSet
    adapter: str | None
    ids: tuple[int, ...]
    params: GenerationParams
    stop: StopSignal
    ends: frozenset[int]
    events: queue.SimpleQueue[int | FinishReason | Exception] = field(
        default_factory=queue.SimpleQueue
    )
    submitted: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    first_token: float = 0.0
    ended: float = 0.0
    abandoned: bool = False
    row: Row | None = None
    sampler: Sampler | None = None
    token: int | None = None
    written: int = 0

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for the reply any more."""
        return self.abandoned or self.stop.is_set()


class Worker:
    """Runs jobs, at most `max_rows` at a time; the others wait in order of arrival."""

    def __init__(self, max_rows: int) -> None:
        """Start the thread."""
        self._max_rows = max_rows
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._blocks = BlockMemory()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model-worker", daemon=True)
        self._thread.start()
        # A thread inside PyTorch while the interpreter goes down would abort the process.
        atexit.register(self.close)

    def close(self) -> None:
        """Stop after the step under way and wait for the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Queue a job; its tokens and its end arrive in `job.events`."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    @property
    def busy(self) -> int:
        """Rows that are being written now."""
        return len(self._active)

    def _run(self) -> None:
        """Step until closed; a fault ends the job it belongs to and nothing else."""
        while self._admit():
            self._drop_unwanted()
            for weights in {id(job.weights): job.weights for job in self._active}.values():
                jobs = [job for job in self._active if job.weights is weights]
                reading = next((job for job in jobs if job.token is None), None)
                if reading is not None:
                    self._guarded([reading], self._read_block)
                self._decode([job for job in jobs if job.token is not None])
                self._drop_unwanted()

    def _admit(self) -> bool:
        """Take waiting jobs while there is room, sleep when there is nothing to do.

        Returns:
            False once the worker is closed.
        """
        with self._changed:
            while not self._waiting and not self._active and not self._closed:
                self._changed.wait()
            while self._waiting and len(self._active) < self._max_rows:
                job = self._waiting.popleft()
                job.started = time.perf_counter()
                self._active.append(job)
            return not self._closed

    def _drop_unwanted(self) -> None:
        """End the jobs nobody waits for, also those that have not begun."""
        for job in [job for job in self._active if job.unwanted]:
            self._end(job, FinishReason.STOPPED)
        with self._changed:
            gone = [job for job in self._waiting if job.unwanted]
            for job in gone:
                self._waiting.remove(job)
        for job in gone:
            self._end(job, FinishReason.STOPPED)

    def _guarded(self, jobs: Sequence[Job], step: object) -> None:
        """Run `step(job)` for each job; what it raises ends that job alone."""
        for job in jobs:
            try:
                step(job)  # type: ignore[operator]
            except Exception as error:
                _log.exception("a reply failed")
                self._end(job, error)

    def _read_block(self, job: Job) -> None:
        """Read the next block of a prompt; after the last one, pick the first token."""
        if job.row is None:
            job.row = job.weights.new_row(len(job.ids) + job.params.max_new_tokens)
            job.sampler = Sampler(job.params)
            self._blocks.take_over(job)
        block = job.ids[job.row.length : job.row.length + BLOCK]
        last = job.row.length + len(block) == len(job.ids)
        logits = job.weights.read(job.row, block, job.adapter, last=last)
        if last:
            self._blocks.remember(job)
            job.first_token = time.perf_counter()
            self._pick(job, logits)

    def _decode(self, jobs: list[Job]) -> None:
        """One token for each job: together where rows are independent, else one by one."""
        if jobs and jobs[0].weights.batched:
            try:
                logits = self._forward(jobs)
            except Exception:
                _log.exception("a batch failed; its rows go on one by one")
            else:
                for index, job in enumerate(jobs):
                    self._guarded([job], lambda one, i=index: self._pick(one, logits[i]))
                return
        self._guarded(jobs, lambda job: self._pick(job, self._forward([job])[0]))

    @staticmethod
    def _forward(jobs: Sequence[Job]) -> torch.Tensor:
        """Next logits of `jobs`, which share weights."""
        return jobs[0].weights.decode(
            [job.row for job in jobs if job.row is not None],
            [job.token for job in jobs if job.token is not None],
            [job.adapter for job in jobs],
        )

    def _pick(self, job: Job, logits: torch.Tensor) -> None:
        """Choose the next token and hand it on, or end the reply."""
        assert job.sampler is not None
        if job.written < job.params.min_new_tokens:
            logits = logits.clone()
            logits[list(job.ends)] = -torch.inf
        token = job.sampler.pick(logits)
        if token in job.ends:
            self._end(job, FinishReason.END)
            return
        job.token = token
        job.written += 1
        job.events.put(token)
        if job.written == job.params.max_new_tokens:
            self._end(job, FinishReason.LENGTH)

    def _end(self, job: Job, how: FinishReason | Exception) -> None:
        """Take a job off the device and tell its reader."""
        if job in self._active:
            self._active.remove(job)
        job.ended = time.perf_counter()
        job.started = job.started or job.ended
        job.row = None
        job.events.put(how)


class BlockMemory:
    """Prompt blocks of recent rows, least recently used dropped first."""

    def __init__(self, budget: int = REMEMBERED_BYTES) -> None:
        """Nothing yet; at most `budget` bytes are kept."""
        self._budget = budget
        self._rows: OrderedDict[tuple[int, str | None, tuple[int, ...]], Row] = OrderedDict()

    def remember(self, job: Job) -> None:
        """Keep the whole blocks of a prompt that has just been read."""
        whole = len(job.ids) // BLOCK * BLOCK
        if not whole or job.row is None:
            return
        row = job.weights.new_row(whole)
        row.copy_prefix(job.row, whole)
        key = (id(job.weights), job.adapter, job.ids[:whole])
        self._rows[key] = row
        self._rows.move_to_end(key)
        while sum(kept.bytes for kept in self._rows.values()) > self._budget:
            self._rows.popitem(last=False)

    def take_over(self, job: Job) -> None:
        """Copy the longest run of blocks that begins the prompt, all but its last token."""
        best, source = 0, None
        for key in self._rows:
            if key[:2] != (id(job.weights), job.adapter):
                continue
            length = min(_common(key[2], job.ids), len(job.ids) - 1) // BLOCK * BLOCK
            if length > best:
                best, source = length, key
        if source is not None and job.row is not None:
            self._rows.move_to_end(source)
            job.row.copy_prefix(self._rows[source], best)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
