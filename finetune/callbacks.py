"""What happens between training steps: the bar, the progress file, and a clean stop."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.faults import diverged
from finetune.runs import WHOLE, RunFolder, RunState, Step


@dataclass
class Meter:
    """What all sessions of a run have read, and the seconds of its steps.

    Evaluation and the writing of checkpoints are not in `seconds`. `dialogues` are those of the
    batch at hand.
    """

    tokens: int = 0
    supervised: int = 0
    seconds: float = 0.0
    dialogues: Sequence[str] = ()


class Progress(TrainerCallback):
    """A bar with loss, tokens per second and time left, and a line a step in the run's folder."""

    def __init__(self, run: RunFolder, meter: Meter, *, quiet: bool = False) -> None:
        """Show nothing yet; `quiet` leaves the bar out."""
        self._run = run
        self._meter = meter
        self._quiet = quiet
        self._bar: Any = None
        self._began = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Open the bar and the counts where the run stands."""
        kept = [line for line in self._run.steps() if line.step <= state.global_step]
        if kept:
            last, meter = kept[-1], self._meter
            meter.tokens, meter.supervised, meter.seconds = (
                last.tokens,
                last.supervised,
                last.seconds,
            )
        if state.is_world_process_zero:
            text = "".join(json.dumps(asdict(line)) + "\n" for line in kept)
            self._run.progress_file.write_text(text, "utf-8")
            self._run.set_status(RunState.RUNNING)
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="training",
                unit="step",
                disable=self._quiet,
                file=sys.stderr,
            )

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop the clock and advance the bar."""
        self._meter.seconds += time.perf_counter() - self._began
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write one line, and put the loss on the bar."""
        logs = logs or {}
        norm = logs.get("grad_norm", 0.0)
        if not math.isfinite(norm) and not args.fp16:  # fp16 scales down and skips such a step
            raise diverged("gradient", norm, state.global_step, self._meter.dialogues)
        if not state.is_world_process_zero or not logs.keys() & {"loss", "eval_loss"}:
            return
        step = Step(
            step=state.global_step,
            of=state.max_steps,
            epoch=round(state.epoch or 0.0, 4),
            loss=logs.get("loss"),
            eval_loss=logs.get("eval_loss"),
            learning_rate=logs.get("learning_rate"),
            tokens=self._meter.tokens,
            supervised=self._meter.supervised,
            seconds=round(self._meter.seconds, 2),
        )
        with self._run.progress_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(step)) + "\n")
        if self._bar is not None and step.loss is not None:
            speed = self._meter.tokens / max(self._meter.seconds, 1e-9)
            self._bar.set_postfix_str(f"loss {step.loss:.3f}, {speed:.0f} tokens/s")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


class StopRequest:
    """Somebody's wish to end the run after the current step, with a checkpoint."""

    def __init__(self) -> None:
        """Not asked yet."""
        self._asked = threading.Event()
        self.honoured = False
        """Whether the training was really ended by this."""

    def ask(self) -> None:
        """Ask for the end; a second time is no different."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM ask; a second Ctrl-C ends the process at once.

        Signals can be caught in the main thread only; elsewhere this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: Any) -> None:
            if self.asked:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise KeyboardInterrupt
            self.ask()
            tqdm.write(
                "Stopping after this step and saving; press Ctrl-C again to end at once.",
                file=sys.stderr,
            )

        before = {number: signal.signal(number, handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopCleanly(TrainerCallback):
    """Ends the training with a checkpoint when it was asked for."""

    def __init__(self, request: StopRequest) -> None:
        """Watch `request`."""
        self._request = request

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Save and stop, unless this was the last step anyway."""
        asked = self._request.asked
        if PartialState().num_processes > 1:  # all or none: a lone one would wait for ever
            asked = any(gather_object([asked]))
            if asked:
                self._request.ask()
        if asked and state.global_step < state.max_steps:
            control.should_save = True
            control.should_training_stop = True
            self._request.honoured = True
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """A pass that was broken off is no pass: it is neither measured nor saved as one."""
        if self._request.honoured and state.epoch is not None and not state.epoch.is_integer():
            control.should_evaluate = False
            control.should_save = False
        return control


class MarkWhole(TrainerCallback):
    """Marks a checkpoint once all of its files are written."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leave the mark in the newest checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            (folder / WHOLE).touch()
