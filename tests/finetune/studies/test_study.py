"""A whole study on a tiny model: files, page, and going on without repeating anything."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from esc_demo.errors import BadInput, ConfigError
from esc_demo.settings import get_settings
from finetune.cli import app
from finetune.studies.grid import DEFAULT, find_sources, load_grid
from tests.finetune.metrics.runfiles import write_dialogues


def study(*arguments):
    done = CliRunner().invoke(app, ["study", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


def grid_file(folder, **changes):
    """Two models, no prompt, two contexts; one data set is there and one is not."""
    held = write_dialogues(folder / "talks.jsonl", count=7)
    grid = {
        "version": 1,
        "name": "small",
        "models": ["one", "two"],
        "prompt": [False],
        "contexts": [{"kind": "raw"}, {"kind": "nostopwords"}],
        "max_new_tokens": 3,
        "replicates": 200,
        "data": [
            {"name": "talks", "title": "Talks", "path": str(held), "dialogues": 4, "replies": 2},
            {"name": "away", "title": "Elsewhere", "get": "its site", "dialogues": 4, "replies": 1},
        ],
    } | changes
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(grid), "utf-8")
    return path


@pytest.fixture
def offered(tiny_base, tmp_path, monkeypatch):
    """Two names of one tiny model, so that nothing can differ between them."""
    specs = [
        {
            "id": name,
            "label": name,
            "family": "tiny",
            "base": str(tiny_base),
            "variant": "base",
            "context_length": 2048,
        }
        for name in ("one", "two")
    ]
    models = {"version": 1, "default_panes": ["one"], "models": specs}
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(models))
    monkeypatch.setenv("ESC_MODELS_FILE", str(tmp_path / "models.yaml"))
    get_settings.cache_clear()
    return tmp_path


@pytest.mark.weights
def test_a_study_makes_its_page_and_resuming_repeats_nothing(offered):
    out, runs = offered / "results.md", offered / "study"
    arguments = (grid_file(offered), "--out", out, "--runs", runs)
    study(*arguments)
    files = {path: path.read_bytes() for path in (runs / "talks").glob("*.json*")}
    replies = [path for path in files if path.suffix == ".jsonl" and "timings" not in path.name]
    losses = [path for path in files if path.name.endswith(".ppl.json")]
    assert len(replies) == len(losses) == 4
    _check_protocol(json.loads(replies[0].read_text().splitlines()[0])["protocol"])
    _check_figures(json.loads((runs / "results.json").read_text()), out.read_text())
    with pytest.raises(BadInput, match="--resume"):
        study(*arguments)
    # A kill in the middle of a line, and one before the losses were written.
    replies[1].write_bytes(files[replies[1]][:-40])
    losses[2].unlink()
    untouched = {path: path.stat().st_mtime_ns for path in replies if path != replies[1]}
    untouched |= {path: path.stat().st_mtime_ns for path in losses if path != losses[2]}
    before = out.read_text()
    told = study(*arguments, "--resume").stderr
    assert told.count("was there already") == 4 * 2 - 2
    assert out.read_text() == before
    for path in (*replies, *losses):
        assert path.read_bytes() == files[path], path
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched


def _check_protocol(protocol):
    """Every run says of what it is a sample."""
    assert (protocol["dialogues"], protocol["evenly_spaced_of"]) == (4, 7)
    assert (protocol["items"], protocol["per_dialogue"]) == (8, 2)


def _check_figures(found, page):
    """Equal models differ in nothing, and the page says what is not there."""
    part = found["data"]["talks"]
    rows = part["table"]["rows"]
    assert [row["kind"] for row in rows] == ["run"] * 4 + ["baseline"] * 4
    assert {row["metrics"]["Perplexity"]["value"] > 1 for row in rows[:4]} == {True}
    assert part["loss"][0]["dialogues"].keys() == {"talk-0", "talk-2", "talk-4", "talk-6"}
    same = [one for one in part["effects"] if one["comparison"].startswith("two minus one")]
    assert same and all(one["value"] == 0 and one["p_holm"] == 1 for one in same)
    assert found["left_out"] == ["away"]
    assert "Left out: this data set is not shipped" in page and "--data away=PATH" in page
    assert "2 replies of each" in page and "8 replies of 4 dialogues" in page
    verdicts = re.findall(r"^- \*\*(.+)\*\* · (Paper A|Paper B|Not)", page, re.MULTILINE)
    assert len(verdicts) == 6 and ("cannot tell", "Paper A") in verdicts
    assert "constant sentence" in page and "NoStopwords minus Raw" in page
    assert str(get_settings().models_file.parent) not in page


def test_wrong_grids_and_files_are_refused(tmp_path):
    for changes, said in (
        ({"model": ["one"]}, r"model: Extra inputs are not permitted"),
        ({"contexts": [{"kind": "raw", "keep_negation": True}]}, "no meaning for the raw"),
        ({"models": ["one", "one"]}, "models names an entry twice"),
        ({"version": 2}, "version"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_grid(grid_file(tmp_path, **changes))
    with pytest.raises(ConfigError, match="Cannot read the grid"):
        load_grid(tmp_path / "none.yaml")


def test_paths_go_to_the_data_sets_that_have_none(tmp_path):
    grid = load_grid(grid_file(tmp_path))
    other = write_dialogues(tmp_path / "other=1.jsonl")
    assert [source.path for source in find_sources(grid, [str(other)])][1] == other
    assert find_sources(grid, [f"talks={other}"])[0].path == other
    assert find_sources(grid, [])[1].path is None
    with pytest.raises(BadInput, match="every data set of the grid small has its file"):
        find_sources(grid, [str(other), str(other)])
    with pytest.raises(BadInput, match=r"gone\.json of the data set away is not there"):
        find_sources(grid, [str(tmp_path / "gone.json")])


def test_the_shipped_grid_has_thirty_conditions():
    grid = load_grid(DEFAULT)
    assert len(grid.models) * len(grid.prompt) * len(grid.contexts) == 30
    assert [source.path is not None for source in find_sources(grid, [])] == [True, False]
