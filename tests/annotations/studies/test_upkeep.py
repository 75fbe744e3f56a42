"""Backups of a running database, and the check that finds what does not hold together."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from annotations import Store
from annotations.backup import back_up, describe
from annotations.database import open_engine
from annotations.frames import Keep, preferences_frame, ratings_frame
from annotations.upkeep import check_database
from esc_demo.errors import BadInput, StorageError
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import form

ALL = Keep(practice=True, gold=True, repeats=True, surplus=True, withdrawn=True, superseded=True)


@pytest.fixture
def answered(office):
    """Two people with answers, a correction among them, and one who withdrew."""
    slug = office.found(item_lines(3), session={"items": 3, "repeats": 1})
    first = office.rater(slug)
    last = first.work().can_correct
    view = office.desk.answered(slug, first.key, last)
    office.desk.correct(slug, first.key, last, form(view.item, score=1), "slip")
    office.rater(slug).work(2)
    gone = office.rater(slug)
    gone.work(1)
    office.desk.withdraw(slug, gone.key)
    return office, slug


def rules(office):
    """The rules that something breaks, by the office's clock."""
    return {one.rule for one in check_database(office.store.engine, office.clock())}


def break_(office, *statements):
    """Change what triggers and constraints would not let pass."""
    if office.url.startswith("sqlite:///"):
        triggers = office.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers:
            office.sql(f'DROP TRIGGER "{name}"')
        with closing(sqlite3.connect(office.url.removeprefix("sqlite:///"))) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return
    office.sql("SET session_replication_role = replica; " + "; ".join(statements))


def test_a_copy_opens_and_holds_the_same(answered, tmp_path):
    office, slug = answered
    target = tmp_path / "copies" / "esc.db"
    done = back_up(office.store.engine, target)
    assert done.path == target and done.bytes == target.stat().st_size
    assert os.listdir(target.parent) == ["esc.db"]
    assert target.stat().st_mode & 0o077 == 0
    with Store(f"sqlite:///{target}") as copy:
        for read in (ratings_frame, preferences_frame):
            here, there = read(office.store, slug, ALL), read(copy, slug, ALL)
            assert len(here) and here.to_dict("records") == there.to_dict("records")
        assert copy.desk().progress(slug) == office.desk.progress(slug)
        assert check_database(copy.engine, office.clock()) == ()
        with (
            pytest.raises(IntegrityError, match="append-only"),
            copy.engine.begin() as connection,
        ):
            connection.exec_driver_sql("DELETE FROM rating")
    told = "\n".join(describe(office.store.engine, done))
    assert f"{done.rows:,} rows" in told
    assert ("pg_dump" in told) == office.url.startswith("postgresql")
    with pytest.raises(BadInput, match="there already"):
        back_up(office.store.engine, target)
    assert back_up(office.store.engine, target, force=True).rows == done.rows


def test_a_copy_is_one_state_while_people_answer(office, tmp_path):
    slug = office.found(item_lines(12), session={"items": 12}, raters_per_item=4)
    raters = [office.rater(slug) for _ in range(2)]
    begun = threading.Event()

    def work(rater):
        for _ in range(10):
            rater.work(1)
            begun.set()

    threads = [threading.Thread(target=work, args=(rater,)) for rater in raters]
    for thread in threads:
        thread.start()
    begun.wait(60)
    found = []
    for number in range(2):
        target = tmp_path / f"{number}.db"
        back_up(office.store.engine, target)
        engine = open_engine(f"sqlite:///{target}")
        found.append(check_database(engine, office.clock()))
        engine.dispose()
    for thread in threads:
        thread.join()
    assert found == [(), ()]
    assert len(preferences_frame(office.store, slug)) == 20


def test_a_copy_that_cannot_be_written_leaves_nothing_behind(office, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot be written"):
        back_up(office.store.engine, tmp_path / "file" / "esc.db")
    if office.url.startswith("sqlite:///"):
        with pytest.raises(BadInput, match="the database itself"):
            path = office.store.engine.url.database
            back_up(office.store.engine, Path(path), force=True)


def test_a_damaged_file_is_found(sqlite_url, tmp_path):
    with Store(sqlite_url) as store:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        path = store.engine.url.database
    damaged = tmp_path / "damaged.db"
    shutil.copy(path, damaged)
    content = bytearray(damaged.read_bytes())
    content[8192 : 8192 + 4096 * 20] = b"\xff" * (4096 * 20)
    damaged.write_bytes(content)
    engine = open_engine(f"sqlite:///{damaged}")
    try:
        found = {one.rule for one in check_database(engine)}
    except StorageError as error:
        found, said = {"damaged"}, str(error)
        assert "damaged" in said
    engine.dispose()
    assert "damaged" in found


def test_a_sound_database_has_no_findings(answered):
    office, slug = answered
    assert rules(office) == set()
    office.rater(slug).item()
    office.clock.advance(days=3)
    assert rules(office) == set()  # a lease that ran out is not stuck


def test_a_lost_reference_is_named(answered):
    office, _ = answered
    break_(office, "DELETE FROM study_item WHERE kind = 'main' AND position = 0")
    found = [str(one) for one in check_database(office.store.engine, office.clock())]
    assert any(
        one.startswith("lost reference: study_task: ") and "study_item" in one for one in found
    )


def test_more_answers_than_needed_are_found(office):
    slug = office.found(item_lines(3), pairs=[["base", "lora"]])
    for _ in range(2):
        office.rater(slug).work()
    assert rules(office) == set()
    break_(office, "UPDATE study_task SET needed = 1 WHERE kind = 'main' AND position = 0")
    (found,) = check_database(office.store.engine, office.clock())
    assert found.rule == "over-collection"
    assert "has 2 answers, 1 are needed" in found.text


def test_an_item_that_is_held_too_long_is_found(answered):
    office, slug = answered
    office.rater(slug).item()
    office.clock.advance(hours=-5)  # the clock is set back
    assert rules(office) == {"stuck lease"}


def test_answers_without_their_rows_are_found(answered):
    office, slug = answered
    one = "(SELECT min(id) FROM study_assignment WHERE status = 'submitted')"
    break_(office, f"DELETE FROM study_submission WHERE assignment_id = {one}")
    found = [str(one) for one in check_database(office.store.engine, office.clock())]
    assert found == [f"answers: {slug}: 1 assignments are answered, but without a submission"]
    break_(office, "DELETE FROM rating", "DELETE FROM preference")
    assert "submissions hold no rating" in " ".join(
        str(one) for one in check_database(office.store.engine, office.clock())
    )
    break_(office, "DELETE FROM rating_submission")
    assert "but without any rating" in " ".join(
        str(one) for one in check_database(office.store.engine, office.clock())
    )


def test_answers_of_somebody_who_withdrew_are_found(answered):
    office, _ = answered
    break_(
        office,
        "UPDATE study_participant SET withdrawal = 'delete', withdrawn_at = created_at"
        " WHERE number = 1",
    )
    assert "withdrawal" in rules(office)


def test_an_item_given_twice_is_found(answered):
    office, _ = answered
    main = "SELECT id FROM study_item WHERE kind = 'main'"
    break_(
        office,
        f"UPDATE study_task SET item_id = (SELECT min(id) FROM ({main}) AS m) WHERE kind = 'main'",
    )
    assert "met twice" in rules(office)
