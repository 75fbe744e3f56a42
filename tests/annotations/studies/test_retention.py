"""The end of a study's retention: refused before, whole when it comes, recorded afterwards."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from annotations import Store
from annotations.studies import removal
from annotations.studies.answers import read_answers
from annotations.studies.desk import Desk
from annotations.studies.errors import StudyError
from annotations.studies.report import purge_lines
from annotations.transactions import Transactions
from annotations.upkeep import check_database
from esc_demo.errors import BadInput
from esc_demo.ui.admin_show import state_html
from tests.annotations.raw import Refused
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.test_people import LIVE, chat
from tests.annotations.studies.test_submissions import refused

OF_PEOPLE = (
    *("study_participant", "study_invitation", "study_assignment", "study_submission"),
    *("study_problem", "study_withdrawal", "rating", "rating_submission", "preference"),
    *("conversation", "turn", "generation"),
)
OF_THE_STUDY = ("study", "study_item", "study_task", "study_reply")
SECRET_WORDS = "My name is Ada"


def rows(office, *tables):
    """How many rows each table has."""
    return [office.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def worked(office, slug="small", **changes):
    """A study with an answer, a draft, a report, a withdrawal and an invitation in it."""
    recruitment = {"open": True, "invitations": ["first-code", "other-code"]}
    slug = office.found(item_lines(3), slug=slug, recruitment=recruitment, **changes)
    writer, drafter, leaver = (
        office.rater(slug, invitation="first-code"),
        office.rater(slug),
        office.rater(slug),
    )
    writer.work(1, comment=SECRET_WORDS)
    office.desk.report_problem(slug, writer.key, None, SECRET_WORDS)
    held = drafter.item().assignment_id
    office.desk.save_draft(slug, drafter.key, held, {"comment": SECRET_WORDS})
    leaver.work(1)
    office.desk.withdraw(slug, leaver.key)
    return slug, writer


@pytest.mark.parametrize("withdrawal", ["delete", "anonymise"])
def test_all_that_people_wrote_goes_and_the_study_stays(office, withdrawal):
    slug, writer = worked(office, withdrawal=withdrawal)
    before, kept = rows(office, *OF_PEOPLE), rows(office, *OF_THE_STUDY)
    office.desk.close(slug)
    office.clock.advance(days=30)
    counted = office.desk.purge(slug, dry_run=True)
    assert rows(office, *OF_PEOPLE, "study_purge") == [*before, 0]
    done = office.desk.purge(slug)
    assert (done.participants, done.removed) == (3, counted.removed)
    assert done.rows == sum(before)
    assert rows(office, *OF_PEOPLE) == [0] * len(OF_PEOPLE)
    assert rows(office, *OF_THE_STUDY) == kept
    view = office.desk.study(slug)
    assert (view.purged_at, view.purged_rows) == (office.clock.now, done.rows)
    with refused(404, "goes by that code"):
        writer.screen()
    with refused(410, "closed"):  # the invitation led to a person; now it is not on the list
        office.desk.enter(slug)
    assert read_answers(office.store, slug).quality.empty
    assert check_database(office.store.engine) == ()
    with refused(409, "was purged on 2026-05-31 already"):
        office.desk.purge(slug)
    with pytest.raises(Refused, match="append-only"):
        office.sql("UPDATE study_purge SET participants = 0")
    with pytest.raises(Refused, match="append-only"):
        office.sql("DELETE FROM study_purge")


@pytest.fixture
def left(office):
    """How many of SQLite's files hold the words, the log included; the app is running."""
    if not office.url.startswith("sqlite:///"):
        pytest.skip("PostgreSQL's VACUUM is its administrator's")
    path = Path(office.url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as running:  # whoever is connected keeps the log
        running.execute("SELECT count(*) FROM study").fetchone()

        def count():
            files = [path, path.with_name(f"{path.name}-wal")]
            return sum(SECRET_WORDS.encode() in one.read_bytes() for one in files)

        yield count


def test_a_purge_leaves_no_word_in_an_sqlite_file_or_its_log(office, left):
    slug, _ = worked(office)
    office.desk.close(slug)
    office.clock.advance(days=30)
    assert left() >= 1
    assert office.desk.purge(slug).scrubbed
    assert left() == 0


def test_words_freed_by_an_earlier_version_go_with_a_purge(office, left):
    slug, _ = worked(office)
    with closing(sqlite3.connect(office.url.removeprefix("sqlite:///"))) as earlier:
        earlier.execute("PRAGMA secure_delete = OFF")
        earlier.execute("CREATE TABLE old (words TEXT)")
        earlier.executemany("INSERT INTO old VALUES (?)", [(SECRET_WORDS * 400,)] * 20)
        earlier.execute("DELETE FROM old")
        earlier.commit()
        earlier.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    office.desk.close(slug)
    office.clock.advance(days=30)
    office.desk.purge(slug)
    assert left() == 0


def test_a_withdrawal_leaves_no_word_in_an_sqlite_file(office, left):
    slug = office.found(item_lines(3))
    leaver = office.rater(slug)
    item = leaver.item()
    office.desk.save_draft(slug, leaver.key, item.assignment_id, {"comment": SECRET_WORDS * 500})
    leaver.submit(item, comment=SECRET_WORDS)
    office.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert left() == 1
    office.desk.withdraw(slug, leaver.key)
    office.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert left() == 0


def test_an_owner_is_told_when_somebody_reads_and_traces_may_be_left(office, left):
    slug, _ = worked(office)
    office.desk.close(slug)
    office.clock.advance(days=30)
    with (
        Store(office.url) as store,
        closing(sqlite3.connect(office.url.removeprefix("sqlite:///"))) as reader,
    ):
        event.listen(store.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout=9"))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rating").fetchone()
        done = Desk(Transactions(store.engine), office.clock).purge(slug)
    assert not done.scrubbed and rows(office, "study_participant") == [0]
    assert "traces may be left" in "".join(purge_lines(done, dry_run=False))


def test_chats_of_a_live_study_go_with_their_people(office):
    slug = office.found(**LIVE)
    rater = office.rater(slug)
    item = rater.item()
    at = (slug, rater.key, item.assignment_id)
    office.desk.set_live_chats(*at, chat(office, slug, rater, 2))
    office.desk.end_chat(*at)
    rater.submit(
        item,
        scores=[{"comforting": 4}, {"comforting": 2}],
        once={"emotion_before": 1, "emotion_after": 3},
    )
    office.desk.close(slug)
    office.clock.advance(days=31)
    done = office.desk.purge(slug)
    assert {"turn", "generation", "conversation", "study_reply"} < set(done.removed)
    assert rows(office, *OF_PEOPLE, "study_reply") == [0] * (len(OF_PEOPLE) + 1)


def test_it_is_refused_before_the_day_and_nothing_goes(office):
    slug, _ = worked(office)
    before = rows(office, *OF_PEOPLE)
    with refused(409, "begins when it closes"):
        office.desk.purge(slug)
    office.desk.close(slug)
    office.clock.advance(days=30, seconds=-1)
    with refused(409, "until 2026-05-31 09:00 UTC"):
        office.desk.purge(slug)
    assert rows(office, *OF_PEOPLE) == before


def test_other_studies_are_left_alone_and_a_failure_takes_nothing(office, monkeypatch):
    slug, _ = worked(office)
    office.desk.close(slug)
    alone = rows(office, *OF_PEOPLE)
    other, keeper = worked(office, slug="other")
    office.clock.advance(days=30)
    before = rows(office, *OF_PEOPLE)

    def fail(session, mine):
        raise RuntimeError("the power went")

    with monkeypatch.context() as broken:
        broken.setattr(removal, "delete_answers", fail)
        with pytest.raises(RuntimeError):
            office.desk.purge(slug)
    assert rows(office, *OF_PEOPLE, "study_purge") == [*before, 0]
    office.desk.purge(slug)
    left = [whole - gone for whole, gone in zip(before, alone, strict=True)]
    assert rows(office, *OF_PEOPLE) == left
    assert keeper.screen().answered == 1
    assert office.desk.study(other).purged_at is None


def test_the_command_counts_asks_and_refuses(office, cli):
    slug, _ = worked(office)
    with pytest.raises(StudyError, match="begins when it closes"):
        cli("purge", slug)
    assert "retention     30 days from the closing\n" in cli("status", slug)
    office.desk.close(slug)
    office.clock.advance(days=29)
    soon = office.desk.study(slug)
    assert "until 2026-05-31" in state_html(soon, office.clock.now)
    assert "alert" not in state_html(soon, office.clock.now)
    # The command has the real clock, by which the study closed long ago.
    assert "overdue since 2026-05-31" in cli("status", slug)
    assert "Which reply helps?  [retention overdue]" in cli("status")
    office.clock.advance(days=1)
    assert "alert" in state_html(office.desk.study(slug), office.clock.now)
    text = cli("purge", slug, "--dry-run")
    assert "Would delete" in text and "of 3 participants of small" in text
    with pytest.raises(BadInput, match="'smal' is not 'small'"):
        cli("purge", slug, "--confirm", "smal")
    cli("purge", slug, code=1, answer="")
    assert rows(office, "study_participant") == [3]
    assert "\nDeleted " in cli("purge", slug, answer=f"{slug}\n")
    assert rows(office, "study_participant") == [0]
    assert "rows were deleted on 20" in cli("status", slug)
    assert "overdue" not in cli("status")
    assert "were deleted on" in state_html(office.desk.study(slug), office.clock.now)
