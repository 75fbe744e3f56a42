"""The main job of the page in a real browser, with scripted replies and on real weights."""

import sqlite3
import time

import pytest

pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SLOW_MS = 240_000
"""Longest wait for a reply: the weights may still be loading on two busy cores."""


def rows(server, sql, *values):
    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql, values)]


def say(page, text):
    page.locator("#message textarea").fill(text)
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#message textarea")).to_have_value("", timeout=15_000)


def newest(page, name):
    return page.locator(f"#log-{name} .esc-live .esc-supporter").last


def expect_state(page, name, state):
    expect(newest(page, name)).to_have_class(f"esc-msg esc-supporter is-{state}", timeout=SLOW_MS)


def press(page, name, label):
    page.locator(f"#pane-{name}").get_by_role("button", name=label, exact=True).click()


def rate(page, name, scores):
    """Answer the four questions of a pane, top down."""
    groups = page.locator(f"#pane-{name} .esc-points")
    for index, score in enumerate(scores):
        groups.nth(index).locator("label", has_text=score).click()


def journey(server, page, second):
    """Three panes, KeyPOS midway, the drawer, one stop, regenerate, rate twice, reload.

    The reply to the `second` message must take long enough to be stopped.
    """
    say(page, "I lost my dog last week and I do not know how to come home.")
    for name in "ABC":
        expect_state(page, name, "done")

    page.locator("#pane-B .esc-segments label", has_text="KeyPOS").click()
    say(page, second)
    expect(newest(page, "A").locator(".esc-caret")).to_be_visible(timeout=SLOW_MS)
    press(page, "A", "Stop")
    expect_state(page, "A", "stopped")
    for name in "BC":
        expect_state(page, name, "done")
    expect(newest(page, "B")).to_contain_text("KeyPOS")
    expect(newest(page, "C")).to_contain_text("Raw")

    press(page, "B", "What the model saw ▼")
    drawer = page.locator("#pane-B .esc-seen")
    expect(drawer).to_be_visible()
    expect(drawer.locator(".esc-figures")).to_contain_text("Saved")
    expect(drawer.locator("del").first).to_be_visible()
    expect(drawer.locator("pre")).to_contain_text("The house is so quiet.")

    press(page, "A", "Regenerate")
    expect_state(page, "A", "done")
    expect(newest(page, "A")).to_contain_text("attempt 2")

    press(page, "A", "Rate this reply ▼")
    assert page.locator("#pane-A .esc-points input:checked").count() == 0
    rate(page, "A", ["3 ·", "4 ·", "5 ·", "Cannot judge"])
    page.locator("#comment-A textarea").fill("<b>warm</b>")
    press(page, "A", "Save rating")
    saved = page.locator("#pane-A .esc-saved")
    expect(saved).to_contain_text(
        "engagement 3, comforting 4, appropriateness 5, suggestion cannot judge"
    )
    press(page, "A", "Change rating")
    rate(page, "A", ["2 ·", "2 ·", "2 ·", "2 ·"])
    press(page, "A", "Save rating")
    expect(saved).to_contain_text("engagement 2")

    page.locator("#preference label", has_text="Pane C").click()
    page.get_by_role("button", name="Save preference").click()
    expect(page.locator("#preference .esc-saved")).to_contain_text("pane C is preferred")

    page.reload()
    page.locator("#log-A .esc-empty").wait_for()
    check_rows(server)


def check_rows(server):
    """Everything that was done is in the database."""
    stored = rows(
        server,
        "SELECT g.*, t.position FROM generation g JOIN turn t ON t.id = g.turn_id"
        " ORDER BY t.position, g.pane, g.attempt",
    )
    assert [(row["position"], row["pane"], row["attempt"], row["status"]) for row in stored] == [
        (0, 0, 0, "done"),
        (0, 1, 0, "done"),
        (0, 2, 0, "done"),
        (1, 0, 0, "stopped"),
        (1, 0, 1, "done"),
        (1, 1, 0, "done"),
        (1, 2, 0, "done"),
    ]
    assert [row["context_kind"] for row in stored[3:]] == ["raw", "raw", "keypos", "raw"]
    keypos = stored[5]
    assert keypos["prompt_tokens"] < keypos["prompt_tokens_raw"]
    assert len({row["seed"] for row in stored[:3]}) == 1
    assert stored[4]["seed"] == stored[3]["seed"] + 1
    ratings = rows(server, "SELECT * FROM rating_submission ORDER BY created_at")
    assert [row["generation_id"] for row in ratings] == [stored[4]["id"]] * 2
    assert ratings[1]["supersedes"] == ratings[0]["id"]
    assert ratings[0]["comment"] == "<b>warm</b>"
    scores = rows(server, "SELECT score FROM rating WHERE submission_id = ?", ratings[0]["id"])
    assert sorted(row["score"] or 0 for row in scores) == [0, 3, 4, 5]
    (preference,) = rows(server, "SELECT * FROM preference")
    assert preference["preferred_generation_id"] == stored[6]["id"]
    assert preference["rater_id"] == ratings[0]["rater_id"]


def test_the_journey_with_scripted_replies(server, open_page):
    journey(server, open_page(server.url), "The house is so quiet. [scripted pause]")


@pytest.mark.weights
@pytest.mark.timeout(900)
def test_the_journey_on_the_default_weights(real_server, open_page):
    page = open_page(real_server.url)
    assert page.get_by_text("Scripted replies").count() == 0
    page.get_by_role("button", name="Advanced settings").click()
    page.get_by_label("number input for Max new tokens").fill("40")
    page.keyboard.press("Tab")
    journey(real_server, page, "It is not getting better. The house is so quiet.")


def test_markup_is_text_and_two_visitors_never_mix(server, open_page):
    one, other = open_page(server.url), open_page(server.url)
    markup = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script> *first*"
    say(one, markup)
    say(other, "only the second")
    for page in (one, other):
        expect_state(page, "C", "done")
    expect(one.locator("#log-A .esc-seeker .esc-text")).to_have_text(markup)
    assert one.evaluate("window.hacked") is None
    assert "only the second" not in one.locator("body").inner_text()
    assert "first" not in other.locator("#log-A").inner_text()


def test_a_refused_message_stays_in_the_box(server, open_page):
    page = open_page(server.url)
    box = page.locator("#message textarea")
    box.fill("x" * 4001)
    expect(page.locator("#count")).to_have_text("4,001 / 4,000")
    page.locator("#send").click()
    expect(page.locator("#notice")).to_contain_text("4,001 characters")
    expect(box).to_have_value("x" * 4001)
    box.fill("two lines")
    box.press("Shift+Enter")
    box.press_sequentially("in one")
    expect(box).to_have_value("two lines\nin one")
    box.press("Enter")
    expect_state(page, "A", "done")
    expect(page.locator("#notice")).to_have_text("")


def test_closing_the_tab_stops_the_models_and_keeps_what_they_wrote(server, open_page):
    page = open_page(server.url)
    text = "I will close this tab now."
    say(page, text)
    expect(newest(page, "A").locator(".esc-caret")).to_be_visible()
    page.close()
    sql = "SELECT status FROM generation g JOIN turn t ON t.id = g.turn_id WHERE seeker_text = ?"
    end = time.monotonic() + 15
    while len(found := rows(server, sql, text)) < 3 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(found) == 3
    assert {row["status"] for row in found} == {"stopped"}


def test_panes_come_and_go_and_a_cleared_conversation_comes_back(server, open_page):
    page = open_page(server.url)
    say(page, "Remember me.")
    expect_state(page, "C", "done")
    page.get_by_role("button", name="Remove pane B").click()
    expect(page.locator("#pane-B")).to_be_hidden()
    page.locator("#add-pane").click()
    expect(page.locator("#log-B")).to_contain_text("Remember me.")
    page.locator("#add-pane").click()
    expect(page.locator("#log-D")).to_contain_text("not open for this message")
    page.locator("#clear").click()
    page.locator("#clear-yes").click()
    expect(page.locator("#log-A .esc-empty")).to_be_visible()
    earlier = page.locator("#log-A .html-container .esc-past")
    assert earlier.evaluate("box => box.offsetHeight") == 0, "an empty box stands above the hint"
    page.get_by_role("button", name="Undo clear").click()
    expect(page.locator("#log-A")).to_contain_text("Remember me.")
    page.get_by_role("button", name="Edit last message").click()
    expect(page.locator("#message textarea")).to_have_value("Remember me.")
    say(page, "Remember us.")
    expect_state(page, "D", "done")
    expect(page.locator("#log-A .esc-seeker")).to_have_count(1)
    expect(page.locator("#log-A")).to_contain_text("Remember us.")


def test_panes_may_share_one_history(server, open_page):
    page = open_page(server.url)
    page.get_by_role("button", name="Advanced settings").click()
    page.locator("#policy label", has_text="chosen reply").click()
    say(page, "Let us share.")
    expect(page.locator(".esc-mark")).to_have_text("The conversation continues with this reply")
    for name in "ABC":
        expect_state(page, name, "done")
    chosen = page.locator(".esc-pane:has(.esc-mark)").get_attribute("id")[-1]
    other = next(name for name in "ABC" if name != chosen)
    press(page, other, "Continue with this reply")
    expect(newest(page, other)).to_contain_text("continues with this reply")
    words = newest(page, other).locator(".esc-text").inner_text()
    say(page, "And on.")
    expect_state(page, chosen, "done")
    press(page, chosen, "What the model saw ▼")
    expect(page.locator(f"#pane-{chosen} .esc-prompt")).to_contain_text(words)
