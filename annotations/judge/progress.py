"""How far a judge's run is, and how it ended: values for those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from annotations.judge.claims import Owed
from annotations.judge.values import Usage
from annotations.values import JudgeStatus


class Ending(StrEnum):
    """Why a run came to its end."""

    COMPLETE = "complete"
    CAP = "cap"
    STOPPED = "stopped"
    GAVE_UP = "gave_up"


@dataclass(frozen=True)
class State:
    """Where a run stands."""

    total: int
    done: int
    """With an answer that is kept, those of earlier processes included."""
    counts: Mapping[JudgeStatus, int]
    spent: float
    """US dollars, by all processes of the run."""
    allowed: int
    """Requests at once that the endpoint is thought to bear."""

    @property
    def left(self) -> int:
        """Questions without an answer."""
        return self.total - self.done


@dataclass(frozen=True)
class Summary:
    """What this process did and what the run is now."""

    ending: Ending
    state: State
    asked: int = 0
    """Questions sent to the endpoint."""
    cached: int = 0
    """Answers taken over because the same had been asked before."""
    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    owed: Owed = field(default_factory=Owed)
    """Of `state.spent`, over all processes of the run."""
    plain: bool = False
    """Whether the endpoint refused the JSON schema."""
    error: str = ""
    """What the last failed call said."""


def dollars(amount: float) -> str:
    """Small sums with more places: most calls cost a part of a cent."""
    return f"${amount:,.2f}" if amount >= 10 or amount == 0 else f"${amount:,.4f}"


def owed_text(owed: Owed, *, by_another: bool = False) -> str:
    """What is said before something is asked again that a killed process had sent."""
    many = owed.requests > 1
    whose = "another run that was killed" if by_another else "an earlier process of this run"
    price = f" up to {dollars(owed.cost)}" if owed.cost else ""
    return (
        f"{owed.requests} request{'s' if many else ''} of {whose} {'were' if many else 'was'} under"
        f" way when it ended and may have been charged{price}. That counts as spent"
        f"{' there' if by_another else ''}; {'they are' if many else 'it is'} asked again."
    )
