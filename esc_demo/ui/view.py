"""The components of the Compare tab, laid out; what they do is wired in `compare`."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from annotations import load_scales
from esc_demo.dialogue import MAX_MESSAGE_CHARS
from esc_demo.models.specs import ModelCatalogue
from esc_demo.prompts.scenarios import load_scenarios
from esc_demo.settings import Settings
from esc_demo.ui.controls import Controls, build_controls
from esc_demo.ui.html import plain_html
from esc_demo.ui.pane import PaneView, build_pane

SEND, SEND_EDITED = "Send", "Send edited"


@dataclass(frozen=True)
class PreferView:
    """The comparison across panes."""

    group: gr.Column
    form: gr.Column
    choice: gr.Radio
    comment: gr.Textbox
    submit: gr.Button
    note: gr.HTML
    change: gr.Button


@dataclass(frozen=True)
class CompareView:
    """All components of the tab."""

    scenario: gr.Dropdown
    talking: gr.Row
    talking_as: gr.HTML
    no_one: gr.Button
    message: gr.Textbox
    sent: gr.Textbox
    send: gr.Button
    stop_all: gr.Button
    again_all: gr.Button
    edit: gr.Button
    cancel_edit: gr.Button
    clear: gr.Button
    confirm: gr.Row
    clear_yes: gr.Button
    clear_no: gr.Button
    undo: gr.Button
    add: gr.Button
    notice: gr.HTML
    panes: tuple[PaneView, ...]
    prefer: PreferView
    controls: Controls
    timer: gr.Timer


def build_view(catalogue: ModelCatalogue, settings: Settings) -> CompareView:
    """Lay out the tab in the present block."""
    with gr.Column(elem_classes="esc-composer"):
        with gr.Row(elem_classes="esc-compose-row"):
            scenario = gr.Dropdown(
                [("Choose a person", ""), *((s.title, s.id) for s in load_scenarios().values())],
                value="",
                label="Try a scenario",
                elem_id="scenario",
                scale=2,
                min_width=240,
            )
            message = gr.Textbox(
                label="Your message",
                placeholder="What is on your mind?",
                lines=1,
                max_lines=8,
                elem_id="message",
                scale=5,
                min_width=260,
            )
            send = gr.Button(
                SEND, variant="primary", elem_id="send", elem_classes="esc-send", scale=0
            )
        # Not invisible but hidden: what is invisible is not on the page and raises no events.
        sent = gr.Textbox("", visible="hidden", label="Accepted message", elem_id="sent")
        with gr.Row(visible=False, elem_classes="esc-talking", elem_id="talking") as talking:
            talking_as = plain_html("")
            no_one = gr.Button("Remove", size="sm", elem_classes="esc-quiet", scale=0)
        with gr.Row(elem_classes="esc-toolbar"):
            stop_all = gr.Button("Stop all", size="sm", interactive=False, elem_id="stop-all")
            again_all = gr.Button("Regenerate all", size="sm", interactive=False)
            edit = gr.Button("Edit last message", size="sm", interactive=False)
            cancel_edit = gr.Button("Cancel edit", size="sm", visible=False)
            clear = gr.Button("Clear", size="sm", interactive=False, elem_id="clear")
            undo = gr.Button("Undo clear", size="sm", visible=False)
            add = gr.Button("Add pane", size="sm", elem_id="add-pane")
            plain_html(
                '<p class="esc-hint esc-keys"><span>Enter sends, Shift+Enter starts a new line'
                f'</span><span id="count" data-limit="{MAX_MESSAGE_CHARS}">'
                f"0 / {MAX_MESSAGE_CHARS:,}</span></p>"
            )
        with gr.Row(visible=False, elem_classes="esc-confirm") as confirm:
            plain_html("<p>Clear the conversation from this page? What is stored stays.</p>")
            clear_yes = gr.Button("Yes, clear", size="sm", variant="stop", elem_id="clear-yes")
            clear_no = gr.Button("Keep it", size="sm")
        notice = plain_html("", elem_id="notice")
    with gr.Row(elem_classes="esc-panes", equal_height=True):
        panes = tuple(
            build_pane(
                pane,
                catalogue,
                catalogue.default_panes[min(pane, len(catalogue.default_panes) - 1)],
                pane < min(len(catalogue.default_panes), settings.max_panes),
            )
            for pane in range(settings.max_panes)
        )
    prefer = _build_preference()
    with gr.Accordion("Advanced settings", open=False, elem_classes="esc-advanced"):
        controls = build_controls(settings.seed)
    return CompareView(
        scenario,
        talking,
        talking_as,
        no_one,
        message,
        sent,
        send,
        stop_all,
        again_all,
        edit,
        cancel_edit,
        clear,
        confirm,
        clear_yes,
        clear_no,
        undo,
        add,
        notice,
        panes,
        prefer,
        controls,
        gr.Timer(0.5),
    )


def _build_preference() -> PreferView:
    """One question across the panes; nothing is preselected."""
    scale = load_scales().preference
    with gr.Column(visible=False, elem_classes="esc-prefer", elem_id="preference") as group:
        note = plain_html("")
        with gr.Column(elem_classes="esc-prefer-form") as form:
            choice = gr.Radio([], value=None, label=scale.question, elem_classes="esc-chips")
            with gr.Row(elem_classes="esc-prefer-row"):
                comment = gr.Textbox(
                    label="Comment (optional)", lines=1, max_lines=6, scale=4, min_width=220
                )
                submit = gr.Button("Save preference", variant="primary", size="sm", scale=0)
        change = gr.Button("Change preference", size="sm", visible=False)
    return PreferView(group, form, choice, comment, submit, note, change)
