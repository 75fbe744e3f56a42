"""The demo: settings -> database -> models -> page. Run `python app.py`."""

import sys
from functools import partial

from annotations import Store
from esc_demo.errors import EscError
from esc_demo.models.local import load_model
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import ScriptedModel
from esc_demo.models.specs import load_specs
from esc_demo.settings import get_settings
from esc_demo.ui.page import build_app, serve, warm_up

SCRIPTED_PACE_S = 0.12


def main() -> int:
    """Serve the page until it is interrupted; returns the exit code."""
    try:
        settings = get_settings()
        scripted = partial(ScriptedModel, delay=SCRIPTED_PACE_S)
        loader = (lambda spec, _: scripted(spec)) if settings.scripted else load_model
        registry = ModelRegistry(load_specs(settings.models_file), loader)
        page = build_app(settings, Store(settings.database_url), registry)
        serve(page, settings)
    except EscError as error:
        print(f"Cannot start. {error}", file=sys.stderr)
        return 2
    registry.start(registry.catalogue.default_panes)  # only now: the page answers first
    warm_up()
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
