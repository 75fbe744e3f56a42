"""Errors of a training run, in sentences that say what to lower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from esc_demo.errors import EscError, ModelError, StorageError
from esc_demo.storage import is_disk_full
from finetune.recipes import Batching, Method, Recipe


def diverged(what: str, value: float, step: int, dialogues: Sequence[str]) -> ModelError:
    """The error for a `what` that is no number at `step`, with the dialogues of the batch."""
    where = f", in the dialogues {', '.join(dict.fromkeys(dialogues))}" if dialogues else ""
    return ModelError(
        f"The {what} became {value} at step {step}{where}. The run stopped; its last checkpoint is"
        " from before. Lower learning_rate or max_grad_norm, use float32 or bf16 instead of fp16,"
        " and look at these dialogues."
    )


_NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")


def explained(error: BaseException, recipe: Recipe, folder: Path) -> EscError | None:
    """`error` as one a person can act on; None when it is of no known kind."""
    if isinstance(error, EscError):
        return error
    if is_disk_full(error):
        return StorageError(
            f"The disk is full: {folder} cannot be written. A run of {recipe.name} keeps up to two"
            " checkpoints with the optimizer's state. Free some space, or resume the run from a"
            " larger disk: move the folder there and name it with --out and --resume."
        )
    if _is_out_of_memory(error):
        return ModelError(f"Memory ran out while training {recipe.name}. {_lower(recipe)}")
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on a CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(m in str(error).lower() for m in _NO_MEMORY)


def _lower(recipe: Recipe) -> str:
    """What to lower, the entry that helps most first."""
    packed = recipe.batching is Batching.PACKED
    wide = f"pack_tokens (now {recipe.pack_tokens})" if packed else "batch_size"
    steps = [f"lower {wide} and raise accumulation by as much"]
    if not recipe.gradient_checkpointing:
        steps.append("switch gradient_checkpointing on")
    steps.append(f"lower max_tokens (now {recipe.max_tokens})")
    if recipe.method is Method.FULL:
        steps.append("train an adapter (method lora) instead")
    elif recipe.method is Method.LORA:
        steps.append("take qlora on a GPU, or a lower lora.r")
    return f"In this order: {'; '.join(steps)}. `python -m finetune plan` says what each takes."
