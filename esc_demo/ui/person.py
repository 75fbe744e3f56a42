"""Who is talking: the scenario picker, the profile behind it, and the line that names them."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from esc_demo.prompts.scenarios import load_scenarios
from esc_demo.ui.controls import PROFILE_FIELDS
from esc_demo.ui.frames import Frame
from esc_demo.ui.live import Visitors
from esc_demo.ui.view import CompareView

_EMPTY = ("",) * len(PROFILE_FIELDS)


class Person:
    """The handlers. Profile values come in the order of `PROFILE_FIELDS`."""

    def __init__(self, view: CompareView, visitors: Visitors) -> None:
        """Keep the components and the open pages."""
        self.view = view
        self.visitors = visitors

    def pick(self, request: gr.Request, scenario: str | None, message: str | None) -> Frame:
        """Fill the profile, and the message box unless it holds somebody's own words."""
        chosen = load_scenarios().get(scenario or "")
        if chosen is None:
            return self._fill(_EMPTY) | self._opening(request, "", message)
        profile = tuple(getattr(chosen.profile, name) for name in PROFILE_FIELDS)
        return self._fill(profile) | self._opening(request, chosen.opening, message)

    def remove(self, request: gr.Request, message: str | None) -> Frame:
        """Talk as nobody in particular again."""
        picker = {self.view.scenario: gr.update(value="")}
        return self._fill(_EMPTY) | picker | self._opening(request, "", message)

    def name(self, *profile: str | None) -> Frame:
        """Say who is talking, so that a filled profile is never sent unseen."""
        shown = talking_as(dict(zip(PROFILE_FIELDS, profile, strict=True)))
        return {
            self.view.talking: gr.update(visible=bool(shown)),
            self.view.talking_as: f'<p class="esc-hint">{escape(shown)}</p>' if shown else "",
        }

    def clear(
        self, request: gr.Request, cleared: Frame, scenario: str | None, *profile: str | None
    ) -> Frame:
        """Empty picker and profile with the conversation, and keep them for its undoing."""
        visitor = self.visitors.get(request.session_hash)
        visitor.person = (scenario or "", tuple(value or "" for value in profile))
        return cleared | self._fill(_EMPTY) | {self.view.scenario: gr.update(value="")}

    def undo_clear(self, request: gr.Request, restored: Frame) -> Frame:
        """Bring picker and profile back with the conversation."""
        visitor = self.visitors.get(request.session_hash)
        if visitor.person is None:
            return restored
        (scenario, profile), visitor.person = visitor.person, None
        return restored | self._fill(profile) | {self.view.scenario: gr.update(value=scenario)}

    def _fill(self, profile: tuple[str, ...]) -> Frame:
        fields = self.view.controls.profile
        values = dict(zip(PROFILE_FIELDS, profile, strict=True))
        return {fields[name]: value for name, value in values.items()} | self.name(*profile)

    def _opening(self, request: gr.Request, opening: str, message: str | None) -> Frame:
        """Put `opening` into the box, but never over a draft or a message being edited."""
        editing = self.visitors.get(request.session_hash).editing
        if editing or not replaceable(message):
            return {}
        return {self.view.message: gr.update(value=opening)}


def replaceable(message: str | None) -> bool:
    """Whether the box holds nothing of the visitor's own: blank, or a scenario's opening."""
    text = (message or "").strip()
    return not text or text in {one.opening.strip() for one in load_scenarios().values()}


def talking_as(profile: dict[str, Any]) -> str:
    """`Talking as NAME`, or that a profile without a name is filled in; empty without one."""
    filled = {name: (value or "").strip() for name, value in profile.items()}
    if filled.get("name"):
        return f"Talking as {filled['name']}"
    return "Talking with the profile under Advanced settings" if any(filled.values()) else ""
