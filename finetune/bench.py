"""Training speed: this project's loop against a padded, unpacked Trainer, in one run.

Each side trains the same dialogues for the same number of optimizer steps in a process of its
own, so that the peak memory is its own too. The first step of each is a warm-up and does not
count.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import SaveStrategy

from esc_demo.errors import BadInput, ModelError
from esc_demo.settings import PROJECT_ROOT
from finetune.batches import make_rows
from finetune.callbacks import Meter, StopRequest
from finetune.encoding import IGNORED
from finetune.measure import peak_memory
from finetune.prepare import load_base, prepare
from finetune.recipes import Batching, Recipe, load_recipe
from finetune.runs import RunFolder
from finetune.train import Material, gather
from finetune.trainer import arguments, make_trainer

_BATCH = 4
"""Dialogues per optimizer step on both sides."""


class Side(StrEnum):
    """Who trains."""

    OURS = "ours"
    BASELINE = "baseline"


@dataclass(frozen=True)
class Speed:
    """What one side did in one round."""

    supervised_per_second: float
    tokens_per_second: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Comparison:
    """Both sides, a round each in turn; ratios are of medians."""

    method: str
    steps: int
    ours: tuple[Speed, ...]
    baseline: tuple[Speed, ...]

    @property
    def ratio(self) -> float:
        """Supervised tokens per second, ours over the baseline's."""
        return _median(self.ours) / _median(self.baseline)

    def record(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "method": self.method,
            "steps": self.steps,
            "dialogues_per_step": _BATCH,
            "supervised_tokens_per_second": {
                "ours": round(_median(self.ours), 1),
                "baseline": round(_median(self.baseline), 1),
            },
            "ratio": round(self.ratio, 3),
            "peak_memory_mb": {
                "ours": round(max(s.peak_memory_bytes for s in self.ours) / 1e6),
                "baseline": round(max(s.peak_memory_bytes for s in self.baseline) / 1e6),
            },
            "threads": torch.get_num_threads(),
        }


def run_bench(method: str, steps: int, rounds: int = 1) -> Comparison:
    """Train a few steps on either side, alternately.

    Raises:
        BadInput: an unknown method.
        ModelError: a side failed; the text holds what it said.
    """
    if method not in ("lora", "full"):
        raise BadInput(f"--method is {method!r}; choose lora or full.")
    speeds: dict[Side, list[Speed]] = {side: [] for side in Side}
    for _ in range(rounds):
        for side in Side:
            speeds[side].append(_in_own_process(side, method, steps))
    return Comparison(method, steps, tuple(speeds[Side.OURS]), tuple(speeds[Side.BASELINE]))


def bench_text(found: Comparison) -> str:
    """The comparison as a Markdown table."""
    figures = found.record()
    speed, memory = figures["supervised_tokens_per_second"], figures["peak_memory_mb"]
    return (
        f"{found.method}, {found.steps} optimizer steps of {_BATCH} dialogues a side,"
        f" {figures['threads']} threads\n\n"
        "| | supervised tokens per second | peak memory of the process |\n|---|---|---|\n"
        f"| this project's loop | {speed['ours']} | {memory['ours']:,} MB |\n"
        f"| padded, unpacked Trainer | {speed['baseline']} | {memory['baseline']:,} MB |\n"
        f"| ratio | **{found.ratio:.2f}** | {memory['ours'] / memory['baseline']:.2f} |"
    )


def _in_own_process(side: Side, method: str, steps: int) -> Speed:
    """One round of one side."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "finetune.bench", side, method, str(steps)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ModelError(f"The benchmark's side {side} failed: {done.stderr.strip()[-500:]}")
    return Speed(**json.loads(done.stdout.splitlines()[-1]))


def measure(side: Side, method: str, steps: int) -> Speed:
    """Train `steps` + 1 optimizer steps in this process and time all but the first."""
    recipe = load_recipe(f"esc-smollm2-{method}")
    recipe = recipe.model_copy(
        update={"max_steps": steps + 1, "accumulation": _BATCH, "patience": None}
    )
    set_seed(recipe.seed)
    material = gather(recipe)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        make = _ours if side is Side.OURS else _baseline
        trainer, meter = make(recipe, material, run)
        timer = _Timer(meter)
        trainer.add_callback(timer)
        trainer.train()
    peak = int(peak_memory()["peak_memory_bytes"])
    seconds = timer.seconds
    return Speed(timer.supervised / seconds, timer.tokens / seconds, peak)


def _ours(recipe: Recipe, material: Material, run: RunFolder) -> tuple[Trainer, Meter]:
    """The loop that `python -m finetune train` runs."""
    meter = Meter()
    trainer = make_trainer(
        prepare(load_base(recipe, material.base), recipe),
        recipe,
        arguments(recipe, run, watched=False, selecting=False),
        make_rows(material.train.samples, recipe),
        (),
        run,
        pad=int(material.tokenizer.pad_token_id),
        meter=meter,
        stop=StopRequest(),
        quiet=True,
    )
    return _without_saving(trainer), meter


def _baseline(recipe: Recipe, material: Material, run: RunFolder) -> tuple[Trainer, Meter]:
    """transformers' Trainer with its own collator and loss: padded batches in random order."""
    meter = Meter()
    padded = recipe.model_copy(
        update={"batching": Batching.PADDED, "batch_size": _BATCH, "accumulation": 1}
    )
    pad = DataCollatorForSeq2Seq(material.tokenizer, label_pad_token_id=IGNORED)

    def collate(rows: list[dict[str, Any]]) -> Any:
        batch = pad(rows)
        meter.tokens += int(batch["attention_mask"].sum())
        meter.supervised += int((batch["labels"] != IGNORED).sum())
        return batch

    settings = arguments(padded, run, watched=False, selecting=False)
    trainer = Trainer(
        model=prepare(load_base(padded, material.base), padded),
        args=settings,
        train_dataset=[
            {"input_ids": list(s.ids), "labels": list(s.labels)} for s in material.train.samples
        ],
        data_collator=collate,
    )
    return _without_saving(trainer), meter


def _without_saving(trainer: Trainer) -> Trainer:
    """A trainer that writes no checkpoint: the disk is no part of the comparison."""
    trainer.args.save_strategy = SaveStrategy.NO
    return trainer


class _Timer(TrainerCallback):
    """Counts from the end of the first step to the end of the last."""

    def __init__(self, meter: Meter) -> None:
        """Read `meter` at both ends."""
        self._meter = meter
        self._started = self._ended = 0.0
        self._before = (0, 0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note time and tokens."""
        if state.global_step == 1:
            self._started = time.perf_counter()
            self._before = (self._meter.tokens, self._meter.supervised)
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time of the measured steps."""
        return self._ended - self._started

    @property
    def tokens(self) -> int:
        """Tokens read in them, padding not counted."""
        return self._meter.tokens - self._before[0]

    @property
    def supervised(self) -> int:
        """Tokens with loss in them."""
        return self._meter.supervised - self._before[1]


def _median(speeds: tuple[Speed, ...]) -> float:
    """Median of supervised tokens per second."""
    return statistics.median(speed.supervised_per_second for speed in speeds)


if __name__ == "__main__":
    found = measure(Side(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print(json.dumps(found.__dict__))
