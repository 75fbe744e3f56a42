"""What the buttons of the Compare tab do, each as a plain function or generator.

Handlers know a visitor only by the session id of the request; ids of raters, replies and
forms never come from the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import count
from typing import Any

import gradio as gr

from annotations import Origin, Store
from esc_demo import __version__
from esc_demo.engine import HistoryPolicy, Outcome
from esc_demo.errors import BadInput, EscError
from esc_demo.models.registry import LoadPhase, ModelRegistry
from esc_demo.ui.controls import read_settings
from esc_demo.ui.frames import Frame, Frames
from esc_demo.ui.live import Round, Visitor, Visitors
from esc_demo.ui.person import Person, replaceable
from esc_demo.ui.session import Exchange, PaneReply, StillWriting, TurnSettings

FRAME_S = 1 / 12
"""Seconds between two updates of a reply that is being written."""

_IDLE_FRAMES = 12
"""So many frames without news, and an empty update shows whether the page is still there."""

_PANE_VALUES = 3


class _Repeated(StillWriting):
    """The same message again while it is being answered: a double click."""


def _same_while_writing(visitor: Visitor, message: str | None) -> None:
    """Raise when `message` is the one being answered, or nothing at all."""
    said = (message or "").strip()
    if visitor.chat.writing and visitor.chat.last and said in ("", visitor.chat.last.seeker_text):
        raise _Repeated("This message is being answered already.")


def warn(error: Exception) -> None:
    """Show what is wrong; the toast would render markup, so it gets none."""
    gr.Warning(escape(str(error)), title="That did not work")


class Actions:
    """The handlers, with what they need."""

    def __init__(
        self, store: Store, registry: ModelRegistry, visitors: Visitors, frames: Frames
    ) -> None:
        """Keep the store, the models, the open pages and the way to draw them."""
        self.store = store
        self.registry = registry
        self.visitors = visitors
        self.frames = frames
        self.view = frames.view
        self.person = Person(frames.view, visitors)
        self._sent = count(1)

    def send(self, request: gr.Request, message: str, *values: Any) -> Iterator[Frame]:
        """Say something, or say the last thing differently; the typed text stays when refused."""
        visitor = self.visitors.get(request.session_hash)

        def begin(settings: TurnSettings) -> tuple[Exchange, list[PaneReply]]:
            chat = visitor.chat
            if not visitor.editing:
                _same_while_writing(visitor, message)
            say = chat.edit_last if visitor.editing and chat.last else chat.send
            started = say(message or "", settings)
            self._store_turn(visitor, started[0])
            visitor.editing = False
            return started

        yield from self._write(visitor, values, begin, lambda: self._accepted(visitor, message))

    def _accepted(self, visitor: Visitor, message: str) -> Frame:
        """Tell the page which words to take out of the box.

        The box is not simply emptied: somebody who types on after Enter would lose what they
        typed until the answer came. A number makes the same words count again.
        """
        news = {"number": next(self._sent), "text": message, "draft": visitor.draft}
        visitor.draft = ""
        return {self.view.sent: gr.update(value=json.dumps(news))}

    def regenerate(
        self, request: gr.Request, panes: Sequence[int] | None, *values: Any
    ) -> Iterator[Frame]:
        """Write the newest reply of some panes, or of all open ones, again."""
        visitor = self.visitors.get(request.session_hash)
        chosen = sorted(visitor.panes) if panes is None else panes
        yield from self._write(
            visitor, values, lambda settings: visitor.chat.regenerate(chosen, settings), dict
        )

    def _write(
        self,
        visitor: Visitor,
        values: Sequence[Any],
        begin: Callable[[TurnSettings], tuple[Exchange, list[PaneReply]]],
        accepted: Callable[[], Frame],
    ) -> Iterator[Frame]:
        """Begin a round and show it until its end; leaving the page ends it."""
        started = self._begin(visitor, values, begin)
        if started is None:
            yield self.frames.full(visitor)
            return
        one, panes = started
        try:
            fresh = self.frames.fresh_forms(visitor, panes)
            yield self.frames.full(visitor) | fresh | accepted()
            yield from self._watch(visitor, one)
        finally:
            if not one.finished:
                one.stop()

    def _begin(
        self,
        visitor: Visitor,
        values: Sequence[Any],
        begin: Callable[[TurnSettings], tuple[Exchange, list[PaneReply]]],
    ) -> tuple[Round, list[int]] | None:
        """Start a round; None, with the reason shown, when it was refused."""
        with visitor.lock:
            before = list(visitor.chat.exchanges)
            try:
                settings = self._settings(visitor, values)
                exchange, replies = begin(settings)
            except _Repeated:
                return None
            except StillWriting as early:
                visitor.calm = str(early)
                return None
            except EscError as error:
                visitor.chat.exchanges = before
                visitor.problem, visitor.calm = str(error), ""
                warn(error)
                return None
            visitor.policy, visitor.problem, visitor.calm = settings.policy, "", ""
            one = Round(exchange, replies)
            visitor.add(one)
            self._start(visitor, one, exchange, settings.policy)
            return one, [reply.pane for reply in replies]

    def _watch(self, visitor: Visitor, one: Round) -> Iterator[Frame]:
        """Frames until all of this visitor's replies have ended, whoever began them."""
        shown: Frame = {}
        states: list[Any] = []
        idle = 0
        while not one.wait(FRAME_S) or visitor.writing:
            if one.finished:  # another round of the same page is still being written
                visitor.pause(FRAME_S)
            now = [reply.state for reply in one.replies] + [r.seen is None for r in one.replies]
            if now != states:
                # A pane began or ended: its buttons, drawer and form follow at once.
                states = now
                yield self.frames.full(visitor)
                continue
            frame = self.frames.live(visitor)
            news = {part: html for part, html in frame.items() if shown.get(part) != html}
            shown = frame
            idle = 0 if news else idle + 1
            if news or idle % _IDLE_FRAMES == 0:
                yield news or {self.view.notice: gr.skip()}
        yield self.frames.full(visitor)

    def _settings(self, visitor: Visitor, values: Sequence[Any]) -> TurnSettings:
        """Split the posted values into the advanced settings and those of each open pane."""
        first = len(values) - _PANE_VALUES * len(self.view.panes)
        panes = {
            pane: values[first + _PANE_VALUES * pane : first + _PANE_VALUES * (pane + 1)]
            for pane in sorted(visitor.panes)
        }
        return read_settings(values[:first], panes, visitor.panes)

    def _store_turn(self, visitor: Visitor, exchange: Exchange) -> None:
        """Store the message, and open the conversation with its first one."""
        chat = visitor.chat
        if chat.conversation_id is None:
            chat.conversation_id = self.store.open_conversation(
                origin=Origin.PAGE, policy=exchange.policy, app_version=__version__
            )
        exchange.turn_id = self.store.add_turn(
            chat.conversation_id,
            exchange.position,
            exchange.seeker_text,
            exchange.policy,
            exchange.supersedes,
        )

    def _start(
        self, visitor: Visitor, one: Round, exchange: Exchange, policy: HistoryPolicy
    ) -> None:
        """Let the models write; the ids are taken now, in case the page moves on."""
        conversation, turn = visitor.chat.conversation_id or "", exchange.turn_id or ""

        def record(reply: PaneReply, outcome: Outcome) -> str:
            return self.store.record(
                conversation, turn, reply.pane, reply.attempt, policy, reply.request, outcome
            )

        def chosen(reply: PaneReply) -> None:
            if policy is HistoryPolicy.SHARED and reply.generation_id is not None:
                self.store.choose(turn, reply.generation_id)

        def problem(text: str) -> None:
            visitor.problem = text

        one.start(self.registry, record, chosen, problem)

    def stop(self, request: gr.Request, pane: int | None = None) -> None:
        """Stop one pane or all; the round's own handler shows the rest."""
        self.visitors.get(request.session_hash).stop(pane)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed."""
        self.visitors.left(request.session_hash)

    def choose(self, request: gr.Request, pane: int) -> Frame:
        """Continue the shared history with this pane's reply."""
        visitor = self.visitors.get(request.session_hash)
        try:
            reply = visitor.chat.choose(pane)
            exchange = visitor.chat.last
            if exchange and exchange.turn_id and reply.generation_id:
                self.store.choose(exchange.turn_id, reply.generation_id)
        except EscError as error:
            warn(error)
        return self.frames.full(visitor)

    def edit(self, request: gr.Request, message: str | None = "") -> Frame:
        """Put the last message into the box; what was there comes back afterwards."""
        visitor = self.visitors.get(request.session_hash)
        if visitor.chat.last is None or visitor.editing:
            return self.frames.full(visitor)
        visitor.editing, visitor.draft = True, message or ""
        text = visitor.chat.last.seeker_text
        return self.frames.full(visitor) | {self.view.message: gr.update(value=text)}

    def cancel_edit(self, request: gr.Request) -> Frame:
        """Leave the last message as it was."""
        visitor = self.visitors.get(request.session_hash)
        if not visitor.editing:
            return self.frames.full(visitor)
        back = self._end_edit(visitor)
        return self.frames.full(visitor) | back

    def _end_edit(self, visitor: Visitor) -> Frame:
        """Leave the edit mode and put the draft back that it had replaced."""
        visitor.editing, draft, visitor.draft = False, visitor.draft, ""
        return {self.view.message: gr.update(value=draft)}

    def clear(
        self, request: gr.Request, message: str | None, scenario: str | None, *profile: str | None
    ) -> Frame:
        """Start over, also about who is talking; a draft stays in the box."""
        visitor = self.visitors.get(request.session_hash)
        closed = {self.view.confirm: gr.update(visible=False)}
        with visitor.lock:
            try:
                visitor.chat.clear()
            except EscError as error:
                warn(error)
                return self.frames.full(visitor) | closed
            visitor.problem = visitor.calm = ""
            box: Frame = {}
            if visitor.editing:
                box = self._end_edit(visitor)
            elif replaceable(message):
                box = {self.view.message: gr.update(value="")}
            cleared = self.frames.full(visitor) | closed | box
            return self.person.clear(request, cleared, scenario, *profile)

    def undo_clear(self, request: gr.Request) -> Frame:
        """Bring the cleared conversation back, and who was talking."""
        visitor = self.visitors.get(request.session_hash)
        with visitor.lock:
            try:
                visitor.chat.undo_clear()
            except EscError as error:
                warn(error)
                return self.frames.full(visitor)
            return self.person.undo_clear(request, self.frames.full(visitor))

    def add_pane(self, request: gr.Request) -> Frame:
        """Open the first closed pane."""
        visitor = self.visitors.get(request.session_hash)
        with visitor.lock:
            closed = [p.pane for p in self.view.panes if p.pane not in visitor.panes]
            if closed:
                defaults = self.registry.catalogue.default_panes
                visitor.panes[closed[0]] = defaults[min(closed[0], len(defaults) - 1)]
        return self.frames.full(visitor)

    def open_model(self, request: gr.Request, model: str) -> tuple[int | None, Frame]:
        """Open a closed pane with a model; None when all are open, and nothing has changed."""
        visitor = self.visitors.get(request.session_hash)
        with visitor.lock:
            closed = [p.pane for p in self.view.panes if p.pane not in visitor.panes]
            if not closed:
                return None, self.frames.full(visitor)
            visitor.panes[closed[0]] = model
        return closed[0], self.pick_model(request, model, closed[0])

    def remove_pane(self, request: gr.Request, pane: int) -> Frame:
        """Close a pane, but never the last one; its stored replies stay."""
        visitor = self.visitors.get(request.session_hash)
        with visitor.lock:
            if len(visitor.panes) > 1 and pane in visitor.panes:
                visitor.stop(pane)
                del visitor.panes[pane]
        return self.frames.full(visitor)

    def pick_model(self, request: gr.Request, model: str, pane: int) -> Frame:
        """Use another model from the next message on, and begin to load it."""
        visitor = self.visitors.get(request.session_hash)
        try:
            self.registry.catalogue[model]
            if pane not in visitor.panes:
                raise BadInput("This pane is closed. Add it again first.")
        except EscError as error:
            warn(error)
            return self.frames.full(visitor)
        visitor.panes[pane] = model
        if self.registry.state(model).phase in (LoadPhase.IDLE, LoadPhase.FAILED):
            self.registry.start([model])
        return self.frames.full(visitor)

    def pick_policy(self, request: gr.Request, policy: str) -> Frame:
        """Show the conversation under another history policy."""
        visitor = self.visitors.get(request.session_hash)
        visitor.policy = HistoryPolicy(policy)
        return self.frames.full(visitor)

    def tick(self, request: gr.Request) -> Frame:
        """Show how far the models are, until none is loading."""
        visitor = self.visitors.get(request.session_hash)
        loading = self.frames.loading(visitor)
        return self.frames.live(visitor) | {self.view.timer: gr.Timer(active=loading)}

    def opened(self, request: gr.Request) -> Frame:
        """The page was opened."""
        return self.frames.full(self.visitors.get(request.session_hash))
