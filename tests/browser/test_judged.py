"""The Results tab's Ratings with judges in them: their tables, and the way from a difference to
the pair of replies and the judge's reasons behind it.
"""

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

from annotations import Store
from annotations.judge.material import questions
from annotations.judge.values import Pick
from annotations.values import JudgeStatus
from tests.annotations.judge.judging import failed, judge, picked, scored, spec
from tests.browser.test_access import no_wider_than_the_window
from tests.browser.test_ratings import SLOW_MS
from tests.ui.app_server import run_server
from tests.ui.rated_study import close, rate, write_study
from tests.ui.study_files import ARMS

pytestmark = pytest.mark.browser

COUNT = 4
SECOND, FIRST = sorted(ARMS)
"""As the report writes it: FIRST less SECOND."""


def scores(question, of):
    """Five for one arm and two for the other; one answer cannot be read."""
    if question.shown[0].arm == SECOND and question.item == "item-001":
        return failed(question, of, JudgeStatus.PARSE_ERROR)
    return scored(question, of, 5 if question.shown[0].arm == FIRST else 2)


def picks(question, of):
    """The reply of one arm from either side, but for one refusal."""
    first = question.shown[0].arm == FIRST
    if first and question.item == "item-002":
        return failed(question, of, JudgeStatus.REFUSED)
    return picked(question, of, Pick.FIRST if first else Pick.SECOND)


@pytest.fixture(scope="module")
def judged_server(tmp_path_factory):
    """The app over one closed study that people and two judges have rated."""
    folder = tmp_path_factory.mktemp("judged")
    url = f"sqlite:///{folder}/esc.db"
    write_study(folder, url, "judged", COUNT)
    rate(folder, url, "judged", COUNT)
    with Store(url) as store:
        for protocol, answer in (("esc-reply", scores), ("esc-pair", picks)):
            of = spec("judged", protocol, model="a-judge")
            judge(store, of, questions(store, "judged", of.protocol), answer)
    close(url, "judged")
    yield from run_server(folder, cwd=folder, ESC_SCRIPTED="1")


@pytest.mark.parametrize("width", [1280, 390])
def test_from_a_judges_difference_to_the_pair_behind_it(judged_server, open_page, width):
    page = open_page(judged_server.url, width=width, height=860)
    page.get_by_role("tab", name="Results").click()
    page.get_by_role("tab", name="Ratings", exact=True).click()
    page.locator("#ratings-show").click()
    report = page.locator("#ratings-report")
    expect(report.locator(".primary")).to_be_visible(timeout=SLOW_MS)
    report.locator("summary", has_text="All tables").click()

    # How the calls ended, pairs among them: a row a judge, statuses as columns.
    calls = report.locator("#judge-calls")
    heads = calls.locator("thead th").all_inner_texts()
    rows = [row.locator("th, td").all_inner_texts() for row in calls.locator("tbody tr").all()]
    ended = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [one["Protocol"] for one in ended] == ["esc-reply", "esc-pair"]
    assert [(one["ok"], one["parse_error"], one["refused"]) for one in ended] == [
        ("7", "1", "0"),
        ("7", "0", "1"),
    ]
    methods = report.locator("details.is-methods")
    expect(methods).to_contain_text("protocol esc-pair version 1 at temperature 0.0, 1 sample")
    wins = report.locator("#judge-wins tbody tr")
    expect(wins).to_have_count(1)
    expect(wins).to_contain_text("esc-pair:a-judge")

    # From a difference of the judge to its pairs, and from one of them to what is behind it.
    report.locator("#judge-differences button[data-dimension=comforting]").press("Enter")
    lines = page.locator("#ratings-items tr[data-item]")
    expect(lines).to_have_count(COUNT - 1)  # of one item a score is missing
    expect(lines.first).to_contain_text(f"{FIRST} − {SECOND}")  # noqa: RUF001
    expect(lines.first).to_contain_text("+3.00")
    expect(page.locator("#ratings-kind label.selected")).to_have_text("Judges")
    expect(page.locator("#ratings-arm input")).to_have_value(FIRST)
    expect(page.locator("#ratings-other input")).to_have_value(SECOND)
    expect(page.locator("#ratings-dimension input")).to_have_value("Comforting")
    expect(page.locator("#ratings-items")).to_contain_text("differences in points (scale 0-5)")
    lines.nth(1).locator("button").press("Enter")  # of the first one order was refused
    reader = page.locator("#ratings-reader")
    expect(reader.locator(".esc-answer.is-chosen")).to_have_count(2)
    between = reader.locator("p", has_text=f"Judge, {FIRST} − {SECOND} (n=2)")  # noqa: RUF001
    expect(between).to_contain_text("Comforting +3.00")
    expect(between).to_contain_text(f"{FIRST} won 1, tied 0, lost 0")
    expect(reader.locator(".esc-comments")).to_contain_text("It listens.")
    expect(reader).to_contain_text("shown after the login")  # people's comments

    # The same from people's preferences, then without the other arm again.
    report.locator("#human-wins button[data-other]").press("Enter")
    expect(lines).to_have_count(COUNT)
    expect(page.locator("#ratings-kind label.selected")).to_have_text("People")
    page.locator("#ratings-other input").click()
    page.get_by_role("option", name="No other arm").click()
    expect(lines.first).not_to_contain_text("−")  # noqa: RUF001
    assert no_wider_than_the_window(page)
