"""Ratings and preferences: append-only, one in force per rater, refused twice over."""

import sqlite3
import threading
import uuid
from contextlib import closing

import pytest

from annotations import Choice, Counts, Dimension, PreferenceForm, RaterKind, RatingForm
from annotations.database import open_engine
from esc_demo.engine import Done, Failed
from esc_demo.errors import BadInput
from tests.annotations.raw import Refused

INSERT_SUBMISSION = (
    "INSERT INTO rating_submission (id, generation_id, rater_id, rater_kind, comment,"
    " scales_version, supersedes, created_at) VALUES (?, ?, ?, 'human', '', 1, ?, '2026-01-01')"
)
INSERT_RATING = "INSERT INTO rating (submission_id, dimension, status, score) VALUES (?, ?, ?, ?)"


def scores(value=3, **changes):
    return {**{dimension.value: value for dimension in Dimension}, **changes}


def rating(generation, value=3, **changes):
    values = {
        "submission_id": uuid.uuid4().hex,
        "generation_id": generation,
        "rater_id": "ann",
        "scores": scores(value),
    }
    return RatingForm.parse(**{**values, **changes})


def preference(world, *compared, **changes):
    values = {
        "submission_id": uuid.uuid4().hex,
        "turn_id": world.turn,
        "rater_id": "ann",
        "choice": "tie",
        "compared": compared,
    }
    return PreferenceForm.parse(**{**values, **changes})


def test_a_rating_comes_back_as_given(world):
    generation = world.add()
    comment = "<script>alert(1)</script> שלום \u202e مرحبا **x** <|im_start|>"
    given = scores(4, suggestion="cannot_judge")
    world.store.rate(rating(generation, scores=given, comment=comment))
    view = world.store.current_rating(generation, "ann")
    assert dict(view.scores) == given
    assert view.comment == comment
    assert view.supersedes is None
    assert world.store.current_rating(generation, "bob") is None
    assert world.store.current_rating(generation, "ann", RaterKind.JUDGE) is None
    assert world.sql("SELECT status, score FROM rating WHERE dimension = 'suggestion'") == [
        ("cannot_judge", None)
    ]


def test_a_second_rating_supersedes_and_both_stay(world):
    generation = world.add()
    first, second = rating(generation, 1), rating(generation, 5)
    world.store.rate(first)
    world.store.rate(second)
    view = world.store.current_rating(generation, "ann")
    assert (view.submission_id, view.supersedes) == (second.submission_id, first.submission_id)
    assert set(view.scores.values()) == {5}
    assert world.sql("SELECT count(*) FROM rating_submission") == [(2,)]
    assert world.sql("SELECT count(*) FROM rating") == [(8,)]
    rows = world.sql("SELECT submission_id, dimension, score FROM current_rating")
    assert sorted(rows) == sorted((second.submission_id, name.value, 5) for name in Dimension)
    assert world.store.counts() == Counts(generations=1, ratings=1, preferences=0)


def test_people_and_judges_do_not_supersede_each_other(world):
    generation = world.add()
    world.store.rate(rating(generation, 1))
    world.store.rate(rating(generation, 2, rater_kind="judge"))
    world.store.rate(rating(generation, 3, rater_id="bob"))
    assert world.store.counts().ratings == 3
    assert set(world.store.current_rating(generation, "ann").scores.values()) == {1}


def test_an_unknown_generation_is_refused_by_the_store_and_by_the_database(world):
    with pytest.raises(BadInput, match="no reply"):
        world.store.rate(rating("0" * 32))
    with pytest.raises(Refused, match="FOREIGN KEY"):
        world.sql(INSERT_SUBMISSION, "n" * 8, "0" * 32, "ann", None)


def test_a_reply_without_text_cannot_be_judged(world):
    silent = world.add(Failed("", "The model is missing.", None, 0.1))
    spoken = world.add(pane=1)
    with pytest.raises(BadInput, match="no text"):
        world.store.rate(rating(silent))
    with pytest.raises(BadInput, match="no text"):
        world.store.prefer(preference(world, silent, spoken))
    with pytest.raises(BadInput, match="no text"):
        world.store.choose(world.turn, silent)


def test_a_double_submit_is_refused_by_the_store_and_by_the_database(world):
    generation = world.add()
    form = rating(generation)
    world.store.rate(form)
    with pytest.raises(BadInput, match="submitted before"):
        world.store.rate(form)
    with pytest.raises(Refused, match=r"UNIQUE.*rating_submission"):
        world.sql(INSERT_SUBMISSION, form.submission_id, generation, "bob", None)
    assert world.sql("SELECT count(*) FROM rating") == [(4,)]


def test_two_current_answers_of_one_rater_are_impossible(world):
    generation = world.add()
    form = rating(generation)
    world.store.rate(form)
    with pytest.raises(Refused, match="UNIQUE"):
        world.sql(INSERT_SUBMISSION, "n" * 8, generation, "ann", None)
    world.store.rate(rating(generation))
    with pytest.raises(Refused, match="UNIQUE"):
        world.sql(INSERT_SUBMISSION, "n" * 8, generation, "ann", form.submission_id)


def refuse_to_supersede_others(world, table, submission, others):
    """`submission` may be superseded by its like, and by nothing that differs in `others`."""
    for change in others:
        with pytest.raises(Refused, match="FOREIGN KEY"):
            world.copy(table, submission, supersedes=submission, **change)
    assert world.sql(f"SELECT DISTINCT submission_id FROM current_{table.split('_')[0]}") == [
        (submission,)
    ]
    world.copy(table, submission, supersedes=submission)


def test_the_database_lets_nobody_supersede_the_rating_of_another(world):
    form = rating(world.add())
    world.store.rate(form)
    others = {"rater_id": "eve"}, {"rater_kind": "judge"}, {"generation_id": world.add(pane=1)}
    refuse_to_supersede_others(world, "rating_submission", form.submission_id, others)


def test_the_database_lets_nobody_supersede_the_preference_of_another(world):
    form = preference(world, world.add(), world.add(pane=1))
    world.store.prefer(form)
    turn = world.store.add_turn(world.conversation, 1, "and then", "shared")
    others = {"rater_id": "eve"}, {"rater_kind": "judge"}, {"turn_id": turn}
    refuse_to_supersede_others(world, "preference", form.submission_id, others)


@pytest.mark.parametrize(
    ("status", "score"),
    [
        ("scored", 9),
        ("scored", -1),
        ("scored", 4.5),
        ("scored", None),
        ("scored", "high"),
        ("cannot_judge", 3),
        ("lost", None),
    ],
)
def test_the_database_refuses_what_is_no_score(world, status, score):
    if not world.sqlite and (isinstance(score, float) or score == "high"):
        pytest.skip("PostgreSQL has no such value in a column of whole numbers")
    world.sql(INSERT_SUBMISSION, "n" * 8, world.add(), "ann", None)
    with pytest.raises(Refused, match="ck_rating_score"):
        world.sql(INSERT_RATING, "n" * 8, "comforting", status, score)
    world.sql(INSERT_RATING, "n" * 8, "comforting", "scored", 5)
    with pytest.raises(Refused, match="UNIQUE"):
        world.sql(INSERT_RATING, "n" * 8, "comforting", "scored", 5)


def test_a_form_that_dodged_validation_is_bad_input_too(world):
    form = rating(world.add())
    dodged = form.model_copy(update={"scores": {Dimension.COMFORTING: 9}})
    with pytest.raises(BadInput, match="refused by the database"):
        world.store.rate(dodged)
    assert world.sql("SELECT count(*) FROM rating_submission") == [(0,)]


@pytest.mark.parametrize("table", ["rating_submission", "rating", "preference"])
def test_judgements_cannot_be_changed_or_deleted(world, table):
    first, second = world.add(), world.add(pane=1)
    world.store.rate(rating(first))
    world.store.prefer(preference(world, first, second))
    before = world.sql(f"SELECT * FROM {table}")
    column = "status" if table == "rating" else "comment"
    for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
        with pytest.raises(Refused, match="append-only"):
            world.sql(statement)
    assert world.sql(f"SELECT * FROM {table}") == before


def test_our_connections_do_not_replace_a_row_either(sqlite_world):
    world = sqlite_world
    form = rating(world.add())
    world.store.rate(form)
    engine = open_engine(world.url)
    replace = INSERT_SUBMISSION.replace("INSERT", "INSERT OR REPLACE", 1)
    with closing(engine.raw_connection()) as connection:
        values = (form.submission_id, form.generation_id, "eve", None)
        with pytest.raises(sqlite3.IntegrityError):
            connection.cursor().execute(replace, values)
    engine.dispose()
    assert world.sql("SELECT rater_id FROM rating_submission") == [("ann",)]


def test_ratings_at_the_same_moment_form_one_chain(world):
    generation = world.add()
    problems = []

    def work():
        try:
            world.store.rate(rating(generation))
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert world.sql("SELECT count(*) FROM rating_submission") == [(8,)]
    assert world.store.counts().ratings == 1


def test_a_preference_is_kept_and_superseded(world):
    first, second = world.add(), world.add(pane=1)
    world.store.prefer(preference(world, first, second, choice="both_bad"))
    form = preference(
        world, first, second, choice="generation", preferred_generation_id=second, comment=" warm "
    )
    world.store.prefer(form)
    view = world.store.current_preference(world.turn, "ann")
    assert (view.choice, view.preferred_generation_id) == (Choice.GENERATION, second)
    assert (view.compared, view.comment) == ((first, second), "warm")
    assert world.sql("SELECT submission_id FROM current_preference") == [(form.submission_id,)]
    assert world.sql("SELECT count(*) FROM preference") == [(2,)]
    assert world.store.counts().preferences == 1
    with pytest.raises(BadInput, match="submitted before"):
        world.store.prefer(form)


def test_a_preference_compares_known_replies_to_one_message(world):
    first = world.add()
    other_turn = world.store.add_turn(world.conversation, 1, "and then", "shared")
    elsewhere = world.add(turn=other_turn)
    with pytest.raises(BadInput, match="another message"):
        world.store.prefer(preference(world, first, elsewhere))
    with pytest.raises(BadInput, match="no reply"):
        world.store.prefer(preference(world, first, "0" * 32))


def test_the_database_refuses_an_inconsistent_preference(world):
    insert = (
        "INSERT INTO preference (id, turn_id, rater_id, rater_kind, choice, compared, comment,"
        " scales_version, preferred_generation_id, created_at)"
        " VALUES (?, ?, 'ann', 'human', ?, '[]', '', 1, ?, '2026-01-01')"
    )
    generation = world.add()
    for choice, preferred in (("tie", generation), ("generation", None)):
        with pytest.raises(Refused, match="ck_preference_preferred"):
            world.sql(insert, "n" * 8, world.turn, choice, preferred)
    with pytest.raises(Refused, match="ck_preference_choice"):
        world.sql(insert, "n" * 8, world.turn, "maybe", None)
    with pytest.raises(Refused, match="FOREIGN KEY"):
        world.sql(insert, "n" * 8, world.turn, "generation", "nowhere")


def test_a_finished_reply_of_no_words_is_stored_but_not_rated(world, writer):
    done = writer(world.request())
    generation = world.add(Done("", done.finish, done.seen, done.seconds))
    with pytest.raises(BadInput, match="no text"):
        world.store.rate(rating(generation))
