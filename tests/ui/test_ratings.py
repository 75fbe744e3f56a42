"""The ratings section: who may see what, the report, and what lies behind its numbers."""

import asyncio
import json
import sqlite3
import zipfile
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pandas as pd
import pytest
from pydantic import SecretStr

from annotations import Store
from annotations.analysis.synthetic import Design, make_study
from annotations.analysis.tidy import tidy
from annotations.behind import Behind, Chat, Comment
from annotations.values import RaterKind
from esc_demo.dialogue import Role, Turn
from esc_demo.ui.admin_login import Logins
from esc_demo.ui.ratings import Ratings
from esc_demo.ui.ratings_job import Reports, Ticket, read_source, state_of
from esc_demo.ui.ratings_lines import Asked, Order, chosen_lines
from esc_demo.ui.ratings_numbers import lines_of
from esc_demo.ui.ratings_read import list_html, read_html
from esc_demo.ui.ratings_show import PART
from esc_demo.ui.ratings_view import build_ratings_view
from tests.annotations.studies.raters import Rater
from tests.ui.rated_study import EVIL, STRATA, close, rate, write_study
from tests.ui.study_files import ARMS

PASSWORD = "a kettle under the stairs"
COUNT = 6
OUTSIDE = SimpleNamespace(session_hash="somebody")
OWNER = SimpleNamespace(session_hash="the-owner")
PAIR = "+".join(ARMS)


async def lay_out():
    """The components, made inside a running loop, because gradio would leave its own open."""
    with gr.Blocks(analytics_enabled=False):
        return build_ratings_view()


def make_section(url, store):
    """The section, with the owner logged in."""
    logins = Logins(SecretStr(PASSWORD))
    assert logins.log_in(OWNER.session_hash, "10.0.0.1", PASSWORD) == ""
    return Ratings(asyncio.run(lay_out()), store, Reports(store, url), logins)


def text_of(frame):
    """All that a frame sends."""
    return json.dumps([str(value) for value in frame.values()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A closed study, a running one, and one that nobody has answered."""
    folder = tmp_path_factory.mktemp("ratings")
    url = f"sqlite:///{folder}/esc.db"
    write_study(folder, url, "silent", COUNT)
    close(url, "silent")
    write_study(folder, url, "running", COUNT)
    write_study(folder, url, "rated", COUNT)
    rate(folder, url, "rated", COUNT)
    close(url, "rated")
    return folder


@pytest.fixture(scope="module")
def url(folder):
    return f"sqlite:///{folder}/esc.db"


@pytest.fixture(scope="module")
def section(url):
    with Store(url) as store:
        yield make_section(url, store)


@pytest.fixture(scope="module")
def frames(section):
    """All that was shown on the way to the report."""
    return list(section.show(OUTSIDE, "rated"))


@pytest.fixture
def frame(frames):
    return frames[-1]


@pytest.fixture
def made(section, frame):
    return section.reports.kept(frame[section.view.ticket])


def listed(section, frame, *, arm="", find="", order=Order.STUDY.value, kind="human", step=0):
    view, ticket = section.view, frame[section.view.ticket]
    return section.items(OUTSIDE, ticket, kind, arm, find, order, (0, None), step)[view.list.items]


def test_only_closed_studies_are_offered_before_the_login(section):
    view = section.view
    offered = section.look(OUTSIDE, None, None)
    assert [slug for _, slug in offered[view.study]["choices"]] == ["rated", "silent"]
    assert "A running one is not listed" in offered[view.who]
    inside = section.look(OWNER, "running", None)
    assert [slug for _, slug in inside[view.study]["choices"]] == ["rated", "silent", "running"]
    assert inside[view.study]["value"] == "running"
    assert "running studies are listed" in inside[view.who]


def test_a_running_study_is_refused_by_name_and_no_work_is_done(section):
    before = section.reports.analysed
    (frame,) = section.show(OUTSIDE, "running")
    assert "log in on the Admin tab" in frame[section.view.progress]
    assert section.view.report not in frame
    (frame,) = section.show(OUTSIDE, "nothing-of-the-kind")
    assert "There is no study" in frame[section.view.progress]
    (frame,) = section.show(OUTSIDE, None)
    assert "No study is chosen" in frame[section.view.progress]
    assert section.reports.analysed == before


def test_progress_is_said_and_then_the_report_comes_with_the_primary_outcome_first(section, frames):
    view = section.view
    said = "".join(frame[view.progress] for frame in frames[:-1])
    assert "Analysing" in said and "scores and" in said
    assert not frames[0][view.show]["interactive"] and frames[-1][view.show]["interactive"]
    report = frames[-1][view.report]
    primary, rest = report.split('<section class="is-overview">')
    assert "Pre-registered" in primary and f"{ARMS[1]} against {ARMS[0]}" in primary
    assert "Exploratory: everything below" in rest
    assert 'id="human-means"' in rest and "<svg" in rest and "Methods" in rest
    assert "<i>supports</i>" not in report and "&lt;i&gt;supports" in report
    assert "interim" not in report


def test_the_report_is_made_once_for_everybody(section, frame, made):
    before = section.reports.analysed
    *_, again = section.show(SimpleNamespace(session_hash="somebody-else"), "rated")
    assert again[section.view.ticket] == frame[section.view.ticket]
    assert section.reports.analysed == before
    assert made.page.startswith("<!doctype html>")


def test_the_files_of_the_report_come_as_one(section, frame):
    path = Path(frame[section.view.download]["value"])
    assert path.name == "rated-report.zip"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        table = archive.read("report/tables/human-means.csv").decode()
    assert {"report/report.html", "report/report.md", "report/tables/table12.tex"} <= names
    assert table.startswith("arm,dimension,mean,")


def test_only_strata_of_the_study_can_be_chosen(section, frame):
    view = section.view
    names = [name for _, name in frame[view.stratum]["choices"]]
    assert names == ["", *(f"{PAIR} / {stratum}" for stratum in STRATA)]
    *_, wrong = section.filter(OUTSIDE, frame[view.ticket], "../else")
    assert "There is no stratum" in wrong[view.progress] and view.report not in wrong
    *_, gone = section.filter(OUTSIDE, None, "")
    assert "no longer kept" in gone[view.progress]


def test_the_lines_add_up_to_the_report(section, frame, made, folder):
    mine = [line for line in made.lines if line.arm == ARMS[1] and not line.other]
    assert len(mine) == COUNT and all(line.raters == 4 for line in mine)
    with sqlite3.connect(folder / "esc.db") as database:
        won, tied, other = (
            database.execute(
                "SELECT count(*) FROM preference p LEFT JOIN study_reply r"
                " ON r.id = p.preferred_reply_id WHERE " + where
            ).fetchone()[0]
            for where in (
                f"r.arm = '{ARMS[1]}'",
                "p.choice <> 'generation'",
                f"r.arm = '{ARMS[0]}'",
            )
        )
    assert tied >= COUNT  # the fourth rater's
    sums = [sum(getattr(line, name) for line in mine) for name in ("wins", "ties", "losses")]
    assert sums == [won, tied, other]
    frame_of = made.frames.ratings
    one = frame_of[(frame_of["item"] == "item-002") & (frame_of["arm"] == ARMS[1])]
    one = one[one["dimension"] == "comforting"]["score"]
    line = next(line for line in mine if line.item == "item-002")
    assert line.means["comforting"] == pytest.approx(one.mean())
    assert f"<td>{line.means['comforting']:.2f}" in frame[section.view.list.items]


def test_the_list_is_filtered_sorted_and_turned(section, frame, made):
    assert listed(section, frame).count("data-item=") == 2 * COUNT
    one_arm = listed(section, frame, arm=ARMS[0])
    assert one_arm.count("data-item=") == COUNT and f"<small>{ARMS[1]}" not in one_arm
    assert listed(section, frame, find=" ITEM-002 ").count("data-item=") == 2
    nothing = listed(section, frame, find="<x>")
    assert "&lt;x&gt;" in nothing and "data-item" not in nothing
    asked = Asked(RaterKind.HUMAN, "", "", Order.LOWEST)
    means = [made.lines[at].mean for at in chosen_lines(made.lines, asked)]
    assert means == sorted(means) and means[0] < means[-1]
    asked = Asked(RaterKind.HUMAN, "", "", Order.LOST)
    gaps = [made.lines[at].wins - made.lines[at].losses for at in chosen_lines(made.lines, asked)]
    assert gaps == sorted(gaps)
    # Nobody but people answered, whatever the page posts.
    assert listed(section, frame, kind="judge").count("data-item=") == 2 * COUNT


def test_an_arm_in_the_report_leads_to_its_lines(section, frame):
    view, ticket = section.view, frame[section.view.ticket]
    assert f'<button type="button" data-arm="{ARMS[1]}">' in frame[view.report]
    event = SimpleNamespace(arm=ARMS[1], kind="human")
    shown = section.behind(OUTSIDE, ticket, "human", Order.STUDY.value, event)
    assert shown[view.list.arm] == ARMS[1]
    assert shown[view.list.items].count("data-item=") == COUNT
    other = section.behind_arm(OUTSIDE, ticket, "human", Order.STUDY.value, "<nobody>")
    assert other[view.list.arm] == "" and "nobody" not in text_of(other)


def test_a_difference_in_the_report_leads_to_the_pairs_behind_it(section, frame, made):
    view, ticket = section.view, frame[section.view.ticket]
    page, (second, first) = frame[view.report], sorted(ARMS)
    button = f'<button type="button" data-arm="{first}" data-other="{second}"'
    assert f'{button} data-dimension="comforting">' in page  # differences
    assert f"{button}>{first} vs {second}</button>" in page  # preferences
    primary = page.split('<section class="is-overview">')[0]
    assert f'data-kind="human" data-arm="{ARMS[1]}" data-other="{ARMS[0]}"' in primary
    event = SimpleNamespace(arm=first, other=second, dimension="comforting", kind="human")
    shown = section.behind(OUTSIDE, ticket, "human", Order.LOWEST.value, event)
    chosen = [shown[part] for part in (view.list.arm, view.list.other, view.list.dimension)]
    assert chosen == [first, second, "comforting"]
    html = shown[view.list.items]
    assert html.count("data-item=") == COUNT and f"{first} − {second}" in html  # noqa: RUF001
    assert "Comforting</th>" in html and "Suggestion</th>" not in html
    assert "differences in points (scale 0-5)" in html
    # The mean over all pairs is the number in the report.
    asked = Asked(RaterKind.HUMAN, first, "", Order.LOWEST, second, "comforting")
    lines = [made.lines[at] for at in chosen_lines(made.lines, asked)]
    gaps = [line.means["comforting"] for line in lines]
    assert gaps == sorted(gaps) and len(lines) == COUNT
    scores = made.frames.ratings
    scores = scores[(scores["dimension"] == "comforting") & scores["score"].notna()]
    wide = scores.pivot(index=["item", "rater"], columns="arm", values="score").dropna()
    gap = wide[first] - wide[second]
    by_item = gap.groupby("item").mean()
    assert {line.item: line.means["comforting"] for line in lines} == pytest.approx(
        by_item.to_dict()
    )
    with zipfile.ZipFile(made.archive) as archive:
        table = archive.read("report/tables/human-differences.csv").decode().splitlines()
    (row,) = [line.split(",") for line in table if ",comforting," in line]
    assert float(row[2]) == pytest.approx(gap.mean())
    # Behind a line are the two replies, both marked, and what was said of them.
    at = next(at for at, line in enumerate(made.lines) if line is lines[0])
    read = section.read_line(OUTSIDE, ticket, (0, None), at)[view.list.reader]
    assert read.count("is-chosen") == 2 and f"People, {first} − {second} (n=" in read  # noqa: RUF001
    for wrong in ("<nobody>", None, 3):
        other = section.behind_arm(
            OUTSIDE, ticket, "human", Order.STUDY.value, first, wrong, "<nothing>"
        )
        assert other[view.list.other] == other[view.list.dimension] == ""
        assert "nobody" not in text_of(other) and "nothing" not in text_of(other)


def test_the_list_says_the_scale_that_was_used():
    rows = [
        ("j", "judge", "1", arm, "overall", score, "1-5") for arm, score in (("x", 5), ("y", 2))
    ]
    names = ["rater", "rater_kind", "item", "arm", "dimension", "score", "scale"]
    lines = lines_of(tidy(pd.DataFrame(rows, columns=names)))
    html = list_html(lines, Asked(RaterKind.JUDGE, "", "", Order.STUDY), 0, None).html
    assert "Mean scores (1-5) by judges" in html and "0-5" not in html
    html = list_html(lines, Asked(RaterKind.JUDGE, "y", "", Order.STUDY, "x"), 0, None).html
    assert "scale 1-5" in html and "<td>−3.00" in html  # noqa: RUF001


def test_of_three_arms_a_pair_shows_only_its_own_replies():
    frames = make_study(Design(items=3, raters=9, per_task=3, effects={"a": 0, "b": 1, "c": 2}), 5)
    lines = lines_of(frames)
    chosen = next(line for line in lines if (line.arm, line.other) == ("c", "a"))
    said = (
        Comment("j", RaterKind.JUDGE, "c and a", "Of both."),
        Comment("j", RaterKind.JUDGE, "b", "Of the third."),
    )
    texts = (("a", "One."), ("b", "Two."), ("c", "Three."))
    behind = Behind(chosen.item, "", (), texts, (), said)
    html = read_html(behind, frames, lines, chosen, inside=True)
    assert "Three." in html and "One." in html and "Two." not in html
    assert "Of both." in html and "Of the third." not in html
    assert "<td>b</td>" not in html and "<td>c</td>" in html


def line_of(made, item, arm):
    return next(at for at, line in enumerate(made.lines) if (line.item, line.arm) == (item, arm))


def test_behind_a_line_are_conversation_replies_and_every_answer_as_text(section, frame, made):
    view, ticket = section.view.list, frame[section.view.ticket]
    event = SimpleNamespace(item=line_of(made, "item-002", ARMS[1]))
    shown = section.read(OUTSIDE, ticket, (0, None), event)
    html = shown[view.reader]
    assert shown[view.page] == (0, event.item)
    assert "Day 1 without sleep." in html and "Night 1 sounds endless." in html
    assert f'is-chosen" aria-current="true"><h4>{ARMS[1]}' in html
    assert "<script>" not in html and "&lt;script&gt;alert(1)" in html  # of the reply
    for rater in ("P001", "P002", "P003", "P004"):
        assert html.count(f'<th scope="row">{rater}</th>') in (0, 2)
    assert html.count('<tr class="is-human">') == 8
    assert f"preferred to {ARMS[0]}" in html or f"{ARMS[1]} preferred" in html
    assert f"tie with {ARMS[0]}" in html
    for wrong in (None, -1, 10**6, "1"):
        said = section.read_line(OUTSIDE, ticket, (0, None), wrong)[view.reader]
        assert "no such line" in said


def test_comments_are_for_the_owner_only(section, frame, made):
    view, ticket = section.view.list, frame[section.view.ticket]
    line = line_of(made, "item-001", ARMS[1])
    outside = section.read_line(OUTSIDE, ticket, (0, None), line)[view.reader]
    inside = section.read_line(OWNER, ticket, (0, None), line)[view.reader]
    escaped = EVIL.replace("<", "&lt;").replace(">", "&gt;")
    assert outside.count(escaped) == 1  # the reply
    assert "shown after the login" in outside
    assert inside.count(escaped) == 2 and "<b>boss</b>" not in inside


def with_judge(aspects=("",)):
    """Frames with a judge who compares in both orders, and plants a control."""
    frames = make_study(Design(items=3, raters=4, per_task=3), 5)
    judged = [
        {
            **{"rater": "judge-a", "rater_kind": "judge", "item": "item-001"},
            **{"arm_a": "base", "arm_b": "lora", "side_a": side, "choice": choice},
            **{"aspect": aspect, "control": control},
        }
        for aspect in aspects
        for control in ("", "gold")
        for side, choice in (("left", "base"), ("right", "lora"))
    ]
    ratings = frames.ratings.rename(columns={"words": "reply_words"})
    planted = ratings[ratings["rater_kind"] == "judge"].head(1).assign(control="gold")
    failed = ratings["rater_kind"].eq("judge") & ratings["item"].eq("item-002")
    ratings.loc[failed, ["status", "score"]] = ["parse_error", float("nan")]
    preferences = pd.concat([frames.preferences, pd.DataFrame(judged)]).fillna(
        {
            "study": "synthetic",
            "stratum": "",
            "sample": "",
            "crisis": "",
            "control": "",
            "aspect": "",
        }
    )
    return tidy(pd.concat([ratings, planted]), preferences)


def test_judges_have_lines_of_their_own_without_controls_and_with_orders_merged():
    frames = with_judge()
    lines = lines_of(frames)
    judges = [line for line in lines if line.kind is RaterKind.JUDGE]
    mine = {(line.item, line.arm): line for line in judges if not line.other}
    assert len(mine) == 6
    against = {(line.item, line.arm, line.other): line for line in judges if line.other}
    assert set(against) == {(item, arm, {"base": "lora", "lora": "base"}[arm]) for item, arm in mine
                            if item != "item-002"}  # fmt: skip
    up, down = against["item-001", "lora", "base"], against["item-001", "base", "lora"]
    assert (up.wins, up.ties, up.losses) == (0, 1, 0) and up.means["comforting"] == (
        mine["item-001", "lora"].means["comforting"] - mine["item-001", "base"].means["comforting"]
    )
    assert down.means == {name: -value for name, value in up.means.items()}
    one = mine["item-001", "base"]
    assert (one.wins, one.ties, one.losses, one.raters) == (0, 1, 0, 1)  # it followed the side
    assert mine["item-002", "lora"].unknown == 4 and not mine["item-002", "lora"].means
    listed = list_html(lines, Asked(RaterKind.JUDGE, "", "", Order.LOWEST), 0, None).html
    assert listed.count("data-item") == 6 and "4 without score" in listed and "by judges" in listed
    last = chosen_lines(lines, Asked(RaterKind.JUDGE, "", "", Order.HIGHEST))[-1]
    assert lines[last].item == "item-002"


def test_a_judges_reasons_are_public_but_for_chats():
    frames = with_judge(("", "warmth"))
    lines = lines_of(frames)
    said = (Comment("judge-a", RaterKind.JUDGE, "lora", "Too <short>."),)
    behind = Behind("item-001", "", (), (("base", "Yes."), ("lora", "No.")), (), said)
    html = read_html(behind, frames, lines, lines[0], inside=False)
    assert "Too &lt;short&gt;." in html
    assert "preferred to lora (base first)" in html and "warmth: lora preferred" in html
    assert html.count('<tr class="is-judge"><th scope="row">judge-a</th>') == 2
    chat = Chat("P001", "lora", (Turn(Role.SEEKER, "My own words."),))
    live = Behind("item-001", "A row.", (), (), (chat,), said)
    outside = read_html(live, frames, lines, lines[0], inside=False)
    assert "My own words" not in outside and "Too" not in outside
    assert "My own words" in read_html(live, frames, lines, lines[0], inside=True)


def test_the_owner_sees_interim_results_of_a_stratum_which_go_with_the_login(tmp_path):
    url = f"sqlite:///{tmp_path}/esc.db"
    write_study(tmp_path, url, "running", 4)
    with Store(url) as store:
        one = Rater(store.desk(), "running")
        store.desk().consent("running", one.key, 4)
        one.work()
        section = make_section(url, store)
        view = section.view
        stratum = f"{PAIR} / {STRATA[1]}"
        *_, frame = section.filter(OWNER, Ticket("running", "", ""), stratum)
        report, ticket = frame[view.report], frame[view.ticket]
        assert PART in report and f"Only the stratum {stratum!r}" in unescape(report)
        lines = section.reports.kept(ticket).lines
        assert {line.item for line in lines} == {"item-002", "item-004"}
        assert "is-interim" in report and "interim results" in report
        assert "[no interval]" in report and "1 rater" in report  # what one person leaves undefined
        listing = (ticket, "human", "", "", Order.STUDY.value, (0, None), 0)
        assert "data-item" in section.items(OWNER, *listing)[view.list.items]
        assert "<h4>" in section.read_line(OWNER, ticket, (0, None), 0)[view.list.reader]
        # Another page that came by the ticket is told nothing.
        refused = [
            section.read_line(OUTSIDE, ticket, (0, None), 0),
            section.items(OUTSIDE, *listing),
            section.behind_arm(OUTSIDE, ticket, "human", Order.STUDY.value, ARMS[0]),
            *section.filter(OUTSIDE, ticket, ""),
            section.look(OUTSIDE, None, ticket),
        ]
        for frame in refused:
            assert not any(arm in text_of(frame) for arm in ARMS)
        assert refused[-1][view.report] == "" and not refused[-1][view.group]["visible"]
        left = section.forget(OWNER, "running")
        assert left[view.report] == "" and left[view.ticket] is None
        assert left[view.study]["choices"] == []
        assert "1 study is running" in left[view.empty]
        # With the end of the study another report is due, which everybody may see.
        close(url, "running")
        assert state_of(*read_source(store, "running")) != ticket.state


def test_without_a_study_or_without_an_answer_it_says_so(tmp_path, section):
    url = f"sqlite:///{tmp_path}/esc.db"
    with Store(url) as store:
        bare = make_section(url, store)
        assert "No ratings yet" in bare.look(OUTSIDE, None, None)[bare.view.empty]
    *_, frame = section.show(OUTSIDE, "silent")
    assert "There are no answers yet" in frame[section.view.report]
    assert "Nothing has been answered" in frame[section.view.list.items]


def test_a_failed_analysis_is_told_and_can_be_tried_again(section, monkeypatch):
    monkeypatch.setattr("esc_demo.ui.ratings_job._COMMAND", "import sys; sys.exit('broken')")
    monkeypatch.setattr(section.reports, "_kept", type(section.reports._kept)())
    *_, frame = section.show(OUTSIDE, "silent")
    assert "The analysis failed" in frame[section.view.progress]
    assert frame[section.view.show]["interactive"]
    monkeypatch.undo()
    *_, frame = section.show(OUTSIDE, "silent")
    assert frame[section.view.progress] == ""
