"""A database of the first version, with rows in it, opens with all of them and all its guards."""

import pytest
from alembic import command
from sqlalchemy import text

from annotations import Store
from annotations.database import migration_config, open_engine
from esc_demo.errors import BadInput
from tests.annotations import raw
from tests.annotations.raw import Refused
from tests.annotations.test_judgements import rating

FIRST = """
INSERT INTO conversation VALUES ('c', '2026-01-01', '0.1.0', 'page', 'shared');
INSERT INTO turn (id, conversation_id, position, revision, seeker_text, history_policy, created_at)
    VALUES ('t', 'c', 0, 0, 'I feel low', 'shared', '2026-01-01');
INSERT INTO generation (id, conversation_id, turn_id, pane, attempt, status, model_id, prompt_hash,
    prompt_parts, raw_turns, profile, context_kind, keep_negation, scope, history_policy,
    temperature, top_p, top_k, max_new_tokens, seed, reply, error, seconds, created_at)
    VALUES ('generation', 'c', 't', 0, 0, 'failed', 'm', 'h', '{}', '[]', '{}', 'raw', false,
    'all', 'shared', 1, 1, 0, 9, 1, 'half a reply', 'x', 1, '2026-01-01');
INSERT INTO rating_submission VALUES
    ('first', 'generation', 'ann', 'human', 'before', 1, NULL, '2026-01-01');
INSERT INTO rating_submission VALUES
    ('second', 'generation', 'ann', 'human', 'after', 1, 'first', '2026-01-02');
INSERT INTO rating (submission_id, dimension, status, score)
    VALUES ('first', 'comforting', 'scored', 2);
INSERT INTO rating (submission_id, dimension, status, score)
    VALUES ('second', 'comforting', 'scored', 4);
INSERT INTO preference (id, turn_id, rater_id, rater_kind, choice, preferred_generation_id,
    compared, comment, scales_version, created_at)
    VALUES ('p', 't', 'ann', 'human', 'generation', 'generation', '["generation", "other"]', '', 1,
    '2026-01-01');
"""
JUDGED = ("rating_submission", "rating", "preference")


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request, tmp_path):
    """The address of a database of the first version."""
    if request.param == "sqlite":
        yield from _at_first(f"sqlite:///{tmp_path / 'old.db'}")
        return
    postgresql = request.getfixturevalue("postgresql")
    name = postgresql.new_database()
    yield from _at_first(postgresql.url(name))
    postgresql.drop(name)


def _at_first(url):
    engine, config = open_engine(url), migration_config()
    with engine.execution_options(esc_write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST.split(";\n")[:-1]:
            connection.execute(text(statement.replace(":", r"\:")))
    engine.dispose()
    yield url


def rows_of(url):
    """The old columns of all that was judged."""
    return {
        "rating_submission": raw.run(
            url,
            "SELECT id, generation_id, rater_id, rater_kind, comment, scales_version, supersedes,"
            " created_at FROM rating_submission ORDER BY id",
        ),
        "rating": raw.run(
            url, "SELECT id, submission_id, dimension, status, score FROM rating ORDER BY id"
        ),
        "preference": raw.run(
            url,
            "SELECT id, turn_id, choice, preferred_generation_id, CAST(compared AS TEXT), comment"
            " FROM preference",
        ),
    }


def test_nothing_is_lost_and_everything_goes_on(old_url):
    before = rows_of(old_url)
    assert [len(rows) for rows in before.values()] == [2, 2, 1]
    with Store(old_url) as store:
        assert rows_of(old_url) == before
        view = store.current_rating("generation", "ann")
        assert (view.submission_id, view.comment, view.scores) == (
            *("second", "after"),
            {"comforting": 4},
        )
        form = rating("generation", 5)
        store.rate(form)
        assert store.current_rating("generation", "ann").supersedes == "second"
        with pytest.raises(BadInput, match="submitted before"):
            store.rate(form)
        assert store.counts().preferences == 1
    current = "SELECT submission_id, score FROM current_rating WHERE dimension = 'comforting'"
    assert raw.run(old_url, current) == [(form.submission_id, 5)]


def test_all_guards_stand_after_the_upgrade(old_url):
    Store(old_url).close()
    before = rows_of(old_url)
    for table in (*JUDGED, "generation", "turn"):
        column = {"rating": "status", "generation": "reply", "turn": "seeker_text"}.get(
            table, "comment"
        )
        for statement in (f"UPDATE {table} SET {column} = ''", f"DELETE FROM {table}"):
            with pytest.raises(Refused, match="append-only"):
                raw.run(old_url, statement)
    with pytest.raises(Refused, match="UNIQUE"):
        raw.run(
            old_url,
            "INSERT INTO rating_submission (id, generation_id, rater_id, rater_kind, comment,"
            " scales_version, created_at)"
            " VALUES ('third', 'generation', 'ann', 'human', '', 1, '2026-01-01')",
        )
    assert rows_of(old_url) == before


def test_a_rating_belongs_to_a_reply_of_the_page_or_of_a_study_and_to_one_only(old_url):
    Store(old_url).close()
    insert = (
        "INSERT INTO rating_submission (id, generation_id, assignment_id, reply_id, rater_id,"
        " rater_kind, comment, scales_version, created_at)"
        " VALUES ('third', ?, ?, ?, 'bob', 'human', '', 1, '2026-01-01')"
    )
    for values in ((None, None, None), ("generation", "a", "r"), (None, None, "r")):
        with pytest.raises(Refused, match="CHECK"):
            raw.run(old_url, insert, *values)
    with pytest.raises(Refused, match="FOREIGN KEY"):
        raw.run(old_url, insert, None, "nowhere", "nothing")
