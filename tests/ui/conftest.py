"""What the tests of the page share: handlers over a store, and one app with scripted replies."""

import pytest

from tests.ui.app_server import run_server
from tests.ui.desk import Desk, wait_for


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
