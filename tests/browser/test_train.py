"""The Train tab in a real browser: a real run, so small that it takes seconds."""

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

from finetune.job import Jobs
from tests.browser.test_access import no_wider_than_the_window
from tests.finetune.tiny import make_base, make_recipe
from tests.ui.app_server import run_server

pytestmark = [pytest.mark.browser, pytest.mark.weights]

SLOW_MS = 120_000
"""Longest wait for a run's process: it imports PyTorch on two busy cores."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def train_server(folder):
    """The app with scripted replies, whose runs lie in a folder of the test."""
    yield from run_server(folder, cwd=folder, ESC_SCRIPTED="1")
    left = Jobs(folder / "runs").running()
    if left is not None:  # a run outlives the page; here the test has failed midway
        os.kill(left.status.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def recipe(folder, weights):
    base = make_base(folder / "base", weights / "SmolLM2-135M-Instruct")
    return make_recipe(folder, base, steps=60)


def open_tab(page):
    page.get_by_role("tab", name="Train").click()
    expect(page.locator("#plan")).to_contain_text("135 million parameters")


def hurry(folder):
    """Beside other tests a run that gives way would hardly get on; who may not change it waits."""
    pid = Jobs(folder / "runs").running().status.pid
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, 0)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("0\n")


def state(page):
    return page.locator("#run-state .esc-state")


def test_a_run_from_recipe_to_pane(train_server, recipe, folder, open_page):
    page = open_page(train_server.url)
    open_tab(page)
    expect(page.locator("#run-state")).to_contain_text("No runs yet")
    page.locator("#recipe input").fill("no-such-recipe")
    page.keyboard.press("Enter")
    expect(page.locator("#plan")).to_contain_text("No recipe 'no-such-recipe'")
    expect(page.locator("#start-run")).to_be_disabled()
    page.locator("#recipe input").fill(str(recipe))
    page.keyboard.press("Enter")
    expect(page.locator("#plan")).to_contain_text("60 steps")
    page.locator("#check-data").click()
    expect(page.locator("#data-report")).to_contain_text("train: 6 dialogues")

    # By keyboard: the question opens, is answered, and the focus stays beside it.
    page.locator("#start-run").press("Enter")
    expect(page.locator("#confirm-start")).to_contain_text("Train tiny-lora on this machine now?")
    page.locator("#start-yes").press("Enter")
    expect(state(page)).to_have_text("preparing")
    page.wait_for_function("document.activeElement.id == 'start-run'")
    page.keyboard.press("Enter")
    page.locator("#start-yes").click()
    expect(page.locator("#train-notice")).to_contain_text("tiny-lora-1 is going on")
    hurry(folder)

    expect(page.locator("#curve canvas, #curve svg").first).to_be_visible(timeout=SLOW_MS)
    line = re.compile(r"step \d+ of 60 · loss \d+\.\d\d · \d+ tokens/s · .* left")
    expect(page.locator("#run-state")).to_contain_text(line)
    page.locator("#stop-run").click()
    expect(page.locator("#confirm-stop")).to_contain_text("can be resumed")
    page.locator("#stop-yes").click()
    expect(state(page)).to_have_text("interrupted", timeout=SLOW_MS)
    expect(page.locator("#open-run")).to_be_hidden()
    page.locator("#resume-run").click()
    expect(page.locator("#run-notice")).to_contain_text("tiny-lora-1 goes on")
    hurry(folder)
    # Its process is importing PyTorch: time enough to look from another page.
    reloaded = open_page(train_server.url, width=390, height=844)
    open_tab(reloaded)
    expect(reloaded.locator("#run-state")).to_contain_text("tiny-lora-1")
    assert no_wider_than_the_window(reloaded)
    expect(state(page)).to_have_text("finished", timeout=SLOW_MS)
    expect(state(reloaded)).to_have_text("finished")
    expect(page.locator("#run-state")).to_contain_text("Held-out perplexity before")
    expect(page.locator("#runs-table tbody tr")).to_have_count(1)

    page.locator("#open-run").click()
    expect(page.locator("#run-notice")).to_contain_text("open in pane D")
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#pane-D .esc-model input")).to_have_value("LoRA · tiny-lora-1")
    expect(page.locator("#pane-D")).to_be_visible()
