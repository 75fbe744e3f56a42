"""A push sends an export to the hub, and only to a place that may see it."""

import base64
import http.server
import json
import threading
from contextlib import contextmanager

import huggingface_hub.constants
import pytest

from esc_demo.errors import BadInput, EscError


class Hub(http.server.BaseHTTPRequestHandler):
    """The few answers of a hub that an upload needs; it keeps what was asked."""

    refusing = {}  # noqa: RUF012 (path -> HTTP status; a handler per test)
    private = True
    asked = None

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers.get("Authorization"), sent))
        if self.path == "/api/repos/create":
            self._answer({"url": f"http://{self.headers['Host']}/o/tiny"})
        elif "/preupload/" in self.path:
            named = [entry["path"] for entry in json.loads(sent)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            self._answer({"files": [{"path": path, **plain} for path in named]})
        else:
            address = f"http://{self.headers['Host']}/o/tiny/commit/{'a' * 40}"
            self._answer({"commitUrl": address, "commitOid": "a" * 40})

    def do_GET(self):
        self._answer({"id": "o/tiny", "private": self.private, "sha": "a" * 40, "siblings": []})

    def _answer(self, content):
        status = next((s for part, s in self.refusing.items() if part in self.path), 200)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch):
    """A hub on loopback: `with hub(...) as asked`."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")

    @contextmanager
    def serving(refusing=None, private=True):
        asked = []
        attributes = {"refusing": refusing or {}, "private": private, "asked": asked}
        handler = type("Handler", (Hub,), attributes)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            address = f"http://127.0.0.1:{server.server_port}"
            monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
            try:
                yield asked
            finally:
                server.shutdown()
                thread.join()

    return serving


@pytest.fixture
def exported(tmp_path):
    """A folder as `export` leaves it."""
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlanguage: en\n---\n# tiny\n")
    (folder / "metrics.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"\x00\x01")
    return folder


def committed(asked):
    """What the hub was given to keep: names and bytes."""
    lines = [line for path, _, sent in asked if "/commit/" in path for line in sent.splitlines()]
    entries = [json.loads(line) for line in lines]
    return {
        entry["value"]["path"]: base64.b64decode(entry["value"]["content"])
        for entry in entries
        if entry["key"] == "file"
    }


@pytest.mark.parametrize("private", [True, False])
def test_a_push_makes_the_repository_and_sends_every_file(exported, hub, private):
    from finetune.export import push

    with hub(private=private) as asked:
        address = push(exported, "o/tiny", private=private)
    assert address.startswith("http://127.0.0.1") and address.endswith("/o/tiny")
    path, authorization, sent = asked[0]
    assert (path, authorization) == ("/api/repos/create", "Bearer hf_made_up")
    assert json.loads(sent)["visibility"] == ("private" if private else "public")
    assert committed(asked) == {p.name: p.read_bytes() for p in exported.iterdir()}


def test_nothing_goes_to_a_repository_that_is_public_already(exported, hub):
    from finetune.export import push

    with hub({"/create": 409}, private=False) as asked, pytest.raises(BadInput, match="is public"):
        push(exported, "o/tiny")
    assert committed(asked) == {}


@pytest.mark.parametrize(
    ("refusing", "told"),
    [
        ({"/": 401}, "does not accept the token"),
        ({"/": 403}, "may not write to o/tiny"),
        ({"/commit/": 403}, "may not write to o/tiny"),
        ({"/create": 400}, "HTTP 400"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_sentence(exported, hub, refusing, told):
    from finetune.export import push

    with hub(refusing), pytest.raises(EscError, match=told):
        push(exported, "o/tiny")


def test_a_push_without_token_network_name_or_export_says_so(exported, hub, monkeypatch, tmp_path):
    from finetune.export import push

    with hub() as asked:
        with pytest.raises(BadInput, match="no name for a repository"):
            push(exported, "not a name!")
        with pytest.raises(BadInput, match="is no export"):
            push(tmp_path, "o/tiny")
        with monkeypatch.context() as patch:
            patch.delenv("HF_TOKEN")
            patch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
            with pytest.raises(BadInput, match="no token"):
                push(exported, "o/tiny")
    assert not any(authorization is None for _, authorization, _ in asked)
    with pytest.raises(EscError, match="did not reach the hub"):  # the hub is gone by now
        push(exported, "o/tiny")
