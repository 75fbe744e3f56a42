"""A judge's run from its options: made ready without sending anything, then carried out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from annotations.judge.asking import Asker
from annotations.judge.endpoint import Endpoint
from annotations.judge.forecast import Forecast, forecast
from annotations.judge.ledger import Ledger, RunSpec
from annotations.judge.material import questions
from annotations.judge.pacing import Pace
from annotations.judge.prices import Price, price_of
from annotations.judge.progress import State, Summary
from annotations.judge.protocol import load_protocol
from annotations.judge.run import judge
from annotations.judge.values import Asking, Control, Question
from annotations.store import Store
from esc_demo.settings import Settings


@dataclass(frozen=True)
class Job:
    """What a person asked for."""

    study: str
    protocol: str
    model: str
    base_url: str = ""
    """Empty: the endpoint of the settings."""
    asking: Asking = field(default_factory=Asking)
    samples: int = 1
    controls: tuple[Control, ...] = ()
    with_reference: bool = True
    price: Price | None = None
    """None: by the table."""
    cap: float | None = None
    """In US dollars, over all processes of the run."""
    concurrency: int = 8
    limit: int | None = None
    timeout_s: float = 120.0


@dataclass(frozen=True)
class Prepared:
    """A run that could begin."""

    job: Job
    spec: RunSpec
    ledger: Ledger
    questions: tuple[Question, ...]
    endpoint: Endpoint
    price: Price
    plan: Forecast


def prepare(job: Job, settings: Settings, store: Store) -> Prepared:
    """Find out what is to be asked and what it costs; nothing is sent or stored.

    Raises:
        EscError: the options, the study, the protocol or the settings do not allow it.
    """
    key = settings.openai_api_key
    endpoint = Endpoint(
        job.model,
        job.base_url or settings.openai_base_url,
        key.get_secret_value() if key else None,
        job.timeout_s,
    )
    price = price_of(job.model, endpoint.url, job.price)
    protocol = load_protocol(job.protocol)
    wanted = questions(
        store,
        job.study,
        protocol,
        samples=job.samples,
        controls=job.controls,
        limit=job.limit,
        with_reference=job.with_reference,
    )
    spec = RunSpec(
        job.study,
        protocol,
        job.model,
        endpoint.url,
        job.asking,
        job.samples,
        job.controls,
        job.with_reference,
    )
    ledger = Ledger(store)
    asker = Asker(protocol, endpoint, job.asking, price, Pace(1))
    plan = forecast(ledger, ledger.find_run(spec), wanted, asker, job.asking, price)
    return Prepared(job, spec, ledger, tuple(wanted), endpoint, price, plan)


def carry_out(
    prepared: Prepared,
    *,
    stop: threading.Event,
    cut: threading.Event,
    watch: Callable[[State], None],
    say: Callable[[str], None],
) -> Summary:
    """Begin the run or go on with it, alone; see `annotations.judge.run.judge`.

    Raises:
        BadInput: another process is asking for the same run.
    """
    job, ledger = prepared.job, prepared.ledger
    with ledger.alone(prepared.spec):
        run = ledger.open_run(prepared.spec)
        done = judge(
            ledger,
            run,
            prepared.questions,
            prepared.spec.protocol,
            prepared.endpoint,
            job.asking,
            price=prepared.price,
            cap=job.cap,
            concurrency=job.concurrency,
            stop=stop,
            cut=cut,
            watch=watch,
            say=say,
        )
        if not done.state.left:
            ledger.close_run(run)
        return done
