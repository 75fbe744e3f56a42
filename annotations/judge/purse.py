"""A limit on what may be spent that holds however many requests are under way."""

from __future__ import annotations

import threading
from collections.abc import Callable

from esc_demo.errors import StorageError


class Purse:
    """What was spent, and what running requests may still cost at worst. Shared by threads."""

    def __init__(self, cap: float | None, spent: float = 0.0) -> None:
        """`cap` in US dollars, None for no limit; `spent` by earlier processes of the run."""
        self._cap = cap
        self._spent = spent
        self._held = 0.0
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """US dollars spent, without what is held for running requests."""
        with self._lock:
            return self._spent

    def hold(
        self, worst: float, note: Callable[[float], None] = lambda amount: None
    ) -> Hold | None:
        """Set `worst` aside for what is about to be asked; None when the cap does not allow it.

        `note` hears of a larger amount before more is sent, and may raise a StorageError.
        """
        return Hold(self, worst, note) if self._set_aside(worst) else None

    def _set_aside(self, amount: float) -> bool:
        with self._lock:
            if self._cap is not None and self._spent + self._held + amount > self._cap:
                return False
            self._held += amount
            return True

    def _settle(self, held: float, cost: float) -> None:
        with self._lock:
            self._held -= held
            self._spent += cost


class Hold:
    """Money set aside for one question."""

    def __init__(self, purse: Purse, amount: float, note: Callable[[float], None]) -> None:
        """Made by `Purse.hold`."""
        self._purse = purse
        self._amount = amount
        self._note = note
        self._again = False

    @property
    def amount(self) -> float:
        """What is set aside, in US dollars."""
        return self._amount

    @property
    def again(self) -> bool:
        """Whether more than a first request may have been sent."""
        return self._again

    def second(self) -> None:
        """Note that a request after the first is about to be sent."""
        self._again = True

    def more(self, amount: float) -> bool:
        """Set more aside, for a request that has to be repeated; whether it may be sent.

        Not when the cap does not allow it, nor when it could not be noted.
        """
        if not self._purse._set_aside(amount):
            return False
        self._amount += amount
        try:
            self._note(self._amount)
        except StorageError:
            return False
        self._again = True
        return True

    def settle(self, cost: float) -> None:
        """Give back what was set aside and book what it cost."""
        self._purse._settle(self._amount, cost)
        self._amount = 0.0
