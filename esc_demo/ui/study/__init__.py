"""The rater's page: plain HTML and JSON beside the Gradio page, so that nothing gives an arm away.

Gradio sends its whole configuration, model names included, to every visitor; this page sends
what `Screen` holds and no more.
"""

from esc_demo.ui.study.routes import study_app

__all__ = ["study_app"]
