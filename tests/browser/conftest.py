"""A browser, and the app it looks at: with scripted replies, or on the default weights."""

import pytest

from tests.ui.app_server import run_server

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")


@pytest.fixture(scope="module")
def browser(chromium):
    """Chromium, started once."""
    with sync_api.sync_playwright() as tools:
        launched = tools.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with scripted replies, working where nothing has been run yet."""
    folder = tmp_path_factory.mktemp("app")
    yield from run_server(folder, cwd=folder, ESC_SCRIPTED="1")


@pytest.fixture(scope="module")
def real_server(tmp_path_factory, weights):
    """The app on the default weights."""
    folder = tmp_path_factory.mktemp("real")
    yield from run_server(folder, ESC_SCRIPTED="0", ESC_CACHE_DIR=str(weights))


@pytest.fixture
def open_page(browser):
    """Opens a page in a context of its own; fails on any error of the page or outside request."""
    contexts, problems = [], []

    def opener(url, width=1440, height=900, **options):
        # Without animations a page that waits costs nothing, which leaves more for the others.
        options = {"reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"error in the page: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((url.split("?")[0], "data:", "blob:"))
                else problems.append(f"request to another host: {request.url}")
            ),
        )
        page.goto(url)
        page.locator("#message textarea").wait_for()
        page.locator("#log-A .esc-empty").wait_for()
        return page

    yield opener
    for context in contexts:
        context.close()
    assert problems == []
