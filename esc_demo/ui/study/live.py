"""Live blinded chats: each message is answered by both arms, each on its own history.

A round runs in a thread of its own and the page looks at it from time to time: what the models
write is stored when the tab is closed midway, and both replies are shown at once when the
slower one has ended, so that the pace gives no arm away. Names of models are masked. A chat that
is not in memory any more is rebuilt from the stored generations.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from annotations import GenerationRow, Origin, Store
from annotations.studies.definition import Arm
from annotations.studies.desk import Desk
from annotations.studies.errors import conflict
from annotations.studies.normalise import masked, normalised, telling_names
from annotations.studies.values import ItemView
from esc_demo import __version__
from esc_demo.dialogue import MAX_MESSAGE_CHARS, Role, Turn, clean_message
from esc_demo.engine import (
    HistoryPolicy,
    ModelSource,
    Outcome,
    PaneConfig,
    Request,
    side_by_side,
)
from esc_demo.models import GenerationParams, StopSignal
from esc_demo.prompts import PromptTemplate
from esc_demo.ui.study.replies import Json

_log = logging.getLogger(__name__)
_POLICY = HistoryPolicy.INDEPENDENT
MOST_CHATS = 500
"""Chats kept in memory; the one unused for longest is rebuilt when it is needed again."""


@dataclass
class _Exchange:
    """One message and what each side replied; None where a side could not."""

    text: str
    replies: tuple[str | None, ...] | None = None


@dataclass
class _Chat:
    """One assignment's chat. `lock` is held while any of the rest is changed."""

    assignment_id: str
    owner: str
    """The key of whoever holds it."""
    arms: tuple[Arm, ...]
    conversations: tuple[str, ...]
    exchanges: list[_Exchange] = field(default_factory=list)
    left_over: dict[tuple[int, int], str] = field(default_factory=dict)
    """Turns by (side, position) that were stored, but never answered by both sides."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pending(self) -> bool:
        """Whether a message is being answered."""
        return bool(self.exchanges) and self.exchanges[-1].replies is None

    def history(self, side: int) -> tuple[Turn, ...]:
        """What one side has heard and said, the newest message included."""
        turns: list[Turn] = []
        for exchange in self.exchanges:
            turns.append(Turn(Role.SEEKER, exchange.text))
            if exchange.replies is not None and (reply := exchange.replies[side]):
                turns.append(Turn(Role.SUPPORTER, reply))
        return tuple(turns)


class LiveChats:
    """All chats that are going on."""

    def __init__(self, desk: Desk, store: Store, models: ModelSource) -> None:
        """Take arms from `desk`, keep replies in `store`, have them written by `models`."""
        self._desk = desk
        self._store = store
        self._models = models
        self._lock = threading.Lock()
        self._chats: OrderedDict[str, _Chat] = OrderedDict()

    def look(self, slug: str, key: str, item: ItemView) -> Json:
        """A chat as the page may see it."""
        return _as_json(self._chat(slug, key, item), item)

    def say(self, slug: str, key: str, item: ItemView, position: int, text: str) -> Json:
        """Begin to answer a message. The same message at the same position changes nothing.

        Raises:
            BadInput: an unusable text.
            StudyError: out of order, while another is answered, or after the end.
        """
        message = clean_message(text)
        chat = self._chat(slug, key, item)
        with chat.lock:
            said = len(chat.exchanges)
            if position < said and chat.exchanges[position].text == message:
                return _as_json(chat, item)
            if item.chat_ended:
                raise conflict("This chat has ended. Please rate it.")
            if position != said or chat.pending:
                raise conflict("Another message was sent from another tab first.")
            if said >= item.most_turns:
                raise conflict("This chat has reached its length. Please end it.")
            if not chat.conversations:
                chat.conversations = self._open(slug, key, chat)
            chat.exchanges.append(_Exchange(message))
            threading.Thread(
                target=self._answer, args=(chat,), name="study-chat", daemon=True
            ).start()
            return _as_json(chat, item)

    def end(self, slug: str, key: str, item: ItemView) -> None:
        """End a chat, so that it can be rated.

        Raises:
            StudyError: too early, or while a message is being answered.
        """
        chat = self._chat(slug, key, item)
        with chat.lock:
            if item.chat_ended:
                return
            if chat.pending:
                raise conflict("Wait for the replies before you end the chat.")
            if (left := item.least_turns - len(chat.exchanges)) > 0:
                raise conflict(f"Please write {left} more before you end the chat.")
            self._desk.end_chat(slug, key, item.assignment_id)

    def forget(self, key: str) -> None:
        """Let go of what a participant said who has withdrawn."""
        with self._lock:
            for name in [name for name, chat in self._chats.items() if chat.owner == key]:
                del self._chats[name]

    def _chat(self, slug: str, key: str, item: ItemView) -> _Chat:
        """The chat of an item; rebuilt when it is not in memory."""
        with self._lock:
            chat = self._chats.get(item.assignment_id)
            if chat is None:
                chat = self._rebuilt(slug, key, item)
                self._chats[item.assignment_id] = chat
            self._chats.move_to_end(item.assignment_id)
            idle = [name for name, one in self._chats.items() if not one.pending]
            for name in idle[: max(0, len(self._chats) - MOST_CHATS)]:
                del self._chats[name]
            return chat

    def _rebuilt(self, slug: str, key: str, item: ItemView) -> _Chat:
        """The chat as the database has it: the exchanges that both sides have answered."""
        arms = tuple(self._desk.live_arms(slug, key, item.assignment_id))
        conversations = tuple(self._desk.live_chats(slug, key, item.assignment_id) or ())
        chat = _Chat(item.assignment_id, key, arms, conversations)
        sides = [_by_position(self._store.generations(one)) for one in conversations]
        both = min((len(side) for side in sides), default=0)
        for position in range(both):
            rows = [side[position] for side in sides]
            exchange = _Exchange(rows[0].request.turns[-1].text)
            chat.exchanges.append(exchange)
            exchange.replies = tuple(_shown(chat, row.reply) for row in rows)
        for number, conversation in enumerate(conversations):
            for position, turn in self._store.newest_turns(conversation).items():
                if position >= both:
                    chat.left_over[number, position] = turn
        return chat

    def _open(self, slug: str, key: str, chat: _Chat) -> tuple[str, ...]:
        """A conversation for each side, noted on the assignment."""
        conversations = tuple(
            self._store.open_conversation(
                origin=Origin.STUDY, policy=_POLICY, app_version=__version__
            )
            for _ in chat.arms
        )
        self._desk.set_live_chats(slug, key, chat.assignment_id, conversations)
        return conversations

    def _answer(self, chat: _Chat) -> None:
        """Have the newest message answered by all sides, store that, and only then show it."""
        position = len(chat.exchanges) - 1
        requests = [_request(chat, side, position) for side in range(len(chat.arms))]
        outcomes: dict[int, Outcome] = {}
        try:
            stops = [StopSignal() for _ in requests]
            for side, event in side_by_side(requests, self._models, stops):
                if isinstance(event, Outcome):
                    outcomes[side] = event
            for side, request in enumerate(requests):
                self._keep(chat, side, position, request, outcomes[side])
            replies = tuple(_shown(chat, outcomes[side].text) for side in range(len(requests)))
        except Exception:
            _log.exception("chat %s: message %d failed", chat.assignment_id, position + 1)
            with chat.lock:  # the page gets its message back and may send it again
                chat.exchanges.pop()
            with self._lock:
                self._chats.pop(chat.assignment_id, None)
            return
        with chat.lock:
            chat.exchanges[position].replies = replies

    def _keep(
        self, chat: _Chat, side: int, position: int, request: Request, outcome: Outcome
    ) -> None:
        """Store one side's turn and reply."""
        conversation = chat.conversations[side]
        turn = self._store.add_turn(
            conversation,
            position,
            request.turns[-1].text,
            _POLICY,
            supersedes=chat.left_over.pop((side, position), None),
        )
        self._store.record(conversation, turn, side, None, _POLICY, request, outcome)


def _request(chat: _Chat, side: int, position: int) -> Request:
    """What one side is asked; both sides get the same seed."""
    arm = chat.arms[side]
    digest = hashlib.sha256(f"{chat.assignment_id} {position}".encode()).digest()
    return Request(
        PaneConfig(arm.model, arm.spec(), PromptTemplate() if arm.prompt else PromptTemplate.off()),
        chat.history(side),
        params=GenerationParams(seed=int.from_bytes(digest[:4])),
    )


def _by_position(rows: Sequence[GenerationRow]) -> dict[int, GenerationRow]:
    """The newest generation for each of the seeker's messages, counted from 0."""
    return {_messages(row) - 1: row for row in rows}


def _messages(row: GenerationRow) -> int:
    return sum(turn.role is Role.SEEKER for turn in row.request.turns)


def _shown(chat: _Chat, text: str) -> str | None:
    """The newest reply without what would give its arm away; None when nothing is left."""
    said = [exchange.text for exchange in chat.exchanges]
    plain = normalised(text, MAX_MESSAGE_CHARS)[0]
    return masked(plain, telling_names(chat.arms), said) or None


def _as_json(chat: _Chat, item: ItemView) -> Json:
    turns = [
        {"text": one.text, "replies": None if one.replies is None else list(one.replies)}
        for one in chat.exchanges
    ]
    return {
        "sides": len(chat.arms),
        "turns": turns,
        "pending": chat.pending,
        "ended": item.chat_ended,
    }
