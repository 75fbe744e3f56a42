"""The page by keyboard alone, by its names for screen readers, and at every width."""

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

from tests.browser.test_journey import expect_state, newest, rows, say

pytestmark = pytest.mark.browser


def focused(page):
    """What the focus is on, as a person would call it."""
    return page.evaluate(
        "(document.activeElement.textContent || document.activeElement.value || '').trim()"
    )


def no_wider_than_the_window(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_reply_is_rated_with_the_keyboard_alone(server, open_page):
    page = open_page(server.url)
    page.locator("#pane-A .esc-segments input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#pane-A .esc-segments input[value=keypos]")).to_be_checked()
    # The switch beside it is opened by the server: the choice has arrived there.
    expect(page.get_by_label("Keep negations").first).to_be_enabled()
    page.locator("#message textarea").focus()
    page.keyboard.type("Only the keyboard today.")
    page.keyboard.press("Enter")
    for pane in "ABC":  # the last one to end still moves things about
        expect_state(page, pane, "done")
    expect(newest(page, "A")).to_contain_text("KeyPOS")

    drawer = page.locator("#pane-A").get_by_role("button", name="Rate this reply")
    expect(drawer).to_have_attribute("aria-expanded", "false")
    drawer.focus()
    page.keyboard.press("Enter")
    expect(drawer).to_have_attribute("aria-expanded", "true")
    groups = page.locator("#pane-A .esc-points")
    expect(groups.last).to_be_visible()
    for index, downs in enumerate((1, 2, 3, 6)):
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        radios = groups.nth(index).locator("input")
        expect(radios.first).to_be_checked()
        for down in range(downs):
            page.keyboard.press("ArrowDown")
            expect(radios.nth(down + 1)).to_be_checked()
        assert groups.nth(index).locator("input:checked").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.type("typed")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#pane-A .esc-saved")).to_contain_text(
        "engagement 1, comforting 2, appropriateness 3, suggestion cannot judge"
    )
    page.wait_for_function("document.activeElement.textContent.includes('Change rating')")
    sql = (
        "SELECT g.context_kind, s.comment FROM rating_submission s"
        " JOIN generation g ON g.id = s.generation_id WHERE s.comment = 'typed'"
    )
    assert rows(server, sql) == [{"context_kind": "keypos", "comment": "typed"}]


def test_the_focus_stays_near_a_button_that_has_done_its_work(server, open_page):
    page = open_page(server.url)
    say(page, "Please take your time. [scripted pause]")
    expect(newest(page, "A").locator(".esc-caret")).to_be_visible()
    page.locator("#pane-A .esc-stop").focus()
    page.keyboard.press("Enter")
    expect_state(page, "A", "stopped")
    page.wait_for_function("document.activeElement.matches('#pane-A .esc-again')")
    page.get_by_role("button", name="Remove pane B").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#pane-B")).to_be_hidden()
    page.wait_for_function("document.activeElement.id == 'add-pane'")


def test_a_list_closes_when_the_focus_goes_on(server, open_page):
    page = open_page(server.url)
    picker = page.get_by_label("Model of pane A")
    picker.focus()
    expect(picker).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    assert focused(page) == "Remove pane A"
    expect(picker).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("listbox")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 768, 1024, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_width_shows_everything_without_scrolling_sideways(server, open_page, scheme, width):
    page = open_page(f"{server.url}?__theme={scheme}", width, 844)
    say(page, "unbreakable" * 30)
    expect_state(page, "A", "done")
    page.locator("#pane-A").get_by_role("button", name="Rate this reply").click()
    expect(page.locator("#pane-A .esc-points").last).to_be_visible()
    assert no_wider_than_the_window(page)
    page.get_by_text("In crisis? Find help now").click()
    panel = page.locator(".esc-help")
    expect(panel.get_by_text("findahelpline.com").first).to_be_visible()
    box = panel.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    # Nothing of the page lies on top of the panel.
    assert panel.evaluate(
        """panel => {
          const box = panel.getBoundingClientRect();
          return [0.05, 0.25, 0.5, 0.75, 0.95].every((part) => panel.contains(
            document.elementFromPoint(box.x + box.width / 2, box.y + box.height * part)));
        }"""
    )
    assert no_wider_than_the_window(page)


def test_the_models_of_the_panes_can_be_told_apart(server, open_page):
    page = open_page(server.url, 1024, 800)
    starts = []
    for name in "ABC":
        picker = page.get_by_label(f"Model of pane {name}")
        starts.append(picker.input_value().split(" · ")[0])
        # What tells them apart is not cut off.
        width = picker.evaluate(
            """(box) => {
              const pen = document.createElement("canvas").getContext("2d");
              const style = getComputedStyle(box);
              pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
              const start = pen.measureText(box.value.split(" · ")[0]).width;
              const room = box.clientWidth - parseFloat(style.paddingLeft);
              return room - parseFloat(style.paddingRight) - start;
            }"""
        )
        assert width > 0
    assert starts == ["Base", "LoRA", "Full fine-tune"]


def test_help_stays_in_sight_on_a_telephone(server, open_page):
    page = open_page(server.url, 390, 844)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    line = page.get_by_role("note", name="Help in danger")
    expect(line).to_be_in_viewport(ratio=1)
    expect(line).to_contain_text("112")
    assert line.bounding_box()["height"] < 90
    sizes = page.locator(".esc-pane button:visible").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 40


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_the_reply_stays_in_sight_while_it_is_rated(server, open_page, width, height):
    page = open_page(server.url, width, height)
    say(page, "Look at this while you judge.")
    expect_state(page, "A", "done")
    page.locator("#pane-A").get_by_role("button", name="Rate this reply").click()
    last = page.locator("#pane-A .esc-points").last.locator("input").last
    last.focus()
    page.keyboard.press("Space")
    expect(last).to_be_checked()
    expect(last).to_be_in_viewport()
    expect(newest(page, "A").locator(".esc-text")).to_be_in_viewport(ratio=1)


def test_panes_are_equally_high_and_named_for_screen_readers(server, open_page):
    page = open_page(server.url)
    heights = {page.locator(f"#log-{name}").bounding_box()["height"] for name in "ABC"}
    tops = {page.locator(f"#log-{name}").bounding_box()["y"] for name in "ABC"}
    assert len(heights) == len(tops) == 1
    for name in "ABC":
        log = page.get_by_role("log", name=f"Conversation of pane {name}")
        expect(log).to_have_attribute("aria-live", "polite")
        kinds = page.get_by_role(
            "radiogroup", name=f"What it remembers of earlier turns, pane {name}"
        )
        expect(kinds.get_by_role("radio")).to_have_count(3)
    expect(page.get_by_text("Scripted replies.")).to_be_visible()
    boxes = page.locator("textarea:visible, input[role=combobox]:visible")
    assert set(boxes.evaluate_all("all => all.map((one) => one.dir)")) == {"auto"}
