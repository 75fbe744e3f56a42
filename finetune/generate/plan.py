"""What one run asks of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    sampled: Mapping[str, Any] = field(default_factory=dict)
    """What the header's protocol says of a sample of the data; empty without one."""
