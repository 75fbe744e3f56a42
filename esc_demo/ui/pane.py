"""One pane: what it runs on, its conversation, its drawer and its rating form."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from annotations import Dimension, RatingStatus, load_scales
from esc_demo.models.specs import ModelCatalogue
from esc_demo.ui.html import plain_html
from esc_demo.ui.seen import EMPTY
from esc_demo.ui.session import PANE_NAMES

CONTEXT_CHOICES = [("Raw", "raw"), ("KeyPOS", "keypos"), ("NoStopwords", "nostopwords")]
CONTEXT_INFO = (
    "Raw: every word. KeyPOS: the words that carry meaning. NoStopwords: all but common words."
)


@dataclass(frozen=True)
class RateView:
    """The rating form of a pane."""

    note: gr.HTML
    form: gr.Column
    scores: tuple[gr.Radio, ...]
    comment: gr.Textbox
    submit: gr.Button
    change: gr.Button


@dataclass(frozen=True)
class PaneView:
    """The components of a pane."""

    pane: int
    column: gr.Column
    model: gr.Dropdown
    remove: gr.Button
    kind: gr.Radio
    keep_negation: gr.Checkbox
    prompt: gr.Checkbox
    past: gr.HTML
    live: gr.HTML
    stop: gr.Button
    again: gr.Button
    keep: gr.Button
    seen: gr.HTML
    rate: RateView

    def inputs(self) -> list[gr.components.Component]:
        """What `read_settings` needs of a pane."""
        return [self.kind, self.keep_negation, self.prompt]


def build_pane(pane: int, catalogue: ModelCatalogue, model: str, visible: bool) -> PaneView:
    """Lay out pane number `pane` in the present block."""
    name = PANE_NAMES[pane]
    with gr.Column(
        visible=visible, elem_id=f"pane-{name}", elem_classes="esc-pane", min_width=290
    ) as column:
        with gr.Row(elem_classes="esc-pane-head"):
            plain_html(f'<h2 class="esc-badge"><span class="esc-sr">Pane </span>{name}</h2>')
            picker = gr.Dropdown(
                model_choices(catalogue),
                value=model,
                label=f"Model of pane {name}",
                show_label=False,
                container=False,
                elem_classes="esc-model",
                scale=1,
                min_width=120,
            )
            remove = gr.Button(
                f"Remove pane {name}", size="sm", elem_classes="esc-quiet esc-remove", scale=0
            )
        kind = gr.Radio(
            CONTEXT_CHOICES,
            value="raw",
            label="What it remembers of earlier turns",
            info=CONTEXT_INFO,
            elem_classes="esc-segments",
        )
        with gr.Row(elem_classes="esc-switches"):
            negation = gr.Checkbox(
                False, label="Keep negations", interactive=False, container=False, min_width=100
            )
            prompt = gr.Checkbox(True, label="Support prompt", container=False, min_width=100)
        with gr.Column(elem_classes="esc-log", elem_id=f"log-{name}"):
            past = plain_html("", elem_classes="esc-past")
            live = plain_html("", elem_classes="esc-live")
        with gr.Row(elem_classes="esc-pane-actions"):
            stop = gr.Button("Stop", size="sm", interactive=False, elem_classes="esc-stop")
            again = gr.Button("Regenerate", size="sm", interactive=False, elem_classes="esc-again")
            keep = gr.Button("Continue with this reply", size="sm", visible=False)
        with gr.Accordion("What the model saw", open=False, elem_classes="esc-drawer"):
            seen = plain_html(EMPTY)
        with gr.Accordion("Rate this reply", open=False, elem_classes="esc-drawer"):
            rate = _build_rating(name)
    return PaneView(
        pane,
        column,
        picker,
        remove,
        kind,
        negation,
        prompt,
        past,
        live,
        stop,
        again,
        keep,
        seen,
        rate,
    )


def _build_rating(name: str) -> RateView:
    """Four questions with described points; nothing is preselected."""
    scales = load_scales()
    note = plain_html("")
    with gr.Column(visible=False, elem_classes="esc-rating") as form:
        radios: list[gr.Radio] = []
        for dimension in Dimension:
            scale = scales.dimensions[dimension]
            choices = [(f"{score} · {text}", score) for score, text in scale.points.items()]
            other = (scales.cannot_judge.title, RatingStatus.CANNOT_JUDGE.value)
            radios.append(
                gr.Radio(
                    [*choices, other],
                    value=None,
                    label=scale.title,
                    info=scale.question,
                    elem_classes="esc-points",
                )
            )
        comment = gr.Textbox(
            label="Comment (optional)", lines=1, max_lines=6, elem_id=f"comment-{name}"
        )
        submit = gr.Button("Save rating", variant="primary", size="sm")
    change = gr.Button("Change rating", size="sm", visible=False)
    return RateView(note, form, tuple(radios), comment, submit, change)


def model_choices(catalogue: ModelCatalogue) -> list[tuple[str, str]]:
    """Names and ids for the picker; models that need a GPU say so."""
    return [
        (f"{spec.label}{' · needs a GPU' if spec.needs_gpu else ''}", spec.id)
        for spec in catalogue.specs.values()
    ]
