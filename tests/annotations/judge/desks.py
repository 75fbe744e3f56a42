"""Desks: a copy of one study, a server that fails on demand, and a judge between them."""

import shutil
from dataclasses import dataclass

import pytest

from annotations import Store
from annotations.judge.endpoint import Endpoint
from annotations.judge.ledger import Ledger, RunSpec
from annotations.judge.material import questions
from annotations.judge.prices import Price
from annotations.judge.protocol import load_protocol
from annotations.judge.run import judge
from annotations.judge.schema import answer_schema
from annotations.judge.values import Asking
from tests.annotations.judge.faulty import Faulty
from tests.annotations.judge.opened import calls, founded, table

PRICE = Price(1.0, 2.0, "the test")
ASKING = Asking(max_tokens=60)
REPLIES = 12
"""Four items with three arms."""


@pytest.fixture(scope="module")
def study(migrated, tmp_path_factory):
    return founded(migrated, tmp_path_factory.mktemp("founded"))


@pytest.fixture
def new_desk(study, tmp_path):
    """A maker of desks on copies of one study and one server each."""
    opened = []

    def make(**server):
        path = shutil.copy(study, tmp_path / f"{len(opened)}.db")
        opened.append(Desk(f"sqlite:///{path}", **server))
        return opened[-1]

    yield make
    for desk in opened:
        desk.close()


@pytest.fixture(scope="module")
def clean(study):
    """What lies in the tables after a run in which nothing failed."""
    desk = Desk(f"sqlite:///{shutil.copy(study, study.parent / 'clean.db')}")
    desk.judge()
    desk.close()
    return Clean(table(desk.url), {call["key"] for call in calls(desk.url)})


@pytest.fixture
def desk(new_desk):
    return new_desk()


@dataclass(frozen=True)
class Clean:
    table: list
    keys: set


class Desk:
    """A database with a study, a server, and a judge between them."""

    def __init__(self, url, server=None, **faults):
        self.url, self.store = url, Store(url)
        self.ledger = Ledger(self.store)
        self.owns = server is None
        schema = answer_schema(load_protocol("esc-reply"))
        self.server = Faulty(schema, **faults).__enter__() if self.owns else server
        self.states, self.said = [], []

    def close(self):
        if self.owns:
            self.server.__exit__()
        self.store.close()

    def beside(self):
        """Another one with the same database and server, as another process would have it."""
        return Desk(self.url, self.server)

    def judge(self, protocol="esc-reply", samples=1, controls=(), limit=None, key="right", **more):
        """Run the judge once; its summary."""
        protocol = load_protocol(protocol)
        timeout = more.pop("timeout_s", 5.0)
        where = Endpoint("little", self.server.url, key, timeout, 3, backoff_s=0.01)
        asked = questions(
            self.store, "small", protocol, samples=samples, controls=controls, limit=limit
        )
        spec = RunSpec("small", protocol, "little", where.url, ASKING, samples, tuple(controls))
        self.run = self.ledger.open_run(spec)
        options = {"price": PRICE, "watch": self.states.append, "say": self.said.append} | more
        with self.ledger.alone(spec):
            return judge(self.ledger, self.run, asked, protocol, where, ASKING, **options)

    def adds_up(self):
        """The book says of every call what the server says; nothing was paid twice."""
        stored = calls(self.url)
        assert sum(call["requests"] for call in stored) == len(self.server.requests)
        assert self.ledger.spent(self.run) == pytest.approx(sum(call["cost"] for call in stored))
        assert self.ledger.spent(self.run) == pytest.approx(self.server.cost(PRICE))
        assert set(self.server.paid.values()) == {1}
