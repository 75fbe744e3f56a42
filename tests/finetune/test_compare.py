"""Several models on the same dialogues, by the command people run."""

import json
import math

import pytest
import yaml
from typer.testing import CliRunner

from esc_demo.errors import BadInput, ConfigError
from esc_demo.settings import get_settings
from finetune.cli import app
from finetune.recipes import load_recipe
from tests.finetune.tiny import make_recipe

pytestmark = pytest.mark.weights


@pytest.fixture
def trained(tiny_base, tmp_path, monkeypatch):
    """A finished run on the tiny base, which is the only model offered."""
    from finetune.train import train

    offered = {
        "version": 1,
        "default_panes": ["tiny"],
        "models": [
            {
                "id": "tiny",
                "label": "Tiny",
                "family": "tiny",
                "base": str(tiny_base),
                "variant": "base",
                "context_length": 2048,
            }
        ],
    }
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(offered))
    monkeypatch.setenv("ESC_MODELS_FILE", str(tmp_path / "models.yaml"))
    get_settings.cache_clear()
    train(load_recipe(str(make_recipe(tmp_path, tiny_base))), tmp_path / "run", quiet=True)
    return tmp_path


def test_base_and_run_are_measured_on_the_same_tokens(trained):
    models = f"tiny,{trained / 'run'}"
    data = [str(trained / "heldout.json"), str(trained / "validation.json")]
    command = ["evaluate", "--ppl", "--models", models, "--data", data[0], "--data", data[1]]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(one["model"], one["data"]) for one in found] == [
        ("tiny", "heldout"),
        ("tiny", "validation"),
        ("run-run", "heldout"),
        ("run-run", "validation"),
    ]
    for before, after in zip(found[:2], found[2:], strict=True):
        assert after["perplexity"] < before["perplexity"]
        assert after["reply_tokens"] == before["reply_tokens"]
        assert after["data_hash"] == before["data_hash"]
        ratio = math.log(after["perplexity"]) / math.log(before["perplexity"])
        assert after["bits_per_byte"] == pytest.approx(ratio * before["bits_per_byte"], rel=1e-3)
    table = CliRunner().invoke(app, [*command, "--limit", "1"])
    assert "| heldout, first 1 (1, " in table.stdout


def test_what_cannot_be_measured_is_said_before_anything_is_run(trained):
    from finetune.compare import compare_losses

    with pytest.raises(ConfigError, match="There is no model 'nonesuch'"):
        compare_losses(["tiny", "nonesuch"], None, None)
    (trained / "run" / "metrics.json").unlink()
    with pytest.raises(BadInput, match="no finished adapter"):
        compare_losses([str(trained / "run")], None, None)
    with pytest.raises(BadInput, match="at least one model"):
        compare_losses([], None, None)
