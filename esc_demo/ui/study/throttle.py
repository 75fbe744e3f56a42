"""How often somebody may guess codes: a bounded number of misses an address and minute."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil

MOST_MISSES = 20
"""Codes that lead to nobody, from one address within a window; a lecture hall may share one."""

WINDOW_S = 60.0
MOST_ADDRESSES = 10_000
"""Addresses remembered; the one that has missed least lately is forgotten first."""


class Throttle:
    """Misses by address, in memory; may be shared by all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody has missed yet; `clock` counts seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._misses: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Whole seconds until this address may try again; 0: now."""
        with self._lock:
            misses = self._recent(_whose(address))
            if len(misses) < MOST_MISSES:
                return 0
            return max(ceil(misses[0] + WINDOW_S - self._clock()), 1)

    def missed(self, address: str) -> None:
        """A code from this address led to nobody."""
        whose = _whose(address)
        with self._lock:
            misses = self._recent(whose)
            misses.append(self._clock())
            self._misses[whose] = misses
            self._misses.move_to_end(whose)
            while len(self._misses) > MOST_ADDRESSES:
                self._misses.popitem(last=False)

    def _recent(self, whose: str) -> deque[float]:
        misses = self._misses.get(whose, deque(maxlen=MOST_MISSES))
        while misses and misses[0] <= self._clock() - WINDOW_S:
            misses.popleft()
        return misses


def _whose(address: str) -> str:
    """What stands for all addresses of one connection: with IPv6 each has a network of 2^64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
