"""The tidy frames: what is in them by default, and what each option brings in."""

import pytest

from annotations.analysis.missing import missing_shares
from annotations.frames import (
    PREFERENCE_COLUMNS,
    RATING_COLUMNS,
    Keep,
    preferences_frame,
    ratings_frame,
)
from annotations.reports.sources import of_answers
from annotations.studies.answers import read_answers
from tests.annotations.studies.conftest import item_lines
from tests.annotations.studies.raters import GOLD, PRACTICE, form


@pytest.fixture
def answered(office):
    """Two people, one of each kind of row: (office, slug)."""
    slug = office.found(
        item_lines(4),
        practice=[PRACTICE],
        gold=[GOLD],
        session={"items": 3, "gold": 1, "repeats": 1},
        withdrawal="anonymise",
    )
    first, second = office.rater(slug), office.rater(slug)
    office.clock.advance(seconds=5)
    last = first.work().can_correct
    view = office.desk.answered(slug, first.key, last)
    correction = form(view.item, score="cannot_judge", preference="both_bad")
    office.desk.correct(slug, first.key, last, correction, "slip")
    second.submit(second.item(), preference="1")  # practice
    second.work(preference="2")
    return office, slug


def test_main_answers_in_force_are_there_by_default(answered):
    office, slug = answered
    ratings = ratings_frame(office.store, slug)
    assert tuple(ratings.columns) == RATING_COLUMNS
    assert len(ratings) == 2 * 3 * 2 * 4
    assert set(ratings["kind"]) == {"main"}
    assert set(ratings["participant"]) == {"P001", "P002"}
    assert set(ratings["arm"]) == set(ratings["other_arm"]) == {"base", "lora", "full"}
    assert (ratings["arm"] != ratings["other_arm"]).all()
    assert ratings["in_force"].all()
    assert set(ratings["reply_words"]) == {5}
    assert ratings.groupby("assignment")["side"].apply(set).map(lambda s: s == {1, 2}).all()
    assert not ratings.duplicated(["participant", "item", "arm", "dimension"]).any()


def test_what_was_shown_where_agrees_with_the_database(answered):
    office, slug = answered
    ratings = ratings_frame(office.store.engine, slug)
    first = dict(office.sql("SELECT id, first_arm FROM study_assignment"))
    left = ratings[ratings["side"] == 1]
    assert (left["arm"] == left["assignment"].map(first)).all()
    preferences = preferences_frame(office.store.engine, slug)
    assert tuple(preferences.columns) == PREFERENCE_COLUMNS
    shown = preferences["assignment"].map(first)
    left_is_a = preferences["side_a"] == 1
    assert (left_is_a == (shown == preferences["arm_a"])).all()
    mine = preferences["participant"] == "P002"  # who always preferred the second one shown
    second = preferences["arm_b"].where(left_is_a, preferences["arm_a"])
    assert (preferences["choice"] == second)[mine].all()


def test_each_option_brings_in_its_rows(answered):
    office, slug = answered

    def screens(**options):
        return len(preferences_frame(office.store, slug, Keep(**options)))

    assert screens() == 6
    assert screens(practice=True) == 8
    assert screens(gold=True) == 8
    assert screens(repeats=True) == 8
    assert screens(superseded=True, repeats=True, gold=True) == 11
    everything = preferences_frame(
        office.store, slug, Keep(superseded=True, repeats=True, gold=True)
    )
    assert list(everything["in_force"]).count(False) == 1


def test_cannot_judge_is_missing_and_never_a_number(answered):
    office, slug = answered
    keep = Keep(gold=True, repeats=True)
    ratings = ratings_frame(office.store, slug, keep)
    unknown = ratings["status"] == "cannot_judge"
    assert unknown.sum() == 8
    assert ratings.loc[unknown, "score"].isna().all()
    assert ratings.loc[~unknown, "score"].notna().all()
    assert "both_bad" in set(preferences_frame(office.store, slug, keep)["choice"])


def test_withdrawn_rows_are_there_on_demand(office):
    slug = office.found(item_lines(3), withdrawal="anonymise", session={"items": 1})
    rater = office.rater(slug)
    rater.work()
    office.desk.withdraw(slug, rater.key)
    assert len(ratings_frame(office.store, slug)) == 0
    kept = ratings_frame(office.store, slug, Keep(withdrawn=True))
    assert set(kept["counted"]) == {"withdrawn"}
    assert len(kept) == 8


def test_surplus_rows_are_there_on_demand(office):
    slug = office.found()
    rater = office.rater(slug)
    item = rater.item()
    office.desk.close(slug)
    rater.submit(item)
    assert preferences_frame(office.store).empty
    assert list(preferences_frame(office.store, keep=Keep(surplus=True))["counted"]) == ["surplus"]


def test_an_empty_study_gives_empty_frames_with_all_columns(office):
    assert tuple(ratings_frame(office.store, "nothing").columns) == RATING_COLUMNS
    assert tuple(preferences_frame(office.store, "nothing").columns) == PREFERENCE_COLUMNS


def test_the_crisis_flag_of_an_item_goes_through_to_what_is_missing(office):
    """Of three items one is marked, one is marked as none, one is not marked."""
    lines = item_lines(3)
    lines[0]["crisis"], lines[1]["crisis"] = True, False
    slug = office.found(lines, session={"items": 3})
    office.rater(slug).work(score="cannot_judge")
    office.rater(slug).work(score=3)
    flags = {line["id"]: word for line, word in zip(lines, ("yes", "no", ""), strict=True)}
    for frame in (ratings_frame, preferences_frame):
        found = frame(office.store, slug)
        assert (found["crisis"] == found["item"].map(flags)).all() and len(found)
    shares = missing_shares(of_answers(read_answers(office.store, slug)).frames)
    by_flag = {one.value: one.share for one in shares if one.by == "crisis"}
    halves = dict.fromkeys(("no", "yes", "not marked"), 0.5)
    assert {name: one.value for name, one in by_flag.items()} == halves
    assert {one.items for one in by_flag.values()} == {1}
    stored = office.sql("SELECT key, crisis FROM study_item ORDER BY key")
    assert {key: flag and bool(flag) for key, flag in stored}[lines[0]["id"]] is True
