"""Whole runs against an endpoint: bounded concurrency, faults, and going on after them."""

import pytest

from esc_demo.errors import EscError
from tests.finetune.generate.conftest import REPLIES, lines
from tests.models.endpoint import Endpoint


@pytest.fixture
def endpoint(monkeypatch):
    with Endpoint(pause_s=0.02) as server:
        monkeypatch.setenv("ESC_OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("ESC_OPENAI_API_KEY", "right")
        yield server


def test_a_run_keeps_to_its_bound_and_says_where_it_asked(command, data, tmp_path, endpoint):
    out, other = tmp_path / "o.jsonl", tmp_path / "other.jsonl"
    arguments = ("--model", "openai:little", "--data", data, "--mode", "auto")
    command(*arguments, "--out", out, "--concurrency", 3)
    head, items = lines(out)
    assert len(items) == REPLIES and 2 <= endpoint.most <= 3
    assert head["model"]["kind"] == "endpoint" and head["model"]["url"] == endpoint.url
    assert "estimates" in head["model"]["notice"]
    assert head["protocol"]["params"]["top_k"] == 0 and "openai" in head["versions"]
    assert items[1]["hypothesis"] == "Reply to: I am worried about 0.0"
    assert "right" not in out.read_text()
    sent = {request.body["seed"] for request in endpoint.requests}
    assert sent == {item["seed"] for item in items}
    endpoint.answers = [(500, {"Retry-After": "0"}), (429, {"Retry-After": "0"})]
    command(*arguments, "--out", other, "--concurrency", 1)
    assert other.read_bytes() == out.read_bytes()


def test_failures_are_asked_again_but_refusals_are_answers(command, data, tmp_path, endpoint):
    out = tmp_path / "o.jsonl"
    arguments = ("--model", "openai:little", "--data", data, "--out", out, "--concurrency", 1)
    endpoint.answers = [("refusal", {}), ("filter", {}), ("broken", {}), (400, {})]
    told = command(*arguments, code=1)
    wanted = {"ok": REPLIES - 4, "refused": 1, "content_filtered": 1, "failed": 2}
    assert told["statuses"] == wanted
    by_status = {one["status"]: one for one in lines(out)[1]}
    assert by_status["refused"]["hypothesis"] == "I will not."
    assert by_status["content_filtered"]["hypothesis"] == "Half a"
    assert by_status["failed"]["hypothesis"] == "" and by_status["failed"]["error"]
    assert command(*arguments, "--resume")["statuses"] == {
        "ok": REPLIES - 2,
        "refused": 1,
        "content_filtered": 1,
    }


def test_a_wrong_key_ends_the_run_at_once(command, data, tmp_path, endpoint, monkeypatch):
    monkeypatch.setenv("ESC_OPENAI_API_KEY", "wrong")
    out = tmp_path / "o.jsonl"
    with pytest.raises(EscError, match="ESC_OPENAI_API_KEY"):
        command("--model", "openai:little", "--data", data, "--out", out, "--concurrency", 2)
    assert len(endpoint.requests) <= 2 and len(lines(out)[1]) == 0
