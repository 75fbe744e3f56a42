"""The Train tab's handlers and words, over real run folders, without a server."""

import asyncio
import json
import shutil

import gradio as gr
import pytest
import yaml

from esc_demo.dialogue import Message
from esc_demo.errors import BadInput, ConfigError
from esc_demo.models import GenerationParams, StopSignal, Variant
from esc_demo.models.specs import Quantisation
from esc_demo.settings import Settings
from esc_demo.ui.compare import CompareTab
from esc_demo.ui.page import build_app
from esc_demo.ui.train import Training
from esc_demo.ui.train_show import (
    MOST_POINTS,
    curve_data,
    duration,
    progress_line,
    seconds_left,
    state_html,
)
from esc_demo.ui.train_view import build_train_view, recipe_choices
from finetune.job import Jobs, Run
from finetune.opened import spec_of
from finetune.recipes import RECIPE_DIR, recipe_names
from finetune.runs import RunFolder, RunState, RunStatus, Step
from tests.finetune.tiny import make_base, make_recipe
from tests.ui.desk import REQUEST

LORA = "esc-smollm2-lora"


async def lay_out():
    """The components, made inside a running loop, because gradio would leave its own open."""
    with gr.Blocks(analytics_enabled=False):
        return build_train_view()


@pytest.fixture
def tab(desk, tmp_path):
    view = asyncio.run(lay_out())
    return Training(view, Jobs(tmp_path / "runs"), desk.registry, CompareTab(desk.actions, []))


def finished_run(runs, name, recipe=LORA, **changes):
    """What a finished run leaves, without its weights."""
    folder = RunFolder(runs / name)
    folder.adapter.mkdir(parents=True)
    entries = yaml.safe_load((RECIPE_DIR / f"{recipe}.yaml").read_text("utf-8"))
    folder.recipe_file.write_text(yaml.safe_dump({**entries, **changes}), "utf-8")
    figures = {
        "method": "lora",
        "steps": 96,
        "heldout_perplexity_base": 20.5,
        "heldout_perplexity": 12.25,
        "train_seconds": 840,
    }
    folder.metrics_file.write_text(json.dumps(figures), "utf-8")
    folder.set_status(RunState.FINISHED)
    return folder


def test_the_tab_is_on_except_on_a_space_and_can_be_switched(desk, monkeypatch):
    def tabs(settings):
        async def labels():
            page = build_app(settings, desk.store, desk.registry)
            return [block.label for block in page.blocks.values() if isinstance(block, gr.Tab)]

        return asyncio.run(labels())

    monkeypatch.delenv("SPACE_ID", raising=False)
    results = ["Results", "Automatic scores", "Ratings"]
    assert tabs(Settings()) == ["Compare", "Train", *results, "Study", "Admin", "About"]
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    assert tabs(Settings()) == ["Compare", *results, "Study", "Admin", "About"]
    monkeypatch.setenv("ESC_TRAIN_TAB", "1")
    assert "Train" in tabs(Settings())


def test_every_recipe_is_offered_with_method_base_and_place():
    choices = recipe_choices()
    assert {name for _, name in choices} == set(recipe_names())
    assert choices[0] == (f"{LORA} · LoRA · SmolLM2-135M-Instruct · any machine", LORA)


def test_a_recipe_shows_its_plan_and_can_be_started_only_where_it_runs(tab, tmp_path, monkeypatch):
    monkeypatch.setattr("esc_demo.ui.train.gpus_here", lambda: 0)
    setup = tab.view.setup
    frame = tab.choose(LORA)
    assert "135 million parameters" in frame[setup.plan] and "RAM" in frame[setup.plan]
    assert frame[setup.start]["interactive"]

    entries = yaml.safe_load((RECIPE_DIR / f"{LORA}.yaml").read_text("utf-8"))
    big = tmp_path / "big.yaml"
    big.write_text(yaml.safe_dump({**entries, "name": "big", "needs_gpu": True}), "utf-8")
    frame = tab.choose(str(big))
    assert "big needs a CUDA GPU" in frame[setup.plan]
    assert not frame[setup.start]["interactive"]
    assert "big needs a CUDA GPU" in tab.ask(str(big))[setup.notice]

    for name in ("nothing", "", None):
        assert "alert" in tab.choose(name)[setup.plan]
        assert not tab.choose(name)[setup.start]["interactive"]
        assert "alert" in tab.start(name, "", None)[setup.notice]
    assert tab.jobs.runs() == []


def test_the_data_are_checked_before_anything_starts(tab, tmp_path):
    checked = tab.view.setup.checked
    own = tab.check(LORA, "")[checked]
    assert "train: " in own and "held-out: " in own and "No two parts share" in own
    mine = tmp_path / "mine.jsonl"
    turns = [{"role": "seeker", "text": "I am <b>tired</b>."}, {"role": "supporter", "text": "Oh."}]
    mine.write_text(json.dumps({"turns": turns}) + "\n", "utf-8")
    assert "1 dialogues, 2 utterances" in tab.check(LORA, f" {mine} ")[checked]
    mine.write_text('{"turns": "<script>"}\n', "utf-8")
    wrong = tab.check(LORA, str(mine))[checked]
    assert "alert" in wrong and "mine.jsonl" in wrong and "<script>" not in wrong
    assert "alert" in tab.check(LORA, "/nowhere.jsonl")[checked]
    kept = tab.take(str(mine))[tab.view.setup.data]["value"]
    assert kept.endswith(".jsonl") and kept != str(mine)


def test_starting_is_asked_about_with_the_time_the_last_such_run_took(tab, tmp_path):
    setup = tab.view.setup
    frame = tab.ask(LORA)
    assert frame[setup.confirm]["visible"] and "not known yet" in frame[setup.question]
    finished_run(tmp_path / "runs", f"{LORA}-1")
    assert "took about 14 min" in tab.ask(LORA)[setup.question]


def test_without_runs_the_page_says_how_to_begin(tab):
    frame = tab.opened(LORA)
    assert "No runs yet" in frame[tab.view.run.state]
    assert not frame[tab.view.run.picker]["visible"]
    assert not frame[tab.view.timer].active


def test_a_finished_run_is_opened_in_a_closed_pane_and_offered_in_all(tab, desk, tmp_path):
    folder = finished_run(tmp_path / "runs", "Mine-1")
    run = tab.view.run
    frame = tab.pick("Mine-1")
    assert "12.25" in frame[run.state] and "20.50" in frame[tab.view.table]
    assert frame[run.open]["visible"] and not frame[run.resume]["visible"]

    frame = tab.open(REQUEST, "Mine-1")
    assert "open in pane D" in frame[run.notice]
    assert desk.visitor.panes[3] == "run-mine-1"
    for pane in desk.view.panes:
        assert ("LoRA · Mine-1", "run-mine-1") in frame[pane.model]["choices"]
    spec, base = desk.registry.catalogue["run-mine-1"], desk.registry.catalogue["base"]
    assert spec.adapter == str(folder.adapter) and spec.variant is Variant.LORA
    for shared in ("family", "base", "quantisation", "context_length", "device"):
        assert getattr(spec, shared) == getattr(base, shared)

    frame = tab.open(REQUEST, "Mine-1")
    assert "All panes are in use" in frame[run.notice]
    shutil.rmtree(folder.adapter)
    assert "alert" in tab.open(REQUEST, "Mine-1")[run.notice]


def test_another_run_under_the_same_name_is_refused(tab, desk, tmp_path):
    catalogue = desk.registry.catalogue
    spec = spec_of(finished_run(tmp_path, "one"), catalogue)
    catalogue.add(spec)
    catalogue.add(spec)
    with pytest.raises(ConfigError, match="another model 'run-one'"):
        catalogue.add(spec.model_copy(update={"label": "other"}))
    assert catalogue["run-one"] == spec


def test_adapters_on_other_layers_leave_the_weights_in_full_precision(desk, tmp_path):
    shape = {"r": 4, "alpha": 8, "target_modules": ["q_proj", "up_proj"]}
    run = finished_run(tmp_path, "wide", lora=shape)
    assert spec_of(run, desk.registry.catalogue).quantisation is Quantisation.NONE


def test_an_unfinished_run_is_not_opened(desk, tmp_path):
    run = finished_run(tmp_path, "half")
    run.metrics_file.unlink()
    with pytest.raises(BadInput, match="Resume it"):
        spec_of(run, desk.registry.catalogue)


@pytest.mark.weights
def test_full_weights_of_an_unknown_base_are_loaded_from_the_run_and_reply(desk, tmp_path, weights):
    from esc_demo.models.local.model import LocalModels

    base = make_base(tmp_path / "base", weights / "SmolLM2-135M-Instruct")
    run = RunFolder(tmp_path / "runs" / "tiny-full-1")
    shutil.copytree(base, run.weights)
    recipe = make_recipe(tmp_path, base, method="full")
    shutil.copyfile(recipe, run.recipe_file)
    record = {"prompt_hash": "p", "context": "raw", "template_fingerprint": "t"}
    for place in (run.metrics_file, run.weights / "metrics.json"):
        place.write_text(json.dumps(record), "utf-8")
    spec = spec_of(run, desk.registry.catalogue)
    assert (spec.family, spec.context_length, spec.variant) == ("base", 2048, Variant.FULL)
    model = LocalModels(Settings()).load(spec, lambda note: None)
    assert model.trained is not None and model.trained.prompt_hash == "p"
    said = [Message("user", "hello")]
    params = GenerationParams(max_new_tokens=3, min_new_tokens=3, seed=1)
    chunks = list(model.stream(said, params, StopSignal()))
    assert chunks[-1].finish.new_tokens == 3


def steps(count, **changes):
    return [
        Step(step=n, of=96, epoch=0.1, loss=3.0 - n / 100, tokens=n * 100, seconds=float(n))
        for n in range(1, count + 1)
    ]


def test_the_line_of_a_run_says_where_it_is_and_how_long_it_takes():
    slow = [Step(12, 96, 0.4, 2.81, tokens=17_160, seconds=120.0)]
    assert progress_line(slow) == "step 12 of 96 · loss 2.81 · 143 tokens/s · about 14 min left"
    assert progress_line(steps(96)).endswith("measuring and saving")
    watched = [*steps(4), Step(4, 96, 0.2, None, 2.5, tokens=400, seconds=5.0)]
    assert "step 4 of 96 · loss 2.96 · 80 tokens/s" in progress_line(watched)


def test_a_resumed_run_counts_from_its_resumption():
    resumed = [*steps(40), Step(41, 96, 0.4, 2.0, tokens=50, seconds=10.0)]
    assert seconds_left(resumed) is None
    resumed.append(Step(42, 96, 0.4, 2.0, tokens=100, seconds=20.0))
    assert seconds_left(resumed) == pytest.approx(54 * 10)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "less than a minute"),
        (55, "about 1 min"),
        (5000, "about 83 min"),
        (9000, "about 2 h 30 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_long_curves_are_thinned_and_keep_their_newest_point():
    many = [Step(n, 5000, 0.1, 1.0) for n in range(1, 5001)]
    rows = curve_data([*many, Step(5000, 5000, 1.0, None, 2.0)])["data"]
    assert MOST_POINTS / 2 < len(rows) <= MOST_POINTS + 1
    assert rows[-2:] == [[5000, 1.0, "training"], [5000, 2.0, "validation"]]
    assert curve_data(many[:1])["data"][-1] == [1, None, "validation"]


def test_a_failed_run_shows_its_reason_and_its_last_lines_as_text(tmp_path):
    status = RunStatus(RunState.FAILED, "The disk is <full>.")
    run = Run(RunFolder(tmp_path / "one"), status, active=False)
    html = state_html(run, [], "error: <b>", stopping=False)
    assert "Failed before its first step" in html
    assert "The disk is &lt;full&gt;." in html and "error: &lt;b&gt;" in html
