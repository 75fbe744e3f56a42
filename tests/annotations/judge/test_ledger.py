"""The judge's book: each answer once, with its call, whatever happens in between."""

import threading
from dataclasses import replace

import pytest

from annotations import Store
from annotations.exporting import Format, export_study
from annotations.judge.ledger import Ledger, place_of
from annotations.judge.material import questions
from annotations.judge.protocol import load_protocol
from annotations.judge.values import Answered, Asking, Control, Pick, Usage, Verdict
from annotations.ratings_csv import read_ratings
from annotations.studies.errors import StudyError
from annotations.upkeep import check_database
from annotations.values import JudgeStatus, StudyDimension
from esc_demo.dialogue import Message
from esc_demo.errors import BadInput, StorageError
from tests.annotations.judge.judging import (
    ALL_CONTROLS,
    LIVE,
    PAID,
    chatted,
    failed,
    judge,
    key_of,
    ok,
    picked,
    scored,
    spec,
    with_references,
)
from tests.annotations.raw import Refused
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.test_upkeep import break_

DONE = dict.fromkeys(JudgeStatus, 0)


def rows(office, table):
    """How many rows a table has."""
    return office.sql(f"SELECT count(*) FROM {table}")[0][0]


def asked(office, lines=None, protocol="esc-reply", **options):
    """A study with a run and its questions: (spec, questions)."""
    slug = office.found(lines or item_lines(3))
    of = spec(slug, protocol)
    return of, questions(office.store, slug, of.protocol, **options)


def test_the_same_settings_are_the_same_run(sqlite_office):
    office = sqlite_office
    of, _ = asked(office)
    ledger = Ledger(office.store)
    assert ledger.find_run(of) is None and rows(office, "judge_run") == 0
    first = ledger.open_run(of)
    assert (first.rater, first.resumed) == ("esc-reply:gpt-4o-mini", False)
    again = Ledger(office.store).open_run(replace(of))
    assert (again.id, again.rater, again.resumed) == (first.id, first.rater, True)
    assert ledger.find_run(of) == again
    other = ledger.open_run(replace(of, asking=Asking(temperature=1.0)))
    assert other.id != first.id
    assert other.rater == f"esc-reply:gpt-4o-mini@{other.spec_hash[:4]}"
    long = ledger.open_run(replace(of, model="a-model-of-many-words/" * 8))
    assert len(long.rater) == 64 and long.rater.endswith(f"@{long.spec_hash[:4]}")
    changes = (
        {"samples": 2}, {"controls": (Control.GOLD,)}, {"with_reference": False},
        {"endpoint": "http://elsewhere/v1"}, {"protocol": load_protocol("esc-dialogue")},
    )  # fmt: skip
    hashes = {replace(of, **change).content_hash for change in changes}
    assert len(hashes | {of.content_hash}) == len(changes) + 1


def test_the_export_of_a_run_over_pairs_can_be_read_again(sqlite_office, tmp_path):
    of, found = asked(sqlite_office, with_references(), "esconv-pair", controls=ALL_CONTROLS)
    judge(sqlite_office.store, of, found, picked)
    export = export_study(sqlite_office.store, of.slug, [Format.CSV])
    (tmp_path / "p.csv").write_bytes(export.files["preferences.csv"])
    read = read_ratings(None, tmp_path / "p.csv").frames.preferences
    assert len(read) == len(found) * 4 and set(read["rater_kind"]) == {"judge"}
    assert set(read["aspect"]) == {"", "action", "comforting", "exploration"}


def test_a_run_is_held_by_one_at_a_time(office):
    of, _ = asked(office)
    with Store(office.store.engine.url.render_as_string(hide_password=False)) as other:
        first, second = Ledger(office.store), Ledger(other)
        with first.alone(of):
            with pytest.raises(BadInput, match=r"gpt-4o-mini over the study small .* goes on"):
                second.alone(of).__enter__()
            with second.alone(replace(of, samples=2)):  # another run is nobody's business
                pass
        with second.alone(of), pytest.raises(BadInput, match="Another process"):
            first.alone(of).__enter__()


def test_a_draft_cannot_be_judged_and_a_closed_study_can(sqlite_office):
    office = sqlite_office
    built = office.new_study()
    office.desk.create(built)
    of = spec(built.definition.slug)
    with pytest.raises(StudyError, match="is a draft"):
        Ledger(office.store).open_run(of)
    with pytest.raises(StudyError, match="no study"):
        Ledger(office.store).open_run(replace(of, slug="nothing"))
    office.desk.open(of.slug, built)
    office.desk.close(of.slug)
    assert not Ledger(office.store).open_run(of).resumed


def test_scores_lie_in_the_rating_tables_beside_their_call(office):
    of, found = asked(office)
    run = judge(office.store, of, found)
    ledger = Ledger(office.store)
    assert ledger.answered(run) == {place_of(one) for one in found}
    assert ledger.spent(run) == len(found) * PAID.cost
    assert ledger.counts(run) == DONE | {JudgeStatus.OK: len(found)}
    stored = office.sql(
        "SELECT s.rater_id, s.rater_kind, s.reply_id, r.dimension, r.score, c.raw, s.comment"
        " FROM judge_call AS c JOIN rating_submission AS s ON s.judge_call_id = c.id"
        " JOIN rating AS r ON r.submission_id = s.id"
    )
    assert len(stored) == len(found) * 4
    scores = {
        (one.shown[0].reply_id, name.value): score
        for one in found
        for name, score in scored(one, of).verdict.scores.items()
    }
    assert {(row[2], row[3]): row[4] for row in stored} == scores
    assert {row[:2] + row[5:] for row in stored} == {(run.rater, "judge", "{...}", "It listens.")}
    assert check_database(office.store.engine) == ()


def test_both_orders_of_a_pair_are_stored_aspect_by_aspect(office):
    of, found = asked(office, protocol="esconv-pair")
    judge(office.store, of, found[:2], picked)
    stored = office.sql(
        "SELECT aspect, choice, preferred_reply_id, CAST(compared AS TEXT) FROM preference"
        " ORDER BY created_at, aspect"
    )
    assert [row[0] for row in stored] == ["", "action", "comforting", "exploration"] * 2
    (first, second), (other, _) = found[0].shown, found[1].shown
    assert {row[2] for row in stored[:4]} == {first.reply_id}
    assert {row[2] for row in stored[4:]} == {second.reply_id} == {other.reply_id}
    assert stored[0][3] == f'["{first.reply_id}", "{second.reply_id}"]'
    judge(office.store, of, found[2:3], lambda *at: picked(*at, Pick.TIE))
    assert office.sql("SELECT count(*) FROM preference WHERE choice = 'tie'") == [(4,)]
    assert check_database(office.store.engine) == ()


def test_controls_have_no_reply_and_say_what_they_are(sqlite_office):
    office = sqlite_office
    slug = office.found(with_references(3))
    for name, answer in (("esc-reply", scored), ("esc-pair", picked)):
        of = spec(slug, name, controls=ALL_CONTROLS)
        found = questions(office.store, slug, of.protocol, controls=ALL_CONTROLS)
        judge(office.store, of, [one for one in found if one.shown[0].control], answer)
    assert set(office.sql("SELECT reply_id, control FROM rating_submission")) == {
        (None, kind.value) for kind in Control
    }
    preferred = office.sql("SELECT preferred_reply_id, preferred_control FROM preference")
    assert len(preferred) == 3 * 4 * 2
    assert {row[0] for row in preferred} == {None}
    assert [row[1] for row in preferred].count("gold") == 3 * 4
    assert check_database(office.store.engine) == ()


def test_a_place_is_answered_once_and_only_a_failed_one_is_asked_again(office):
    of, (question, other, *_) = asked(office)
    ledger = Ledger(office.store)
    run, key = ledger.open_run(of), key_of(question, of)
    for _ in range(2):
        ledger.record(run, question, key, failed(question, of, cost=0.5), cached=False)
    assert ledger.answered(run) == set()
    assert ledger.counts(run) == DONE | {JudgeStatus.API_ERROR: 1}
    assert ledger.cached([key]) == {}
    for score in (4, 1):
        ledger.record(run, question, key, scored(question, of, score), cached=False)
    ledger.record(run, question, key, failed(question, of), cached=False)
    assert ledger.counts(run) == DONE | {JudgeStatus.OK: 1}
    assert set(office.sql("SELECT score FROM rating")) == {(4,)}
    assert ledger.spent(run) == 0.5 + 0.5 + PAID.cost
    assert office.sql("SELECT attempt, status FROM judge_call ORDER BY attempt") == [
        (0, "api_error"),
        (1, "api_error"),
        (2, "ok"),
    ]
    for status in (JudgeStatus.PARSE_ERROR, JudgeStatus.REFUSED):
        ledger.record(run, other, key_of(other, of), failed(other, of, status), cached=False)
    assert ledger.counts(run) == DONE | {JudgeStatus.OK: 1, JudgeStatus.PARSE_ERROR: 1}
    assert rows(office, "rating_submission") == 1
    assert check_database(office.store.engine) == ()


def test_an_answer_is_found_again_by_its_key_in_any_run(office):
    of, (question, *_) = asked(office)
    ledger, key = Ledger(office.store), key_of(question, of)
    verdict = Verdict({StudyDimension.COMFORTING: "cannot_judge"}, rationale="No idea.")
    given = replace(ok(question, of, verdict), raw="Hm.", requests=3)
    ledger.record(ledger.open_run(of), question, key, given, cached=False)
    assert ledger.cached([key, "0" * 64]) == {key: given}
    later = ledger.open_run(replace(of, samples=2))
    ledger.record(later, question, key, ledger.cached([key])[key], cached=True)
    assert ledger.spent(later) == 0 and ledger.counts(later)[JudgeStatus.OK] == 1
    assert ledger.cached([key]) == {key: given}
    assert rows(office, "rating_submission") == 2
    assert len(ledger.cached([f"{number:064}" for number in range(3000)])) == 0


def test_what_a_model_writes_can_always_be_stored(office):
    of, (question, *_) = asked(office)
    ledger = Ledger(office.store)
    odd = "half \ud83d and \x00"
    verdict = Verdict({StudyDimension.COMFORTING: 3}, rationale=odd + "x" * 5000)
    messages = (Message("user", odd),)
    given = Answered(JudgeStatus.OK, messages, odd, verdict, odd, Usage(1, 2, 0.0))
    run = ledger.open_run(of)
    ledger.record(run, question, "0" * 64, given, cached=False)
    found = ledger.cached(["0" * 64])["0" * 64]
    assert found.raw == "half \ufffd and \ufffd" == found.messages[0].content == found.error
    assert len(found.verdict.rationale) > 5000
    assert office.sql("SELECT length(comment) FROM rating_submission") == [(2000,)]


def test_a_broken_answer_stores_nothing(office):
    of, (question, *_) = asked(office)
    ledger = Ledger(office.store)
    run = ledger.open_run(of)
    off = ok(question, of, Verdict({StudyDimension.COMFORTING: 6}))
    with pytest.raises(StorageError, match="refused"):
        ledger.record(run, question, "0" * 64, off, cached=False)
    assert rows(office, "judge_call") == rows(office, "rating_submission") == 0
    for wrong in (
        failed(question, of, JudgeStatus.OK),
        replace(scored(question, of), status=JudgeStatus.REFUSED),
        ok(question, of, Verdict(picks={"overall": Pick.FIRST})),
        ok(question, of, Verdict()),
    ):
        with pytest.raises(ValueError, match=r"verdict|Verdict"):
            ledger.record(run, question, "0" * 64, wrong, cached=False)


def test_many_threads_record_each_place_once(office):
    of, found = asked(office)
    ledgers = [Ledger(office.store) for _ in range(4)]
    run = ledgers[0].open_run(of)

    def work(ledger):
        for question in found:
            ledger.record(run, question, key_of(question, of), scored(question, of), cached=False)

    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(office, "judge_call") == rows(office, "rating_submission") == len(found)
    assert ledgers[0].spent(run) == len(found) * PAID.cost


def test_a_run_broken_off_and_resumed_ends_with_the_same_tables(sqlite_office):
    office = sqlite_office
    of, found = asked(office)
    whole = judge(office.store, replace(of, model="one"), found)
    judge(office.store, of, found[:4])
    resumed = judge(office.store, of, found)
    assert resumed.resumed
    table = (
        "SELECT c.place, c.attempt, c.status, c.cost, s.reply_id, r.dimension, r.score"
        " FROM judge_call AS c JOIN rating_submission AS s ON s.judge_call_id = c.id"
        " JOIN rating AS r ON r.submission_id = s.id WHERE c.run_id = ?"
        " ORDER BY c.place, r.dimension"
    )
    assert office.sql(table, whole.id) == office.sql(table, resumed.id)
    Ledger(office.store).close_run(resumed)
    ended = office.sql("SELECT finished_at FROM judge_run WHERE id = ?", resumed.id)
    assert ended[0][0] is not None


def test_the_book_cannot_be_rewritten(office):
    of, found = asked(office, protocol="esc-pair")
    run = judge(office.store, of, found, picked)
    for statement in (
        "UPDATE judge_call SET raw = 'better'",
        "DELETE FROM judge_call",
        "UPDATE judge_run SET model = 'another'",
        "DELETE FROM judge_run",
        "UPDATE preference SET choice = 'tie', preferred_reply_id = NULL",
        "UPDATE preference SET aspect = 'action'",
        "UPDATE preference SET comment = ''",
        "DELETE FROM preference",
    ):
        with pytest.raises(Refused, match="append-only"):
            office.sql(statement)
    insert = (
        "INSERT INTO preference (id, judge_call_id, aspect, rater_id, rater_kind, choice, compared,"
        " comment, scales_version, created_at)"
        " SELECT 'new', id, ?, 'x', ?, 'tie', '[]', '', 1, created_at FROM judge_call LIMIT 1"
    )
    with pytest.raises(Refused, match="ck_preference_of_judge"):
        office.sql(insert, "another", "human")
    with pytest.raises(Refused, match="UNIQUE"):
        office.sql(insert, "", "judge")
    again = (
        "INSERT INTO judge_call SELECT 'new', run_id, task_id, assignment_id, place, sample, 7,"
        " key, candidates, status, messages, raw, verdict, error, cached, prompt_tokens,"
        " completion_tokens, cost, requests, seconds, created_at FROM judge_call LIMIT 1"
    )
    with pytest.raises(Refused, match="UNIQUE"):
        office.sql(again)
    assert Ledger(office.store).counts(run)[JudgeStatus.OK] == len(found)


@pytest.mark.parametrize("how", ["delete", "anonymise"])
def test_what_was_said_in_a_chat_leaves_the_book_with_the_one_who_said_it(office, how):
    slug = office.found(**LIVE, withdrawal=how)
    stays, goes = chatted(office, slug), chatted(office, slug, ("My secret.", "Keep it."))
    of = spec(slug, "esc-dialogue")
    found = questions(office.store, slug, of.protocol)
    assert len(found) == 4
    judge(office.store, of, found, lambda *at: failed(*at))
    run = judge(office.store, of, found[:-1])
    with pytest.raises(Refused, match="append-only"):
        office.sql("DELETE FROM judge_call")
    office.desk.withdraw(slug, goes.key)
    # The last answer comes in when it is too late.
    judge(office.store, of, found)
    prompts = str(office.sql("SELECT messages FROM judge_call"))
    assert "I feel low." in prompts and "My secret." not in prompts
    ledger = Ledger(office.store)
    kept = {place_of(one) for one in found if one.item.endswith(stays.pseudonym)}
    assert ledger.answered(run) == kept and len(kept) == 2
    assert rows(office, "rating_submission WHERE rater_kind = 'judge'") == 2
    assert check_database(office.store.engine, office.clock()) == ()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM rating_submission", "without any answer"),
        ("UPDATE judge_call SET status = 'refused'", "failed, but have answers"),
        ("UPDATE rating_submission SET rater_id = 'x'", "another judge's name"),
        ('UPDATE judge_call SET candidates = \'[{"reply": "x"}]\'', "not about what"),
        ("UPDATE judge_call SET attempt = 1", "lost a call"),
    ],
)
def test_the_check_finds_what_does_not_hold_together(sqlite_office, statement, said):
    of, found = asked(sqlite_office)
    judge(sqlite_office.store, of, found)
    changed = [f"PRAGMA ignore_check_constraints = ON; {statement}".split("; ")]
    break_(sqlite_office, *changed[0])
    texts = [str(one) for one in check_database(sqlite_office.store.engine)]
    assert any(said in text for text in texts), texts
