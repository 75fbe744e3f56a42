"""A database of an earlier version, with rows in it, opens with all of them and all its guards."""

import pytest
from alembic import command
from sqlalchemy import text
from sqlmodel import Session

from annotations import Store
from annotations.database import migration_config, open_engine
from annotations.schema_study import StudyParticipant
from annotations.studies.standing import standing_of
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
STUDIES = """
INSERT INTO study (id, slug, title, mode, status, version, seed, content_hash, definition,
    canonical, scales_version, completion_key, created_at, opened_at)
    VALUES ('s', 'small', 'Small', 'pairs', 'open', 1, 7, 'h', '{}', '{}', 1, 'k', '2026-01-03',
    '2026-01-03');
INSERT INTO study_item (id, study_id, kind, key, position, stratum, situation, history, source)
    VALUES ('i', 's', 'main', 'item', 0, '', '', '[]', '{}');
INSERT INTO study_reply (id, item_id, kind, arm, text, created_at)
    VALUES ('r', 'i', 'written', 'base', 'I hear you.', '2026-01-03');
INSERT INTO study_task (id, study_id, item_id, kind, key, position, arm_a, arm_b, stratum, needed)
    VALUES ('k', 's', 'i', 'main', 'item~base+lora', 0, 'base', 'lora', 'base+lora', 1);
INSERT INTO study_participant (id, study_id, number, key_hash, rested_after, resting, created_at,
    seen_at) VALUES ('p', 's', 1, 'h', 0, false, '2026-01-03', '2026-01-03');
INSERT INTO study_assignment (id, study_id, participant_id, task_id, kind, status, number,
    first_arm, second_arm, leased_at, lease_expires_at, submitted_at, skip_reason)
    VALUES ('a', 's', 'p', 'k', 'main', 'submitted', 1, 'base', 'lora', '2026-01-03', '2026-01-03',
    '2026-01-03', '');
INSERT INTO rating_submission (id, assignment_id, reply_id, rater_id, rater_kind, comment,
    scales_version, created_at) VALUES ('third', 'a', 'r', 'p', 'human', '', 1, '2026-01-03');
INSERT INTO rating (submission_id, dimension, status, score)
    VALUES ('third', 'empathy', 'cannot_judge', NULL);
INSERT INTO preference (id, assignment_id, rater_id, rater_kind, choice, preferred_reply_id,
    compared, comment, scales_version, created_at)
    VALUES ('q', 'a', 'p', 'human', 'generation', 'r', '["r", "r2"]', '', 1, '2026-01-03');
"""
UNDER_WAY = """
INSERT INTO study_task (id, study_id, item_id, kind, key, position, arm_a, arm_b, stratum, needed)
    VALUES ('l', 's', 'i', 'main', 'other~base+lora', 1, 'base', 'lora', 'base+lora', 1);
INSERT INTO study_assignment (id, study_id, participant_id, task_id, kind, status, number,
    first_arm, second_arm, leased_at, lease_expires_at, skip_reason)
    VALUES ('b', 's', 'p', 'k', 'repeat', 'skipped', 2, 'lora', 'base', '2026-01-03', '2026-01-04',
    '');
INSERT INTO study_assignment (id, study_id, participant_id, task_id, kind, status, number,
    first_arm, second_arm, leased_at, lease_expires_at, skip_reason)
    VALUES ('c', 's', 'p', 'l', 'main', 'open', 3, 'lora', 'base', '2026-01-03', '2026-01-03', '');
"""
JUDGED = ("rating_submission", "rating", "preference")
VERSIONS = {"0001": (2, 2, 1), "0003": (3, 3, 2)}
"""How many rows of each table a database of that version is given."""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """The address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'old.db'}"
        return
    postgresql = request.getfixturevalue("postgresql")
    name = postgresql.new_database()
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture(params=VERSIONS)
def version(request):
    """An earlier version of the tables."""
    return request.param


@pytest.fixture
def old_url(empty_url, version):
    """The address of a database of an earlier version."""
    engine, config = open_engine(empty_url), migration_config()
    with engine.execution_options(esc_write=True).begin() as connection:
        config.attributes["connection"] = connection
        for upto, script in (("0001", FIRST), ("0003", STUDIES)):
            if upto <= version:
                command.upgrade(config, upto)
                for statement in script.split(";\n")[:-1]:
                    connection.execute(text(statement.replace(":", r"\:")))
    engine.dispose()
    return empty_url


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


def test_nothing_is_lost_and_everything_goes_on(old_url, version):
    before = rows_of(old_url)
    assert tuple(len(rows) for rows in before.values()) == VERSIONS[version]
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
        assert store.counts().preferences == VERSIONS[version][2]
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
            " VALUES ('new', 'generation', 'ann', 'human', '', 1, '2026-01-01')",
        )
    assert rows_of(old_url) == before


def test_a_rating_belongs_to_a_reply_of_the_page_or_of_a_study_and_to_one_only(old_url):
    Store(old_url).close()
    insert = (
        "INSERT INTO rating_submission (id, generation_id, assignment_id, reply_id, rater_id,"
        " rater_kind, comment, scales_version, created_at)"
        " VALUES ('new', ?, ?, ?, 'bob', 'human', '', 1, '2026-01-01')"
    )
    for values in (
        (None, None, None),
        ("generation", "a", "r"),
        (None, None, "r"),
        (None, "a", None),
    ):
        with pytest.raises(Refused, match="CHECK"):
            raw.run(old_url, insert, *values)
    with pytest.raises(Refused, match="FOREIGN KEY"):
        raw.run(old_url, insert, None, "nowhere", "nothing")


@pytest.mark.parametrize("version", ["0003"], indirect=True)
def test_sessions_under_way_keep_their_places_and_their_time(old_url):
    for statement in UNDER_WAY.split(";\n")[:-1]:
        raw.run(old_url, statement)
    Store(old_url).close()
    places = raw.run(old_url, "SELECT id, place FROM study_assignment ORDER BY number")
    assert places == [("a", 1), ("b", None), ("c", 2)]
    with Store(old_url) as store, Session(store.engine) as session:
        standing = standing_of(session, session.get_one(StudyParticipant, "p"))
        assert standing.seconds(3600.0) == 0.0  # else who had skipped twice would be sent home


@pytest.mark.parametrize("version", ["0003"], indirect=True)
def test_guards_still_know_who_may_take_answers_back(old_url):
    Store(old_url).close()
    for statement in ("DELETE FROM rating", "DELETE FROM rating_submission"):
        with pytest.raises(Refused, match="append-only"):
            raw.run(old_url, f"{statement} WHERE id = (SELECT max(id) FROM {statement.split()[2]})")
    raw.run(
        old_url,
        "UPDATE study_participant SET withdrawal = 'delete', withdrawn_at = '2026-01-04'",
    )
    raw.run(old_url, "DELETE FROM rating WHERE submission_id = 'third'")
    raw.run(old_url, "DELETE FROM rating_submission WHERE id = 'third'")
    raw.run(old_url, "DELETE FROM preference WHERE id = 'q'")
    assert [len(rows) for rows in rows_of(old_url).values()] == [2, 2, 1]
