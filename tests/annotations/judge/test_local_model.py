"""A judge with a real model behind a real server, end to end."""

import shutil
import threading

import pytest
import typer
from typer.testing import CliRunner

from annotations.judge.cli import judge
from esc_demo.settings import get_settings
from tests.annotations.judge.guided import server
from tests.annotations.judge.opened import calls, founded, table

app = typer.Typer()
app.command()(judge)


@pytest.fixture(scope="module")
def endpoint(weights):
    with server(weights / "SmolLM2-135M-Instruct") as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/v1"
        running.shutdown()


@pytest.mark.weights
@pytest.mark.timeout(300)
def test_a_local_model_judges_a_study_once(endpoint, migrated, tmp_path, monkeypatch):
    url = f"sqlite:///{shutil.copy(founded(migrated, tmp_path), tmp_path / 'copy.db')}"
    monkeypatch.setenv("ESC_DATABASE_URL", url)
    monkeypatch.setenv("ESC_OPENAI_BASE_URL", endpoint)
    monkeypatch.delenv("ESC_OPENAI_API_KEY", raising=False)
    get_settings.cache_clear()
    asked = ["--study", "small", "--protocol", "g-score-single", "--model", "smollm2", "--limit"]
    result = CliRunner().invoke(app, [*asked, "1"])
    assert result.exit_code == 0, result.output
    found = calls(url)
    assert [one["status"] for one in found] == ["ok"] * 3
    assert all(1 <= score <= 5 for _, _, dimension, score, *_ in table(url) if dimension)
    assert len(table(url)) == 3
    again = CliRunner().invoke(app, [*asked, "1"])
    assert again.exit_code == 0 and calls(url) == found
