"""Who may use the Admin tab: a password, a pause after wrong ones, and sessions that end.

A session is one opened page: its name is random, known to that browser alone, and forgotten with
the page. The throttle counts by address, so that nobody is locked out by others, and more
patiently over all addresses together.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256

from pydantic import SecretStr

LEAST_CHARS = 8
"""A shorter password counts as none."""

FREE_TRIES = 5
"""Wrong passwords from one address before it has to wait."""

FREE_TRIES_OF_ALL = 50
LONGEST_WAIT_S = 60.0
IDLE_S = 2 * 3600.0
"""A session ends when nothing was done for so long."""

_MOST_KEPT = 1000
_EVERYBODY = ""


class Closed(StrEnum):
    """Why nobody can log in."""

    NO_PASSWORD = "no_password"
    TOO_SHORT = "too_short"


class Throttle:
    """Counts wrong tries by name; each one beyond the free ones doubles the wait."""

    def __init__(self, free: int, clock: Callable[[], float]) -> None:
        """`free` tries cost no wait."""
        self._free = free
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, name: str) -> float:
        """Seconds until the next try is heard; 0 for now."""
        count, last = self._wrong.get(name, (0, 0.0))
        if count < self._free:
            return 0.0
        wait = min(2.0 ** (count - self._free), LONGEST_WAIT_S)
        return max(last + wait - self._clock(), 0.0)

    def wrong(self, name: str) -> None:
        """One more wrong try. After a quiet hour the count begins anew."""
        now = self._clock()
        count, last = self._wrong.pop(name, (0, now))
        self._wrong[name] = (count + 1 if now - last < 3600 else 1, now)
        while len(self._wrong) > _MOST_KEPT:
            self._wrong.popitem(last=False)

    def right(self, name: str) -> None:
        """Forget what was wrong."""
        self._wrong.pop(name, None)


class Logins:
    """The sessions that are logged in; may be shared by all threads."""

    def __init__(
        self, password: SecretStr | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds."""
        given = password.get_secret_value() if password else ""
        self.closed = None if len(given) >= LEAST_CHARS else _why_closed(given)
        self._key = secrets.token_bytes(32)
        self._digest = self._mac(given)
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._addresses = Throttle(FREE_TRIES, clock)
        self._all = Throttle(FREE_TRIES_OF_ALL, clock)
        self._lock = threading.Lock()

    def log_in(self, session: str | None, address: str, password: str) -> str:
        """Try a password; returns what to tell, or nothing when it was right."""
        with self._lock:
            if self.closed or not session:
                return "There is no login on this page."
            wait = max(self._addresses.wait_s(address), self._all.wait_s(_EVERYBODY))
            if wait > 0:
                return f"Too many wrong passwords. Wait {wait:.0f} s and try again."
            # Digests of equal length: neither the time nor the length gives anything away.
            if not hmac.compare_digest(self._mac(password), self._digest):
                self._addresses.wrong(address)
                self._all.wrong(_EVERYBODY)
                return "This is not the password. It is the value of ESC_ADMIN_PASSWORD."
            self._addresses.right(address)
            self._keep(session)
            return ""

    def knows(self, session: str | None) -> bool:
        """Whether a session is logged in; asking keeps it alive."""
        with self._lock:
            last = self._sessions.pop(session, None) if session else None
            if session is None or last is None or self._clock() - last > IDLE_S:
                return False
            self._keep(session)
            return True

    def log_out(self, session: str | None) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session or "", None)

    def _keep(self, session: str) -> None:
        self._sessions[session] = self._clock()
        while len(self._sessions) > _MOST_KEPT:
            self._sessions.popitem(last=False)

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), sha256)


def _why_closed(given: str) -> Closed:
    return Closed.TOO_SHORT if given else Closed.NO_PASSWORD
