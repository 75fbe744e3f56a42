"""The ratings of a closed study in a real browser: report, stratum, and what lies behind."""

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

from tests.browser.test_access import no_wider_than_the_window
from tests.ui.app_server import run_server
from tests.ui.rated_study import close, rate, write_study
from tests.ui.study_files import ARMS

pytestmark = pytest.mark.browser

SLOW_MS = 120_000
"""Longest wait for a report: its analysis is a process of its own."""
COUNT = 6
PASSWORD = "a kettle under the stairs"


@pytest.fixture(scope="module")
def ratings_server(tmp_path_factory):
    """The app with scripted replies over a closed and a running study."""
    folder = tmp_path_factory.mktemp("ratings")
    url = f"sqlite:///{folder}/esc.db"
    write_study(folder, url, "rated", COUNT)
    rate(folder, url, "rated", COUNT)
    close(url, "rated")
    write_study(folder, url, "running", COUNT)
    yield from run_server(folder, cwd=folder, ESC_SCRIPTED="1", ESC_ADMIN_PASSWORD=PASSWORD)


def open_section(page):
    page.get_by_role("tab", name="Results").click()
    page.get_by_role("tab", name="Ratings", exact=True).click()
    expect(page.locator("#ratings-study input")).to_have_value(
        "Which reply <i>supports</i> better? (rated), closed"
    )


def choose(page, field, option):
    page.locator(f"{field} input").click()
    page.get_by_role("option", name=option).click()


def test_from_a_study_to_the_answers_behind_a_number(ratings_server, open_page):
    page = open_page(ratings_server.url)
    open_section(page)
    page.locator("#ratings-study input").click()
    expect(page.get_by_role("option")).to_have_count(1)  # not the running one
    page.keyboard.press("Escape")
    page.locator("#ratings-show").press("Enter")
    report = page.locator("#ratings-report")
    expect(report.locator(".primary")).to_be_visible(timeout=SLOW_MS)
    expect(report.locator("h2").first).to_have_text("Primary outcome")
    with page.expect_download() as file:
        page.locator("#ratings-file").click()
    assert file.value.suggested_filename == "rated-report.zip"
    assert file.value.path().read_bytes().startswith(b"PK")

    # From an arm in the report to its lines, and by keyboard to what lies behind the second.
    rows = page.locator("#ratings-items tr[data-item]")
    expect(rows).to_have_count(2 * COUNT)
    report.locator(f"#table12 button[data-arm={ARMS[0]}]").press("Enter")
    expect(rows).to_have_count(COUNT)
    expect(page.locator("#ratings-arm input")).to_have_value(ARMS[0])
    rows.first.locator("button").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    reader = page.locator("#ratings-reader")
    expect(reader.locator("h3")).to_have_text("item-002")
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    expect(reader.locator(".esc-answer.is-chosen h4")).to_have_text(ARMS[0])
    expect(reader).to_contain_text("<script>alert(1)</script> {{this}} ${1} my <b>boss</b>")
    expect(reader.locator(".esc-answers tbody tr")).to_have_count(8)
    expect(reader).to_contain_text("shown after the login")

    choose(page, "#ratings-stratum", "work")
    expect(report).to_contain_text("Only one stratum is shown", timeout=SLOW_MS)
    expect(rows).to_have_count(COUNT)  # both arms of half the items
    expect(reader.locator("h3")).to_have_count(0)

    # After the login on the Admin tab the running study is there, too; after the logout nothing.
    page.get_by_role("tab", name="Admin").click()
    page.locator("#admin-password input").fill(PASSWORD)
    page.locator("#admin-enter").click()
    expect(page.locator("#admin-office")).to_be_visible()
    page.get_by_role("tab", name="Results").click()
    choose(page, "#ratings-study", "running")
    page.locator("#ratings-show").click()
    expect(report.locator(".is-interim")).to_contain_text("interim results", timeout=SLOW_MS)
    page.get_by_role("tab", name="Admin").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#admin-door")).to_be_visible()
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#ratings")).to_be_hidden()
    expect(page.locator("#ratings-study input")).to_have_value(
        "Which reply <i>supports</i> better? (rated), closed"
    )


def test_on_a_phone_only_tables_scroll(ratings_server, open_page):
    page = open_page(ratings_server.url, width=390, height=844)
    open_section(page)
    page.locator("#ratings-show").click()
    expect(page.locator("#ratings-report .primary")).to_be_visible(timeout=SLOW_MS)
    page.locator("#ratings-report summary").first.click()
    page.locator("#ratings-items tr[data-item]").first.click()
    expect(page.locator("#ratings-reader h3")).to_be_visible()
    assert no_wider_than_the_window(page)
    box = page.locator("#ratings-items .esc-scores")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
