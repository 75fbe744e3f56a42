"""The components of the Results tab, laid out; what they do is wired in `results`."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from esc_demo.ui.html import plain_html
from esc_demo.ui.results_read import PICK_JS, Order
from esc_demo.ui.results_table import ALL, MAIN

PROFILES = [
    ("ESConv: corpus BLEU, Treebank tokens", "esconv"),
    ("NLPCC 2025: the official script", "nlpcc2025"),
]
DRAWS = [("2,000", 2000), ("10,000 (slower)", 10_000)]

EMPTY = """<div class="esc-run-empty"><p class="esc-empty-title">No generated replies yet</p>
<p>Let models answer a data set first, once for every model, context and prompt to compare:</p>
<pre class="esc-prompt" tabindex="0">python -m finetune generate --model base --data \
finetune/corpus/heldout.json --context raw
python -m finetune generate --model lora --data finetune/corpus/heldout.json --context raw
python -m finetune generate --model lora --data finetune/corpus/heldout.json --context keypos</pre>
<p>The files go to runs/generated and appear here after Refresh.</p></div>"""

_WHAT = """<p class="esc-hint">Replies that were generated for evaluation, scored in one table
with trivial baselines. Differences are to the run that is chosen first.</p>"""

_DATA_INFO = (
    "Two of the baselines need what was said before. The project's own parts are found without it."
)

PICTURE_JS = "() => document.querySelector('#trade-off [data-title^=\"Download plot\"]')?.click()"
"""The button does what the camera in the plot's bar of tools does, for the keyboard too."""

SHOW_READER_JS = "() => document.getElementById('reader')?.scrollIntoView({block: 'nearest'})"

FILES = {
    "table.csv": "CSV",
    "table.tex": "LaTeX",
    "table.md": "Markdown",
    "table.json": "JSON",
    "slices.csv": "Slices (CSV)",
}
"""Written files and the labels of their buttons."""


@dataclass(frozen=True)
class ChooseView:
    """Choosing runs and scoring them."""

    empty: gr.HTML
    form: gr.Column
    group: gr.Dropdown
    refresh: gr.Button
    every: gr.Button
    none: gr.Button
    runs: gr.CheckboxGroup
    unfinished: gr.HTML
    profile: gr.Radio
    draws: gr.Radio
    data: gr.Textbox
    score: gr.Button
    progress: gr.HTML


@dataclass(frozen=True)
class ShowView:
    """The scores as table and charts."""

    group: gr.Column
    columns: gr.Radio
    table: gr.HTML
    differences: gr.HTML
    header: gr.HTML
    files: tuple[gr.DownloadButton, ...]
    metric: gr.Dropdown
    plot: gr.Plot
    caption: gr.HTML
    picture: gr.Button
    by: gr.Dropdown
    bars: gr.Plot
    bars_text: gr.HTML


@dataclass(frozen=True)
class ReadView:
    """The replies themselves."""

    find: gr.Textbox
    order: gr.Dropdown
    items: gr.HTML
    back: gr.Button
    on: gr.Button
    page: gr.State
    reader: gr.HTML


@dataclass(frozen=True)
class ResultsView:
    """All components of the tab's first section."""

    choose: ChooseView
    show: ShowView
    read: ReadView
    asked: gr.State
    """What the shown table was asked for as."""


def build_results_view(*, local: bool) -> ResultsView:
    """Lay out the section in the present block; `local` visitors may name files."""
    with gr.Column(elem_classes="esc-results", elem_id="results-metrics"):
        with gr.Column(elem_classes="esc-card"):
            choose = _build_choose(local)
        with gr.Column(visible=False, elem_classes="esc-results", elem_id="scores") as group:
            show = _build_show(group)
            with gr.Column(elem_classes="esc-card"):
                read = _build_read()
    return ResultsView(choose, show, read, gr.State(None))


def _build_choose(local: bool) -> ChooseView:
    """Runs, profile, and the button."""
    plain_html(f"<h2>Automatic metrics</h2>{_WHAT}", elem_classes="esc-card-title")
    empty = plain_html("", elem_id="no-results")
    with gr.Row(elem_classes="esc-toolbar"):
        refresh = gr.Button("Refresh", size="sm", elem_id="refresh-results")
    with gr.Column(elem_classes="esc-go") as form:
        group = gr.Dropdown([], label="Data and protocol", elem_id="results-group")
        runs = gr.CheckboxGroup(
            [], label="Runs", elem_id="results-runs", elem_classes="esc-run-list"
        )
        with gr.Row(elem_classes="esc-toolbar"):
            every = gr.Button("Choose all", size="sm", elem_id="choose-all")
            none = gr.Button("Choose none", size="sm")
        unfinished = plain_html("")
        with gr.Row(elem_classes="esc-grid"):
            profile = gr.Radio(
                PROFILES, value="esconv", label="Metric profile", elem_id="results-profile"
            )
            draws = gr.Radio(
                DRAWS, value=2000, label="Bootstrap draws for intervals", elem_id="results-draws"
            )
            data = gr.Textbox(
                label="File the runs answered (optional)",
                info=_DATA_INFO,
                lines=1,
                visible=local,
                elem_id="results-data",
            )
        with gr.Row(elem_classes="esc-toolbar"):
            score = gr.Button("Score", variant="primary", elem_id="score-runs")
    progress = plain_html("", elem_id="results-progress")
    return ChooseView(
        empty,
        form,
        group,
        refresh,
        every,
        none,
        runs,
        unfinished,
        profile,
        draws,
        data,
        score,
        progress,
    )


def _build_show(group: gr.Column) -> ShowView:
    """Table, downloads and charts."""
    with gr.Column(elem_classes="esc-card"):
        plain_html("<h2>Table</h2>", elem_classes="esc-card-title")
        columns = gr.Radio(
            [(f"{MAIN} columns", MAIN), ("All metrics", ALL)],
            value=MAIN,
            label="Columns",
            elem_id="results-columns",
            elem_classes="esc-chips",
        )
        table = plain_html("", elem_id="results-table")
        differences = plain_html("", elem_id="results-differences")
        header = plain_html("", elem_id="results-header")
        with gr.Row(elem_classes="esc-toolbar", elem_id="results-files"):
            files = tuple(gr.DownloadButton(label, size="sm") for label in FILES.values())
    with gr.Column(elem_classes="esc-card"):
        metric = gr.Dropdown([], label="Metric of charts and list", elem_id="results-metric")
    with gr.Row(elem_classes="esc-train"):
        with gr.Column(elem_classes="esc-card"):
            plain_html("<h2>Quality against tokens kept</h2>", elem_classes="esc-card-title")
            plot = gr.Plot(show_label=False, container=False, elem_id="trade-off")
            caption = plain_html("", elem_id="trade-off-text")
            with gr.Row(elem_classes="esc-toolbar"):
                picture = gr.Button("Download PNG", size="sm", elem_id="plot-png")
        with gr.Column(elem_classes="esc-card"):
            plain_html("<h2>By slice</h2>", elem_classes="esc-card-title")
            by = gr.Dropdown([], label="Slice by", elem_id="results-by")
            bars = gr.Plot(show_label=False, container=False, elem_id="slice-bars")
            bars_text = plain_html("", elem_id="slice-text")
    return ShowView(
        group,
        columns,
        table,
        differences,
        header,
        files,
        metric,
        plot,
        caption,
        picture,
        by,
        bars,
        bars_text,
    )


def _build_read() -> ReadView:
    """The list and what is picked from it."""
    plain_html("<h2>Read the replies</h2>", elem_classes="esc-card-title")
    with gr.Row(elem_classes="esc-grid"):
        find = gr.Textbox(label="Dialogue id contains", lines=1, elem_id="find-dialogue")
        order = gr.Dropdown(
            [one.value for one in Order],
            value=Order.DATA.value,
            label="Order",
            elem_id="results-order",
        )
    items = plain_html("", elem_id="results-items", js_on_load=PICK_JS)
    with gr.Row(elem_classes="esc-toolbar"):
        back = gr.Button("Previous page", size="sm", interactive=False)
        on = gr.Button("Next page", size="sm", interactive=False, elem_id="items-next")
    reader = plain_html("", elem_id="reader")
    return ReadView(find, order, items, back, on, gr.State((0, None)), reader)
