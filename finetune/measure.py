"""Peak memory of this process, or of the GPU it trains on."""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch


def peak_memory() -> dict[str, Any]:
    """`peak_memory_bytes`, and whether it is the GPU's (`cuda`) or the whole process's."""
    if torch.cuda.is_available():
        return {"peak_memory_bytes": torch.cuda.max_memory_allocated(), "peak_memory_of": "cuda"}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # kilobytes on Linux, bytes on macOS
    return {"peak_memory_bytes": peak * unit, "peak_memory_of": "process"}
