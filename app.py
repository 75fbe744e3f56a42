"""The demo: settings -> database -> models -> page. Run `python app.py`."""

import sys

import esc_demo.ui.fast_import  # noqa: F401 (before all that import gradio)
from annotations import Store
from esc_demo.errors import EscError
from esc_demo.settings import get_settings
from esc_demo.startup import make_registry
from esc_demo.ui.page import build_app, serve, warm_up

SCRIPTED_PACE_S = 0.12


def main() -> int:
    """Serve the page until it is interrupted; returns the exit code."""
    try:
        settings = get_settings()
        registry = make_registry(settings, pace_s=SCRIPTED_PACE_S)
        store = Store(settings.database_url)
        page = build_app(settings, store, registry)
        serve(page, settings, store, registry)
    except EscError as error:
        print(f"Cannot start. {error}", file=sys.stderr)
        return 2
    registry.start(registry.catalogue.default_panes)  # only now: the page answers first
    warm_up()
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
