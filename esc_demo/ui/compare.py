"""The Compare tab: up to four panes, one message box, and what connects them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotations import Store
from esc_demo.models.registry import ModelRegistry
from esc_demo.settings import Settings
from esc_demo.ui.actions import Actions
from esc_demo.ui.frames import Frame, Frames
from esc_demo.ui.judging import Judging
from esc_demo.ui.live import Visitors
from esc_demo.ui.pane import PaneView
from esc_demo.ui.view import CompareView, build_view

MOST_ROUNDS = 40
"""Rounds shown at once over all visitors; each holds a thread of the server. Others queue."""

_AT_ONCE: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
_QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 8,
    "concurrency_id": "quick",
}
_ROUND: dict[str, Any] = {
    "show_progress": "hidden",
    "concurrency_limit": MOST_ROUNDS,
    "concurrency_id": "rounds",
}


_TAKE_SENT = """(sent) => {
  if (!sent) return;
  const { text, draft } = JSON.parse(sent);
  const box = document.querySelector("#message textarea");
  const rest = box.value.startsWith(text) ? box.value.slice(text.length) : box.value;
  box.value = [draft, rest].filter(Boolean).join("\\n");
  box.dispatchEvent(new Event("input", { bubbles: true }));
}"""
"""Takes the sent words out of the box; what was typed meanwhile stays, a put-off draft returns.

It edits the box itself, as a keystroke does: a value handed to gradio arrives some moments
later and would undo the letters typed in between.
"""


@dataclass(frozen=True)
class CompareTab:
    """What other tabs need of this one."""

    actions: Actions
    drawn: list[Any]
    """Every component that a frame may update."""


def build_compare(
    page: gr.Blocks, settings: Settings, store: Store, registry: ModelRegistry
) -> CompareTab:
    """Lay out and wire the tab in the present block of `page`."""
    view = build_view(registry.catalogue, settings)
    frames = Frames(view, registry)
    visitors = Visitors(registry.catalogue.default_panes[: settings.max_panes])
    actions = Actions(store, registry, visitors, frames)
    judging = Judging(store, visitors, frames)
    drawn = _drawn(view)
    inputs = [*view.controls.inputs(), *(part for pane in view.panes for part in pane.inputs())]

    gr.on(
        [view.send.click, view.message.submit],
        actions.send,
        [view.message, *inputs],
        drawn,
        api_name="send",
        # Not "once": a second message gets an answer, if only that it came too early.
        trigger_mode="multiple",
        **_ROUND,
    )
    view.sent.change(None, view.sent, None, js=_TAKE_SENT, **_AT_ONCE)
    view.again_all.click(_again(actions, None), inputs, drawn, api_visibility="private", **_ROUND)
    view.stop_all.click(actions.stop, api_name="stop", queue=False, show_progress="hidden")
    view.edit.click(actions.edit, view.message, drawn, **_QUICK)
    view.cancel_edit.click(actions.cancel_edit, None, drawn, **_QUICK)
    view.clear.click(lambda: gr.update(visible=True), None, view.confirm, **_AT_ONCE)
    view.clear_no.click(lambda: gr.update(visible=False), None, view.confirm, **_AT_ONCE)
    view.add.click(actions.add_pane, None, drawn, **_QUICK)
    _wire_person(view, actions, drawn)
    view.controls.policy.input(actions.pick_policy, view.controls.policy, drawn, **_QUICK)
    for pane in view.panes:
        _wire_pane(pane, actions, judging, inputs, drawn)
    prefer = view.prefer
    judged = [prefer.group, prefer.form, prefer.choice, prefer.note, prefer.change]
    prefer.submit.click(judging.prefer, [prefer.choice, prefer.comment], judged, **_QUICK)
    prefer.change.click(judging.change_preference, None, judged, **_QUICK)
    prefer.choice.input(judging.consider, prefer.choice, None, **_AT_ONCE)

    view.timer.tick(
        actions.tick, None, [view.timer, *(pane.live for pane in view.panes)], **_AT_ONCE
    )
    page.load(actions.opened, None, drawn, **_QUICK)
    page.unload(actions.leave)
    return CompareTab(actions, drawn)


def _wire_person(view: CompareView, actions: Actions, drawn: list[Any]) -> None:
    """Connect the picker and the profile, and clearing, which empties both."""
    person, profile = actions.person, list(view.controls.profile.values())
    named = [view.talking, view.talking_as]
    filled = [view.message, view.scenario, *profile, *named]
    view.scenario.input(person.pick, [view.scenario, view.message], filled, **_QUICK)
    view.no_one.click(person.remove, view.message, filled, **_QUICK)
    gr.on(
        # Not "input": that one stays silent about what is pasted with the mouse.
        [field.change for field in profile],
        person.name,
        profile,
        named,
        trigger_mode="always_last",
        **_AT_ONCE,
    )
    everything = [*drawn, *filled[1:]]
    view.clear_yes.click(
        actions.clear, [view.message, view.scenario, *profile], everything, **_QUICK
    )
    view.undo.click(actions.undo_clear, None, everything, **_QUICK)


def _wire_pane(
    pane: PaneView,
    actions: Actions,
    judging: Judging,
    inputs: list[gr.components.Component],
    drawn: list[Any],
) -> None:
    """Connect one pane's controls."""
    number = gr.State(pane.pane)
    pane.stop.click(actions.stop, number, None, **_AT_ONCE)
    pane.again.click(_again(actions, pane.pane), inputs, drawn, api_visibility="private", **_ROUND)
    pane.keep.click(actions.choose, number, drawn, **_QUICK)
    pane.remove.click(actions.remove_pane, number, drawn, **_QUICK)
    pane.model.input(actions.pick_model, [pane.model, number], drawn, **_QUICK)
    pane.kind.input(
        lambda kind: gr.update(interactive=kind != "raw"),
        pane.kind,
        pane.keep_negation,
        **_AT_ONCE,
    )
    rate = pane.rate
    judged = [rate.note, rate.form, rate.change]
    rate.submit.click(
        judging.rate,
        [number, *rate.scores, rate.comment],
        judged,
        **{**_QUICK, "trigger_mode": "once"},
    )
    rate.change.click(judging.change_rating, number, judged, **_QUICK)


def _again(actions: Actions, pane: int | None) -> Any:
    """The handler that writes one pane's reply, or all, again."""

    def regenerate(request: gr.Request, *values: Any) -> Iterator[Frame]:
        yield from actions.regenerate(request, None if pane is None else [pane], *values)

    return regenerate


def _drawn(view: CompareView) -> list[Any]:
    """Every component that a frame may update."""
    prefer = view.prefer
    parts: list[Any] = [
        view.message,
        view.send,
        view.stop_all,
        view.again_all,
        view.edit,
        view.cancel_edit,
        view.clear,
        view.confirm,
        view.undo,
        view.add,
        view.notice,
        view.timer,
        prefer.group,
        prefer.form,
        prefer.choice,
        prefer.comment,
        prefer.note,
        prefer.change,
    ]
    for pane in view.panes:
        parts += [
            pane.column,
            pane.model,
            pane.remove,
            pane.past,
            pane.live,
            pane.stop,
            pane.again,
            pane.keep,
            pane.seen,
        ]
        rate = pane.rate
        parts += [rate.note, rate.form, *rate.scores, rate.comment, rate.change]
    return [*parts, view.sent]
