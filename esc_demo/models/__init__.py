"""Models that answer a conversation, behind one protocol."""

from esc_demo.models.protocol import (
    ChatModel,
    Chunk,
    Finish,
    FinishReason,
    GenerationParams,
    Rendered,
    StopSignal,
    TrainedOn,
)
from esc_demo.models.specs import ModelSpec, Quantisation, Variant, load_specs

__all__ = [
    "ChatModel",
    "Chunk",
    "Finish",
    "FinishReason",
    "GenerationParams",
    "ModelSpec",
    "Quantisation",
    "Rendered",
    "StopSignal",
    "TrainedOn",
    "Variant",
    "load_specs",
]
