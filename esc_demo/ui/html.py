"""Our own HTML on the page, free of the prose styles that gradio would put on it."""

from __future__ import annotations

from typing import Any

import gradio as gr


def plain_html(value: str, **options: Any) -> gr.HTML:
    """An HTML component that only `style.css` dresses. `value` must be escaped already."""
    return gr.HTML(value, apply_default_css=False, **options)
