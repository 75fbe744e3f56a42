"""What people and judges show together: pure functions over one tidy frame."""

from annotations.analysis.analyse import Analysis, KindResult, analyse
from annotations.analysis.estimate import Estimate
from annotations.analysis.plan import PlanView, Primary, read_plan
from annotations.analysis.tidy import Frames, tidy

__all__ = [
    "Analysis",
    "Estimate",
    "Frames",
    "KindResult",
    "PlanView",
    "Primary",
    "analyse",
    "read_plan",
    "tidy",
]
