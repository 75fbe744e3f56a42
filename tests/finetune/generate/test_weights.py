"""A tiny random Llama: replies are the same alone and beside others, in float32 and int8."""

import pytest
import yaml

from esc_demo.errors import EscError
from tests.finetune.generate.conftest import lines

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def talkative(tiny_base, tmp_path_factory):
    """The tiny model with larger, untied weights: what it says hangs on all of the prompt."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("talkative")
    config = AutoConfig.from_pretrained(tiny_base)
    config.tie_word_embeddings = False
    config.initializer_range = 0.3
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    return folder


@pytest.fixture(params=["none", "int8"])
def tiny(request, talkative, tmp_path, monkeypatch, command):
    """The id of the tiny model in one kind of arithmetic."""
    spec = {
        "id": f"tiny-{request.param}",
        "label": "Tiny",
        "family": "tiny",
        "base": str(talkative),
        "variant": "base",
        "quantisation": request.param,
        "context_length": 512,
    }
    models = {"version": 1, "default_panes": [spec["id"]], "models": [spec]}
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(models))
    monkeypatch.setenv("ESC_MODELS_FILE", str(tmp_path / "models.yaml"))
    monkeypatch.setenv("ESC_SCRIPTED", "0")
    return spec["id"]


def test_replies_do_not_depend_on_what_is_written_beside_them(command, data, tmp_path, tiny):
    """Greedy and seeded replies, one at a time and four together."""
    said = {}
    for given in ("--greedy", "--seed=3"):
        for count in (1, 4):
            out = tmp_path / f"{count}.jsonl"
            out.unlink(missing_ok=True)
            arguments = ("--model", tiny, "--data", data, "--prompt", "off", "--limit", 3)
            command(*arguments, "--max-new-tokens", 6, "--out", out, "--concurrency", count, given)
        assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "4.jsonl").read_bytes()
        head, items = lines(out)
        said[given] = [one["hypothesis"] for one in items]
        assert len(set(said[given])) == len(items) == 6
    assert said["--greedy"] != said["--seed=3"]
    assert len(head["model"]["base_sha256"]) == 64 and tiny.endswith(head["model"]["quantisation"])
    assert head["versions"]["torch"] and head["model"]["threads"] >= 1


def test_a_model_that_needs_a_gpu_says_so(command, data, tmp_path, monkeypatch):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("ESC_SCRIPTED", "0")
    with pytest.raises(EscError, match="needs a GPU"):
        command("--model", "mistral-7b", "--data", data, "--out", tmp_path / "o.jsonl")
