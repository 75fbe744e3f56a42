"""The Results tab over real files of replies: its handlers and words, and the running app."""

import asyncio
import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio_client import Client

from esc_demo.settings import Settings
from esc_demo.ui.page import build_app
from esc_demo.ui.results import Results
from esc_demo.ui.results_plot import COLOURS, FEW
from esc_demo.ui.results_read import Order, chosen_items
from esc_demo.ui.results_runs import EVERY_GROUP, find_runs
from esc_demo.ui.results_table import ALL
from esc_demo.ui.results_view import FILES, build_results_view
from finetune.metrics.resources import Missing, Resources
from tests.finetune.metrics.runfiles import write_dialogues, write_run
from tests.ui.app_server import run_server

EVIL = "<script>alert(1)</script> {{this}} ${1} are <b>you</b> fine?"
GOOD, SHORT, OTHER = "generated/good.jsonl", "generated/short.jsonl", "generated/other.jsonl"


def short(item):
    """Fails once, says nothing once, and says something wicked in the first dialogue."""
    told = {"prompt_tokens": 20, "hypothesis": EVIL if item.key.dialogue == "talk-0" else "hard"}
    if tuple(item.key) == ("talk-1", 1):
        told |= {"hypothesis": " "}
    if tuple(item.key) == ("talk-2", 0):
        told |= {"status": "failed", "error": "<i>gone</i>", "messages": None, "hypothesis": ""}
    return told


def write_runs(folder):
    """Two runs of one protocol, one of another, and files that are none."""
    data = write_dialogues(folder / "talks.jsonl")
    runs = folder / "runs" / "generated"
    runs.mkdir(parents=True)
    write_run(runs / "good.jsonl", data, lambda item: {"hypothesis": item.reference}, model="lora")
    write_run(runs / "short.jsonl", data, short, context="KeyPOS", model="base")
    write_run(runs / "other.jsonl", data, short, mode="auto", params={"temperature": 1, "seed": 3})
    lines = (runs / "good.jsonl").read_text("utf-8").splitlines(keepends=True)
    (runs / "half.jsonl").write_text("".join(lines[:5]), "utf-8")
    (folder / "runs" / "progress.jsonl").write_text('{"step": 1}\n', "utf-8")
    (folder / "runs" / "broken.jsonl").write_bytes(b"\xff\xfe\n")
    (folder / "runs" / "odd.jsonl").write_text('{"kind": "esc-replies", "model": 3}\n', "utf-8")
    return data


async def lay_out(local):
    """The components, made inside a running loop, because gradio would leave its own open."""
    with gr.Blocks(analytics_enabled=False):
        return build_results_view(local=local)


def make_tab(folder, *, local=True):
    return Results(asyncio.run(lay_out(local)), folder / "runs", local=local)


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """No WordNet and no GloVe: quick, and with reasons to show."""
    bare = Resources(Missing("WordNet", "get <WordNet>"), Missing("GloVe", "get GloVe"))
    monkeypatch.setattr("finetune.metrics.tables.find_resources", lambda settings: bare)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_runs(folder)
    return folder


@pytest.fixture(scope="module")
def tab(folder):
    return make_tab(folder)


def scored(tab, picked=(GOOD, SHORT), profile="esconv", draws=2000, data=""):
    """The last frame of scoring."""
    *_, frame = tab.score(list(picked), profile, draws, data)
    return frame


@pytest.fixture(scope="module")
def frame(tab, folder):
    with pytest.MonkeyPatch.context() as patch:
        bare = Resources(Missing("WordNet", "get <WordNet>"), Missing("GloVe", "get GloVe"))
        patch.setattr("finetune.metrics.tables.find_resources", lambda settings: bare)
        return scored(tab, data=str(folder / "talks.jsonl"))


@pytest.fixture
def kept(tab, frame):
    return tab._scorer().kept(frame[tab.view.asked])


def test_the_tab_is_there_on_a_space_too(desk, monkeypatch):
    async def labels():
        page = build_app(Settings(), desk.store, desk.registry)
        return [block.label for block in page.blocks.values() if isinstance(block, gr.Tab)]

    monkeypatch.setenv("SPACE_ID", "somebody/space")
    parts = ["Automatic scores", "Ratings"]
    assert asyncio.run(labels()) == ["Compare", "Results", *parts, "Study", "Admin", "About"]


def test_runs_are_found_named_and_grouped(folder):
    found = find_runs(folder / "runs")
    assert {run.name for run in found.ready} == {GOOD, SHORT, OTHER}
    assert [(run.name, run.replies, run.items) for run in found.unfinished] == [
        ("generated/half.jsonl", 4, 12)
    ]
    by_name = {run.name: run for run in found.ready}
    assert by_name[SHORT].label == "base · KeyPOS · prompt on"
    assert by_name[GOOD].group == by_name[SHORT].group
    assert by_name[OTHER].group == ("talks.jsonl · 4 dialogues, 12 replies · own history · seed 3")


def test_without_runs_the_tab_says_what_makes_one(tmp_path):
    tab = make_tab(tmp_path)
    frame = tab.look(None, None)
    assert "python -m finetune generate" in frame[tab.view.choose.empty]
    assert not frame[tab.view.choose.form]["visible"]


def test_refresh_finds_new_runs_and_keeps_the_choice(tmp_path):
    data = write_runs(tmp_path)
    tab = make_tab(tmp_path)
    choose = tab.view.choose
    group = next(run.group for run in find_runs(tmp_path / "runs").ready if run.name == GOOD)
    first = tab.look(group, [GOOD])
    assert first[choose.runs]["value"] == [GOOD] and len(first[choose.runs]["choices"]) == 2
    assert "half.jsonl (4 of 12 replies)" in first[choose.unfinished]
    twin = tmp_path / "runs" / "generated" / "twin.jsonl"
    write_run(twin, data, lambda item: "yes", model="lora")
    again = tab.look(group, [GOOD])
    assert again[choose.runs]["value"] == [GOOD]
    assert [label for label, _ in again[choose.runs]["choices"] if "lora" in label] == [
        "lora · Raw · prompt on · good",
        "lora · Raw · prompt on · twin",
    ]
    every = tab.filter(EVERY_GROUP)[choose.runs]
    assert len(every["choices"]) == 4 and all(
        "talks.jsonl" in label for label, _ in every["choices"]
    )
    assert len(tab.choose_all(group)[choose.runs]["value"]) == 3


@pytest.mark.parametrize(
    ("picked", "profile", "draws", "said"),
    [
        ([], "esconv", 2000, "No run is chosen"),
        (["../../etc/passwd"], "esconv", 2000, "gone or unfinished"),
        (["generated/half.jsonl"], "esconv", 2000, "gone or unfinished"),
        ([GOOD], "bleu", 2000, "no metric profile"),
        ([GOOD], "esconv", 10**9, "draws are not offered"),
        ([GOOD, OTHER], "esconv", 2000, "mode is None and auto"),
    ],
)
def test_what_cannot_be_scored_is_said(tab, picked, profile, draws, said):
    frame = scored(tab, picked, profile, draws)
    shown = frame[tab.view.choose.progress]
    assert 'role="alert"' in shown and said in shown
    assert tab.view.show.table not in frame


def test_only_visitors_who_may_train_name_files(folder):
    wrong = scored(make_tab(folder), [GOOD], data="/nowhere.jsonl")
    assert "nowhere" in str(wrong)
    tab = make_tab(folder, local=False)
    frame = scored(tab, [GOOD], data="/nowhere.jsonl")
    assert "nowhere" not in frame[tab.view.choose.progress]
    assert "name that file with --data" in frame[tab.view.show.table]


def test_progress_is_shown_and_scores_are_kept(folder, monkeypatch):
    monkeypatch.setattr("esc_demo.ui.results.LOOK_S", 0.001)
    tab = make_tab(folder)
    first, *_, last = tab.score([GOOD, SHORT], "esconv", 2000, "")
    assert 'role="progressbar"' in first[tab.view.choose.progress]
    assert not first[tab.view.choose.score]["interactive"]
    assert last[tab.view.choose.score]["interactive"]
    assert len(list(tab.score([GOOD, SHORT], "esconv", 2000, ""))) == 1  # kept: at once
    run = folder / "runs" / "generated" / "good.g.json"
    run.write_text('{"g_score": 80}', "utf-8")
    assert len(list(tab.score([GOOD, SHORT], "esconv", 2000, ""))) > 1  # a file beside it is new
    run.unlink()


def test_the_table_has_intervals_baselines_marks_and_reasons(tab, frame, kept):
    html = frame[tab.view.show.table]
    assert html.count('class="is-run"') == 2 and html.count('class="is-baseline"') == 4
    row = next(row for row in kept.table.rows if row.about.get("context") == "KeyPOS")
    ends = row.intervals["ROUGE-L"]
    assert f"<small>{ends.low:.2f} to {ends.high:.2f}</small>" in html
    assert re.search(r'<td class="is-best"><b>100\.00</b>.*?best run', html)
    assert "get &lt;WordNet&gt;" in html and "<WordNet>" not in html
    assert "1 failed" in html
    assert "Distinct-1" not in html
    assert "Distinct-1" in tab.columns(frame[tab.view.asked], ALL)[tab.view.show.table]
    header = frame[tab.view.show.header]
    assert "run-good" in header and "nltk" in header and "2,000 replicates" in header
    assert "p 0.0" in frame[tab.view.show.differences]


def test_a_baseline_above_every_run_is_marked(tmp_path):
    data = write_dialogues(tmp_path / "talks.jsonl")
    (tmp_path / "runs").mkdir()
    write_run(tmp_path / "runs" / "zero.jsonl", data, lambda item: "zzz")
    tab = make_tab(tmp_path)
    html = scored(tab, ["zero.jsonl"])[tab.view.show.table]
    assert "▲" in html.split("</table>")[0]
    assert "★" not in html.split("</table>")[0]  # nothing to be the best of


def drawn(update):
    assert update["visible"]
    return json.loads(update["value"].plot)


def test_quality_is_drawn_against_tokens_kept(tab, frame, kept):
    figure = drawn(frame[tab.view.show.plot])
    marks = {mark["name"]: mark for mark in figure["data"] if "name" in mark}
    good, base = marks["lora · Raw · prompt on"], marks["base · KeyPOS · prompt on"]
    assert (good["x"], good["y"]) == ([75], [100]) and base["x"] == [50]
    row = next(row for row in kept.table.rows if row.about.get("context") == "KeyPOS")
    ends = row.intervals["ROUGE-L"]
    assert base["y"][0] + base["error_y"]["array"][0] == pytest.approx(ends.high, abs=1e-3)
    assert base["y"][0] - base["error_y"]["arrayminus"][0] == pytest.approx(ends.low, abs=1e-3)
    assert good["marker"]["color"] != base["marker"]["color"]
    assert good["marker"]["symbol"] != base["marker"]["symbol"]
    words = frame[tab.view.show.caption]
    assert "100.00" in words and "75.0 %" in words and "50.0 %" in words
    place = (0, None)
    other = tab.charts(frame[tab.view.asked], "BLEU-2", "stage", "", Order.DATA.value, place)
    assert drawn(other[tab.view.show.plot])["layout"]["yaxis"]["title"]["text"] == "BLEU-2"


def test_slices_are_drawn_with_counts_and_the_small_ones_marked(tab, frame):
    asked, show = frame[tab.view.asked], tab.view.show
    assert frame[show.by]["choices"] == ["scenario", "strategy", "stage"]
    shown = tab.charts(asked, "ROUGE-L", "scenario", "", Order.DATA.value, (0, None))
    figure = drawn(shown[show.bars])
    assert [bar["name"] for bar in figure["data"]] == [
        "lora · Raw · prompt on",
        "base · KeyPOS · prompt on",
    ]
    assert figure["data"][0]["y"] == ["sleep<br>(n = 6, few)", "work<br>(n = 6, few)"]
    assert max(figure["data"][0]["marker"]["opacity"]) < 1
    assert f"fewer than {FEW} dialogues" in shown[show.bars_text]
    assert ">few<" in shown[show.bars_text]
    none = tab.charts(asked, "Distinct-2", "scenario", "", Order.DATA.value, (0, None))
    assert not none[show.bars]["visible"] and "unlike size" in none[show.bars_text]


def test_the_list_is_filtered_and_sorted(tab, frame, kept):
    asked, read = frame[tab.view.asked], tab.view.read

    def dialogues(find, order):
        return [kept.items[at].key for at in chosen_items(kept, find, order, "ROUGE-L")]

    assert len(dialogues("", Order.DATA)) == 12
    places = [int(at) for at in re.findall(r'data-item="(\d+)"', frame[read.items])]
    assert places == list(range(10))
    assert {key.dialogue for key in dialogues(" TALK-2 ", Order.DATA)} == {"talk-2"}
    means = [
        sum(kept.each[run.label]["ROUGE-L"][at] for run in kept.runs)
        for at in chosen_items(kept, "", Order.WORST, "ROUGE-L")
    ]
    assert means == sorted(means) and means[0] < means[-1]
    assert dialogues("", Order.BEST)[0] != dialogues("", Order.WORST)[0]
    first = tab.items(asked, "", Order.DATA, "ROUGE-L", (0, None), 0)
    assert first[read.items].count("data-item=") == 10 and first[read.on]["interactive"]
    second = tab.items(asked, "", Order.DATA, "ROUGE-L", (0, None), 1)
    assert second[read.items].count("data-item=") == 2 and not second[read.on]["interactive"]
    nothing = tab.items(asked, "<x>", Order.DATA, "ROUGE-L", (0, None), 0)[read.items]
    assert "&lt;x&gt;" in nothing and "data-item" not in nothing


def test_replies_are_read_side_by_side_as_text(tab, frame):
    asked, read = frame[tab.view.asked], tab.view.read
    shown = tab.read(asked, "ROUGE-L", (0, None), SimpleNamespace(item=1))[read.reader]
    assert "<script>" not in shown and "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert shown.count('class="esc-answer') == 3 and "Reference" in shown
    assert "I worry about my job on day 0 1" in shown
    failed = tab.read_item(asked, "ROUGE-L", (0, None), 6)[read.reader]
    assert "This reply failed." in failed and "&lt;i&gt;gone" in failed
    for wrong in (None, -1, 12, "1"):
        assert "no such reply" in tab.read_item(asked, "ROUGE-L", (0, None), wrong)[read.reader]


def test_a_file_that_changed_is_not_read_as_if_it_had_not(tmp_path):
    write_runs(tmp_path)
    tab = make_tab(tmp_path)
    frame = scored(tab)
    (tmp_path / "runs" / GOOD).write_text("{}\n", "utf-8")
    shown = tab.read_item(frame[tab.view.asked], "ROUGE-L", (0, None), 0)[tab.view.read.reader]
    assert "has changed since it was scored" in shown
    assert "no longer kept" in tab.columns(None, ALL)[tab.view.show.table]


def test_every_format_can_be_downloaded(tab, frame):
    files = [Path(frame[button]["value"]) for button in tab.view.show.files]
    assert [file.name for file in files] == list(FILES)
    with files[0].open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["label" if "label" in line else "row"] for line in lines} >= {
        "lora · Raw · prompt on",
        "constant sentence",
    }
    assert "\\toprule" in files[1].read_text("utf-8")
    assert json.loads(files[3].read_text("utf-8"))["rows"][0]["metrics"]["ROUGE-L"]["low"] == 100


def test_the_other_profile(tab):
    frame = scored(tab, profile="nlpcc2025")
    html = frame[tab.view.show.table]
    assert "Total w/o G" in html and "Tokens kept (%)" in html
    assert drawn(frame[tab.view.show.plot])["data"]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("card", ["#fffdf9", "#1a2326"])
def test_colours_can_be_seen_by_day_and_by_night(colour, card):
    dark, light = sorted((luminance(colour), luminance(card)))
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_a_program_finds_scores_and_downloads(tmp_path):
    write_runs(tmp_path)
    running = run_server(tmp_path, cwd=tmp_path, ESC_SCRIPTED="1")
    server = next(running)
    try:
        client = Client(server.url, verbose=False)
        assert "generated/" in str(client.predict(None, [], api_name="/find_runs"))
        found = find_runs(tmp_path / "runs")
        group = next(run.group for run in found.ready if run.name == GOOD)
        assert SHORT in str(client.predict(group, [GOOD], api_name="/find_runs"))
        result = client.predict([GOOD, SHORT], "esconv", 2000, "", api_name="/score_runs")
        assert any(isinstance(one, str) and "is-baseline" in one for one in result)
        paths = [one for one in map(str, result) if one.endswith("table.csv")]
        assert paths or any("table.csv" in str(one) for one in result)
    finally:
        running.close()
