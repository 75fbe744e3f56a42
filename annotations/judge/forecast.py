"""What a run would ask and cost, found out without sending or storing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from annotations.judge.asking import Asker, Job
from annotations.judge.claims import Owed
from annotations.judge.ledger import Ledger, Run, place_of
from annotations.judge.prices import Price, cost
from annotations.judge.values import Asking, Question, Usage


@dataclass(frozen=True)
class Forecast:
    """The questions of a run, and what the missing answers may use and cost."""

    total: int
    answered: int
    """Answered in this run already."""
    cached: int
    """To be taken over, because the same was asked before or is asked twice in this run."""
    jobs: tuple[Job, ...]
    """To be asked, each key once."""
    usage: Usage
    """At most, when every answer is as long as it may be and none has to be repaired."""
    worst: float
    """US dollars when, besides, every answer has to be repaired."""
    spent: float
    """US dollars spent on this run before."""
    owed: Owed = field(default_factory=Owed)
    """What a killed process had under way, not yet in `spent`; all of it is asked again."""


def forecast(
    ledger: Ledger,
    run: Run | None,
    questions: Sequence[Question],
    asker: Asker,
    asking: Asking,
    price: Price,
) -> Forecast:
    """Look what is missing; `run` is None where it was never begun.

    Raises:
        BadInput: the questions do not fit the protocol.
        StorageError: the database cannot be read.
    """
    answered = ledger.answered(run) if run else set()
    missing = [asker.job(one) for one in questions if place_of(one) not in answered]
    known = ledger.cached({job.key for job in missing})
    jobs = {job.key: job for job in reversed(missing) if job.key not in known}
    first = tuple(reversed(jobs.values()))
    tokens = sum(job.tokens for job in first), len(first) * asking.max_tokens
    return Forecast(
        total=len(questions),
        answered=len(questions) - len(missing),
        cached=len(missing) - len(first),
        jobs=first,
        usage=Usage(*tokens, cost(price, *tokens)),
        worst=sum(map(asker.worst, first)),
        spent=ledger.spent(run) if run else 0.0,
        owed=ledger.owed(run) if run else Owed(),
    )
