"""What one run asks of a model."""

from __future__ import annotations

from dataclasses import dataclass

from esc_demo.engine import PaneConfig
from esc_demo.models import GenerationParams
from finetune.generate.items import Mode, ReplyItem


@dataclass(frozen=True)
class Plan:
    """What is asked of the model for every item."""

    items: tuple[ReplyItem, ...]
    mode: Mode
    pane: PaneConfig
    params: GenerationParams
    profile: bool
    concurrency: int
