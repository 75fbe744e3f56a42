"""One question from the first request to its end: the answer read, or repaired once, or not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from annotations.judge import prices
from annotations.judge.endpoint import Endpoint, SchemaRefused
from annotations.judge.keys import cache_key
from annotations.judge.ledger import place_of
from annotations.judge.pacing import Pace, Stopped
from annotations.judge.parsing import Unreadable, is_refusal, read_verdict
from annotations.judge.prices import Price
from annotations.judge.prompts import messages_for, repair_messages
from annotations.judge.protocol import Protocol
from annotations.judge.purse import Hold
from annotations.judge.replies import Reply
from annotations.judge.schema import answer_schema
from annotations.judge.values import Answered, Asking, Question, Usage, Verdict
from annotations.values import JudgeStatus
from esc_demo.dialogue import Message
from esc_demo.models.endpoint import EndpointError

_NOTHING = SchemaRefused("", 0, Usage())

_WHY = "x" * 400
"""As long as any reason that is told in a repair attempt."""


@dataclass(frozen=True)
class Job:
    """A question ready to be asked."""

    question: Question
    messages: tuple[Message, ...]
    tokens: int
    """Of the messages and the schema, an estimate on the safe side."""
    schema: Mapping[str, Any] | None
    key: str

    @property
    def place(self) -> str:
        """Its name within the run."""
        return place_of(self.question)


@dataclass(frozen=True)
class Asked:
    """How a job ended. `fatal`: no other question would fare better."""

    answered: Answered
    fatal: EndpointError | None = None
    passing: bool = False
    """Whether the endpoint failed in a way that passes."""


class Asker:
    """Asks questions of one protocol at one endpoint; shared by threads."""

    def __init__(
        self, protocol: Protocol, endpoint: Endpoint, asking: Asking, price: Price, pace: Pace
    ) -> None:
        """Nothing is sent yet."""
        self._protocol = protocol
        self._endpoint = endpoint
        self._asking = asking
        self._price = price
        self._pace = pace
        self._around_repair = prices.prompt_tokens(repair_messages((), "", _WHY))
        self._earlier: dict[str, SchemaRefused] = {}

    def job(self, question: Question) -> Job:
        """A question with its prompt and its key, as it would be asked now."""
        messages = messages_for(self._protocol, question)
        schema = answer_schema(self._protocol) if self._asking.structured else None
        model, url = self._endpoint.model, self._endpoint.url
        key = cache_key(messages, schema, model, url, self._asking, question.sample)
        tokens = prices.prompt_tokens(messages) + prices.schema_tokens(schema)
        return Job(question, messages, tokens, schema, key)

    def fall_back(self, job: Job, refused: SchemaRefused) -> bool:
        """Ask for plain text from now on; whether that is new. For the thread that hands out.

        What the refusal took is counted with the question's next answer, unless it cost tokens:
        those are `refused_at`, and stored at once.
        """
        if refused.usage == Usage():
            self._earlier[job.place] = refused
        new = self._asking.structured
        self._asking = replace(self._asking, structured=False)
        return new

    def refused_at(self, job: Job, refused: SchemaRefused) -> Answered | None:
        """The call of a refused schema in which earlier tries may have been charged."""
        if refused.usage == Usage():
            return None
        return Answered(
            JudgeStatus.API_ERROR,
            job.messages,
            error=f"The endpoint takes no JSON schema: {refused}",
            usage=self._priced(refused.usage),
            requests=refused.requests,
        )

    def worst(self, job: Job) -> float:
        """The most a question costs in US dollars if no request is lost: an answer of full
        length, and a repair attempt of full length that quotes it.
        """
        return self.at_worst(job).cost

    def at_worst(self, job: Job) -> Usage:
        """The same with its tokens."""
        longest = self._asking.max_tokens
        again = job.tokens + longest + self._around_repair
        return self._priced(Usage(job.tokens + again, 2 * longest))

    def lost(self, job: Job, hold: Hold) -> Usage:
        """What a question may have used that was cut off under way.

        Of a first request its worst; once a repair or a repeat may have been sent, all that was
        set aside (the tokens are then those of an answer and its repair).
        """
        if hold.again:
            return replace(self.at_worst(job), cost=hold.amount)
        return self._priced(Usage(job.tokens, self._asking.max_tokens))

    def ask(self, job: Job, hold: Hold, stop: threading.Event, leave: threading.Event) -> Asked:
        """Ask, and once more when the answer cannot be read.

        `stop` keeps what has not been sent from being sent; an answer that was paid for is still
        repaired after it, until `leave` is set.

        Raises:
            SchemaRefused: to be asked as plain text.
            Stopped: nothing was sent.
        """
        first = self._request(job, job.messages, hold, stop)
        verdict, why = self._verdict(first)
        if verdict is not None or first.status is not JudgeStatus.OK or is_refusal(first.raw):
            return self._ended(job, job.messages, first, verdict, why)
        again = repair_messages(job.messages, first.raw, why)
        hold.second()
        try:
            second = self._request(job, again, hold, leave)
        except SchemaRefused as error:
            said, sent = f"No repair: {error}", error.requests
            second = Reply(JudgeStatus.API_ERROR, error=said, usage=error.usage, requests=sent)
        except Stopped as error:
            second = Reply(JudgeStatus.API_ERROR, error=f"No repair: {error}", requests=0)
        verdict, why = self._verdict(second)
        both = replace(
            second,
            raw=second.raw or first.raw,
            usage=first.usage + second.usage,
            requests=first.requests + second.requests,
            seconds=first.seconds + second.seconds,
        )
        return self._ended(job, again, both, verdict, why)

    def _request(
        self, job: Job, messages: tuple[Message, ...], hold: Hold, stop: threading.Event
    ) -> Reply:
        """The endpoint's reply."""
        one_more = self._worst_try(messages, job.schema)
        return self._endpoint.ask(
            messages,
            job.schema,
            self._sent_as(job.question),
            stop,
            pace=self._pace,
            affordable=lambda: hold.more(one_more),
        )

    def _sent_as(self, question: Question) -> Asking:
        """Each sample has a seed of its own, or all samples of a seeded model would be equal."""
        seed = self._asking.seed
        return replace(self._asking, seed=None if seed is None else seed + question.sample)

    def _verdict(self, reply: Reply) -> tuple[Verdict | None, str]:
        """The verdict in a reply, or why there is none."""
        if reply.status is not JudgeStatus.OK:
            return None, reply.error
        try:
            return read_verdict(self._protocol, reply.raw), ""
        except Unreadable as error:
            if not reply.cut:
                return None, str(error)
            limit = self._asking.max_tokens
            said = str(error).rstrip(".")
            return None, f"max_tokens ({limit}) was reached before the end of the answer: {said}."

    def _ended(
        self,
        job: Job,
        messages: tuple[Message, ...],
        reply: Reply,
        verdict: Verdict | None,
        why: str,
    ) -> Asked:
        """The last reply as it is stored."""
        status = reply.status
        if status is JudgeStatus.OK and verdict is None:
            refused = is_refusal(reply.raw)
            status = JudgeStatus.REFUSED if refused else JudgeStatus.PARSE_ERROR
        earlier = self._earlier.get(job.place, _NOTHING)
        answered = Answered(
            status,
            messages,
            raw=reply.raw,
            verdict=verdict,
            error="" if status is JudgeStatus.OK else why,
            usage=self._priced(reply.usage + earlier.usage),
            requests=reply.requests + earlier.requests,
            seconds=reply.seconds,
        )
        return Asked(answered, reply.fatal, reply.passing)

    def _worst_try(self, messages: tuple[Message, ...], schema: Mapping[str, Any] | None) -> float:
        """The most one request costs."""
        tokens = prices.prompt_tokens(messages) + prices.schema_tokens(schema)
        return prices.cost(self._price, tokens, self._asking.max_tokens)

    def _priced(self, usage: Usage) -> Usage:
        tokens = usage.prompt_tokens, usage.completion_tokens
        return replace(usage, cost=prices.cost(self._price, *tokens))
