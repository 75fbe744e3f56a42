"""The loop of a judge's run: from the cache, or asked; stored as soon as it is there.

Threads ask; the thread that called `judge` alone writes to the ledger. An answer depends on its
question only, never on what is asked beside it or on how often the run was broken off.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from annotations.judge.asking import Asked, Asker, Job
from annotations.judge.claims import Owed
from annotations.judge.endpoint import Endpoint, SchemaRefused
from annotations.judge.ledger import Ledger, Run, place_of
from annotations.judge.pacing import Pace, Stopped
from annotations.judge.prices import Price
from annotations.judge.progress import Ending, State, Summary, owed_text
from annotations.judge.protocol import Protocol
from annotations.judge.purse import Hold, Purse
from annotations.judge.values import BROKEN_OFF, Answered, Asking, Question
from annotations.values import JudgeStatus
from esc_demo.errors import StorageError

GIVE_UP_AFTER = 8
"""Calls in a row that failed by a fault that passes, after which it is taken to stay a while."""

GRACE_S = 20.0
"""How long requests under way may go on after a stop; their answers are paid for."""

_TICK_S = 0.1
_TELL_S = 0.2
_LOOK_S = 0.5
"""How often to look whether another run has the answer that is waited for."""

_LAST_S = 1.0
"""For threads that only wait to notice that they are to leave."""


@dataclass(frozen=True)
class _Outside:
    """What the caller hears and how it is heard."""

    stop: threading.Event
    cut: threading.Event
    watch: Callable[[State], None]
    say: Callable[[str], None]


def judge(
    ledger: Ledger,
    run: Run,
    questions: Sequence[Question],
    protocol: Protocol,
    endpoint: Endpoint,
    asking: Asking,
    *,
    price: Price,
    cap: float | None = None,
    concurrency: int = 8,
    stop: threading.Event | None = None,
    cut: threading.Event | None = None,
    watch: Callable[[State], None] = lambda state: None,
    say: Callable[[str], None] = lambda note: None,
    grace_s: float = GRACE_S,
) -> Summary:
    """Ask every question the run has no answer to, and store each answer.

    `cap` is in US dollars, over all processes of the run. What one that was killed had under way
    counts as spent, and `say` hears of it. What another run asks just now is waited for. After
    `stop` nothing more is asked and what is under way has `grace_s` seconds; `cut` ends that at
    once. `watch` is told of progress a few times a second, `say` of what is to be known once.

    Raises:
        EndpointError: wrong key or name, or nothing to spend; what was answered is stored.
        StorageError: the database cannot be written. What was under way is waited for and stored
            where it still can be.
    """
    pace = Pace(concurrency)
    asker = Asker(protocol, endpoint, asking, price, pace)
    outside = _Outside(stop or threading.Event(), cut or threading.Event(), watch, say)
    if lost := ledger.claims.book_lost(run.id):
        say(owed_text(lost))
    purse = Purse(cap, ledger.spent(run))
    return _Loop(ledger, run, questions, asker, pace, purse, outside).go(grace_s)


@dataclass(frozen=True)
class _Running:
    """A job that a thread works on, and what waits for the same answer."""

    job: Job
    hold: Hold
    followers: list[Question] = field(default_factory=list)


@dataclass(frozen=True)
class _Record:
    """What is to be stored about one question."""

    question: Question
    key: str
    answered: Answered
    cached: bool


class _Loop:
    """The state of `judge`; all of it belongs to the thread that called it."""

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        questions: Sequence[Question],
        asker: Asker,
        pace: Pace,
        purse: Purse,
        outside: _Outside,
    ) -> None:
        """Find out what is left to ask."""
        self._ledger, self._run, self._outside = ledger, run, outside
        self._asker, self._pace, self._purse = asker, pace, purse
        answered, failed = ledger.answered(run), ledger.failed(run)
        self._total = len(questions)
        missing = [one for one in questions if place_of(one) not in answered]
        missing.sort(key=lambda one: place_of(one) in failed)  # what may fail again comes last
        self._waiting = deque(missing)
        self._running: dict[str, _Running] = {}
        self._elsewhere: list[Question] = []  # another run asks the same just now
        self._look_at = 0.0
        self._results: queue.SimpleQueue[tuple[str, Asked | Exception]] = queue.SimpleQueue()
        self._halt = threading.Event()  # nothing more is sent, except to repair what was paid for
        self._leave = threading.Event()  # nothing more is sent
        self._failed = self._in_a_row = 0
        self._fatal: Exception | None = None
        self._unstored: list[_Record] = []
        self._told_at = 0.0
        self._told: State | None = None
        self._summary = Summary(Ending.COMPLETE, self._state())

    def go(self, grace_s: float) -> Summary:
        """Until nothing is left, or nothing more may be asked.

        Raises:
            EndpointError: what makes all further asking useless.
            StorageError: the database failed.
        """
        until = float("inf")
        try:
            self._guarded(self._hand_out)
            while self._running or (self._elsewhere and not self._halted()):
                self._guarded(self._tell)
                self._take()
                if self._halted():
                    self._halt.set()
                    until = min(until, time.monotonic() + grace_s)
                if self._outside.cut.is_set() or time.monotonic() > until:
                    self._break_off()
                self._look_again()
                self._guarded(self._hand_out)
        finally:
            self._halt.set()
            self._leave.set()
        self._waiting.extend(self._elsewhere)
        self._elsewhere.clear()
        self._store_rest()
        if self._fatal is not None:
            raise self._fatal
        state = self._state()
        self._outside.watch(state)
        owed = self._ledger.claims.owed(self._run.id)
        return replace(self._summary, ending=self._ending(), state=state, owed=owed)

    def _guarded(self, work: Callable[[], None]) -> None:
        """A database that fails ends the asking, but not before what is under way has ended."""
        try:
            work()
        except StorageError as error:
            self._fatal = self._fatal or error

    def _halted(self) -> bool:
        """Whether nothing more is to be asked."""
        gave_up = self._in_a_row >= GIVE_UP_AFTER
        return self._outside.stop.is_set() or self._fatal is not None or gave_up

    def _ending(self) -> Ending:
        """Why nothing runs any more."""
        if self._outside.stop.is_set() and (self._waiting or self._failed):
            return Ending.STOPPED
        if self._in_a_row >= GIVE_UP_AFTER:
            return Ending.GAVE_UP
        return Ending.CAP if self._waiting else Ending.COMPLETE

    def _hand_out(self) -> None:
        """Start as much as the endpoint bears and the cap allows."""
        while self._waiting and not self._halted() and len(self._running) < self._pace.allowed:
            job = self._asker.job(self._waiting.popleft())
            if job.key in self._running:
                self._running[job.key].followers.append(job.question)
            elif known := self._ledger.cached([job.key]).get(job.key):
                self._store(job, [job.question], known)
            elif hold := self._purse.hold(self._asker.worst(job), self._noted(job.key)):
                self._begin(job, hold)
            else:  # what runs may turn out cheaper than feared, so this is looked at again
                self._waiting.appendleft(job.question)
                return
            self._tell()

    def _noted(self, key: str) -> Callable[[float], None]:
        """What writes into the claim that a question may cost more."""
        return lambda amount: self._ledger.claims.raise_cost(self._run.id, key, amount)

    def _begin(self, job: Job, hold: Hold) -> None:
        """Claim a question and have a thread ask it, unless another run is doing so.

        Raises:
            StorageError: it cannot be claimed, so it is not sent.
        """
        try:
            found = self._ledger.claims.take(
                self._run.id, job.question, job.key, self._asker.at_worst(job)
            )
        except StorageError:
            hold.settle(0.0)
            self._again([job.question])
            raise
        if isinstance(found, Owed):
            if found:
                self._outside.say(owed_text(found, by_another=True))
            self._running[job.key] = _Running(job, hold)
            threading.Thread(target=self._work, args=(job, hold), daemon=True).start()
            return
        hold.settle(0.0)
        if isinstance(found, Answered):
            self._store(job, [job.question], found)
            return
        if not self._look_at:
            self._outside.say(
                f"{found.rater} over the study {found.slug} is asking some of these questions just"
                " now; its answers are waited for and not paid for twice."
            )
        self._look_at = time.monotonic() + _LOOK_S
        self._elsewhere.append(job.question)

    def _look_again(self) -> None:
        """See now and then whether what others asked is answered, or nobody's any more."""
        if self._elsewhere and time.monotonic() >= self._look_at:
            self._waiting.extend(self._elsewhere)
            self._elsewhere.clear()

    def _release(self, job: Job) -> None:
        """Give back the claim to what cost nothing."""
        try:
            self._ledger.claims.release(self._run.id, job.key)
        except StorageError as error:
            self._fatal = self._fatal or error

    def _work(self, job: Job, hold: Hold) -> None:
        """A thread: one question. A daemon, so a silent endpoint does not keep the program."""
        result: Asked | Exception
        try:
            result = self._asker.ask(job, hold, self._halt, self._leave)
        except Exception as error:
            result = error
        self._results.put((job.key, result))

    def _take(self, wait_s: float = _TICK_S) -> bool:
        """Take one result, if one comes; whether it did."""
        try:
            key, result = self._results.get(timeout=wait_s)
        except queue.Empty:
            return False
        if (ended := self._running.pop(key, None)) is None:
            return True
        if isinstance(result, Asked):
            self._keep(ended, result)
            return True
        if isinstance(result, SchemaRefused):
            self._keep_refused(ended, result)
        else:
            ended.hold.settle(0.0)
            if isinstance(result, Stopped):
                self._release(ended.job)
        self._again([ended.job.question, *ended.followers])
        if isinstance(result, SchemaRefused):
            if self._asker.fall_back(ended.job, result):
                self._outside.say(
                    f"The endpoint takes no JSON schema ({result}); from here on plain text is"
                    " asked for."
                )
        elif not isinstance(result, Stopped):
            self._fatal = self._fatal or result
        return True

    def _keep_refused(self, ended: _Running, refused: SchemaRefused) -> None:
        """Book the tokens that were spent before the endpoint refused the schema."""
        asked = self._asker.refused_at(ended.job, refused)
        ended.hold.settle(0.0 if asked is None else asked.usage.cost)
        if asked is None:
            self._release(ended.job)
        else:
            self._count(asked)
            self._record(_Record(ended.job.question, ended.job.key, asked, False))

    def _count(self, answered: Answered) -> None:
        """What this process has sent and used."""
        self._summary = replace(
            self._summary,
            requests=self._summary.requests + answered.requests,
            usage=self._summary.usage + answered.usage,
        )

    def _keep(self, ended: _Running, asked: Asked) -> None:
        """Store what was asked."""
        answered = asked.answered
        ended.hold.settle(answered.usage.cost)
        self._fatal = self._fatal or asked.fatal
        if asked.fatal and not answered.usage.completion_tokens:  # a wrong key is no call
            self._release(ended.job)
            self._again([ended.job.question, *ended.followers])
            return
        self._count(answered)
        self._summary = replace(self._summary, asked=self._summary.asked + 1)
        self._record(_Record(ended.job.question, ended.job.key, answered, False))
        if answered.status is JudgeStatus.API_ERROR:
            self._failed += 1
            self._in_a_row += asked.passing
            self._summary = replace(self._summary, error=answered.error)
            self._again(ended.followers)
        else:
            self._in_a_row = 0
            self._store(ended.job, ended.followers, answered)

    def _store(self, job: Job, questions: Sequence[Question], answered: Answered) -> None:
        """Store an answer that was not asked for anew."""
        for question in questions:
            self._record(_Record(question, job.key, answered, True))
            self._summary = replace(self._summary, cached=self._summary.cached + 1)

    def _record(self, one: _Record) -> None:
        """Store it; where the database fails, keep it for `_store_rest` and ask nothing more."""
        try:
            self._ledger.record(self._run, one.question, one.key, one.answered, cached=one.cached)
        except StorageError as error:
            self._fatal = self._fatal or error
            self._unstored.append(one)

    def _store_rest(self) -> None:
        """Try once more what could not be stored, and say what was lost."""
        tried, self._unstored = self._unstored, []
        for one in tried:
            self._record(one)
        if lost := sum(not one.cached for one in self._unstored):
            self._outside.say(f"{lost} calls could not be stored and will be asked again.")

    def _again(self, questions: Sequence[Question]) -> None:
        """Put questions back in front."""
        self._waiting.extendleft(reversed(questions))

    def _break_off(self) -> None:
        """Leave what is under way; it may be charged, so it is stored as if it had been."""
        self._halt.set()
        self._leave.set()
        until = time.monotonic() + _LAST_S
        while self._running and (self._take() or time.monotonic() < until):
            pass  # what is there already is taken, however long storing it takes
        for ended in list(self._running.values()):
            lost = Answered(
                JudgeStatus.API_ERROR,
                ended.job.messages,
                error=BROKEN_OFF,
                usage=self._asker.lost(ended.job, ended.hold),
            )
            self._keep(ended, Asked(lost))
        self._running.clear()

    def _state(self) -> State:
        """Where the run stands."""
        under_way = sum(1 + len(one.followers) for one in self._running.values())
        return State(
            self._total,
            self._total - len(self._waiting) - under_way - len(self._elsewhere) - self._failed,
            self._ledger.counts(self._run),
            self._purse.spent,
            self._pace.allowed,
        )

    def _tell(self) -> None:
        """Tell where the run stands, now and then, when that has changed."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            state = self._state()
            if state != self._told:
                self._told = state
                self._outside.watch(state)
