"""Context representations: what of the conversation so far a model gets to see."""

from esc_demo.contexts.registry import (
    ContextKind,
    ContextSpec,
    ContextView,
    DiffOp,
    DiffRun,
    Scope,
    diff_words,
    render_context,
)

__all__ = [
    "ContextKind",
    "ContextSpec",
    "ContextView",
    "DiffOp",
    "DiffRun",
    "Scope",
    "diff_words",
    "render_context",
]
