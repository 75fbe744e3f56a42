"""What the page shows of a visitor: updates by component, made from the server's state only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import gradio as gr

from annotations import Choice, load_scales
from esc_demo.engine import HistoryPolicy
from esc_demo.models.registry import LoadPhase, ModelRegistry
from esc_demo.ui.live import Visitor
from esc_demo.ui.pane import PaneView, model_choices
from esc_demo.ui.render import PaneScene, live_html, past_html
from esc_demo.ui.seen import seen_html
from esc_demo.ui.session import PANE_NAMES, Exchange, PaneReply, ReplyState
from esc_demo.ui.view import SEND, SEND_EDITED, CompareView

Frame = dict[Any, Any]
"""Updates by component."""

PREFERENCE = -1
"""Stands for the preference where the forms of panes go by pane number."""


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
            view.notice: notice_html(visitor.problem, visitor.calm if writing else ""),
            view.timer: gr.Timer(active=self.loading(visitor)),
            **self.preference(visitor),
        }
        for pane in view.panes:
            frame |= self._pane(visitor, pane)
        return frame

    def fresh_forms(self, visitor: Visitor, panes: Sequence[int]) -> Frame:
        """Empty the answers about the replies of `panes`, which are being written anew.

        Answers about other panes stay, and so does a comment that was never saved.
        """
        prefer = self.view.prefer
        frame: Frame = {}
        if visitor.preferred not in {str(p) for p in visitor.panes if p not in panes}:
            visitor.preferred = None
            frame[prefer.choice] = gr.update(value=None)
        if PREFERENCE in visitor.spent:
            frame[prefer.comment] = gr.update(value="")
        for pane in panes:
            rate = self.view.panes[pane].rate
            frame |= {radio: gr.update(value=None) for radio in rate.scores}
            if pane in visitor.spent:
                frame[rate.comment] = gr.update(value="")
        visitor.spent -= {PREFERENCE, *panes}
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
            pane.model: gr.update(
                value=visitor.panes[number], choices=model_choices(self.registry.catalogue)
            ),
            pane.remove: gr.update(visible=len(visitor.panes) > 1),
            pane.past: past_html(chat, scene),
            pane.live: live_html(chat, scene),
            pane.stop: gr.update(interactive=writing),
            pane.again: gr.update(interactive=chat.last is not None and not writing),
            pane.keep: gr.update(visible=can_continue),
            pane.seen: seen_html(reply),
            **self.rating(visitor, number),
        }

    def rating(self, visitor: Visitor, number: int, problem: str = "") -> Frame:
        """The state of a pane's rating form, its answers untouched; `problem` is shown in it."""
        rate = self.view.panes[number].rate
        reply = visitor.chat.last.latest(number) if visitor.chat.last else None
        open_form = reply is not None and reply.rateable
        saved = visitor.saved.get(reply.generation_id or "") if reply else None
        note = _saved_html(saved) if saved else _hint_html(why_not(reply))
        return {
            rate.note: notice_html(problem) if problem else note,
            rate.form: gr.update(visible=open_form and not saved),
            rate.change: gr.update(visible=bool(saved)),
        }

    def preference(self, visitor: Visitor, problem: str = "") -> Frame:
        """The comparison across panes, the answer untouched; `problem` is shown in it."""
        prefer, exchange = self.view.prefer, visitor.chat.last
        replies = comparable(visitor)
        if exchange is None or len(replies) < 2:
            return {prefer.group: gr.update(visible=False)}
        key = preference_key(exchange, replies)
        saved = visitor.saved.get(key)
        note = _saved_html(saved) if saved else ""
        if not saved and any(old.startswith(turn_prefix(exchange)) for old in visitor.saved):
            note = _hint_html("The replies have changed since you saved.")
        note += "".join(map(_hint_html, left_out(visitor)))
        words = load_scales().preference.choices
        choices = [(f"Pane {PANE_NAMES[reply.pane]}", str(reply.pane)) for reply in replies]
        choices += [(words[one], one.value) for one in (Choice.TIE, Choice.BOTH_BAD)]
        return {
            prefer.group: gr.update(visible=True),
            prefer.form: gr.update(visible=not saved),
            prefer.choice: gr.update(choices=choices),
            prefer.note: notice_html(problem) + note,
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


def turn_prefix(exchange: Exchange) -> str:
    """How the keys of all comparisons of one message begin."""
    return f"{exchange.turn_id}:"


def preference_key(exchange: Exchange, replies: Sequence[PaneReply]) -> str:
    """The comparison of these replies: other replies make it another comparison."""
    return turn_prefix(exchange) + ",".join(str(reply.generation_id) for reply in replies)


def why_not(reply: PaneReply | None) -> str:
    """Why a reply cannot be rated; empty when it can be."""
    if reply is None or not reply.state.finished:
        return "A finished reply can be rated here."
    if reply.rateable:
        return ""
    kind = {ReplyState.STOPPED: "Stopped", ReplyState.FAILED: "Failed"}.get(reply.state)
    if kind is None:
        kind = "Empty" if not reply.text else "Unstored"
    return f"{kind} replies are not rated. Regenerate it to rate this pane."


def left_out(visitor: Visitor) -> list[str]:
    """One sentence for each open pane whose reply cannot be compared."""
    why = {ReplyState.STOPPED: "it was stopped", ReplyState.FAILED: "it failed"}
    sentences: list[str] = []
    for pane in sorted(visitor.panes):
        reply = visitor.chat.last.latest(pane) if visitor.chat.last else None
        if reply is None or reply.rateable:
            continue
        other = "it could not be stored" if reply.text else "it is empty"
        sentences.append(f"Pane {PANE_NAMES[pane]} is left out: {why.get(reply.state, other)}.")
    return sentences


def notice_html(problem: str, calm: str = "") -> str:
    """What went wrong; or, without alarm, what has to be waited for."""
    if problem:
        return f'<div class="esc-error" role="alert">{escape(problem)}</div>'
    return f'<p class="esc-hint" role="status">{escape(calm)}</p>' if calm else ""


def _saved_html(text: str) -> str:
    return f'<p class="esc-saved" role="status">{escape(text)}</p>'


def _hint_html(text: str) -> str:
    return f'<p class="esc-hint">{escape(text)}</p>' if text else ""
