"""The components of the ratings section, laid out; what they do is wired in `ratings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotations.values import RaterKind
from esc_demo.ui.html import plain_html
from esc_demo.ui.ratings_lines import Order
from esc_demo.ui.results_read import PICK_JS

ALL_STRATA = ("All strata", "")
ALL_ARMS = ("All arms", "")
BY_ITSELF = ("No other arm", "")
ALL_DIMENSIONS = ("All dimensions", "")
KINDS = {RaterKind.HUMAN: ("People", "human"), RaterKind.JUDGE: ("Judges", "judge")}

SHOW_READER_JS = (
    "() => document.getElementById('ratings-reader')?.scrollIntoView({block: 'nearest'})"
)

SHOW_LIST_JS = "() => document.getElementById('ratings-list')?.scrollIntoView({block: 'start'})"

ARM_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-arm]');
  if (!button) return;
  const table = button.closest('figure')?.id ?? '';
  const kind = button.dataset.kind
    ?? ['human', 'judge'].find((one) => table.startsWith(one + '-')) ?? '';
  const { arm, other = '', dimension = '' } = button.dataset;
  trigger('click', { arm, other, dimension, kind });
});
"""
"""Tells the server whose numbers were chosen in the report: of one arm, or between two."""

_WHAT = """<p class="esc-hint">The report of a blinded study: the outcome that was promised
beforehand, then everything else, then the replies and answers behind every number.</p>"""


@dataclass(frozen=True)
class ListView:
    """The list behind the numbers, and what is picked from it."""

    kind: gr.Radio
    arm: gr.Dropdown
    order: gr.Dropdown
    find: gr.Textbox
    other: gr.Dropdown
    dimension: gr.Dropdown
    items: gr.HTML
    back: gr.Button
    on: gr.Button
    page: gr.State
    """Number of the page and of the line that is read, or None."""
    reader: gr.HTML

    def choices(self) -> list[Any]:
        """What says which lines are shown."""
        return [self.kind, self.arm, self.find, self.order, self.other, self.dimension]

    def listed(self) -> list[Any]:
        """What a page of the list draws on."""
        return [self.items, self.page, self.back, self.on]


@dataclass(frozen=True)
class RatingsView:
    """All components of the section."""

    who: gr.HTML
    empty: gr.HTML
    study: gr.Dropdown
    show: gr.Button
    refresh: gr.Button
    progress: gr.HTML
    group: gr.Column
    stratum: gr.Dropdown
    download: gr.DownloadButton
    report: gr.HTML
    list: ListView
    ticket: gr.State
    """Which report is shown."""

    def outputs(self) -> list[Any]:
        """All that a handler may draw on."""
        top = [self.who, self.empty, self.study, self.progress, self.show]
        shown = [self.group, self.stratum, self.download, self.report, self.ticket]
        return [*top, *shown, *self.list.choices(), *self.list.listed(), self.list.reader]


def build_ratings_view() -> RatingsView:
    """Lay out the section in the present block."""
    with gr.Column(elem_classes="esc-results", elem_id="results-ratings"):
        with gr.Column(elem_classes="esc-card"):
            plain_html(
                f"<h2>Ratings by people and judges</h2>{_WHAT}", elem_classes="esc-card-title"
            )
            who = plain_html("")
            empty = plain_html("", elem_id="no-ratings")
            study = gr.Dropdown([], label="Study", visible=False, elem_id="ratings-study")
            with gr.Row(elem_classes="esc-toolbar"):
                show = gr.Button("Show", variant="primary", visible=False, elem_id="ratings-show")
                refresh = gr.Button("Refresh", size="sm", elem_id="ratings-refresh")
            progress = plain_html("", elem_id="ratings-progress")
        with gr.Column(visible=False, elem_classes="esc-results", elem_id="ratings") as group:
            with gr.Column(elem_classes="esc-card"):
                stratum = gr.Dropdown([], label="Stratum", elem_id="ratings-stratum")
                report = plain_html("", elem_id="ratings-report", js_on_load=ARM_JS)
                with gr.Row(elem_classes="esc-toolbar"):
                    download = gr.DownloadButton(
                        "Download the report (HTML, Markdown, CSV, LaTeX)",
                        size="sm",
                        elem_id="ratings-file",
                    )
            with gr.Column(elem_classes="esc-card", elem_id="ratings-list"):
                listed = _build_list()
    return RatingsView(
        who=who,
        empty=empty,
        study=study,
        show=show,
        refresh=refresh,
        progress=progress,
        group=group,
        stratum=stratum,
        download=download,
        report=report,
        list=listed,
        ticket=gr.State(None),
    )


def _build_list() -> ListView:
    """Filters, list and reader."""
    plain_html("<h2>Behind the numbers</h2>", elem_classes="esc-card-title")
    kind = gr.Radio(
        [*KINDS.values()],
        value="human",
        label="Answers of",
        elem_id="ratings-kind",
        elem_classes="esc-chips",
    )
    with gr.Row(elem_classes="esc-grid"):
        arm = gr.Dropdown([ALL_ARMS], value="", label="Arm", elem_id="ratings-arm")
        other = gr.Dropdown([BY_ITSELF], value="", label="Against", elem_id="ratings-other")
        dimension = gr.Dropdown(
            [ALL_DIMENSIONS], value="", label="Dimension", elem_id="ratings-dimension"
        )
        order = gr.Dropdown(
            [one.value for one in Order],
            value=Order.STUDY.value,
            label="Order",
            elem_id="ratings-order",
        )
        find = gr.Textbox(label="Item's name contains", lines=1, elem_id="ratings-find")
    items = plain_html("", elem_id="ratings-items", js_on_load=PICK_JS)
    with gr.Row(elem_classes="esc-toolbar"):
        back = gr.Button("Previous page", size="sm", interactive=False)
        on = gr.Button("Next page", size="sm", interactive=False, elem_id="ratings-next")
    reader = plain_html("", elem_id="ratings-reader")
    return ListView(
        kind, arm, order, find, other, dimension, items, back, on, gr.State((0, None)), reader
    )
