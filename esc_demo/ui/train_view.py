"""The components of the Train tab, laid out; what they do is wired in `train`."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from esc_demo.errors import EscError
from esc_demo.ui.html import plain_html
from finetune.recipes import Method, Recipe, load_recipe, recipe_names

FIRST = "esc-smollm2-lora"
"""The recipe shown first: it runs on any machine."""

TICK_S = 2.0
"""Seconds between two looks at a run that is going on."""

_METHODS = {Method.LORA: "LoRA", Method.QLORA: "QLoRA", Method.FULL: "full"}

_INTRO = """<p class="esc-hint">A training runs in a process of its own, one at a time, with low
priority: the page stays usable, and closing it does not end the training.</p>"""

_DATA_INFO = (
    "Leave it empty for the recipe's dialogues. Accepted: JSONL with one dialogue a line, each with"
    ' "turns" of "role" (seeker or supporter) and "text"; and the files of ESConv, ExTES and NLPCC'
    " as published. What the run is measured on stays the recipe's."
)


@dataclass(frozen=True)
class SetupView:
    """Choosing what to train."""

    recipe: gr.Dropdown
    data: gr.Textbox
    upload: gr.UploadButton
    check: gr.Button
    checked: gr.HTML
    plan: gr.HTML
    start: gr.Button
    confirm: gr.Row
    question: gr.HTML
    yes: gr.Button
    no: gr.Button
    notice: gr.HTML


@dataclass(frozen=True)
class RunView:
    """One run: how it stands, its curve, and what can be done with it."""

    picker: gr.Dropdown
    state: gr.HTML
    curve: gr.LinePlot
    reading: gr.HTML
    stop: gr.Button
    resume: gr.Button
    open: gr.Button
    confirm: gr.Row
    question: gr.HTML
    yes: gr.Button
    no: gr.Button
    notice: gr.HTML


@dataclass(frozen=True)
class TrainView:
    """All components of the tab."""

    setup: SetupView
    run: RunView
    table: gr.HTML
    timer: gr.Timer
    shown: gr.State
    """What the curve of this page was drawn from, so that it is redrawn only with news."""


def build_train_view() -> TrainView:
    """Lay out the tab in the present block."""
    with gr.Row(elem_classes="esc-train", equal_height=False):
        with gr.Column(elem_classes="esc-card", min_width=290):
            setup = _build_setup()
        with gr.Column(elem_classes="esc-card", elem_id="run", min_width=290):
            run = _build_run()
    with gr.Column(elem_classes="esc-card esc-runs"):
        plain_html("<h2>All runs</h2>", elem_classes="esc-card-title")
        table = plain_html("", elem_id="runs-table")
    return TrainView(setup, run, table, gr.Timer(TICK_S, active=False), gr.State(()))


def _build_setup() -> SetupView:
    """Recipe, data, plan and start."""
    plain_html(f"<h2>New run</h2>{_INTRO}", elem_classes="esc-card-title")
    recipe = gr.Dropdown(
        recipe_choices(),
        value=FIRST if FIRST in recipe_names() else None,
        allow_custom_value=True,
        label="Recipe",
        info="Pick one, or type the path of a YAML file of your own and press Enter.",
        elem_id="recipe",
    )
    data = gr.Textbox(
        label="Your own training data (optional)",
        info=_DATA_INFO,
        placeholder="my-dialogues.jsonl",
        lines=1,
        elem_id="train-data",
    )
    with gr.Row(elem_classes="esc-toolbar"):
        upload = gr.UploadButton("Upload a file", file_types=[".jsonl", ".json"], size="sm")
        check = gr.Button("Check the data", size="sm", elem_id="check-data")
    checked = plain_html("", elem_id="data-report")
    plan = plain_html("", elem_id="plan")
    with gr.Column(elem_classes="esc-go"):  # one place: the focus stays in it
        with gr.Row(elem_classes="esc-toolbar"):
            start = gr.Button(
                "Start training", variant="primary", elem_id="start-run", interactive=False
            )
        confirm, question, yes, no = _confirmation("Yes, start", "Not now", "start")
    notice = plain_html("", elem_id="train-notice")
    return SetupView(
        recipe, data, upload, check, checked, plan, start, confirm, question, yes, no, notice
    )


def _build_run() -> RunView:
    """A picker over all runs, and the one that is picked."""
    plain_html("<h2>Runs</h2>", elem_classes="esc-card-title")
    picker = gr.Dropdown([], value=None, label="Run", visible=False, elem_id="run-picker")
    state = plain_html("", elem_id="run-state")
    curve = gr.LinePlot(
        x="step",
        y="loss",
        color="part",
        title="Loss by step (nats a reply token)",
        x_title="step",
        y_title="loss",
        color_title=" ",
        color_map={"training": "#3d8f8a", "validation": "#c2752b"},
        height=260,
        visible=False,
        container=False,
        elem_id="curve",
    )
    reading = plain_html("", elem_id="curve-text")
    with gr.Column(elem_classes="esc-go"):
        with gr.Row(elem_classes="esc-toolbar"):
            stop = gr.Button("Stop", size="sm", visible=False, elem_id="stop-run")
            resume = gr.Button("Resume", size="sm", visible=False, elem_id="resume-run")
            open_ = gr.Button(
                "Open as a new pane",
                size="sm",
                variant="primary",
                visible=False,
                elem_id="open-run",
            )
        confirm, question, yes, no = _confirmation("Yes, stop", "Keep training", "stop")
    notice = plain_html("", elem_id="run-notice")
    return RunView(
        picker, state, curve, reading, stop, resume, open_, confirm, question, yes, no, notice
    )


def _confirmation(yes: str, no: str, name: str) -> tuple[gr.Row, gr.HTML, gr.Button, gr.Button]:
    """A question that stands between a button and what it does."""
    with gr.Row(visible=False, elem_classes="esc-confirm", elem_id=f"confirm-{name}") as row:
        question = plain_html("")
        variant = "stop" if name == "stop" else "primary"
        accept = gr.Button(yes, size="sm", variant=variant, elem_id=f"{name}-yes")
        refuse = gr.Button(no, size="sm")
    return row, question, accept, refuse


def recipe_choices() -> list[tuple[str, str]]:
    """The shipped recipes with method, base and where they run, those for any machine first."""
    found: list[tuple[bool, str, str]] = []
    for name in recipe_names():
        try:
            recipe = load_recipe(name)
        except EscError:
            found.append((True, name, name))  # picking it says what is wrong
            continue
        found.append((recipe.needs_gpu, recipe_label(recipe), name))
    found.sort(key=lambda one: (one[0], one[2] != FIRST, one[2]))
    return [(label, name) for _, label, name in found]


def recipe_label(recipe: Recipe) -> str:
    """Name, method, base and where it can run."""
    where = "any machine"
    if recipe.needs_gpu:
        where = "a GPU" if recipe.gpus == 1 else f"{recipe.gpus} GPUs"
    base = recipe.base.rstrip("/").rsplit("/", 1)[-1]
    return f"{recipe.name} · {_METHODS[recipe.method]} · {base} · {where}"
