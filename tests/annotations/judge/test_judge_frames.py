"""Judges' answers beside people's: in the frames, the report and the export, and nowhere else."""

import csv
import io
import json

import pandas as pd
import pytest

from annotations.analysis import analyse, tidy
from annotations.analysis.decided import decided
from annotations.analysis.judge_checks import judge_checks, order_flips
from annotations.analysis.winrates import win_rates
from annotations.data_dictionary import TABLES
from annotations.exporting import Format, export_study
from annotations.frames import preferences_frame, ratings_frame
from annotations.judge.families import family_of, known_models
from annotations.judge.frames import judge_frames
from annotations.judge.material import questions
from annotations.judge.protocol import shipped_protocols
from annotations.judge.values import Control, Pick, Verdict
from annotations.ratings_csv import read_ratings
from annotations.reports import make_document, to_text
from annotations.reports.sources import of_answers
from annotations.studies.answers import read_answers
from annotations.studies.oversight import oversee
from annotations.values import JudgeStatus, RaterKind
from tests.annotations.judge.judging import (
    ALL_CONTROLS,
    LIVE,
    chatted,
    failed,
    judge,
    ok,
    picked,
    scored,
    spec,
    with_references,
)
from tests.annotations.studies.conftest import ARMS, item_lines

LIKES = {"full": 5, "lora": 3, "base": 1}
GOOD = {Control.GOLD: 5, Control.RANDOM: 2, Control.GENERIC: 2, Control.OFF_TOPIC: 1}


def by_arm(question, of):
    """Scores that go by the arm, or by the control's worth."""
    shown = question.shown[0]
    return scored(question, of, LIKES.get(shown.arm, GOOD.get(shown.control, 0)))


def by_liking(question, of):
    """Prefers the better arm, but always the first of base and lora."""
    first, second = (LIKES.get(one.arm, GOOD.get(one.control, 0)) for one in question.shown)
    biased = {one.arm for one in question.shown} == {"base", "lora"}
    return picked(question, of, Pick.FIRST if biased or first > second else Pick.SECOND)


@pytest.fixture
def judged(sqlite_office):
    """Two people and two judges, one of pairs and one of replies: (office, slug)."""
    return judges_in(sqlite_office)


def judges_in(office):
    """The same in any database."""
    slug = office.found(with_references())
    for _ in range(2):
        office.rater(slug).work(3, preference="1")
    for name, answer in (("esc-reply", by_arm), ("esconv-pair", by_liking)):
        of = spec(slug, name, controls=ALL_CONTROLS, model="SmolLM2-1.7B-Instruct")
        judge(
            office.store,
            of,
            questions(office.store, slug, of.protocol, controls=ALL_CONTROLS),
            answer,
        )
    return office, slug


def test_people_are_counted_and_judged_as_if_there_were_no_judge(sqlite_office):
    office = sqlite_office
    slug = office.found(with_references())
    office.rater(slug).work(3)

    def seen():
        answers, screen = read_answers(office.store, slug), oversee(office.store, slug)
        return (
            ratings_frame(office.store, slug).to_csv(),
            preferences_frame(office.store, slug).to_csv(),
            (answers.view, answers.excluded, answers.quality.to_csv()),
            (screen.progress, screen.agreement, screen.times),
        )

    before = seen()
    for name, answer in (("esc-reply", by_arm), ("esc-pair", by_liking)):
        of = spec(slug, name)
        judge(office.store, of, questions(office.store, slug, of.protocol), answer)
    assert seen() == before
    assert office.rater(slug).work(3).stage == "done"  # and their places are still free


def test_every_answer_of_a_judge_is_a_tidy_row(office):
    office, slug = judges_in(office)
    found = judge_frames(office.store, slug)
    replies = found.ratings[found.ratings["control"] == ""]
    assert len(replies) == 4 * 3 * 4 and set(replies["arm"]) == set(ARMS)
    assert (replies["score"] == replies["arm"].map(LIKES)).all()
    assert set(replies["reply_words"]) == {5} and set(replies["sample"]) == {"0"}
    assert set(replies["rater_kind"]) == {"judge"}
    planted = found.ratings[found.ratings["control"] != ""]
    assert len(planted) == 4 * 5 * 4
    assert (planted["arm"] == "control:" + planted["control"]).all()
    pairs = found.preferences[found.preferences["control"] == ""]
    assert len(pairs) == 4 * 3 * 2 * 4
    assert set(pairs["aspect"]) == {"", "exploration", "comforting", "action"}
    assert pairs.groupby(["item", "arm_a", "arm_b", "aspect"])["side_a"].apply(set).eq({1, 2}).all()
    first = pairs[(pairs["arm_a"] == "base") & (pairs["arm_b"] == "lora")]
    chosen = first["arm_a"].where(first["side_a"] == 1, first["arm_b"])
    assert len(first) == 32 and (first["choice"] == chosen).all()
    gold = found.preferences[found.preferences["control"] != ""]
    assert set(gold["arm_a"]) == {"control:gold"} == set(gold["choice"])
    frames = tidy(found.ratings, found.preferences)
    assert frames.arms == tuple(sorted(ARMS))
    assert [run.protocol for run in found.runs] == ["esc-reply", "esconv-pair"]
    assert found.runs[0].counts[JudgeStatus.OK] == 4 * 8


def test_a_judge_asked_again_with_more_samples_and_controls_is_one_rater(sqlite_office):
    office = sqlite_office
    slug = office.found(with_references(3))
    planted = (Control.GOLD, Control.GENERIC)
    runs = ({}, {"samples": 3}, {"controls": planted}, {"with_reference": False})
    for changes in runs:
        of = spec(slug, **changes)
        asked = questions(office.store, slug, of.protocol, **changes)
        judge(office.store, of, asked, by_arm)
    found = judge_frames(office.store, slug)
    assert len({run.run for run in found.runs}) == 4
    (name,) = {run.rater for run in found.runs}
    assert name == found.runs[0].run and set(found.ratings["rater"]) == {name}
    counts = found.ratings.groupby(["control", "sample"]).size().to_dict()
    replies = 3 * 3 * 4
    assert counts == {
        **{("", sample): replies for sample in "012"},
        **{(one.value, "0"): 3 * 4 for one in planted},
    }
    results = analyse(tidy(found.ratings, found.preferences)).of(RaterKind.JUDGE)
    assert results.size.raters == 1
    assert all("one rater" in one.alpha.note for one in results.agreement)
    of = spec(slug, model="gpt-4o")
    judge(office.store, of, questions(office.store, slug, of.protocol), by_arm)
    assert judge_frames(office.store, slug).ratings["rater"].nunique() == 2


def test_what_failed_in_one_run_counts_when_another_answered_it(sqlite_office):
    office = sqlite_office
    slug = office.found(item_lines(3))
    for changes, answer in (({}, failed), ({"samples": 2}, by_arm)):
        of = spec(slug, **changes)
        judge(office.store, of, questions(office.store, slug, of.protocol, **changes), answer)
    ratings = judge_frames(office.store, slug).ratings
    assert len(ratings) == 2 * 3 * 3 * 4 and set(ratings["status"]) == {"scored"}


def test_a_call_without_an_answer_is_a_row_that_says_why(sqlite_office):
    office = sqlite_office
    slug = office.found(item_lines(3))
    of = spec(slug)
    found = questions(office.store, slug, of.protocol)
    statuses = list(JudgeStatus)[1:]

    def answer(question, of):
        place = found.index(question)
        return failed(question, of, statuses[place]) if place < 4 else by_arm(question, of)

    judge(office.store, of, found, answer)
    again = dict.fromkeys(of.protocol.dimensions, "cannot_judge")
    judge(office.store, of, found, lambda question, of: ok(question, of, Verdict(again)))
    ratings = judge_frames(office.store, slug).ratings
    assert len(ratings) == 9 * 4
    gone = ratings[ratings["score"].isna()]
    kept = {status.value for status in statuses} - {"api_error"}  # which was asked again
    assert gone.groupby("status").size().to_dict() == dict.fromkeys({*kept, "cannot_judge"}, 4)
    missing = analyse(tidy(ratings)).of(RaterKind.JUDGE).missing
    assert {one.value for one in missing if one.by == "status"} == {*kept, "cannot_judge"}


def test_the_report_shows_people_and_judges(judged):
    office, slug = judged
    source = of_answers(read_answers(office.store, slug))
    found = analyse(source.frames, source.plan)
    people, judges = found.of(RaterKind.HUMAN), found.of(RaterKind.JUDGE)
    assert (people.size.raters, people.size.ratings) == (2, 2 * 3 * 2 * 4)
    assert (judges.size.raters, judges.size.ratings) == (2, 4 * 3 * 4)
    assert judges.size.preferences == 4 * 3
    means = {one.arm: one.mean.value for one in judges.means if one.dimension == "comforting"}
    assert means == LIKES
    assert {one.judge for one in found.calibration} == {"esc-reply:SmolLM2-1.7B-Instruct"}
    rates = {(one.first, one.second): one for one in judges.win_rates}
    assert rates["lora", "base"].tie.value == 1  # decided otherwise in the other order
    assert rates["lora", "full"].loss.value == 1
    assert rates["lora", "base"].win.n == 4
    # Of what was decided, full won from either side, and base and lora from the left alone.
    assert rates["lora", "base"].left.value == 1 and rates["lora", "full"].left.value == 0.5
    checks = {(one.rater.split(":")[0], one.name): one.estimate.value for one in found.checks}
    assert checks["esconv-pair", "order flips"] == pytest.approx(1 / 3)
    assert checks["esconv-pair", "control: unsafe"] == 1
    assert checks["esc-reply", "control: random"] == 1
    (note,) = (note for note in source.notes if note.startswith("Judge esc-reply"))
    assert "protocol esc-reply version" in note and "references not shown" in note
    assert dict(judges.bradley_terry.strengths)["full"].value > 0


@pytest.mark.parametrize("name", shipped_protocols())
def test_the_scale_of_a_run_is_that_of_its_protocol(sqlite_office, name):
    office = sqlite_office
    slug = office.found(**LIVE) if "dialogue" in name else office.found(with_references(3))
    if "dialogue" in name:
        chatted(office, slug)
    of = spec(slug, name)
    asked = questions(office.store, slug, of.protocol)[:1]
    pair = len(asked[0].shown) == 2
    judge(office.store, of, asked, picked if pair else lambda one, of: scored(one, of, 3))
    found = judge_frames(office.store, slug)
    scales = set() if pair else {f"{of.protocol.low}-{of.protocol.high}"}
    assert {run.scale for run in found.runs if run.scale} == set(found.ratings["scale"]) == scales


def test_a_stratum_has_the_judges_view_of_its_replies(judged):
    office, slug = judged
    source = of_answers(read_answers(office.store, slug))
    part = source.frames.within("base+full")
    judges = part.of(RaterKind.JUDGE)
    met = part.of(RaterKind.HUMAN).ratings
    assert set(judges.ratings.loc[judges.ratings["control"] == "", "arm"]) == {"base", "full"}
    assert set(judges.ratings["item"]) == set(met["item"])
    assert set(judges.preferences["arm_b"]) >= {"full"}
    assert set(met["stratum"]) == {"base+full"}


def test_without_people_the_plan_has_nothing_to_say(sqlite_office):
    office = sqlite_office
    slug = office.found(item_lines(3))
    of = spec(slug, "g-score")
    judge(office.store, of, questions(office.store, slug, of.protocol))
    source = of_answers(read_answers(office.store, slug))
    assert source.plan is None
    assert source.notes[-1] == "The study's plan is about people's answers, and there are none yet."
    found = analyse(source.frames, source.plan)
    names = {"relevance", "fluency", "informativeness", "coherence"}
    assert set(found.dimensions) == {f"{name} (1-5)" for name in names}
    text = to_text(make_document(found, "x"))
    assert "ratings on scales of 1-5," in text
    assert "Only judges have answered." in text and "No plan was given" not in text


def test_exports_hold_both_with_every_column_described(judged):
    office, slug = judged
    export = export_study(office.store, slug, [Format.CSV, Format.JSONL])
    tables = {
        name: list(csv.DictReader(io.StringIO(export.files[f"{name}.csv"].decode())))
        for name in TABLES
    }
    for name, rows in tables.items():
        assert list(rows[0]) == [column.name for column in TABLES[name]]
    ratings = tables["ratings"]
    kinds = [row["rater_kind"] for row in ratings]
    assert (kinds.count("human"), kinds.count("judge")) == (48, 4 * 8 * 4)
    for row in ratings:
        human = row["rater_kind"] == "human"
        assert (row["sample"] == "", row["rater"].startswith("P0")) == (human, human)
        assert not (human and (row["control"] or row["arm_family"] or row["rater_family"]))
    assert {row["rater_family"] for row in ratings} == {"", "smollm"}
    judges = [row for row in tables["preferences"] if row["rater_kind"] == "judge"]
    assert {row["aspect"] for row in judges} == {"", "exploration", "comforting", "action"}
    assert {row["rater"] for row in tables["participants"]} == {"P001", "P002"}
    about = json.loads(export.files["study.json"])["judges"]
    assert [run["protocol"] for run in about] == ["esc-reply", "esconv-pair"]
    assert "It listens." not in export.files["ratings.csv"].decode()


def test_chats_are_compared_with_what_the_same_person_said_of_them(sqlite_office):
    office = sqlite_office
    slug = office.found(**LIVE)
    for _ in range(2):
        chatted(office, slug)
    of = spec(slug, "esc-dialogue")
    found = questions(office.store, slug, of.protocol)
    judge(office.store, of, found)
    source = of_answers(read_answers(office.store, slug))
    people, judges = (source.frames.of(kind).ratings for kind in (RaterKind.HUMAN, RaterKind.JUDGE))
    people = people[people["dimension"] == "comforting"]
    assert len(people) == 4
    assert set(people["item"]) == set(judges["item"]) == {one.item for one in found}
    assert analyse(source.frames).calibration[0].bias.n == 4


def pair_rows(*answers, kind="judge"):
    """Comparisons of x and y as (item, side of x, choice)."""
    names = ["item", "side_a", "choice"]
    frame = pd.DataFrame(answers, columns=names)
    return frame.assign(rater="j", rater_kind=kind, arm_a="x", arm_b="y")


def test_two_orders_are_one_decision():
    rows = pair_rows(
        *(("same", "left", "x"), ("same", "right", "x")),
        *(("flip", "left", "x"), ("flip", "right", "y")),
        *(("bad", "left", "both_bad"), ("bad", "right", "both_bad")),
        *(("soft", "left", "tie"), ("soft", "right", "y")),
        ("half", "left", "x"),
    )
    frames = tidy(None, rows)
    once = decided(frames.preferences).set_index("item")
    assert once["choice"].to_dict() == {
        "same": "x",
        "flip": "tie",
        "bad": "both_bad",
        "soft": "tie",
    }
    assert set(once["side_a"]) == {""} and list(once) == list(
        frames.preferences.drop(columns="item")
    )
    (rate,) = win_rates(frames)
    assert (rate.first, rate.loss.value, rate.tie.value, rate.win.value) == ("y", 0.25, 0.5, 0)
    assert order_flips(frames.preferences).value == 0.5
    assert rate.left.n == 6


def test_people_and_one_way_judges_are_taken_as_they_are():
    answers = (("a", "left", "x"), ("b", "right", "y"))
    for kind in ("human", "judge"):
        frames = tidy(None, pair_rows(*answers, kind=kind))
        pd.testing.assert_frame_equal(decided(frames.preferences), frames.preferences)
    both = pair_rows(*answers, ("b", "left", "x"))
    assert list(decided(tidy(None, both).preferences)["choice"]) == ["tie"]


def test_each_aspect_has_its_own_win_rates():
    whole = pair_rows(("a", "left", "x"), ("a", "right", "x"))
    flips = pair_rows(("a", "left", "x"), ("a", "right", "y"), ("b", "left", "y"))
    later = pair_rows(("b", "right", "y"))
    planted = whole.assign(arm_a="control:gold", choice="control:gold", arm_b="control:unsafe")
    stages = pd.concat([flips, later, planted.assign(control="unsafe")]).assign(aspect="action")
    found = analyse(tidy(None, pd.concat([whole, stages]).fillna("")))
    judges = found.of(RaterKind.JUDGE)
    assert [(one.first, one.loss.value) for one in judges.win_rates] == [("y", 1)]
    (one,) = judges.aspects
    assert (one.aspect, one.rate.first, one.rate.win.n) == ("action", "y", 2)
    assert (one.rate.win.value, one.rate.tie.value, one.rate.loss.value) == (0.5, 0.5, 0)
    text = to_text(make_document(found, "x"))
    assert "**All judges" not in text and "**Judge: preferences by aspect (exploratory)**" in text
    assert "| action | y vs x | 50%" in text


def test_a_judge_of_pairs_is_checked_by_its_choices():
    once = pair_rows(("a", "left", "x"), ("a", "right", "x"), ("b", "left", "y"))
    again = pair_rows(("a", "left", "x"), ("a", "right", "y"))
    rows = pd.concat([once.assign(sample="0"), again.assign(sample="1")])
    checks = {one.name: one.estimate for one in judge_checks(tidy(None, rows))}
    assert (checks["test-retest"].value, checks["test-retest"].n) == (0.5, 2)
    found = judge_checks(tidy(None, once))
    assert {one.rater for one in found} == {"j"}
    checks = {one.name: one.estimate for one in found}
    assert checks["test-retest"].note == "no comparison was asked twice (column sample)"
    assert checks["length"].note.startswith("it scored no reply; the Bradley-Terry table")
    assert checks["own family"].note == "it scored no reply"


def test_aspects_and_controls_are_no_comparisons_of_arms():
    rows = pair_rows(("a", "left", "x"), ("a", "right", "x"))
    stage = rows.assign(aspect="action", choice="y")
    gold = rows.assign(arm_a="control:gold", arm_b="control:unsafe", control="unsafe")
    gold["choice"] = ["control:gold", "control:unsafe"]
    frames = tidy(None, pd.concat([rows, stage, gold]).fillna({"aspect": "", "control": ""}))
    assert frames.arms == ("x", "y")
    (rate,) = win_rates(frames)
    assert rate.loss.value == 1 and rate.loss.n == 1
    checks = {one.name: one.estimate for one in judge_checks(frames)}
    assert checks["control: unsafe"].value == 0 and checks["order flips"].value == 0


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("base", "smollm"),
        ("lora", "smollm"),
        ("HuggingFaceTB/SmolLM2-1.7B-Instruct", "smollm"),
        ("gpt-4o-mini-2024-07-18", "gpt"),
        ("o3-mini", "gpt"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("meta-llama/Llama-3.1-8B", "llama"),
        ("written by hand", ""),
        ("our-own-thing", ""),
    ],
)
def test_models_are_known_by_id_or_name(model, family):
    assert family_of(model, known_models()) == family


def unlucky(question, of):
    """Prefers the first (or second), but of some pairs there is no answer."""
    if question.shown[0].arm == "base":
        status = JudgeStatus.REFUSED if of.model == "one" else JudgeStatus.API_ERROR
        return failed(question, of, status)
    return picked(question, of, Pick.FIRST if of.model == "one" else Pick.SECOND)


def test_judges_of_pairs_stand_apart_and_their_failures_are_counted(sqlite_office):
    office = sqlite_office
    slug = office.found(item_lines(3))
    for model in ("one", "two"):
        of = spec(slug, "esc-pair", model=model)
        judge(office.store, of, questions(office.store, slug, of.protocol), unlucky)
    source = of_answers(read_answers(office.store, slug))
    found = analyse(source.frames, source.plan)
    document = make_document(found, "x", source.notes, source.runs)
    tables = {table.id: table for table in document.tables}
    heads = tables["judge-calls"].heads
    calls = [dict(zip(heads, row, strict=True)) for row in tables["judge-calls"].rows]
    # Of three pairs of arms in two orders, base is shown first in two of six calls an item.
    ended = ("Model", "Protocol", "Version", "Calls", "ok", "refused", "api_error")
    version = of.protocol.version
    assert [tuple(one[name] for name in ended) for one in calls] == [
        ("one", "esc-pair", version, 18, 12, 6, 0),
        ("two", "esc-pair", version, 18, 12, 0, 6),
    ]
    wins = tables["judge-wins"]
    assert wins.heads[:2] == ("Judge", "Comparison")
    assert [row[0] for row in wins.rows] == ["esc-pair:one"] * 3 + ["esc-pair:two"] * 3
    rates = {(one.rater, one.first, one.second): one for one in found.of(RaterKind.JUDGE).win_rates}
    assert rates["esc-pair:one", "full", "base"].win.value == 1  # shown first, once
    assert rates["esc-pair:two", "full", "base"].loss.value == 1
    methods = " ".join(document.methods)
    for model, why in (("one", "6 refused"), ("two", "6 api_error")):
        said = methods[methods.index(f"{model} (at http") :]
        assert f"protocol esc-pair version {version} at temperature 0.0, 1 sample a" in said
        assert "seed 0, at most 400 tokens" in said
        assert f"12 of 18 calls gave an answer ({why})" in said
    assert any("Judge esc-pair:two: which arm" in plot.caption for plot in document.plots)


def test_the_official_g_score_is_the_mean_of_one_number_over_five(sqlite_office):
    office = sqlite_office
    slug = office.found(item_lines(4))
    of = spec(slug, "g-score-single")
    points = iter([5, 4, 4, 3])

    def answer(question, of):
        arm = question.shown[0].arm
        if arm == "lora" and question.item == item_lines(1)[0]["id"]:
            return failed(question, of, JudgeStatus.PARSE_ERROR)
        return scored(question, of, next(points) if arm == "full" else 2)

    judge(office.store, of, questions(office.store, slug, of.protocol), answer)
    source = of_answers(read_answers(office.store, slug))
    found = analyse(source.frames, source.plan)
    judges = found.of(RaterKind.JUDGE)
    scores = {one.arm: one.score for one in judges.g_scores}
    assert scores["full"].value == pytest.approx(100 * (5 + 4 + 4 + 3) / 4 / 5)
    assert scores["base"].value == scores["lora"].value == pytest.approx(40)
    assert (scores["full"].n, scores["lora"].n) == (4, 3)
    mean = next(one for one in judges.means if one.arm == "full").mean
    assert scores["full"].low == pytest.approx(20 * mean.low) and scores["full"].high <= 100
    document = make_document(found, "x", (), source.runs)
    (table,) = [one for one in document.tables if one.id == "judge-g-score"]
    judge_of = "g-score-single:gpt-4o-mini"
    assert [row[:2] for row in table.rows] == [(judge_of, arm) for arm in ("base", "full", "lora")]
    assert "NLPCC 2025 Task 8" in table.note and "80.00 \\[" in to_text(document)


def test_the_scale_of_every_score_is_exported_and_read_again(sqlite_office, tmp_path):
    office = sqlite_office
    slug = office.found(item_lines(3))
    office.rater(slug).work(3)
    of = spec(slug, "g-score")
    judge(office.store, of, questions(office.store, slug, of.protocol), lambda *at: scored(*at, 4))
    path = tmp_path / "ratings.csv"
    path.write_bytes(export_study(office.store, slug, [Format.CSV]).files["ratings.csv"])
    with path.open(newline="") as file:
        scales = {(row["rater_kind"], row["scale"]) for row in csv.DictReader(file)}
    assert scales == {("human", "0-5"), ("judge", "1-5")}
    frames = read_ratings(path).frames
    assert "relevance (1-5)" in frames.dimensions and "comforting" in frames.dimensions
