"""Replies being written, and the visitors they are written for.

A round runs in a thread of its own and not in the page's handler: when the tab is closed
midway, the handler is gone, but the models still have to be stopped and every outcome kept.
The page only looks at the session from time to time.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence

from esc_demo.engine import HistoryPolicy, ModelSource, Outcome, side_by_side
from esc_demo.errors import BadInput, EscError
from esc_demo.models import StopSignal
from esc_demo.ui.session import ChatSession, Exchange, PaneReply

_log = logging.getLogger(__name__)

Record = Callable[[PaneReply, Outcome], str]
"""Stores one outcome and returns its generation id."""

MOST_VISITORS = 1000
"""Sessions kept in memory; the one unused for longest is forgotten first."""


class Round:
    """Some panes' replies to one message, written at once."""

    def __init__(self, exchange: Exchange, replies: Sequence[PaneReply]) -> None:
        """Prepare, without starting."""
        self.exchange = exchange
        self.replies = tuple(replies)
        self._stops = [StopSignal() for _ in replies]
        self._finished = threading.Event()

    @property
    def finished(self) -> bool:
        """Whether every reply has ended and was recorded."""
        return self._finished.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end at most `seconds`; True when it has come."""
        return self._finished.wait(seconds)

    def stop(self, pane: int | None = None) -> None:
        """Stop one pane, or all of them."""
        for reply, stop in zip(self.replies, self._stops, strict=True):
            if pane is None or reply.pane == pane:
                stop.set()

    def start(
        self,
        models: ModelSource,
        record: Record,
        chosen: Callable[[PaneReply], None],
        problem: Callable[[str], None],
    ) -> None:
        """Begin writing. `record` is called once for every reply, whatever becomes of it.

        `chosen` is told when a reply becomes the one to continue with, `problem` when an
        outcome could not be stored.
        """
        threading.Thread(
            target=self._run, args=(models, record, chosen, problem), name="round", daemon=True
        ).start()

    def _run(
        self,
        models: ModelSource,
        record: Record,
        chosen: Callable[[PaneReply], None],
        problem: Callable[[str], None],
    ) -> None:
        requests = [reply.request for reply in self.replies]
        try:
            for index, event in side_by_side(requests, models, self._stops):
                reply = self.replies[index]
                if isinstance(event, Outcome):
                    self._keep(reply, event, record, problem)
                reply.take(event)
                if isinstance(event, Outcome) and (next_up := self.exchange.settle_choice()):
                    self._tell(chosen, next_up, problem)
        finally:
            self._finished.set()

    def _keep(
        self, reply: PaneReply, outcome: Outcome, record: Record, problem: Callable[[str], None]
    ) -> None:
        """Store an outcome; the conversation goes on when that fails, and the page says so."""
        try:
            reply.generation_id = record(reply, outcome)
        except EscError as error:
            problem(f"A reply could not be stored. {error}")
        except Exception:
            _log.exception("storing a reply of pane %d failed", reply.pane)
            problem("A reply could not be stored. The log has details.")

    def _tell(
        self, chosen: Callable[[PaneReply], None], reply: PaneReply, problem: Callable[[str], None]
    ) -> None:
        """Hand on a choice; like storing, it never ends the round."""
        try:
            chosen(reply)
        except EscError as error:
            problem(f"The reply to continue with could not be stored. {error}")
        except Exception:
            _log.exception("storing the choice of pane %d failed", reply.pane)
            problem("The reply to continue with could not be stored. The log has details.")


class Visitor:
    """All the server knows of one open page. Nothing in here comes from the page."""

    def __init__(self, models: Sequence[str]) -> None:
        """A new visitor with a random rater id and one open pane for each of `models`."""
        self.rater_id = uuid.uuid4().hex
        self.panes: dict[int, str] = dict(enumerate(models))
        self.policy = HistoryPolicy.INDEPENDENT
        self.chat = ChatSession()
        self.lock = threading.RLock()
        self.problem = ""
        self.calm = ""
        self.editing = False
        self.draft = ""
        self.person: tuple[str, tuple[str, ...]] | None = None
        self.preferred: str | None = None
        self.spent: set[int] = set()
        self.nonces: dict[str, str] = {}
        self.saved: dict[str, str] = {}
        self._rounds: list[Round] = []

    @property
    def writing(self) -> bool:
        """Whether any round has not ended yet."""
        return any(not one.finished for one in self._rounds)

    def add(self, one: Round) -> None:
        """Remember a round, so that Stop finds it; forget those that have ended."""
        with self.lock:
            self._rounds = [old for old in self._rounds if not old.finished] + [one]

    def stop(self, pane: int | None = None) -> None:
        """Stop one pane, or everything."""
        with self.lock:
            for one in self._rounds:
                one.stop(pane)

    def pause(self, seconds: float) -> None:
        """Wait for any round to end, at most `seconds`."""
        with self.lock:
            unfinished = [one for one in self._rounds if not one.finished]
        if unfinished:
            unfinished[0].wait(seconds)

    def nonce(self, key: str) -> str:
        """The submission id of the form open for `key` (a generation, or several compared)."""
        with self.lock:
            return self.nonces.setdefault(key, uuid.uuid4().hex)

    def reopen(self, key: str) -> None:
        """Open a new form for `key`: what is submitted next supersedes what was saved."""
        with self.lock:
            self.saved.pop(key, None)
            self.nonces[key] = uuid.uuid4().hex


class Visitors:
    """The open pages by session id."""

    def __init__(self, models: Sequence[str], most: int = MOST_VISITORS) -> None:
        """Start without any; `models` are those of a new visitor's panes."""
        self._models = tuple(models)
        self._most = most
        self._lock = threading.Lock()
        self._by_session: OrderedDict[str, Visitor] = OrderedDict()

    def get(self, session: str | None) -> Visitor:
        """The visitor of a session, made on first sight.

        Raises:
            BadInput: the request names no session, so it could be anybody's.
        """
        if not session:
            raise BadInput("The request names no session. Open the page, or use a client.")
        with self._lock:
            visitor = self._by_session.setdefault(session, Visitor(self._models))
            self._by_session.move_to_end(session)
            forgotten = [
                self._by_session.popitem(last=False)[1]
                for _ in range(len(self._by_session) - self._most)
            ]
        for old in forgotten:
            old.stop()
        return visitor

    def left(self, session: str | None) -> None:
        """A page was closed: stop what is written for it.

        The conversation stays a while, because a short loss of the network looks the same.
        """
        with self._lock:
            visitor = self._by_session.get(session or "")
        if visitor is not None:
            visitor.stop()
