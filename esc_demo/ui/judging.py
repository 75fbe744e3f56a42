"""Ratings and preferences: from the forms of the page to the store.

The reply, the rater and the submission id are the server's; the page sends only answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from annotations import (
    Choice,
    Dimension,
    PreferenceForm,
    RatingForm,
    RatingStatus,
    Store,
    load_scales,
)
from esc_demo.errors import BadInput, EscError
from esc_demo.ui.frames import (
    PREFERENCE,
    Frame,
    Frames,
    comparable,
    preference_key,
    turn_prefix,
)
from esc_demo.ui.live import Visitors
from esc_demo.ui.session import PANE_NAMES


class Judging:
    """The handlers of the rating forms."""

    def __init__(self, store: Store, visitors: Visitors, frames: Frames) -> None:
        """Keep the store, the open pages and the way to draw them."""
        self.store = store
        self.visitors = visitors
        self.frames = frames

    def rate(self, request: gr.Request, pane: int, *answers: Any) -> Frame:
        """Store the rating of a pane's newest reply: one answer per dimension, then a comment."""
        visitor = self.visitors.get(request.session_hash)
        *scores, comment = answers
        try:
            reply = visitor.chat.last.latest(pane) if visitor.chat.last else None
            if reply is None or not reply.rateable or reply.generation_id is None:
                raise BadInput("There is no finished reply to rate in this pane yet.")
            _all_answered(scores)
            form = RatingForm.parse(
                submission_id=visitor.nonce(reply.generation_id),
                rater_id=visitor.rater_id,
                generation_id=reply.generation_id,
                scores=dict(zip(Dimension, scores, strict=True)),
                comment=comment or "",
            )
            self.store.rate(form)
        except EscError as error:
            return self.frames.rating(visitor, pane, str(error))
        said = ", ".join(
            f"{name} {'cannot judge' if score == RatingStatus.CANNOT_JUDGE else score}"
            for name, score in form.scores.items()
        )
        note = " with your comment" if form.comment else ""
        visitor.saved[reply.generation_id] = f"Saved for pane {PANE_NAMES[pane]}: {said}{note}."
        visitor.spent.add(pane)
        return self.frames.rating(visitor, pane)

    def change_rating(self, request: gr.Request, pane: int) -> Frame:
        """Open a new form; what is saved with it supersedes the old rating."""
        visitor = self.visitors.get(request.session_hash)
        reply = visitor.chat.last.latest(pane) if visitor.chat.last else None
        if reply is not None and reply.generation_id is not None:
            visitor.reopen(reply.generation_id)
        return self.frames.rating(visitor, pane)

    def prefer(self, request: gr.Request, choice: str | None, comment: str | None) -> Frame:
        """Store which of the open panes' newest replies is best."""
        visitor = self.visitors.get(request.session_hash)
        exchange, replies = visitor.chat.last, comparable(visitor)
        visitor.preferred = choice
        try:
            if exchange is None or exchange.turn_id is None or len(replies) < 2:
                raise BadInput("It takes two finished replies to prefer one of them.")
            if not choice:
                raise BadInput(f"Still to answer: {load_scales().preference.question}")
            key = preference_key(exchange, replies)
            by_pane = {str(reply.pane): reply.generation_id for reply in replies}
            named = choice in by_pane
            form = PreferenceForm.parse(
                submission_id=visitor.nonce(key),
                rater_id=visitor.rater_id,
                turn_id=exchange.turn_id,
                choice=Choice.GENERATION if named else choice,
                preferred_generation_id=by_pane[choice] if named and choice else None,
                compared=tuple(by_pane.values()),
                comment=comment or "",
            )
            self.store.prefer(form)
        except EscError as error:
            return self.frames.preference(visitor, str(error))
        if named and choice:
            said = f"pane {PANE_NAMES[int(choice)]} is preferred"
        else:
            said = {Choice.TIE: "about equally good", Choice.BOTH_BAD: "none is good"}[form.choice]
        among = ", ".join(PANE_NAMES[reply.pane] for reply in replies)
        for old in [old for old in visitor.saved if old.startswith(turn_prefix(exchange))]:
            visitor.reopen(old)  # superseded: coming back to those replies asks again
        visitor.saved[key] = f"Saved: {said} (compared: {among})."
        visitor.spent.add(PREFERENCE)
        return self.frames.preference(visitor)

    def change_preference(self, request: gr.Request) -> Frame:
        """Open a new comparison; what is saved with it supersedes the old one."""
        visitor = self.visitors.get(request.session_hash)
        if visitor.chat.last is not None:
            visitor.reopen(preference_key(visitor.chat.last, comparable(visitor)))
        return self.frames.preference(visitor)

    def consider(self, request: gr.Request, choice: str | None) -> None:
        """Remember what is ticked, so that it outlives changes of other panes' replies."""
        self.visitors.get(request.session_hash).preferred = choice


def _all_answered(scores: Sequence[Any]) -> None:
    """Refuse a rating with open questions, naming them as the form does."""
    titles = [load_scales().dimensions[dimension].title for dimension in Dimension]
    missing = [title for title, score in zip(titles, scores, strict=True) if score is None]
    if missing:
        cannot = load_scales().cannot_judge.title
        raise BadInput(f"Still to answer: {', '.join(missing)}. '{cannot}' counts as an answer.")
