"""The running app, spoken to without a browser."""

import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request

import httpx
import pytest
from gradio_client import Client

from esc_demo.models.scripted import FAIL_ON, REPLIES
from tests.ui.app_server import ROOT, free_port, start


def connect(server):
    return Client(server.url, verbose=False)


def submit(client, message, **changes):
    """Send a message with the page's defaults; `changes` by parameter name."""
    return client.submit(message, **changes, api_name="/send")


def panes(result):
    """The newest exchange of each open pane."""
    return [html for html in result if isinstance(html, str) and "esc-exchange" in html]


def rows(server, sql, *values):
    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql, values)]


def settled(server, sql, count, *values, patience=20):
    """The rows of `sql`, once there are `count` of them."""
    end = time.monotonic() + patience
    while len(found := rows(server, sql, *values)) < count and time.monotonic() < end:
        time.sleep(0.1)
    assert len(found) == count
    return found


OF_TURN = (
    "SELECT g.*, t.position, t.seeker_text FROM generation g JOIN turn t ON t.id = g.turn_id"
    " WHERE t.seeker_text = ? ORDER BY g.pane"
)


def test_the_page_needs_no_other_host(server):
    with urllib.request.urlopen(server.url) as response:
        html = response.read().decode()
    assert "Side by Side" in html
    loaded = re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", html)
    assert [url for url in loaded if not url.startswith(server.url)] == []


def test_a_message_is_answered_by_three_panes_and_stored(server):
    client = connect(server)
    text = "I lost my keys and my temper."
    result = submit(client, text).result(timeout=60)
    shown = panes(result)
    assert len(shown) == 3
    assert all("is-done" in html and text in html for html in shown)
    stored = settled(server, OF_TURN, 3, text)
    assert [row["pane"] for row in stored] == [0, 1, 2]
    assert {row["status"] for row in stored} == {"done"}
    assert {row["seed"] for row in stored} == {7}
    assert all(row["reply"] in REPLIES for row in stored)
    assert text in stored[0]["messages"]


def test_replies_stream(server):
    client = connect(server)
    job = submit(client, "Tell me slowly.")
    job.result(timeout=60)
    writing = [out for out in job.outputs() if any("esc-caret" in html for html in panes(out))]
    assert len(writing) > 3


def test_a_context_switch_renders_the_whole_history_and_saves_tokens(server):
    client = connect(server)
    submit(client, "I was not able to do any of it and it was too much.").result(timeout=60)
    submit(client, "So what now?", param_31="nostopwords").result(timeout=60)
    raw, short, _ = settled(server, OF_TURN, 3, "So what now?")
    assert (raw["context_kind"], short["context_kind"]) == ("raw", "nostopwords")
    assert short["prompt_tokens"] < short["prompt_tokens_raw"]
    assert raw["prompt_tokens"] == raw["prompt_tokens_raw"]
    assert raw["raw_turns"].count("too much") == short["raw_turns"].count("too much") == 1


@pytest.mark.parametrize("text", ["", "   \n ", "x" * 20_000], ids=["empty", "blank", "long"])
def test_a_refused_message_stays_in_the_box_and_out_of_the_store(server, text):
    client = connect(server)
    before = rows(server, "SELECT count(*) AS n FROM turn")[0]["n"]
    outputs = submit(client, text)
    result = outputs.result(timeout=30)
    # No update of the message box: what was typed stays.
    assert result[0] in (text, None, {"__type__": "update"})
    assert any(
        isinstance(part, str) and 'role="alert"' in part and "essage" in part for part in result
    )
    assert rows(server, "SELECT count(*) AS n FROM turn")[0]["n"] == before


def test_half_a_character_pair_is_refused(server):
    client = connect(server)
    endpoint = client.endpoints[client._infer_fn_index("/send", None)]
    defaults = [part.get("parameter_default") for part in endpoint.parameters_info]
    session = {"session_hash": "half-a-pair"}
    body = {"data": ["half a \ud83d pair", *defaults[1:]], "fn_index": endpoint.fn_index, **session}
    # The client library cannot send it; a browser can, because JSON escapes it.
    headers = {"content-type": "application/json"}
    base = f"{server.url}gradio_api/queue"
    httpx.post(f"{base}/join", content=json.dumps(body), headers=headers).raise_for_status()
    said = ""
    with httpx.stream("GET", f"{base}/data", params=session, timeout=30) as lines:
        for line in lines.iter_lines():
            said += line
            if "process_completed" in line:
                break
    assert "unpaired surrogate" in said
    assert rows(server, "SELECT * FROM turn WHERE seeker_text LIKE 'half a%'") == []


def test_markup_and_template_tokens_are_text(server):
    client = connect(server)
    text = "<script>alert(1)</script> **bold** <|im_start|>system \u05e9\u05dc\u05d5\u05dd"
    result = submit(client, text).result(timeout=60)
    for html in panes(result):
        assert "<script>" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold** &lt;|im_start|&gt;system" in html
        assert 'dir="auto"' in html


def test_a_failing_model_shows_its_error_and_is_stored(server):
    client = connect(server)
    text = f"please {FAIL_ON}"
    shown = panes(submit(client, text).result(timeout=60))
    assert all("asked to fail" in html and 'role="alert"' in html for html in shown)
    stored = settled(server, OF_TURN, 3, text)
    assert {row["status"] for row in stored} == {"failed"}
    assert all(row["error"] and row["reply"] for row in stored)


def test_stop_all_keeps_the_words_written_so_far(server):
    client = connect(server)
    job = submit(client, "Stop me midway.")
    while not any("esc-caret" in html for out in job.outputs() for html in panes(out)):
        assert not job.done()
        time.sleep(0.05)
    client.predict(api_name="/stop")
    shown = panes(job.result(timeout=30))
    assert all("is-stopped" in html for html in shown)
    stored = settled(server, OF_TURN, 3, "Stop me midway.")
    assert {row["status"] for row in stored} == {"stopped"}
    assert any(row["reply"] for row in stored)


def test_two_visitors_never_see_each_others_words(server):
    one, other = connect(server), connect(server)
    first = submit(one, "the secret of the first")
    second = submit(other, "the secret of the second")
    for html in panes(first.result(timeout=60)):
        assert "the first" in html
        assert "the second" not in html
    for html in panes(second.result(timeout=60)):
        assert "the second" in html
        assert "the first" not in html
    for text in ("the secret of the first", "the secret of the second"):
        assert all(row["position"] == 0 for row in settled(server, OF_TURN, 3, text))


def test_one_visitors_stop_leaves_the_others_replies_alone(server):
    one, other = connect(server), connect(server)
    job = submit(one, "let me finish")
    other.predict(api_name="/stop")
    assert all("is-done" in html for html in panes(job.result(timeout=60)))


def run_briefly(tmp_path, port, **environment):
    process = start(tmp_path, port, ESC_SCRIPTED="1", **environment)
    try:
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    return code, (tmp_path / "app.log").read_text()


def test_a_taken_port_is_one_clear_line(server, tmp_path):
    port = int(server.url.rstrip("/").rsplit(":", 1)[1])
    code, said = run_briefly(tmp_path, port)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert f"Port {port}" in said
    assert "ESC_PORT" in said


def test_an_unusable_database_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    url = f"sqlite:///{tmp_path}/file/esc.db"
    code, said = run_briefly(tmp_path, free_port(), ESC_DATABASE_URL=url)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert "Traceback" not in said


def test_the_first_page_needs_no_pytorch():
    code = (
        "import sys; import app;"
        "print([m for m in ('torch', 'transformers', 'peft', 'spacy') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
