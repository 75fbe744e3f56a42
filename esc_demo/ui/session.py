"""One visitor's conversation, without gradio and without storage.

A conversation is a list of exchanges: a message of the seeker and, per pane, the attempts at
a reply. Requests are always built anew from these raw turns, so a pane may change its model,
its context or its prompt between two messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from esc_demo.dialogue import Role, Turn, UserProfile, clean_message
from esc_demo.engine import (
    Done,
    Event,
    Failed,
    HistoryPolicy,
    Outcome,
    PaneConfig,
    Request,
    Seen,
    with_seed,
)
from esc_demo.errors import BadInput
from esc_demo.models import Chunk, GenerationParams


class StillWriting(BadInput):
    """It came too early; nothing is wrong otherwise."""


PANE_NAMES = "ABCD"
"""How panes are called on the page; pane 0 is A."""

_SEEDS_PER_TURN = 1000
_SEED_LIMIT = 2**53


def turn_seed(conversation_seed: int, position: int, retry: int) -> int:
    """The seed of one round of replies.

    Every pane of a turn gets the same one; a regeneration takes the next, and the first turn
    of a conversation uses the conversation's own, so it can be repeated from the command line.
    """
    return (conversation_seed + _SEEDS_PER_TURN * position + retry) % _SEED_LIMIT


def new_seed() -> int:
    """A random seed, short enough to be read aloud and typed again."""
    return secrets.randbelow(1_000_000)


class ReplyState(StrEnum):
    """Where a reply stands."""

    WAITING = "waiting"
    WRITING = "writing"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self in (ReplyState.DONE, ReplyState.STOPPED, ReplyState.FAILED)


@dataclass
class PaneReply:
    """One attempt of one pane; filled while it is being written."""

    pane: int
    attempt: int
    request: Request
    text: str = ""
    state: ReplyState = ReplyState.WAITING
    seen: Seen | None = None
    outcome: Outcome | None = None
    generation_id: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it may become part of the history: said, and not broken off by an error."""
        return self.state in (ReplyState.DONE, ReplyState.STOPPED) and bool(self.text)

    @property
    def rateable(self) -> bool:
        """Whether it can be judged: finished by the model, not empty, and stored."""
        return self.state is ReplyState.DONE and bool(self.text) and self.generation_id is not None

    def take(self, event: Event) -> None:
        """Account for one event of the engine."""
        match event:
            case Seen():
                self.seen = event
            case Chunk():
                self.text += event.text
                self.state = ReplyState.WRITING
            case _:
                self.text, self.outcome = event.text, event
                self.seen = event.seen or self.seen
                self.state = (
                    ReplyState.DONE
                    if isinstance(event, Done)
                    else ReplyState.FAILED
                    if isinstance(event, Failed)
                    else ReplyState.STOPPED
                )


@dataclass
class Exchange:
    """A message of the seeker and every pane's attempts at a reply, newest last."""

    position: int
    seeker_text: str
    policy: HistoryPolicy
    replies: dict[int, list[PaneReply]] = field(default_factory=dict)
    chosen: int | None = None
    settled: PaneReply | None = None
    turn_id: str | None = None
    supersedes: str | None = None

    def latest(self, pane: int) -> PaneReply | None:
        """The newest attempt of `pane`."""
        attempts = self.replies.get(pane)
        return attempts[-1] if attempts else None

    def remembered(self, pane: int, policy: HistoryPolicy) -> PaneReply | None:
        """The reply that `pane` remembers of this exchange; None when there is nothing usable."""
        source = pane if policy is HistoryPolicy.INDEPENDENT else self.chosen
        reply = None if source is None else self.latest(source)
        return reply if reply is not None and reply.usable else None

    def settle_choice(self) -> PaneReply | None:
        """Choose the first pane that has a usable reply, unless a usable one is chosen.

        Called as replies end, so "first" means the first to finish. Returns the reply that
        is now continued with, when it is another than at the last call: another pane's, or
        a new attempt of the same pane.
        """
        current = None if self.chosen is None else self.latest(self.chosen)
        if current is None or (current.state.finished and not current.usable):
            latest = (self.latest(pane) for pane in self.replies)
            current = next((reply for reply in latest if reply and reply.usable), None)
        if current is None or not current.usable:
            return None
        self.chosen = current.pane
        changed, self.settled = current is not self.settled, current
        return current if changed else None


@dataclass(frozen=True)
class TurnSettings:
    """What a round of replies is made with, apart from the words."""

    panes: Mapping[int, PaneConfig]
    params: GenerationParams = GenerationParams()
    profile: UserProfile = UserProfile()
    policy: HistoryPolicy = HistoryPolicy.INDEPENDENT


class ChatSession:
    """The conversation of one visitor. `params.seed` is the conversation's seed throughout."""

    def __init__(self) -> None:
        """Start empty."""
        self.exchanges: list[Exchange] = []
        self.conversation_id: str | None = None
        self._cleared: tuple[list[Exchange], str | None] | None = None

    @property
    def last(self) -> Exchange | None:
        """The newest exchange."""
        return self.exchanges[-1] if self.exchanges else None

    @property
    def writing(self) -> bool:
        """Whether any reply is unfinished."""
        return any(self.pane_is_writing(pane) for pane in range(len(PANE_NAMES)))

    @property
    def can_undo_clear(self) -> bool:
        """Whether a cleared conversation can be brought back."""
        return self._cleared is not None and not self.exchanges

    def pane_is_writing(self, pane: int) -> bool:
        """Whether this pane's newest reply is unfinished."""
        reply = self.last.latest(pane) if self.last else None
        return reply is not None and not reply.state.finished

    def send(self, text: str, settings: TurnSettings) -> tuple[Exchange, list[PaneReply]]:
        """Add a message; returns its exchange and the replies to be written.

        Raises:
            BadInput: the message cannot be used.
            StillWriting: replies are being written.
        """
        self._refuse_while_writing()
        cleaned = clean_message(text)
        exchange = Exchange(len(self.exchanges), cleaned, settings.policy)
        replies = self._attempts(exchange, self.exchanges, settings)
        self.exchanges.append(exchange)
        self._cleared = None
        return exchange, replies

    def edit_last(self, text: str, settings: TurnSettings) -> tuple[Exchange, list[PaneReply]]:
        """Say the last message differently; the old one stays in the store, not on the page.

        Raises:
            BadInput: the message cannot be used, or nothing was sent.
            StillWriting: replies are being written.
        """
        self._refuse_while_writing()
        cleaned = clean_message(text)
        old = self._need_last()
        earlier = self.exchanges[:-1]
        exchange = Exchange(old.position, cleaned, settings.policy, supersedes=old.turn_id)
        replies = self._attempts(exchange, earlier, settings)
        self.exchanges = [*earlier, exchange]
        return exchange, replies

    def regenerate(
        self, panes: Sequence[int], settings: TurnSettings
    ) -> tuple[Exchange, list[PaneReply]]:
        """Write the newest replies of `panes` again with the next seed.

        Raises:
            BadInput: nothing was sent yet.
            StillWriting: one of the panes is still writing.
        """
        exchange = self._need_last()
        for pane in panes:
            if self.pane_is_writing(pane):
                raise StillWriting(
                    f"Pane {PANE_NAMES[pane]} is still writing. Stop it or wait for its end."
                )
        chosen = replace(settings, panes={pane: settings.panes[pane] for pane in panes})
        return exchange, self._attempts(exchange, self.exchanges[:-1], chosen)

    def choose(self, pane: int) -> PaneReply:
        """Continue the shared history with this pane's newest reply.

        Raises:
            BadInput: the pane has no usable reply.
        """
        exchange = self._need_last()
        reply = exchange.latest(pane)
        if reply is None or not reply.usable:
            raise BadInput(f"Pane {PANE_NAMES[pane]} has no reply to continue with.")
        exchange.chosen, exchange.settled = pane, reply
        return reply

    def clear(self) -> None:
        """Start over; what was there can be brought back until the next message.

        Raises:
            StillWriting: replies are being written.
        """
        self._refuse_while_writing()
        if self.exchanges:
            self._cleared = (self.exchanges, self.conversation_id)
        self.exchanges, self.conversation_id = [], None

    def undo_clear(self) -> None:
        """Bring the cleared conversation back.

        Raises:
            BadInput: there is none, or a new one has begun.
        """
        if not self.can_undo_clear or self._cleared is None:
            raise BadInput("There is no cleared conversation to bring back.")
        (self.exchanges, self.conversation_id), self._cleared = self._cleared, None

    def _attempts(
        self, exchange: Exchange, earlier: Sequence[Exchange], settings: TurnSettings
    ) -> list[PaneReply]:
        """Open the next attempt of every pane in `settings`."""
        if not settings.panes:
            raise BadInput("No pane is open. Add one and try again.")
        replies: list[PaneReply] = []
        for pane, config in settings.panes.items():
            attempts = exchange.replies.setdefault(pane, [])
            seed = turn_seed(settings.params.seed, exchange.position, len(attempts))
            request = Request(
                pane=config,
                turns=(
                    *history(earlier, pane, settings.policy),
                    Turn(Role.SEEKER, exchange.seeker_text),
                ),
                profile=settings.profile,
                params=with_seed(settings.params, seed),
            )
            attempts.append(PaneReply(pane, len(attempts), request))
            replies.append(attempts[-1])
        return replies

    def _refuse_while_writing(self) -> None:
        if self.writing:
            raise StillWriting("Replies are still being written. Stop them or wait for their end.")

    def _need_last(self) -> Exchange:
        if self.last is None:
            raise BadInput("Nothing has been said yet. Send a message first.")
        return self.last


def history(earlier: Sequence[Exchange], pane: int, policy: HistoryPolicy) -> tuple[Turn, ...]:
    """The raw turns that `pane` remembers under `policy`, oldest first."""
    turns: list[Turn] = []
    for exchange in earlier:
        turns.append(Turn(Role.SEEKER, exchange.seeker_text))
        if (reply := exchange.remembered(pane, policy)) is not None:
            turns.append(Turn(Role.SUPPORTER, reply.text))
    return tuple(turns)
