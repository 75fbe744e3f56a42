"""One app with scripted replies for the tests of a file."""

import pytest

from tests.ui.app_server import run_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app, in a process of its own."""
    yield from run_server(tmp_path_factory.mktemp("app"), ESC_SCRIPTED="1")
