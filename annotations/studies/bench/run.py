"""One run of the load bench: database, app, raters, audit; and the table that is printed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotations.store import Store
from annotations.studies.bench.audit import Audit, audit, fill_up
from annotations.studies.bench.crowd import Crowd
from annotations.studies.bench.material import write_studies
from annotations.studies.bench.postgres import local_postgres
from annotations.studies.bench.rater import Call
from annotations.studies.bench.server import HOST, AppServer
from esc_demo.errors import BadInput

GOAL_MS = 300.0
"""The 95th percentile of a submission on two cores should stay below."""

DATABASES = ("sqlite", "postgresql")
_KILL_AT = 0.4
"""Share of the time after which `kill` strikes."""

_FROZEN_S = 600.0
_MOST_FAILURES = 8


@dataclass(frozen=True)
class Load:
    """How much is asked of the app."""

    raters: int = 50
    seconds: float = 60.0
    kill: bool = False
    """End the server with SIGKILL in the middle, start it again, and go on."""
    think_s: tuple[float, float] = (1.0, 3.0)
    """How long a rater looks at a screen, at least and at most."""

    settle_s: float = 10.0
    """Quiet before the raters come: the app loads its tagger after its first answer."""

    @property
    def answers(self) -> float:
        """How many they give if the server takes no time."""
        return self.raters * self.seconds / (sum(self.think_s) / 2)


@dataclass(frozen=True)
class BenchResult:
    """What came of one run. Times are milliseconds as a rater waits for them."""

    database: str
    load: Load
    worked_s: float
    """Seconds in which raters worked and the server was there."""
    audit: Audit
    submit_ms: tuple[float, ...]
    """Of submissions answered at the first try."""
    other_ms: tuple[float, ...]
    retried: int
    """Calls that had to be sent more than once because no server answered."""
    sessions: int
    filled: int
    failures: tuple[str, ...]
    unfilled: tuple[str, ...] | None
    """After `kill`: tasks whose places could not be filled once the leases had ended."""
    down_s: float | None

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, over-collected, stuck or refused."""
        return self.audit.clean and not self.failures and not self.unfilled


def bench_study(
    database: str, load: Load, say: Callable[[str], None] = lambda _text: None
) -> BenchResult:
    """Start the app on a new database, let raters work, and count what they left.

    Args:
        database: one of `DATABASES`.
        load: how many raters, how long, and whether the server is killed.
        say: is told what happens.

    Raises:
        EscError: a server does not start, or the database cannot be read.
    """
    if database not in DATABASES:
        raise BadInput(f"The database is {database!r}; it must be {' or '.join(DATABASES)}.")
    with tempfile.TemporaryDirectory(prefix="esc-bench-") as name, _url(database, name) as url:
        folder = Path(name)
        slugs = _open_studies(folder, url, load)
        server = AppServer(url, folder)
        crowd = Crowd((HOST, server.port), slugs, load.raters, load.think_s)
        page = f"/study/{slugs[0]}"
        try:
            say(f"{database}: the app answered after {server.start(page):.1f} s")
            time.sleep(load.settle_s)
            crowd.start(load.seconds)
            killed = _kill(server, crowd, page, load, say) if load.kill else None
            crowd.wait()
        finally:
            server.stop()
        with Store(url) as store:
            found = audit(store, slugs, crowd.answers)
            touched = slugs[: crowd.filled_studies + 1]
            unfilled = tuple(fill_up(store, touched)) if load.kill else None
    return _result(load, database, crowd, found, unfilled, killed)


def lines(results: Sequence[BenchResult]) -> Iterator[str]:
    """The table, and what is wrong."""
    yield (
        f"{'database':<11} {'raters':>6} {'answers':>7} {'a second':>8} {'p50 ms':>7} {'p95 ms':>7}"
        f" {'max ms':>7} {'others p95':>10} {'once':>5} {'over':>5} {'lost':>5}"
    )
    for one in results:
        p50, p95, most = _percentiles(one.submit_ms)
        once = "yes" if not (one.audit.twice or one.audit.lost or one.audit.altered) else "NO"
        yield (
            f"{one.database:<11} {one.load.raters:>6} {one.audit.accepted:>7,}"
            f" {one.audit.accepted / one.worked_s:>8.1f} {p50:>7.0f} {p95:>7.0f} {most:>7.0f}"
            f" {_percentiles(one.other_ms)[1]:>10.0f} {once:>5} {one.audit.over_collected:>5}"
            f" {one.audit.lost:>5}"
        )
    for one in results:
        yield from _notes(one)


def _notes(one: BenchResult) -> Iterator[str]:
    seen = one.audit
    p95 = _percentiles(one.submit_ms)[1]
    met = "met" if p95 < GOAL_MS else "missed"
    if one.down_s is not None:
        met = "not judged with --kill"
    yield (
        f"{one.database}: goal of a p95 under {GOAL_MS:.0f} ms {met}; {one.filled} studies filled,"
        f" {one.sessions} whole sessions, {seen.surplus} surplus; stored twice {seen.twice},"
        f" unheard {seen.unheard}, altered {seen.altered}, stuck leases {seen.stuck_leases}"
    )
    if one.down_s is not None:
        unfilled = "none" if not one.unfilled else ", ".join(one.unfilled[:_MOST_FAILURES])
        yield (
            f"{one.database}: killed and back after {one.down_s:.1f} s; {one.retried} calls sent"
            f" again; places that could not be filled afterwards: {unfilled}"
        )
    faults = seen.integrity[:_MOST_FAILURES]
    yield f"{one.database}: integrity check {'clean' if not faults else '; '.join(faults)}"
    for text in one.failures[:_MOST_FAILURES]:
        yield f"{one.database}: FAILED {text}"


@contextmanager
def _url(database: str, folder: str) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder}/bench.db"
    else:
        with local_postgres(Path(folder)) as url:
            yield url


def _open_studies(folder: Path, url: str, load: Load) -> list[str]:
    slugs = []
    with Store(url) as store:
        desk = store.desk()
        for built in write_studies(folder, load.raters, load.answers):
            desk.create(built)
            slugs.append(desk.open(built.definition.slug, built).slug)
    return slugs


def _kill(
    server: AppServer, crowd: Crowd, page: str, load: Load, say: Callable[[str], None]
) -> _Killed:
    """Strike while raters submit, and start again."""
    time.sleep(load.seconds * _KILL_AT)
    paused = time.monotonic()
    crowd.extend(_FROZEN_S)  # from now until it is back does not count
    while len(crowd.answers) < load.raters and time.monotonic() - paused < _FROZEN_S / 2:
        time.sleep(0.05)
    begun = time.monotonic()
    server.kill()
    server.start(page)
    back = time.monotonic()
    down = back - begun
    crowd.extend(back - paused - _FROZEN_S)
    say(f"killed with {len(crowd.answers):,} answers accepted; back after {down:.1f} s")
    return _Killed(down, begun - paused)


def _result(
    load: Load,
    database: str,
    crowd: Crowd,
    found: Audit,
    unfilled: tuple[str, ...] | None,
    killed: _Killed | None,
) -> BenchResult:
    calls = crowd.calls
    return BenchResult(
        database=database,
        load=load,
        worked_s=load.seconds + (killed.waited_s if killed else 0.0),
        audit=found,
        submit_ms=tuple(call.ms for call in calls if _first_try(call) and call.name == "submit"),
        other_ms=tuple(call.ms for call in calls if _first_try(call) and call.name != "submit"),
        retried=sum(not _first_try(call) for call in calls),
        sessions=crowd.sessions,
        filled=crowd.filled_studies,
        failures=crowd.failures,
        unfilled=unfilled,
        down_s=killed.down_s if killed else None,
    )


@dataclass(frozen=True)
class _Killed:
    """How long no server was there, and how long raters worked on before it was killed."""

    down_s: float
    waited_s: float


def _first_try(call: Call) -> bool:
    return call.tries == 1


def _percentiles(times: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th percentile and longest; nan without any."""
    if not times:
        return (float("nan"),) * 3
    p50, p95, most = np.percentile(times, [50, 95, 100])
    return float(p50), float(p95), float(most)
