"""Writing the replies: several at once, each as if it were alone.

Worker threads take chains of items and stream replies through `ChatModel`; the thread that
called `generate` alone writes the file. A reply depends on its item, on the run's seed and, in
mode `auto`, on the earlier replies of its dialogue: never on what is written beside it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tqdm import tqdm

from esc_demo.dialogue import Message, UserProfile
from esc_demo.engine import Request, Seen, prepare, with_seed
from esc_demo.errors import BadInput, EscError, ModelError
from esc_demo.models import ChatModel, Finish, FinishReason, GenerationParams, StopSignal
from esc_demo.models.endpoint import EndpointError, ReplyFiltered, ReplyRefused
from finetune.generate.items import Mode, ReplyItem, chains, item_seed
from finetune.generate.plan import Plan
from finetune.generate.store import Output, Saved, Status

_log = logging.getLogger(__name__)

GIVE_UP_AFTER = 8
"""Failures in a row after which the fault is taken to be the model's, not an item's."""

_LEAVE_S = 5.0
"""Seconds to wait for workers that were asked to stop."""


@dataclass
class Tally:
    """How many items ended how in this process, and the tokens written for them."""

    statuses: dict[Status, int] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0

    def count(self, reply: Reply) -> None:
        """Add one."""
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        self.tokens += reply.finish.new_tokens if reply.finish else 0


@dataclass(frozen=True)
class Reply:
    """What became of one item. `cascade`: not asked, because an earlier reply had failed."""

    item: ReplyItem
    seed: int
    status: Status
    text: str = ""
    error: str | None = None
    seen: Seen | None = None
    finish: Finish | None = None
    seconds: float = 0.0
    cascade: bool = False

    def record(self) -> dict[str, Any]:
        """The line of the file; nothing in it differs between two equal runs."""
        item, seen = self.item, self.seen
        return {
            "dialogue": item.key.dialogue,
            "item": item.key.number,
            "items": item.of,
            "status": self.status.value,
            "error": self.error,
            "messages": [asdict(message) for message in seen.messages] if seen else None,
            "reference": item.reference,
            "hypothesis": self.text,
            "finish": self.finish.reason.value if self.finish else None,
            "new_tokens": self.finish.new_tokens if self.finish else None,
            "prompt_tokens_raw": seen.tokens_raw if seen else None,
            "prompt_tokens": seen.prompt.tokens if seen else None,
            "dropped_turns": seen.dropped if seen else None,
            "outside_window": seen.view.outside_window if seen else None,
            "seed": self.seed,
            "strategy": item.strategy,
            "scene": item.scene,
            "emotion": item.profile.emotion_type,
            "problem": item.profile.problem_type,
        }

    def timing(self) -> dict[str, Any]:
        """The line of the file of timings, in seconds; waiting for a free row is `queued`."""
        found: dict[str, Any] = {"dialogue": self.item.key.dialogue, "item": self.item.key.number}
        found["seconds"] = round(self.seconds, 4)
        if self.finish is not None:
            for name in ("queued", "prefill", "decode"):
                found[name] = round(getattr(self.finish, f"{name}_s"), 4)
        return found


def generate(plan: Plan, model: ChatModel, output: Output, *, quiet: bool = False) -> Tally:
    """Write every item of `plan` that `output` lacks; the file is in item order at the end.

    Raises:
        ModelError: nothing more can come of this model; what was written is kept.
        StorageError: the file cannot be written.
        KeyboardInterrupt: a person stopped it; what was written is kept.
    """
    tally = Tally()
    started = time.perf_counter()
    left = [item for item in plan.items if not output.done(item.key)]
    failures = 0
    with (
        _progress(len(plan.items), len(plan.items) - len(left), quiet) as bar,
        _Workers(plan, model, output) as workers,
    ):
        for reply in workers.replies():
            output.add(Saved.of(reply.record()), reply.timing())
            tally.count(reply)
            tally.seconds = time.perf_counter() - started
            bar.set_postfix_str(f"{tally.tokens / tally.seconds:.1f} tokens/s", refresh=False)
            bar.update()
            if not reply.cascade:
                failures = failures + 1 if reply.status is Status.FAILED else 0
            if failures == GIVE_UP_AFTER:
                raise ModelError(
                    f"{failures} replies in a row failed; the last said: {reply.error} What is"
                    f" written is kept in {output.path}; mend the cause and use --resume."
                )
    output.finish([item.key for item in plan.items])
    return tally


def _progress(total: int, done: int, quiet: bool) -> Any:
    """Replies done, tokens a second, and the time left."""
    return tqdm(total=total, initial=done, unit="reply", disable=quiet, smoothing=0.05)


class _Workers:
    """Threads that write replies until none is left, or until they are told to stop."""

    def __init__(self, plan: Plan, model: ChatModel, output: Output) -> None:
        """Plan the work; nothing runs yet."""
        self._writer = _Writer(plan, model)
        self._mode = plan.mode
        self._own = {
            item.key: output.saved[item.key].hypothesis
            for item in plan.items
            if output.done(item.key)
        }
        left = [
            chain
            for chain in chains(plan.items, plan.mode)
            if any(item.key not in self._own for item in chain)
        ]
        self._chains = iter(left)
        self._taking = threading.Lock()
        self._results: queue.SimpleQueue[Reply | BaseException | None] = queue.SimpleQueue()
        self._stop = StopSignal()
        count = min(plan.concurrency, len(left))
        # Daemons: one that waits for a silent server must not keep the program from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"generate-{index}", daemon=True)
            for index in range(count)
        ]

    def __enter__(self) -> _Workers:
        """Start."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what is under way and wait a moment for it."""
        self._stop.set()
        until = time.monotonic() + _LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def replies(self) -> Iterator[Reply]:
        """Replies as they end; raises what made a worker give up."""
        working = len(self._threads)
        while working:
            result = self._results.get()
            if result is None:
                working -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result

    def _work(self) -> None:
        """Take chains until none is left."""
        try:
            while not self._stop.is_set():
                with self._taking:
                    chain = next(self._chains, None)
                if chain is None:
                    break
                self._write_chain(chain)
        except BaseException as error:
            self._results.put(error)
        finally:
            self._results.put(None)

    def _write_chain(self, chain: Sequence[ReplyItem]) -> None:
        """Write the items of one chain that are not there yet."""
        own: list[str] = []
        failed = False
        for item in chain:
            if item.key in self._own:
                own.append(self._own[item.key])
                continue
            if failed:
                reply: Reply | None = self._writer.cascade(item)
            else:
                told = own if self._mode is Mode.AUTO else None
                reply = self._writer.write(item, told, self._stop)
            if reply is None:
                return
            self._results.put(reply)
            own.append(reply.text)
            failed = reply.status is Status.FAILED


class _Writer:
    """One reply, from item to outcome."""

    def __init__(self, plan: Plan, model: ChatModel) -> None:
        """Write with `model` as `plan` says."""
        self._plan = plan
        self._model = model

    def cascade(self, item: ReplyItem) -> Reply:
        """The outcome of an item whose history is missing."""
        why = "An earlier reply of this dialogue failed."
        return Reply(item, self._seed(item), Status.FAILED, error=why, cascade=True)

    def _seed(self, item: ReplyItem) -> int:
        """The seed of an item."""
        return item_seed(self._plan.params.seed, item.key)

    def write(self, item: ReplyItem, own: Sequence[str] | None, stop: StopSignal) -> Reply | None:
        """Write one reply; None when `stop` was set before its end.

        Raises:
            EndpointError: no other item would fare better.
        """
        plan, seed = self._plan, self._seed(item)
        profile = item.profile if plan.profile else UserProfile()
        params = with_seed(plan.params, seed)
        request = Request(plan.pane, item.history(own), profile, params)
        started = time.perf_counter()

        def ended(status: Status, text: str = "", **known: Any) -> Reply:
            seconds = time.perf_counter() - started
            return Reply(item, seed, status, text.strip(), seconds=seconds, **known)

        seen: Seen | None = None
        try:
            seen = prepare(request, self._model)
            text, finish = self._streamed(seen.messages, params, stop)
        except EndpointError:
            raise
        except BadInput as error:
            return ended(Status.TOO_LONG, error=str(error))
        except ReplyRefused as error:
            return ended(Status.REFUSED, error.text, error=str(error), seen=seen)
        except ReplyFiltered as error:
            return ended(Status.CONTENT_FILTERED, error.text, error=str(error), seen=seen)
        except EscError as error:
            return None if stop.is_set() else ended(Status.FAILED, error=str(error), seen=seen)
        except Exception as error:
            if stop.is_set():
                return None
            _log.exception("the reply %s failed", item.key)
            return ended(Status.FAILED, error=f"{type(error).__name__}: {error}", seen=seen)
        if finish is None or finish.reason is FinishReason.STOPPED:
            return None
        return ended(Status.OK, text, seen=seen, finish=finish)

    def _streamed(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> tuple[str, Finish | None]:
        """A whole reply and how it ended."""
        text, finish = "", None
        for chunk in self._model.stream(messages, params, stop):
            text += chunk.text
            finish = chunk.finish or finish
        return text, finish
