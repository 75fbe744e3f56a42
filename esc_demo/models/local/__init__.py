"""Models on weights of this machine (transformers, peft, bitsandbytes).

The submodules import torch; this one does not, so that asking for a model is what loads it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from esc_demo.models.specs import ModelSpec
from esc_demo.settings import get_settings

if TYPE_CHECKING:
    from esc_demo.models.local.model import LocalModel, LocalModels


@lru_cache(maxsize=1)
def _models() -> LocalModels:
    """One loader per process: models share weights and the device through it."""
    from esc_demo.models.local.model import LocalModels  # noqa: PLC0415

    return LocalModels(get_settings())


def load_model(spec: ModelSpec, progress: Callable[[str], None]) -> LocalModel:
    """Make the model of `spec` ready.

    Raises:
        EscError: it cannot be loaded here; the text says why and what to do.
    """
    progress("starting PyTorch")
    return _models().load(spec, progress)
