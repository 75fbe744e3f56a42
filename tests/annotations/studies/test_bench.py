"""The load bench, with few raters and little time: what it counts, and that it can count faults."""

import json

import pytest

from annotations import Store
from annotations.studies.bench.audit import Audit, audit, fill_up
from annotations.studies.bench.material import BETTER, write_studies
from annotations.studies.bench.rater import Accepted
from annotations.studies.bench.run import BenchResult, Load, bench_study, lines
from esc_demo.errors import BadInput
from tests.annotations import raw
from tests.annotations.studies.raters import Rater, form


def preferred(item):
    """The answer that passes practice."""
    return str(item.replies.index(BETTER) + 1) if BETTER in item.replies else "2"


def hold_main_item(store, slug, url):
    """Somebody new takes an item that counts, and goes away."""
    rater = Rater(store.desk(), slug)
    store.desk().consent(slug, rater.key, 1)
    while True:
        item = rater.item()
        [kind] = raw.run(url, "SELECT kind FROM study_assignment WHERE id = ?", item.assignment_id)
        if kind[0] == "main":
            return
        rater.submit(item, preference=preferred(item))


@pytest.fixture
def world(tmp_path, database_url):
    """An open study of the bench, one rater, and what was accepted from them."""
    store = Store(database_url)
    built = write_studies(tmp_path, 1, 1)[0]
    slug = built.definition.slug
    store.desk().create(built)
    store.desk().open(slug, built)
    rater = Rater(store.desk(), slug)
    store.desk().consent(slug, rater.key, 1)
    accepted = []
    for _ in range(3):
        item = rater.item()
        side = preferred(item)
        sent = form(item, preference=side)
        rater.desk.submit(slug, rater.key, sent)
        scores = tuple(dict(part) for part in sent.scores)
        accepted.append(Accepted(slug, item.assignment_id, sent.nonce, scores, side))
    yield store, slug, accepted
    store.close()


def test_the_audit_finds_nothing_wrong_with_what_is_right(world):
    store, slug, accepted = world
    assert audit(store, [slug], accepted) == Audit(3, 0, 0, 0, 0, 0, 0, 0)


def test_the_audit_counts_what_is_lost_unheard_altered_or_stuck(world, database_url):
    store, slug, (_, two, three) = world
    never = Accepted(slug, "f" * 32, "e" * 32, (), None)
    other = Accepted(slug, two.assignment, two.nonce, two.scores, "tie")
    worse = ({**three.scores[0], "comforting": 0}, three.scores[1])
    third = Accepted(slug, three.assignment, three.nonce, worse, three.preference)
    found = audit(store, [slug], [never, other, third])
    assert (found.lost, found.unheard, found.altered) == (1, 1, 2)
    assert not found.clean


def test_an_answer_that_is_stored_under_two_nonces_counts_as_twice(world, database_url):
    store, slug, accepted = world
    answered = accepted[1].assignment
    again = "SELECT 'another', assignment_id, 'nonce-two', 1, status, seconds, comment, reason"
    raw.run(
        database_url,
        "INSERT INTO study_submission (id, assignment_id, nonce, number, status, seconds, comment,"
        f" reason, created_at) {again}, created_at FROM study_submission WHERE assignment_id = ?",
        answered,
    )
    found = audit(store, [slug], accepted)
    assert (found.twice, found.lost, found.altered, found.unheard) == (1, 0, 0, 1)
    told = (
        *accepted,
        Accepted(slug, answered, "nonce-two", accepted[1].scores, accepted[1].preference),
    )
    found = audit(store, [slug], told)  # even when both were said to be stored
    assert (found.twice, found.unheard, found.clean) == (1, 0, False)


def test_a_place_that_is_never_given_away_is_found(world, database_url):
    store, slug, accepted = world
    hold_main_item(store, slug, database_url)
    raw.run(
        database_url,
        "UPDATE study_assignment SET lease_expires_at = ? WHERE status = 'open'"
        " AND participant_id = (SELECT id FROM study_participant ORDER BY number DESC LIMIT 1)",
        "2999-01-01 00:00:00",
    )
    assert audit(store, [slug], accepted).stuck_leases == 1
    assert len(fill_up(store, [slug])) == 1


def test_whatever_is_left_can_be_filled_once_leases_have_ended(world, database_url):
    store, slug, _ = world
    hold_main_item(store, slug, database_url)
    assert fill_up(store, [slug]) == []


def test_the_table_names_every_fault():
    bad = Audit(10, 1, 2, 0, 0, 0, 3, 0)
    times = tuple(float(ms) for ms in range(1, 101))
    result = BenchResult(
        "sqlite", Load(5, 10), 10.0, bad, times, times, 0, 1, 2, ("rater-1: 500",), None, None
    )
    text = "\n".join(lines([result]))
    assert not result.clean
    row = text.splitlines()[1].split()
    assert row == ["sqlite", "5", "10", "1.0", "50", "95", "100", "95", "NO", "3", "2"]
    assert "FAILED rater-1: 500" in text
    assert "goal of a p95 under 300 ms met" in text


def test_an_unknown_database_is_refused():
    with pytest.raises(BadInput, match="sqlite or postgresql"):
        bench_study("oracle", Load(1, 1))


def test_a_killed_server_loses_nothing():
    """The real app, three raters, SIGKILL in the middle."""
    said = []
    load = Load(3, 3.0, kill=True, think_s=(0.05, 0.15), settle_s=0)
    result = bench_study("sqlite", load, said.append)
    assert result.clean, json.dumps([*lines([result])], indent=1)
    assert result.audit.accepted > load.raters
    assert result.retried > 0
    assert result.unfilled == ()
    assert any("killed with" in line for line in said)
