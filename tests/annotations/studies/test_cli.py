"""`python -m annotations study`: what it prints, and how it fails."""

import runpy
import sys

import pytest
from typer.testing import CliRunner

from annotations.cli import app
from annotations.studies import read_items
from esc_demo.errors import BadInput, EscError
from esc_demo.settings import get_settings


def run(*words, code=0):
    """Run a command; returns what it printed."""
    result = CliRunner().invoke(app, ["study", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_check_prints_the_study(written):
    text = run("check", written.study())
    for words in (
        "arms          3",
        "items         4",
        "tasks         12",
        "strata        3",
        "assignments   24 needed (2 for each task)",
        "raters        at least 8; the plan has 6",
        "3 screens, about ",
        "It can open.",
    ):
        assert words in text


def test_check_lists_flags_and_fails_while_they_stand(written):
    path = written.study()
    path.with_name("items.jsonl").write_text(
        path.with_name("items.jsonl")
        .read_text("utf-8")
        .replace("Reply 1 to day 2.", "I am GPT-4."),
        "utf-8",
    )
    text = run("check", path, code=1)
    assert "! names_model:item-2:lora  It says GPT-4." in text
    assert "It cannot open yet" in text


def test_power_prints_a_table_with_intervals(written):
    path = written.study()
    words = ("--participants", "8,40", "--simulations", "200", "--quiet")
    text = run("power", path, "--effect", "0.3", *words)
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows[:2]] == ["8", "40"]
    assert float(rows[1][4]) <= float(rows[1][3]) <= float(rows[1][6])
    assert text == run("power", path, "--effect", "0.3", *words)
    with pytest.raises(BadInput, match="smallest_effect"):
        run("power", path, *words)
    with pytest.raises(BadInput, match="whole numbers"):
        run("power", path, "--effect", "0.3", "--participants", "8;9")


def test_items_are_made_from_runs(written, tmp_path):
    base, lora = written.run("base"), written.run("lora")
    out = tmp_path / "made.jsonl"
    text = run("items", "--runs", f"base={base},lora={lora}", "--out", out, "--limit", "2")
    assert text.startswith("2 items with replies of base, lora")
    assert len(read_items(out)) == 2
    with pytest.raises(BadInput, match="is there already"):
        run("items", "--runs", f"base={base}", "--out", out)
    with pytest.raises(BadInput, match="write ARM=FILE"):
        run("items", "--runs", f"base={base},lora", "--out", tmp_path / "x")


def test_a_study_is_created_opened_paused_and_closed(written, tmp_path, monkeypatch):
    monkeypatch.setenv("ESC_DATABASE_URL", f"sqlite:///{tmp_path}/s.db")
    get_settings.cache_clear()
    try:
        path = written.study()
        assert "small is stored (draft, 24 answers needed)" in run("create", path)
        assert "Participants go to /study/small" in run("open", path)
        assert "small" in run("status")
        assert "0 of 24 (0%)" in run("status", "small")
        assert "base+lora" in run("status", "small")
        with pytest.raises(EscError, match="seed"):
            run("open", written.study(seed=9))
        written.study()
        assert "paused" in run("pause", "small")
        assert "open" in run("open", path)
        run("close", "small", code=1)  # not confirmed
        assert "closed with 0 of 24" in run("close", "small", "--yes")
    finally:
        get_settings.cache_clear()


def test_an_error_is_told_in_one_line_with_exit_code_2(written, monkeypatch, capsys):
    path = written.study(slug="No Slug")
    monkeypatch.setattr(sys, "argv", ["annotations", "study", "check", str(path)])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("annotations", run_name="__main__")
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {path}, line 2, slug: ")
    assert told.count("\n") == 1
