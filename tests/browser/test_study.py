"""The rater's page in a real browser: a whole blinded study, by keyboard alone."""

import re

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

from annotations import Store
from annotations.studies.forms import SubmissionForm
from esc_demo.models.specs import load_specs
from esc_demo.settings import get_settings
from tests.browser.test_access import focused, no_wider_than_the_window
from tests.browser.test_journey import rows
from tests.ui.app_server import run_server
from tests.ui.study_files import ARMS, PRACTICE, TELLING, live_values, open_study, study_values

pytestmark = pytest.mark.browser

LIVE_MODELS = tuple(load_specs(get_settings().models_file).specs)[:2]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with scripted replies, and open studies in its database."""
    folder = tmp_path_factory.mktemp("study")
    url = f"sqlite:///{folder}/esc.db"
    open_study(folder, url, study_values())
    open_study(folder, url, live_values(LIVE_MODELS, slug="talk"))
    once = [PRACTICE | {"must_pass": False}]
    open_study(folder, url, study_values(slug="once", practice=once, raters_per_item=1))
    invited = {"invitations": ["spring-0417", "spring-0932"]}
    open_study(folder, url, study_values(slug="invited", recruitment=invited))
    yield from run_server(folder, ESC_SCRIPTED="1")


class Sitting:
    """One browser of a participant, which keeps all that it was sent."""

    def __init__(self, browser, url, **options):
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 860}, **options}
        )
        self.heard, self.problems = [], []
        self.page = self.tab(url)

    def tab(self, url):
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("response", lambda answer: self.heard.append(answer))
        page.goto(url)
        page.locator("h1").wait_for()
        return page

    def told(self):
        """Everything heard since the last time, as (address, headers and body)."""
        heard, self.heard[:] = list(self.heard), []
        return [
            (answer.url, f"{answer.headers} {answer.text()}".lower())
            for answer in heard
            if answer.status != 307
        ]


@pytest.fixture
def sit(browser):
    """Opens sittings; closes them and fails on any error of a page."""
    sittings = []

    def opener(url, **options):
        sittings.append(Sitting(browser, url, **options))
        return sittings[-1]

    yield opener
    for sitting in sittings:
        sitting.context.close()
    assert [problem for sitting in sittings for problem in sitting.problems] == []


def at(page, title):
    """Wait for a screen."""
    expect(page.locator("h1")).to_have_text(re.compile(title))


def tab_to(page, name, key="Tab"):
    """Press Tab until the focus is on a control of this name."""
    for _ in range(25):
        page.keyboard.press(key)
        if focused(page).startswith(name):
            return
    raise AssertionError(f"no way by {key} to {name!r}")


def press(page, keys):
    for key in keys:
        page.keyboard.press(key)


def begin(page):
    """From the welcome to the first practice item; returns the resume code."""
    at(page, "Welcome")
    tab_to(page, "Begin")
    page.keyboard.press("Enter")
    at(page, "Before you begin")
    code = page.locator("code.resume").inner_text()
    tab_to(page, "on")  # the checkbox, by its value
    page.keyboard.press("Space")
    tab_to(page, "Agree and begin")
    page.keyboard.press("Enter")
    return code


def practise(page):
    at(page, "Practice 1 of 1")
    press(page, "01234500" + "2")
    page.keyboard.press("Enter")
    at(page, "Well done")
    page.keyboard.press("Enter")
    at(page, "Item 1 of 12")


def drafts(page):
    """What the browser keeps of items."""
    return page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('draft:'))")


def answer(page, number, keys="432c0512" + "1"):
    at(page, f"Item {number} of 12")
    press(page, keys)
    page.keyboard.press("Enter")


def test_a_whole_study_by_keyboard_alone_and_blind(server, sit):
    sitting = sit(f"{server.url}study/blind")
    page, told = sitting.page, []
    code = begin(page)

    at(page, "Practice 1 of 1")
    assert page.locator("input:checked").count() == 0
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(page.locator(".problem")).to_contain_text("Still to answer: Reply 1, Comforting")
    press(page, "1234500" + "1")
    page.keyboard.press("Enter")
    at(page, "Not quite")
    expect(page.locator(".card").first).to_contain_text("takes the grief seriously")
    page.keyboard.press("Enter")
    practise(page)

    # Keys answer the row in focus and go on; arrows move without answering.
    press(page, "4c")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".row").nth(1).locator("input").last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".row").nth(1).locator("input").nth(5)).to_be_checked()
    page.keyboard.press("ArrowDown")
    assert page.locator("input:checked").count() == 2
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    press(page, "345012" + "3")
    expect(page.locator("button[type=submit].big")).to_be_focused()
    page.keyboard.press("Enter")
    for number in range(2, 5):
        answer(page, number)

    # Interrupted: the page is loaded again, then another browser goes on with the code.
    at(page, "Item 5 of 12")
    texts = page.locator(".reply p").all_inner_texts()
    press(page, "123")
    expect(page.locator("#saved")).to_have_text("Draft saved")
    (draft,) = rows(server, "SELECT draft FROM study_assignment WHERE draft IS NOT NULL")
    assert "scores" in draft["draft"]
    assert "nonce" not in draft["draft"]  # another device would send its answers under it
    told += sitting.told()
    page.reload()
    at(page, "Item 5 of 12")
    assert page.locator("input:checked").count() == 3
    told += sitting.told()
    other = sit(f"{server.url}study/blind")
    page = other.page
    at(page, "Welcome")
    tab_to(page, "Begin")
    page.keyboard.press("Tab")
    page.keyboard.type(code.lower().replace("-", ""))
    page.keyboard.press("Enter")
    at(page, "Item 5 of 12")
    assert page.locator(".reply p").all_inner_texts() == texts
    assert page.locator("input:checked").count() == 3
    answer(page, 5, "45012" + "4")
    answer(page, 6)
    at(page, "Time for a short break")
    tab_to(page, "I am ready to go on")
    page.keyboard.press("Enter")
    for number in range(7, 13):
        answer(page, number, "5432c012" + "2")

    at(page, "Thank you")
    done = page.locator("#completion").inner_text()
    expect(page.get_by_role("link", name="Finish and return")).to_have_attribute(
        "href", f"https://example.org/done?cc={done}"
    )
    expect(page.locator("main")).to_contain_text("Two versions of one program")
    check_stored(server)

    page.evaluate("localStorage.setItem('draft:/study/blind:left-over', '{}')")
    page.evaluate("localStorage.setItem('draft:/study/other:not-of-this', '{}')")
    tab_to(page, "Options", "Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, "Withdraw from the study")
    page.keyboard.press("Enter")
    expect(page.locator("#sure")).to_be_focused()
    page.keyboard.press("Space")
    tab_to(page, "Withdraw")
    page.keyboard.press("Enter")
    at(page, "You have withdrawn")
    expect(page.locator("#receipt")).to_have_text(re.compile(r"^[A-Z0-9-]{8,}$"))
    assert drafts(page) == ["draft:/study/other:not-of-this"]
    assert rows(server, "SELECT * FROM rating_submission") == []

    told += other.told()
    assert len(told) > 40
    for address, text in told:
        for word in (*TELLING, *(f'"{arm}"' for arm in ARMS)):
            assert word not in text, (word, address)


def check_stored(server):
    """Twelve answered pairs, sides balanced, and what was pressed is what is stored."""
    sql = "SELECT first_arm, status FROM study_assignment WHERE kind = 'main'"
    stored = rows(server, sql)
    assert [row["status"] for row in stored] == ["submitted"] * 12
    assert sum(row["first_arm"] == ARMS[0] for row in stored) == 6
    sql = (
        "SELECT r.score FROM rating r JOIN rating_submission s ON s.id = r.submission_id"
        " JOIN study_assignment a ON a.id = s.assignment_id WHERE a.kind = 'main'"
    )
    scores = [row["score"] for row in rows(server, sql)]
    assert len(scores) == 12 * 8
    # Each of the last six items was answered 5, 4, 3, 2, cannot judge, 0, 1, 2.
    assert scores.count(None) >= 6
    assert set(scores) == {None, 0, 1, 2, 3, 4, 5}


def test_two_tabs_and_a_lost_connection_lose_nothing(server, sit):
    sitting = sit(f"{server.url}study/blind")
    page = sitting.page
    begin(page)
    practise(page)
    second = sitting.tab(f"{server.url}study/blind")
    at(second, "Item 1 of 12")
    assert (
        second.locator(".reply p").all_inner_texts() == page.locator(".reply p").all_inner_texts()
    )
    answer(page, 1)
    at(page, "Item 2 of 12")
    at(second, "Item 2 of 12")
    expect(second.locator("#notice")).to_contain_text("another tab")
    second.close()

    sitting.context.set_offline(True)
    press(page, "4321")
    expect(page.locator("#notice")).to_contain_text("kept in this browser")
    press(page, "0123" + "1")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("trying again")
    sitting.context.set_offline(False)
    at(page, "Item 3 of 12")
    page.go_back()
    page.go_forward()
    at(page, "Item 3 of 12")

    press(page, "43")
    expect(page.locator("#saved")).to_have_text("Draft saved")
    assert len(drafts(page)) == 1
    page.get_by_role("button", name="Skip this item").click()
    page.get_by_role("button", name="Skip it").click()
    at(page, "Item 4 of 12")
    assert drafts(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_everything_in_reach(server, sit, scheme):
    sitting = sit(
        f"{server.url}study/blind",
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,
    )
    page = sitting.page
    begin(page)
    practise(page)
    expect(page.locator("#danger")).to_be_hidden()
    assert no_wider_than_the_window(page)
    sizes = page.locator("button:visible, label.point, label.choice").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect()).map((box) => [box.width, box.height])"
    )
    assert min(min(size) for size in sizes) >= 44
    one, two = (page.locator(".reply").nth(index).bounding_box() for index in range(2))
    assert (one["width"], one["height"]) == (two["width"], two["height"])
    page.locator(".row").nth(3).locator("input").nth(2).check()
    expect(page.get_by_role("button", name="Find support")).to_be_in_viewport(ratio=1)
    expect(page.locator(".reply").first).to_be_in_viewport()
    page.get_by_role("button", name="Find support").click()
    expect(page.locator("#support")).to_contain_text("findahelpline.com")
    assert no_wider_than_the_window(page)


def test_a_live_chat_reveals_both_replies_together(server, sit):
    sitting = sit(f"{server.url}study/talk")
    page = sitting.page
    begin(page)
    at(page, "Item 1 of 1")
    page.locator(".row input").nth(4).check()
    page.get_by_role("button", name="Begin the chat").click()
    expect(page.locator("#danger")).to_contain_text("112")
    for number, text in enumerate(["We had a row again.", "About our father."], 1):
        box = page.locator("#message")
        expect(box).to_be_focused()
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        expect(page.locator(".log li.seeker")).to_have_count(2 * number)
        counts = set()
        for _ in range(200):
            counts.add(page.locator(".log li.supporter").count())
            if max(counts) == 2 * number:
                break
            page.wait_for_timeout(50)
        assert counts <= {2 * number - 2, 2 * number}
    page.get_by_role("button", name="End the chat").click()
    expect(page.get_by_text("Which partner would you rather talk to again?")).to_be_visible()
    press(page, "432" + "1")
    page.keyboard.press("Enter")
    at(page, "Thank you")
    for address, text in sitting.told():
        for word in (*TELLING, *(f'"{model}"' for model in LIVE_MODELS)):
            assert word not in text, (word, address)


def test_waiting_for_an_item_and_the_end_when_the_study_closes(server, sit):
    with Store(f"sqlite:///{server.database}") as store:
        desk = store.desk()
        others = [_holder(desk, "once") for _ in range(12)]
        page = sit(f"{server.url}study/once").page
        begin(page)
        at(page, "Practice 1 of 1")
        press(page, "12345001" + "1")
        page.keyboard.press("Enter")
        at(page, "Not quite")
        expect(page.locator("main")).not_to_contain_text("answer again")
        page.get_by_role("button", name="Go on").click()  # this practice need not be passed
        at(page, "Nothing is free just now")
        page.get_by_role("button", name="Look again").click()
        at(page, "Nothing is free just now")
        desk.withdraw("once", others[0])
        page.get_by_role("button", name="Look again").click()
        answer(page, 1)
        at(page, "Nothing is free just now")
        desk.close("once")
        page.reload()
        at(page, "Thank you")
        expect(page.locator("#completion")).to_have_text(re.compile(r"^[A-Z0-9-]{8,}$"))
        expect(page.locator("main")).to_contain_text("Two versions of one program")


def _holder(desk, slug):
    """The key of somebody who has practised and holds an item."""
    key = desk.enter(slug).key
    desk.consent(slug, key, 4)
    item = desk.current(slug, key).item
    scores = [{name.value: 3 for name in item.dimensions} for _ in item.replies]
    given = {"assignment_id": item.assignment_id, "nonce": "practising", "preference": "2"}
    desk.submit(slug, key, SubmissionForm.parse(given | {"scores": scores}))
    assert desk.current(slug, key).item is not None
    return key


GUESS = """async (room) => (await fetch(`${room}/api/enter`, {method: "POST",
    body: '{"resume": "A"}', headers: {"Content-Type": "application/json"}})).status"""


def test_a_link_asks_before_it_leads_to_somebody_and_guessing_has_an_end(server, sit):
    link = f"{server.url}study/invited?invitation=spring-0417"
    page = sit(link).page
    at(page, "Before you begin")
    code = page.locator("code.resume").inner_text()
    other = sit(link).page
    at(other, "This link has been used before")
    expect(other.locator("main")).not_to_contain_text(code)
    other.get_by_role("button", name="It was me, go on").click()
    at(other, "Before you begin")
    expect(other.locator("code.resume")).to_have_text(code)
    guesser = sit(f"{server.url}study/invited").page
    at(guesser, "Welcome")
    while guesser.evaluate(GUESS, f"{server.url}study/invited") == 404:
        pass
    guesser.get_by_label("Your invitation code").fill("spring-0932")
    guesser.get_by_role("button", name="Begin").click()
    expect(guesser.locator("#notice")).to_contain_text("Too many codes were tried from here")
