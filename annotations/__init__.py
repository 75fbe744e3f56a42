"""What was said and what people think of it: tables, ratings, preferences, and their store.

The names below are found when they are first used: the store leads to the database's libraries,
and who only asks a command for its help should not wait for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_MODULES = {
    "forms": ("MAX_COMMENT_CHARS", "PreferenceForm", "RatingForm"),
    "scales": ("Scales", "load_scales"),
    "store": ("Store",),
}
"""Where names are that are not in `values`."""

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


def __getattr__(name: str) -> object:
    """The value of one of the names above."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _MODULES.items() if name in names), "values")
    return getattr(import_module(f"{__name__}.{home}"), name)
