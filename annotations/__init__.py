"""What was said and what people think of it: tables, ratings, preferences, and their store."""

from annotations.forms import MAX_COMMENT_CHARS, PreferenceForm, RatingForm
from annotations.scales import Scales, load_scales
from annotations.store import Store
from annotations.values import (
    Choice,
    Counts,
    Dimension,
    GenerationRow,
    GenerationStatus,
    Origin,
    PreferenceView,
    RaterKind,
    RatingStatus,
    RatingView,
    Score,
)

__all__ = [
    "MAX_COMMENT_CHARS",
    "Choice",
    "Counts",
    "Dimension",
    "GenerationRow",
    "GenerationStatus",
    "Origin",
    "PreferenceForm",
    "PreferenceView",
    "RaterKind",
    "RatingForm",
    "RatingStatus",
    "RatingView",
    "Scales",
    "Score",
    "Store",
    "load_scales",
]
