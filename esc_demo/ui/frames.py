"""What the page shows of a visitor: updates by component, made from the server's state only."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import gradio as gr

from annotations import Choice, load_scales
from esc_demo.engine import HistoryPolicy
from esc_demo.models.registry import LoadPhase, ModelRegistry
from esc_demo.ui.live import Visitor
from esc_demo.ui.pane import PaneView
from esc_demo.ui.render import PaneScene, live_html, past_html
from esc_demo.ui.seen import seen_html
from esc_demo.ui.session import PANE_NAMES, PaneReply
from esc_demo.ui.view import SEND, SEND_EDITED, CompareView

Frame = dict[Any, Any]
"""Updates by component."""


class Frames:
    """Draws a visitor on the components of `view`."""

    def __init__(self, view: CompareView, registry: ModelRegistry) -> None:
        """Keep what is drawn on and where models stand."""
        self.view = view
        self.registry = registry

    def loading(self, visitor: Visitor) -> bool:
        """Whether a model of an open pane is being loaded, or about to be."""
        return any(
            self.registry.state(model).phase is LoadPhase.LOADING
            for model in visitor.panes.values()
        )

    def live(self, visitor: Visitor, panes: Iterable[int] | None = None) -> Frame:
        """The newest exchange of the open panes, or of those given."""
        return {
            self.view.panes[pane].live: live_html(visitor.chat, self._scene(visitor, pane))
            for pane in (visitor.panes if panes is None else panes)
            if pane in visitor.panes
        }

    def full(self, visitor: Visitor) -> Frame:
        """Everything but what the visitor typed or chose."""
        view, chat, writing = self.view, visitor.chat, visitor.chat.writing
        said = chat.last is not None
        frame: Frame = {
            view.send: gr.update(value=SEND_EDITED if visitor.editing else SEND),
            view.stop_all: gr.update(interactive=writing),
            view.again_all: gr.update(interactive=said and not writing),
            view.edit: gr.update(interactive=said and not writing, visible=not visitor.editing),
            view.cancel_edit: gr.update(visible=visitor.editing),
            view.clear: gr.update(interactive=said and not writing),
            view.undo: gr.update(visible=chat.can_undo_clear),
            view.add: gr.update(visible=len(visitor.panes) < len(view.panes)),
            view.notice: notice_html(visitor.problem),
            view.timer: gr.Timer(active=self.loading(visitor)),
            **self.preference(visitor),
        }
        for pane in view.panes:
            frame |= self._pane(visitor, pane)
        return frame

    def fresh_forms(self, panes: Iterable[int]) -> Frame:
        """Empty rating forms of `panes`, and an empty preference: new replies are coming."""
        prefer = self.view.prefer
        frame: Frame = {
            prefer.comment: gr.update(value=""),
            prefer.choice: gr.update(value=None),
        }
        for pane in panes:
            rate = self.view.panes[pane].rate
            frame |= {radio: gr.update(value=None) for radio in rate.scores}
            frame[rate.comment] = gr.update(value="")
        return frame

    def _pane(self, visitor: Visitor, pane: PaneView) -> Frame:
        number = pane.pane
        if number not in visitor.panes:
            return {pane.column: gr.update(visible=False)}
        chat, scene = visitor.chat, self._scene(visitor, number)
        reply = chat.last.latest(number) if chat.last else None
        writing = chat.pane_is_writing(number)
        can_continue = (
            visitor.policy is HistoryPolicy.SHARED
            and reply is not None
            and reply.usable
            and chat.last is not None
            and chat.last.chosen != number
        )
        return {
            pane.column: gr.update(visible=True),
            pane.model: gr.update(value=visitor.panes[number]),
            pane.remove: gr.update(visible=len(visitor.panes) > 1),
            pane.past: past_html(chat, scene),
            pane.live: live_html(chat, scene),
            pane.stop: gr.update(interactive=writing),
            pane.again: gr.update(interactive=chat.last is not None and not writing),
            pane.keep: gr.update(visible=can_continue),
            pane.seen: seen_html(reply),
            **self.rating(visitor, number),
        }

    def rating(self, visitor: Visitor, number: int) -> Frame:
        """The state of a pane's rating form, its answers untouched."""
        rate = self.view.panes[number].rate
        reply = visitor.chat.last.latest(number) if visitor.chat.last else None
        open_form = reply is not None and reply.rateable
        saved = visitor.saved.get(reply.generation_id or "") if reply else None
        note = "" if open_form else "A finished reply can be rated here."
        return {
            rate.note: _saved_html(saved) if saved else _hint_html(note),
            rate.form: gr.update(visible=open_form and not saved),
            rate.change: gr.update(visible=bool(saved)),
        }

    def preference(self, visitor: Visitor) -> Frame:
        """The comparison across panes, the answer untouched."""
        prefer, exchange = self.view.prefer, visitor.chat.last
        replies = comparable(visitor)
        if exchange is None or len(replies) < 2:
            return {prefer.group: gr.update(visible=False)}
        saved = visitor.saved.get(exchange.turn_id or "")
        words = load_scales().preference.choices
        choices = [(f"Pane {PANE_NAMES[reply.pane]}", str(reply.pane)) for reply in replies]
        choices += [(words[one], one.value) for one in (Choice.TIE, Choice.BOTH_BAD)]
        return {
            prefer.group: gr.update(visible=True),
            prefer.form: gr.update(visible=not saved),
            prefer.choice: gr.update(choices=choices),
            prefer.note: _saved_html(saved) if saved else "",
            prefer.change: gr.update(visible=bool(saved)),
        }

    def _scene(self, visitor: Visitor, pane: int) -> PaneScene:
        model = visitor.panes[pane]
        return PaneScene(
            pane,
            self.registry.catalogue[model],
            self.registry.state(model),
            visitor.policy,
            self.registry.catalogue,
        )


def comparable(visitor: Visitor) -> list[PaneReply]:
    """The newest replies of the open panes that can be judged, left to right."""
    exchange = visitor.chat.last
    if exchange is None or visitor.chat.writing:
        return []
    replies = (exchange.latest(pane) for pane in sorted(visitor.panes))
    return [reply for reply in replies if reply is not None and reply.rateable]


def notice_html(problem: str) -> str:
    """What went wrong, beside the message box."""
    return f'<div class="esc-error" role="alert">{escape(problem)}</div>' if problem else ""


def _saved_html(text: str) -> str:
    return f'<p class="esc-saved" role="status">{escape(text)}</p>'


def _hint_html(text: str) -> str:
    return f'<p class="esc-hint">{escape(text)}</p>' if text else ""
