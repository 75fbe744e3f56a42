"""What the tests of the page share: handlers over a store, and one app with scripted replies."""

from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from annotations import Store
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import REPLIES, ScriptedModel
from esc_demo.models.specs import load_specs
from esc_demo.settings import get_settings
from esc_demo.ui.study import study_app
from tests.ui.app_server import run_server
from tests.ui.desk import Desk, wait_for
from tests.ui.study_files import open_study
from tests.ui.study_rater import Rater


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app, in a process of its own."""
    yield from run_server(tmp_path_factory.mktemp("app"), ESC_SCRIPTED="1")


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.store.close()


@pytest.fixture
def slow_desk(tmp_path):
    desk = Desk(tmp_path, delay=0.2)
    yield desk
    desk.visitor.stop()
    wait_for(lambda: not desk.visitor.writing)
    desk.store.close()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/esc.db"


@pytest.fixture
def serve(tmp_path, url):
    """Open a study of these values; its application and a maker of raters."""
    store = Store(url)

    def opener(values, delay=0.0, replies=REPLIES):
        slug = open_study(tmp_path, url, values)
        catalogue = load_specs(get_settings().models_file)
        registry = ModelRegistry(catalogue, lambda spec, _: ScriptedModel(spec, replies, delay))
        app = FastAPI()
        app.mount("/study", study_app(store, registry, "uk"))
        return SimpleNamespace(app=app, slug=slug, rater=lambda: Rater(app, slug))

    yield opener
    store.close()
