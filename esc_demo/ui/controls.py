"""The advanced settings, and how the page's values become settings of a round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import gradio as gr

from esc_demo.contexts import ContextKind, ContextSpec, Scope
from esc_demo.dialogue import UserProfile, clean_message
from esc_demo.engine import HistoryPolicy, PaneConfig
from esc_demo.errors import BadInput
from esc_demo.models import GenerationParams
from esc_demo.prompts import Part, PromptTemplate
from esc_demo.prompts.template import default_texts
from esc_demo.ui.html import plain_html
from esc_demo.ui.session import TurnSettings, new_seed

PROFILE_FIELDS = tuple(field.name for field in fields(UserProfile))
"""The fields of NLPCC 2025 Task 8, in the order of the schema."""

MAX_FIELD_CHARS = 600
"""Longest text of one profile field."""

_LABELS = {
    "temperature": "Temperature",
    "top_p": "Top-p",
    "top_k": "Top-k",
    "max_new_tokens": "Max new tokens",
    "seed": "Seed of the conversation",
    "last_k": "Last-k window",
}
"""What the numbers are called on the page."""

_WHERE = "It is under Advanced settings."

_PART_TITLES = {
    Part.ROLE: "Role",
    Part.OBJECTIVE: "Objective",
    Part.PROFILE: "User profile",
    Part.GUIDELINES: "Guidelines",
}


@dataclass(frozen=True)
class Controls:
    """The components of the advanced settings."""

    temperature: gr.Slider
    top_p: gr.Slider
    top_k: gr.Slider
    max_new_tokens: gr.Slider
    seed: gr.Number
    policy: gr.Radio
    scope: gr.Radio
    last_k: gr.Number
    part_on: Mapping[Part, gr.Checkbox]
    part_text: Mapping[Part, gr.Textbox]
    profile: Mapping[str, gr.Textbox]
    prompt_hash: gr.HTML

    def inputs(self) -> list[gr.components.Component]:
        """All components a round depends on, in the order `read_settings` takes them."""
        return [
            self.temperature,
            self.top_p,
            self.top_k,
            self.max_new_tokens,
            self.seed,
            self.policy,
            self.scope,
            self.last_k,
            *self.part_on.values(),
            *self.part_text.values(),
            *self.profile.values(),
        ]


def build_controls(first_seed: int | None) -> Controls:
    """Lay out the advanced settings in the present block."""
    default = GenerationParams()
    with gr.Row(elem_classes="esc-grid"):
        temperature = gr.Slider(
            0, 2, default.temperature, step=0.05, label=_LABELS["temperature"], info="0 is greedy"
        )
        top_p = gr.Slider(0.05, 1, default.top_p, step=0.01, label=_LABELS["top_p"])
        top_k = gr.Slider(0, 200, default.top_k, step=1, label=_LABELS["top_k"], info="0 is off")
        longest = gr.Slider(8, 512, default.max_new_tokens, step=8, label=_LABELS["max_new_tokens"])
        seed = gr.Number(
            # A function, so that every page load draws its own.
            value=new_seed if first_seed is None else first_seed,
            label=_LABELS["seed"],
            info="Same seed, message and settings: same reply",
            elem_id="seed",
        )
    with gr.Row(elem_classes="esc-grid"):
        policy = gr.Radio(
            [
                ("Each pane keeps its own replies", HistoryPolicy.INDEPENDENT.value),
                ("All panes see the chosen reply", HistoryPolicy.SHARED.value),
            ],
            value=HistoryPolicy.INDEPENDENT.value,
            label="History",
            elem_id="policy",
        )
        scope = gr.Radio(
            [("Earlier turns", Scope.EARLIER.value), ("Current message too", Scope.ALL.value)],
            value=Scope.EARLIER.value,
            label="KeyPOS and NoStopwords transform",
        )
        window = gr.Number(
            # 0 and not empty: an empty number becomes 0 when the page is drawn.
            value=0,
            label=_LABELS["last_k"],
            info="Newest utterances kept; 0 keeps all",
        )
    for number in (temperature, top_p, top_k, longest, seed, window):
        _take_any(number)
    plain_html("<h3>Prompt</h3>", elem_classes="esc-heading")
    switches: dict[Part, gr.Checkbox] = {}
    texts: dict[Part, gr.Textbox] = {}
    with gr.Row(elem_classes="esc-grid esc-parts"):
        for part in Part:
            with gr.Column(min_width=260):
                switches[part] = gr.Checkbox(True, label=f"{_PART_TITLES[part]} is sent")
                texts[part] = gr.Textbox(
                    default_texts()[part],
                    label=f"Text of the {_PART_TITLES[part].lower()}",
                    show_label=False,
                    lines=4,
                    max_lines=10,
                )
                gr.Button("Reset the text", size="sm", elem_classes="esc-quiet").click(
                    lambda part=part: default_texts()[part],
                    outputs=texts[part],
                    api_visibility="private",
                    show_progress="hidden",
                )
    shown_hash = plain_html(_hash_html(PromptTemplate()), elem_id="prompt-hash")
    plain_html("<h3>Who is talking</h3>", elem_classes="esc-heading")
    with gr.Row(elem_classes="esc-grid"):
        profile = {
            name: gr.Textbox(
                value="",
                label=name.replace("_", " ").capitalize(),
                lines=1,
                max_lines=3,
                min_width=150,
            )
            for name in PROFILE_FIELDS
        }
    controls = Controls(
        temperature,
        top_p,
        top_k,
        longest,
        seed,
        policy,
        scope,
        window,
        switches,
        texts,
        profile,
        shown_hash,
    )
    gr.on(
        [item.change for item in (*switches.values(), *texts.values())],
        _show_hash,
        [*switches.values(), *texts.values()],
        shown_hash,
        api_visibility="private",
        show_progress="hidden",
    )
    return controls


def _show_hash(*values: Any) -> str:
    """The hash of the prompt as it is edited, or what is wrong with it."""
    try:
        return _hash_html(_template(iter(values)))
    except BadInput as error:
        return f'<p class="esc-note">{escape(str(error))}</p>'


def _hash_html(template: PromptTemplate) -> str:
    return (
        '<p class="esc-meta">Version of the prompt (hash of the parts that are sent):'
        f" <code>{template.content_hash}</code></p>"
    )


def read_settings(
    values: Sequence[Any], panes: Mapping[int, Sequence[Any]], models: Mapping[int, str]
) -> TurnSettings:
    """Settings from the values of `Controls.inputs()` and of each open pane.

    `panes` holds (kind, keep negations, prompt on) by pane, `models` the model ids.

    Raises:
        BadInput, ConfigError: a value is missing or outside its range; the text names it.
    """
    names = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")
    rest = iter(values)
    params = _params({name: _number(name, next(rest), name in names[2:]) for name in names})
    policy, scope = HistoryPolicy(next(rest)), Scope(next(rest))
    last = int(_number("last_k", next(rest), whole=True))
    if last < 0:
        raise BadInput(f"{_LABELS['last_k']} is {last}; it must be 0 (all) or more. {_WHERE}")
    template = _template(rest)
    profile = UserProfile(**{name: _field(name, next(rest)) for name in PROFILE_FIELDS})
    configs: dict[int, PaneConfig] = {}
    for pane, (kind, keep, prompt) in panes.items():
        context = ContextKind(kind)
        configs[pane] = PaneConfig(
            models[pane],
            ContextSpec(
                context,
                bool(keep) and context is not ContextKind.RAW,
                scope,
                last or None,
            ),
            template if prompt else PromptTemplate.off(),
        )
    return TurnSettings(configs, params, profile, policy)


def _take_any(number: gr.Slider | gr.Number) -> None:
    """Let `read_settings` judge the value: gradio's own refusal hides which field it was."""
    number.preprocess = lambda payload: payload  # type: ignore[method-assign, assignment]


def _number(name: str, value: Any, whole: bool) -> float:
    """A number as the page sent it; 50.0 is as whole as 50, and 1.7 is not."""
    label = _LABELS[name]
    if value is None or value == "":
        raise BadInput(f"{label} is empty. Give it a value. {_WHERE}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{label} is {str(value)[:40]!r}; it must be a number. {_WHERE}")
    if not whole:
        return float(value)
    if isinstance(value, float) and not value.is_integer():
        raise BadInput(f"{label} is {value}; it must be a whole number. {_WHERE}")
    return int(value)


def _params(numbers: Mapping[str, Any]) -> GenerationParams:
    """The sampling parameters; what is wrong with one is said under its name on the page."""
    try:
        return GenerationParams(**numbers)
    except BadInput as error:
        text = str(error)
        name = next((name for name in numbers if text.startswith(f"{name} ")), "")
        raise BadInput(f"{_LABELS.get(name, name)}{text[len(name) :]} {_WHERE}") from error


def _template(values: Iterator[Any]) -> PromptTemplate:
    """The prompt from four switches and four texts."""
    enabled = frozenset(part for part in Part if next(values))
    template = PromptTemplate(enabled)
    for part in Part:
        text = next(values) or ""
        if part not in enabled:
            continue
        try:
            template = template.edited(part, text)
        except BadInput as error:
            raise BadInput(
                f"{_PART_TITLES[part]} of the prompt: "
                + str(error).replace("The message", "the text")
                + " Or switch this part off, or reset it."
            ) from error
    return template


def _field(name: str, value: str | None) -> str:
    """A profile field, which may be empty."""
    if not (value or "").strip():
        return ""
    try:
        return clean_message(value or "", MAX_FIELD_CHARS)
    except BadInput as error:
        label = name.replace("_", " ")
        raise BadInput(f"Profile, {label}: {str(error).replace('message', 'text')}") from error
