"""The Results tab in a real browser: from runs to table, charts, files and replies."""

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

from tests.browser.test_access import no_wider_than_the_window
from tests.ui.app_server import run_server
from tests.ui.test_results import write_runs

pytestmark = pytest.mark.browser

SLOW_MS = 120_000
"""Longest wait for scores: the first ones read WordNet, where there is one."""


@pytest.fixture(scope="module")
def results_server(tmp_path_factory):
    """The app with scripted replies, whose runs lie in a folder of the test."""
    folder = tmp_path_factory.mktemp("results")
    write_runs(folder)
    yield from run_server(folder, cwd=folder, ESC_SCRIPTED="1")


@pytest.fixture(scope="module")
def new_server(tmp_path_factory):
    """The app as it is just after it was cloned: no run has been made."""
    folder = tmp_path_factory.mktemp("new")
    yield from run_server(folder, cwd=folder, ESC_SCRIPTED="1")


def test_a_new_clone_is_told_what_to_do_and_shown_no_error(new_server, open_page):
    page = open_page(new_server.url)
    page.get_by_role("tab", name="Results").click()
    expect(page.get_by_text("python -m finetune generate").first).to_be_visible()
    page.wait_for_timeout(1000)  # an error of the tab would follow what it shows
    expect(page.locator(".toast-body")).to_have_count(0)


def open_tab(page):
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#results-runs input").first).to_be_visible()


def choose_group(page, words):
    page.locator("#results-group input").click()
    page.get_by_role("option", name=words).click()


def test_from_runs_to_replies(results_server, open_page):
    page = open_page(results_server.url)
    open_tab(page)
    page.locator("#score-runs").click()
    expect(page.locator("#results-progress")).to_contain_text("No run is chosen")
    choose_group(page, "All data and protocols")
    expect(page.locator("#results-runs input")).to_have_count(3)
    page.locator("#choose-all").click()
    expect(page.locator("#results-runs input:checked")).to_have_count(3)
    page.locator("#score-runs").click()
    progress = page.locator("#results-progress")
    expect(progress).to_contain_text("different protocols", timeout=SLOW_MS)
    choose_group(page, "talks.jsonl · 4 dialogues, 12 replies · greedy")
    expect(page.locator("#results-runs input")).to_have_count(2)
    expect(page.locator("#results-runs input:checked")).to_have_count(0)
    page.locator("#choose-all").click()
    expect(page.locator("#results-runs input:checked")).to_have_count(2)
    page.locator("#score-runs").press("Enter")
    table = page.locator("#results-table table")
    expect(table).to_be_visible(timeout=SLOW_MS)
    expect(table.locator("tr.is-run")).to_have_count(2)
    expect(table.locator("tr.is-baseline")).to_have_count(4)

    # Two marks in the plot and one that only holds the axis; a picture of it, by keyboard.
    expect(page.locator("#trade-off .scatterlayer .trace")).to_have_count(3, timeout=SLOW_MS)
    expect(page.locator("#trade-off .legendtext").first).to_contain_text("prompt on")
    with page.expect_download() as picture:
        page.locator("#plot-png").press("Enter")
    assert picture.value.suggested_filename == "rouge-l-by-tokens-kept.png"
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    expect(page.locator("#slice-bars .barlayer .trace")).to_have_count(2)
    with page.expect_download() as file:
        page.locator("#results-files").get_by_text("CSV", exact=True).click()
    assert "ROUGE-L" in file.value.path().read_text("utf-8")

    # What is wicked in a reply stays text; rows are reached and chosen by keyboard.
    rows = page.locator("#results-items tr[data-item]")
    expect(rows).to_have_count(10)
    rows.first.locator("button").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    reader = page.locator("#reader")
    expect(reader.locator("h3")).to_have_text("talk-0, reply 2 of 3")
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    expect(reader.locator(".esc-answer")).to_have_count(3)
    expect(reader).to_contain_text("<script>alert(1)</script> {{this}} ${1} are <b>you</b> fine?")
    page.locator("#find-dialogue textarea, #find-dialogue input").fill("talk-3")
    expect(rows).to_have_count(3)
    rows.first.click()
    expect(reader.locator("h3")).to_have_text("talk-3, reply 1 of 3")


def test_on_a_phone_only_the_table_scrolls(results_server, open_page):
    page = open_page(results_server.url, width=390, height=844)
    open_tab(page)
    page.locator("#choose-all").click()
    expect(page.locator("#results-runs input:checked")).not_to_have_count(0)
    page.locator("#score-runs").click()
    expect(page.locator("#results-table table")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator("#trade-off .main-svg").first).to_be_visible(timeout=SLOW_MS)
    page.locator("#results-items tr[data-item]").first.click()
    expect(page.locator("#reader h3")).to_be_visible()
    assert no_wider_than_the_window(page)
    box = page.locator("#results-table .esc-scores")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
