"""Generations, turns and choices: stored whole, whatever became of them."""

import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import SQLModel

from annotations import GenerationStatus, Store
from esc_demo.engine import Done, Failed, HistoryPolicy, Stopped
from esc_demo.errors import BadInput, StorageError
from esc_demo.models.scripted import FAIL_ON
from tests.annotations.raw import Refused

SHARED = HistoryPolicy.SHARED


def the_only(world):
    (row,) = world.store.generations(world.conversation)
    return row


def test_a_finished_reply_comes_back_with_all_it_depended_on(world, writer):
    request = world.request()
    outcome = writer(request)
    assert isinstance(outcome, Done)
    generation = world.add(outcome, pane=2, request=request)
    row = the_only(world)
    assert row.id == generation
    assert row.status is GenerationStatus.DONE
    assert (row.pane, row.attempt, row.turn_id) == (2, 0, world.turn)
    assert row.messages == outcome.seen.messages
    assert row.messages[0].content.startswith("You listen first.")
    assert (row.reply, row.finish, row.error) == (outcome.text, outcome.finish, None)
    assert row.prompt_tokens == outcome.seen.prompt.tokens
    assert row.prompt_tokens_raw == outcome.seen.tokens_raw != row.prompt_tokens
    assert (row.window, row.dropped_turns) == (400, 0)
    assert row.model_revision == outcome.seen.model_revision
    assert row.template_hash == outcome.seen.template_hash
    assert row.prompt_hash == request.pane.prompt.content_hash
    assert timedelta(0) <= datetime.now(UTC) - row.created_at < timedelta(minutes=1)


def test_a_stored_request_writes_the_same_reply_again(world, writer):
    request = world.request()
    world.add(request=request)
    row = the_only(world)
    assert row.request == request
    again = writer(row.request)
    assert (again.text, again.seen.messages) == (row.reply, row.messages)


def test_a_stopped_reply_is_stored_with_its_exact_messages(world, writer):
    request = world.request()
    outcome = writer(request, stop_after=3)
    assert isinstance(outcome, Stopped)
    world.add(outcome, request=request)
    row = the_only(world)
    assert row.status is GenerationStatus.STOPPED
    assert len(row.reply.split()) == row.finish.new_tokens == 2
    assert row.finish.reason == "stopped"
    assert row.messages == outcome.seen.messages


def test_a_failed_reply_is_stored_with_its_exact_messages(world, writer):
    request = world.request(f"please {FAIL_ON}")
    outcome = writer(request)
    assert isinstance(outcome, Failed)
    world.add(outcome, request=request)
    row = the_only(world)
    assert row.status is GenerationStatus.FAILED
    assert "asked to fail" in row.error
    assert len(row.reply.split()) == 2
    assert row.messages == outcome.seen.messages
    assert row.messages[-1].content == f"please {FAIL_ON}"
    assert row.finish is None


def test_a_reply_that_failed_before_its_prompt_has_nulls_not_guesses(world, writer):
    request = world.request(model="missing")
    outcome = writer(request)
    assert outcome.seen is None
    world.add(outcome, request=request)
    row = the_only(world)
    assert row.messages is row.model_revision is row.prompt_tokens is row.window is None
    assert row.request == request
    assert world.sql("SELECT messages IS NULL, new_tokens IS NULL FROM generation") == [(1, 1)]


def test_text_no_database_takes_does_not_lose_the_reply(world):
    world.add(Failed("half \ud83d and \x00", "broken \udc00", None, 0.1))
    row = the_only(world)
    assert (row.reply, row.error) == ("half \ufffd and \ufffd", "broken \ufffd")


def test_attempts_count_up_and_are_never_overwritten(world):
    world.add()
    world.add()
    with pytest.raises(StorageError, match="refused"):
        world.add(attempt=1)
    assert [row.attempt for row in world.store.generations(world.conversation)] == [0, 1]


def test_the_database_itself_refuses_an_impossible_generation(world):
    generation = world.add()
    for change in ({"pane": 4}, {"status": "lost"}, {"temperature": 3}, {"messages": None}):
        with pytest.raises(Refused, match="CHECK"):
            world.copy("generation", generation, **{"attempt": 1, **change})
    with pytest.raises(Refused, match="FOREIGN KEY"):
        world.copy("generation", generation, turn_id="nowhere")
    world.copy("generation", generation, attempt=1)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table, column.name)
        for table in ("generation", "turn")
        for column in SQLModel.metadata.tables[table].columns
        if column.name != "chosen_generation_id"
    ],
)
def test_what_was_said_cannot_be_changed(world, table, column):
    world.add()
    with pytest.raises(Refused, match=f"{table} is append-only"):
        world.sql(f'UPDATE {table} SET "{column}" = "{column}"')


def test_other_words_cannot_slip_in_with_a_choice_or_an_upsert(world):
    generation = world.add()
    sneak = "UPDATE turn SET chosen_generation_id = ?, seeker_text = 'I feel fine'"
    with pytest.raises(Refused, match="turn is append-only"):
        world.sql(sneak, generation)
    upsert = (
        "INSERT INTO generation SELECT * FROM generation WHERE true"
        " ON CONFLICT (id) DO UPDATE SET reply = 'other words'"
    )
    with pytest.raises(Refused, match="generation is append-only"):
        world.sql(upsert)
    assert world.sql("SELECT seeker_text, chosen_generation_id FROM turn") == [("I feel low", None)]
    assert the_only(world).reply != "other words"


@pytest.mark.parametrize("table", ["generation", "turn"])
def test_what_was_said_cannot_be_deleted(world, table):
    if table == "generation":
        world.add()
    with pytest.raises(Refused, match=f"{table} is append-only"):
        world.sql(f"DELETE FROM {table}")
    assert world.sql(f"SELECT count(*) FROM {table}") == [(1,)]


def test_only_pages_and_studies_hold_conversations(world):
    world.copy("conversation", world.conversation, origin="study")
    with pytest.raises(Refused, match="ck_conversation_origin"):
        world.copy("conversation", world.conversation, origin="cli")
    with pytest.raises(ValueError, match="cli"):
        world.store.open_conversation(origin="cli", policy=SHARED, app_version="1")


def test_an_edited_message_supersedes_the_earlier_one(world):
    edited = world.store.add_turn(world.conversation, 0, "I feel lost", SHARED, world.turn)
    rows = world.sql(
        "SELECT seeker_text, revision, supersedes, history_policy FROM turn ORDER BY revision"
    )
    assert rows == [
        ("I feel low", 0, None, "independent"),
        ("I feel lost", 1, world.turn, "shared"),
    ]
    assert edited != world.turn
    with pytest.raises(BadInput, match="already stored"):
        world.store.add_turn(world.conversation, 0, "again", SHARED)
    with pytest.raises(BadInput, match="no earlier version"):
        world.store.add_turn(world.conversation, 1, "next", SHARED, world.turn)


def test_a_reply_of_another_message_cannot_be_recorded_or_chosen(world):
    other = world.store.add_turn(world.conversation, 1, "and then", SHARED)
    generation = world.add()
    world.store.choose(world.turn, generation)
    assert world.sql("SELECT chosen_generation_id FROM turn WHERE position = 0") == [(generation,)]
    with pytest.raises(BadInput, match="another message"):
        world.store.choose(other, generation)
    with pytest.raises(BadInput, match="no turn"):
        world.add(turn="0" * 32)
    conversation = world.store.open_conversation(origin="page", policy=SHARED, app_version="1")
    with pytest.raises(BadInput, match="another conversation"):
        world.store.record(
            conversation, world.turn, 0, 0, SHARED, world.request(), Failed("", "x", None, 0.0)
        )


def test_two_conversations_never_see_each_other(world):
    world.add()
    other = world.store.open_conversation(origin="page", policy=SHARED, app_version="1")
    assert world.store.generations(other) == []


def test_two_threads_write_fifty_generations_each(world, writer):
    request = world.request()
    outcome = writer(request)
    problems = []

    def work(pane):
        try:
            for _ in range(50):
                world.add(outcome, pane=pane, request=request)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(pane,)) for pane in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    rows = world.store.generations(world.conversation)
    assert [(row.pane, row.attempt) for row in rows] == [
        (pane, attempt) for pane in (0, 1) for attempt in range(50)
    ]


def test_two_threads_on_one_pane_get_different_attempts(world, writer):
    outcome = writer(world.request())
    threads = [threading.Thread(target=world.add, args=(outcome,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = world.store.generations(world.conversation)
    assert [row.attempt for row in rows] == list(range(8))


def test_a_writer_waits_for_a_lock_and_says_so_when_it_stays(sqlite_world):
    world = sqlite_world
    with (
        Store(world.url, busy_ms=5, patience_s=5) as patient,
        Store(world.url, busy_ms=5, patience_s=0.2) as hasty,
        closing(sqlite3.connect(world.path, isolation_level=None, check_same_thread=False)) as lock,
    ):
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program"):
            hasty.open_conversation(origin="page", policy=SHARED, app_version="1")
        timer = threading.Timer(0.4, lock.execute, args=("ROLLBACK",))
        timer.start()
        began = time.monotonic()
        conversation = patient.open_conversation(origin="page", policy=SHARED, app_version="1")
        assert time.monotonic() - began > 0.2
        timer.join()
        assert patient.generations(conversation) == []
    assert world.sql("SELECT count(*) FROM conversation") == [(2,)]
