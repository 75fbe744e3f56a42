"""How likely a model finds the references, behind exactly the prompts that its run recorded.

Prompts of one dialogue share their beginnings; what the model has read of one is kept for the
next, which saves more than half of the work and changes a loss by rounding only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from esc_demo.dialogue import Message
from esc_demo.errors import BadInput, StorageError
from finetune.generate import read_replies


@dataclass(frozen=True)
class DialogueLoss:
    """Negative log-likelihood of the references of one dialogue."""

    nats: float
    """Sum over `tokens`."""
    tokens: int
    """End tokens included."""
    reply_bytes: int
    """Of the references in UTF-8."""
    replies: int

    @property
    def bits_per_byte(self) -> float:
        """Comparable across tokenizers."""
        return self.nats / math.log(2) / self.reply_bytes


@dataclass(frozen=True)
class RunLoss:
    """The same for a run, by dialogue."""

    run_hash: str
    arithmetic: str
    """Type of the weights and device; replies may have been written in another."""
    left_out: int
    """References whose prompt was not recorded."""
    dialogues: Mapping[str, DialogueLoss]

    def record(self) -> dict[str, Any]:
        """As it is saved; the first two entries are what `score` reads."""
        nats, tokens, size, replies = (
            sum(getattr(one, name) for one in self.dialogues.values())
            for name in ("nats", "tokens", "reply_bytes", "replies")
        )
        return {
            "perplexity": math.exp(min(nats / tokens, 700.0)),  # exp overflows above
            "bits_per_byte": nats / math.log(2) / size,
            "run_hash": self.run_hash,
            "arithmetic": self.arithmetic,
            "reply_tokens": tokens,
            "replies": replies,
            "replies_left_out": self.left_out,
            "dialogues": {name: asdict(one) for name, one in self.dialogues.items()},
        }


def loss_file(run: Path) -> Path:
    """Where the losses of a file of replies lie: what `score` reads."""
    return run.with_name(f"{run.stem}.ppl.json")


def read_loss(run: Path) -> RunLoss | None:
    """What is saved beside a finished run; None where nothing is, or not of these replies.

    Raises:
        BadInput: the run itself cannot be read.
    """
    head, _ = read_replies(run)
    try:
        found = json.loads(loss_file(run).read_text("utf-8"))
        dialogues = {name: DialogueLoss(**one) for name, one in found["dialogues"].items()}
        loss = RunLoss(found["run_hash"], found["arithmetic"], found["replies_left_out"], dialogues)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return loss if dialogues and loss.run_hash == head["run_hash"] else None


def write_loss(run: Path, loss: RunLoss) -> None:
    """Save it in one step.

    Raises:
        StorageError: it cannot be written.
    """
    target = loss_file(run)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(loss.record(), indent=1) + "\n", "utf-8")
        partial.replace(target)
    except OSError as error:
        raise StorageError(
            f"Cannot write {target}: {error.strerror}. Mend that, then go on with --resume."
        ) from error


def measure_run(model: Any, tokenizer: Any, run: Path) -> RunLoss:
    """The loss of `model` on the references of a finished run.

    Raises:
        BadInput: no reference has a recorded prompt, or the run cannot be read.
    """
    from esc_demo.models.local.encode import encode_prompt, encode_text  # noqa: PLC0415

    head, records = read_replies(run)
    told = [one for one in records if one["messages"] and one["reference"].strip()]
    if not told:
        raise BadInput(f"No prompt is recorded in {run}, so no reference can be measured.")
    reader = PrefixReader(model)
    sums: dict[str, list[float]] = {}
    for one in told:
        messages = [Message(**message) for message in one["messages"]]
        reference = one["reference"].strip()
        reply = [*encode_text(tokenizer, reference), tokenizer.eos_token_id]
        nats = reader.loss(encode_prompt(tokenizer, messages).ids, reply)
        added = (nats, len(reply), len(reference.encode()), 1)
        before = sums.get(one["dialogue"], [0.0, 0, 0, 0])
        sums[one["dialogue"]] = [a + b for a, b in zip(before, added, strict=True)]
    some = next(model.parameters())
    return RunLoss(
        head["run_hash"],
        f"{str(some.dtype).removeprefix('torch.')}, {some.device.type}",
        sum(bool(one["reference"].strip()) for one in records) - len(told),
        {
            name: DialogueLoss(nats, int(tokens), int(size), int(replies))
            for name, (nats, tokens, size, replies) in sums.items()
        },
    )


class PrefixReader:
    """Losses of replies one after another; a common beginning is read once."""

    def __init__(self, model: Any) -> None:
        """Nothing is read yet."""
        from transformers import DynamicCache  # noqa: PLC0415 (slow to import)

        self._model = model
        self._device = next(model.parameters()).device
        self._new = DynamicCache
        self._cache = DynamicCache()
        self._ids: list[int] = []

    def loss(self, prompt: Sequence[int], reply: Sequence[int]) -> float:
        """Summed loss in nats of `reply` behind `prompt`."""
        import torch  # noqa: PLC0415 (slow to import)

        ids = [*prompt, *reply]
        # The prompt's last token is read anew in any case: it predicts the reply's first one.
        kept = min(_common(self._ids, ids), len(prompt) - 1)
        if not kept:
            self._cache = self._new()
        elif kept < len(self._ids):
            self._cache.crop(kept - len(self._ids))  # negative: how many to take away
        read = torch.tensor([ids[kept:-1]], device=self._device)
        with torch.no_grad():
            logits = self._model(
                input_ids=read,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=len(reply),
            ).logits[0]
            wanted = torch.tensor(list(reply), device=self._device)
            nats = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
        self._ids = ids[:-1]
        return float(nats)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
