"""A store on a real database, and replies of the scripted model to put into it.

What asks for `world` or `database_url` runs twice: on an SQLite file and on PostgreSQL.
"""

import shutil
import uuid

import pytest

from annotations import Store
from annotations.database import open_database
from esc_demo.contexts import ContextKind, ContextSpec
from esc_demo.dialogue import Role, Turn, UserProfile
from esc_demo.engine import HistoryPolicy, PaneConfig, Request, reply
from esc_demo.models import GenerationParams, ModelSpec, StopSignal
from esc_demo.models.scripted import ScriptedModel
from esc_demo.prompts import Part, PromptTemplate
from tests.annotations import raw


class Source:
    """One scripted model under any name but `missing`."""

    def __init__(self, delay=0.0):
        spec = ModelSpec(
            id="a", label="a", family="f", base="x/y", variant="base", context_length=400
        )
        self.model = ScriptedModel(spec, delay=delay)

    def get(self, model_id, stop=None):
        return {"a": self.model}[model_id]


class World:
    """A store with one conversation and one turn in it."""

    def __init__(self, url):
        self.url = url
        self.sqlite = url.startswith("sqlite:///")
        self.path = url.removeprefix("sqlite:///")
        self.store = Store(url)
        self.conversation = self.store.open_conversation(
            origin="page", policy=HistoryPolicy.INDEPENDENT, app_version="0.1.0"
        )
        self.turn = self.store.add_turn(
            self.conversation, 0, "I feel low", HistoryPolicy.INDEPENDENT
        )

    def request(self, text="I feel low", model="a"):
        """A request in which nothing has its default value."""
        prompt = PromptTemplate(frozenset({Part.ROLE, Part.PROFILE}))
        return Request(
            PaneConfig(
                model,
                ContextSpec(ContextKind.NOSTOPWORDS, keep_negation=True, last_k=4),
                prompt.edited(Part.ROLE, "You listen first."),
            ),
            (
                Turn(Role.SEEKER, "I did not sleep."),
                Turn(Role.SUPPORTER, "That is hard.", "Reflection"),
                Turn(Role.SEEKER, text),
            ),
            UserProfile(name="Ada", problem_type="grief"),
            GenerationParams(0.5, 0.9, 40, 64, seed=2**53 - 1),
        )

    def add(self, outcome=None, pane=0, attempt=None, request=None, turn=None):
        """Store a reply; a finished one when none is given."""
        request = request or self.request()
        outcome = outcome or write(request)
        return self.store.record(
            self.conversation,
            turn or self.turn,
            pane,
            attempt,
            HistoryPolicy.INDEPENDENT,
            request,
            outcome,
        )

    def sql(self, statement, *values):
        """Run raw SQL, as somebody with another program would; foreign keys on."""
        return raw.run(self.url, statement, *values)

    def copy(self, table, row_id, **changes):
        """Store a row once more under a new id, some columns changed; as raw as `sql`."""
        changes = {"id": uuid.uuid4().hex, **changes}
        names = raw.columns(self.url, table)
        assert set(changes) <= set(names)
        columns = ", ".join("?" if name in changes else f'"{name}"' for name in names)
        values = [changes[name] for name in names if name in changes]
        self.sql(f"INSERT INTO {table} SELECT {columns} FROM {table} WHERE id = ?", *values, row_id)
        return changes["id"]


def write(request, source=None, stop_after=None):
    """The outcome of `request`; stopped once `stop_after` events are out."""
    stop = StopSignal()
    if stop_after == 0:
        stop.set()
    outcome = None
    for number, event in enumerate(reply(request, source or Source(), stop), 1):
        outcome = event
        if number == stop_after:
            stop.set()
    return outcome


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """An SQLite file with the newest tables, to be copied: migrating takes longer."""
    path = tmp_path_factory.mktemp("template") / "esc.db"
    open_database(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def sqlite_url(tmp_path, migrated):
    """The address of a new SQLite file."""
    path = tmp_path / "data" / "esc.db"
    path.parent.mkdir()
    shutil.copy(migrated, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request):
    """The address of a new database, of the one kind and then of the other."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def world(database_url):
    world = World(database_url)
    yield world
    world.store.close()


@pytest.fixture
def sqlite_world(sqlite_url):
    """For what only SQLite has."""
    world = World(sqlite_url)
    yield world
    world.store.close()


@pytest.fixture
def writer():
    return write
