"""The owner's commands from the first to the last, and a report of a stored study."""

import csv

import pytest
from typer.testing import CliRunner

from annotations.cli import app
from annotations.studies.errors import StudyError
from esc_demo.errors import BadInput
from esc_demo.settings import get_settings
from tests.annotations.studies.conftest import item_lines


def run(*words, code=0):
    """Run a command; returns what it printed."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def answered(office, monkeypatch):
    """Three people; the plan leaves out the one who was too fast. (office, slug)."""
    monkeypatch.setenv("ESC_DATABASE_URL", office.url)
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()
    slug = office.found(
        item_lines(6),
        raters_per_item=3,
        session={"items": 6},
        plan={
            "primary": {"outcome": "comforting", "arms": ["base", "lora"]},
            "participants": 3,
            "exclusions": {"min_median_seconds": 5},
        },
    )
    for seconds in (20, 30, 2):
        rater = office.rater(slug)
        while (item := rater.screen().item) is not None:
            office.clock.advance(seconds=seconds)
            rater.submit(item, score=3 if seconds > 2 else 0)
    return office, slug


def test_quality_export_backup_and_check(answered, tmp_path):
    _, slug = answered
    text = run("quality", "--study", slug)
    assert "left out  P003: min_median_seconds is 5, found 2 (n = 6)" in text
    assert "1 of 3 participants are left out" in text
    assert "P003" in text.splitlines()[3] and "2.00" in text.splitlines()[3]
    text = run("export", "--study", slug, "--out", tmp_path / "x.zip", "--format", "csv,jsonl")
    assert "ratings.csv" in text and (tmp_path / "x.zip").exists()
    with pytest.raises(BadInput, match="--format has 'xls'"):
        run("export", "--study", slug, "--out", tmp_path / "y.zip", "--format", "xls")
    assert "checked" in run("backup", tmp_path / "copy.db")
    assert "holds together" in run("check")
    with pytest.raises(StudyError, match="no study"):
        run("quality", "--study", "other")


def test_import_says_what_it_did(answered, tmp_path):
    _, slug = answered
    scores, choices = tmp_path / "more.csv", tmp_path / "choices.csv"
    lines = [
        f"ann,item-0,{arm},{side},{dimension},4,fine\n"
        for side, arm in enumerate(("base", "lora"), 1)
        for dimension in ("engagement", "comforting", "appropriateness", "suggestion")
    ]
    scores.write_text("rater,item,arm,side,dimension,score,mood\n" + "".join(lines))
    choices.write_text("rater,item,arm_a,arm_b,side_a,choice\nann,item-0,base,lora,1,tie\n")
    text = run("import", scores, choices, "--study", slug)
    assert "Columns that are not used: more.csv: mood." in text
    assert "Imported 1 screens with 8 scores and 1 preferences by 1 raters (1 of them new)" in text
    again = run("import", scores, choices, "--study", slug)
    assert "imported before; nothing was changed" in again
    assert "holds together" in run("check")


def test_check_fails_when_something_is_wrong(answered):
    office, _ = answered
    if not office.url.startswith("sqlite:///"):
        office.sql(
            "SET session_replication_role = replica; DELETE FROM study_submission"
            " WHERE assignment_id IN (SELECT min(id) FROM study_assignment)"
        )
    else:
        office.sql("DROP TRIGGER study_submission_no_delete")
        office.sql("DELETE FROM study_submission WHERE rowid = 1")
    text = run("check", code=1)
    assert "without a submission" in text and "in 1 places" in text


def test_a_report_of_a_stored_study_keeps_to_its_plan(answered, tmp_path):
    office, slug = answered
    text = run("report", "--study", slug, "--out", tmp_path / "out")
    assert "interim results" in text and "leave 1 of 3 participants out: P003" in text
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "Which reply helps?" in page and "Pre-registered" in page
    assert "P003: min_median_seconds is 5" in page
    with (tmp_path / "out" / "tables" / "table12.csv").open(newline="") as file:
        means = {row["people: comforting"] for row in csv.DictReader(file)}
    assert means == {"3.0"}  # the one left out gave 0 to everything
    office.desk.close(slug)
    assert "interim" not in run("report", "--study", slug, "--out", tmp_path / "out")
    assert run("report", "--study", slug, "--out", tmp_path / "o", "--plan", "x", code=2)


def test_a_report_of_a_study_without_answers_says_so(office, monkeypatch, tmp_path):
    monkeypatch.setenv("ESC_DATABASE_URL", office.url)
    get_settings.cache_clear()
    slug = office.found()
    run("report", "--study", slug, "--out", tmp_path / "out")
    assert "Nothing has been answered yet" in (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "Nobody has answered small yet." in run("quality", "--study", slug)
