"""The components of the Admin tab, laid out; what they do is wired in `admin`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from esc_demo.ui.html import plain_html


@dataclass(frozen=True)
class DoorView:
    """What is there before the login."""

    all: gr.Column
    said: gr.HTML
    password: gr.Textbox
    enter: gr.Button
    notice: gr.HTML


@dataclass(frozen=True)
class ControlView:
    """Pausing and closing, each asked about first."""

    pause: gr.Button
    go_on: gr.Button
    close: gr.Button
    confirm: gr.Row
    question: gr.HTML
    yes: gr.Button
    no: gr.Button
    asked: gr.State
    """What is asked about: slug and act, so that another choice cannot slip in between."""


@dataclass(frozen=True)
class CodesView:
    """Looking completion codes up."""

    typed: gr.Textbox
    check: gr.Button
    found: gr.HTML


@dataclass(frozen=True)
class AdminView:
    """All components of the tab."""

    door: DoorView
    office: gr.Column
    picker: gr.Dropdown
    refresh: gr.Button
    leave: gr.Button
    notice: gr.HTML
    state: gr.HTML
    control: ControlView
    progress: gr.HTML
    people: gr.HTML
    quality: gr.HTML
    problems: gr.HTML
    codes: CodesView
    export: gr.Button
    download: gr.File

    def outputs(self) -> list[Any]:
        """All that a handler may draw on."""
        door, control = self.door, self.control
        return [
            *(door.all, door.password, door.notice, self.office, self.picker, self.notice),
            *(control.pause, control.go_on, control.close, control.confirm, control.question),
            *(control.asked, self.state, self.progress, self.people, self.quality),
            *(self.problems, self.codes.typed, self.codes.found, self.download),
        ]


def build_admin_view(closed_html: str) -> AdminView:
    """Lay out the tab in the present block. With `closed_html` there is no login."""
    with gr.Column(elem_classes="esc-card esc-door", elem_id="admin-door") as all_of_it:
        door = _build_door(all_of_it, closed_html)
    with gr.Column(visible=False, elem_classes="esc-results", elem_id="admin-office") as office:
        with gr.Column(elem_classes="esc-card"):
            plain_html("<h2>Studies</h2>", elem_classes="esc-card-title")
            picker = gr.Dropdown([], label="Study", elem_id="admin-study")
            with gr.Row(elem_classes="esc-toolbar"):
                refresh = gr.Button("Refresh", size="sm")
                leave = gr.Button("Log out", size="sm")
            notice = plain_html("", elem_id="admin-notice")
            state = plain_html("", elem_id="admin-state")
            control = _build_control()
        progress = _card("Progress", "admin-progress")
        people = _card("Participants", "admin-people")
        quality = _card("How carefully people answer", "admin-quality")
        problems = _card("Reported problems", "admin-problems")
        with gr.Column(elem_classes="esc-card"):
            codes = _build_codes()
        with gr.Column(elem_classes="esc-card"):
            plain_html(_EXPORT, elem_classes="esc-card-title")
            with gr.Row(elem_classes="esc-toolbar"):
                export = gr.Button("Prepare the export", size="sm", elem_id="admin-export")
            download = gr.File(
                label="Export", visible=False, interactive=False, elem_id="admin-download"
            )
    return AdminView(
        door=door,
        office=office,
        picker=picker,
        refresh=refresh,
        leave=leave,
        notice=notice,
        state=state,
        control=control,
        progress=progress,
        people=people,
        quality=quality,
        problems=problems,
        codes=codes,
        export=export,
        download=download,
    )


_EXPORT = """<h2>Export</h2><p class="esc-hint">One archive with ratings, preferences and
participants under their pseudonyms, each as CSV, JSON lines and Parquet, and a data dictionary. It
names the arms: do not read it before the end if you rate, or talk to those who do.</p>"""


def _build_door(all_of_it: gr.Column, closed_html: str) -> DoorView:
    said = plain_html(closed_html or "<h2>Admin</h2><p>For whoever runs a study.</p>")
    with gr.Row(elem_classes="esc-toolbar", visible=not closed_html):
        password = gr.Textbox(
            label="Password", type="password", max_length=500, elem_id="admin-password"
        )
        enter = gr.Button("Log in", variant="primary", elem_id="admin-enter")
    return DoorView(all_of_it, said, password, enter, plain_html("", elem_id="admin-door-notice"))


def _build_control() -> ControlView:
    with gr.Row(elem_classes="esc-toolbar"):
        pause = gr.Button("Pause", size="sm", visible=False, elem_id="admin-pause")
        go_on = gr.Button("Open again", size="sm", visible=False, elem_id="admin-go-on")
        close = gr.Button("Close for good", size="sm", visible=False, elem_id="admin-close")
    with gr.Row(visible=False, elem_classes="esc-confirm") as confirm:
        question = plain_html("")
        yes = gr.Button("Yes", size="sm", variant="primary", elem_id="admin-yes")
        no = gr.Button("No", size="sm")
    return ControlView(pause, go_on, close, confirm, question, yes, no, gr.State(("", "")))


def _build_codes() -> CodesView:
    plain_html(
        "<h2>Completion codes</h2><p class='esc-hint'>Paste codes that people hand in, one a line."
        " Each is confirmed without its pseudonym, so that a name cannot be put to answers.</p>",
        elem_classes="esc-card-title",
    )
    typed = gr.Textbox(
        label="Codes", lines=3, max_lines=12, max_length=30_000, elem_id="admin-codes"
    )
    with gr.Row(elem_classes="esc-toolbar"):
        check = gr.Button("Check codes", size="sm", elem_id="admin-check")
    return CodesView(typed, check, plain_html("", elem_id="admin-codes-found"))


def _card(title: str, elem_id: str) -> gr.HTML:
    with gr.Column(elem_classes="esc-card"):
        plain_html(f"<h2>{title}</h2>", elem_classes="esc-card-title")
        return plain_html("", elem_id=elem_id)
