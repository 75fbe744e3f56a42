"""An HTTP server on loopback that speaks streaming chat completions, with faults on demand."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from tests.loopback import Loopback


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    body: dict
    key: str
    at: float


class Endpoint(Loopback):
    """Answers with the last message; `answers` are faults to be used up first, one a request.

    A fault is (status, {"Retry-After": ..., "code": ..., "message": ...}), or one of "slow",
    "broken", "refusal" and "filter". `most` is the largest number of requests under way.
    """

    def __init__(self, key="right", pause_s=0.0):
        self.key, self.pause_s = key, pause_s
        self.answers, self.requests = [], []
        self.most = self.now = 0
        self.lock = threading.Lock()
        self.listen(type("Handler", (_Handler,), {"endpoint": self}))


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint

    def do_POST(self):
        home = self.endpoint
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization", "")
        with home.lock:
            home.now += 1
            home.most = max(home.most, home.now)
            home.requests.append(Seen(body, key, time.monotonic()))
            fault, extra = home.answers.pop(0) if home.answers else (None, {})
        try:
            if home.pause_s:
                time.sleep(home.pause_s)
            self.answer(body, key, fault, extra)
        finally:
            with home.lock:
                home.now -= 1

    def answer(self, body, key, fault, extra):
        if self.path != "/v1/chat/completions":
            self.refuse(404, {"code": "no_such_path"})
        elif key != f"Bearer {self.endpoint.key}":
            self.refuse(401, {"code": "invalid_api_key"})
        elif isinstance(fault, int):
            self.refuse(fault, extra)
        elif fault == "slow":
            self.endpoint.closing.wait(3)
        else:
            self.reply(body, fault)

    def refuse(self, status, extra):
        error = {"message": "the injected fault", "type": "x", "code": None} | extra
        text = json.dumps({"error": error}).encode()
        self.send_response(status)
        if "Retry-After" in extra:
            self.send_header("Retry-After", extra["Retry-After"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def reply(self, body, fault):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        limit = body.get("max_tokens", body.get("max_completion_tokens"))
        words = f"Reply to: {body['messages'][-1]['content']}".split()
        if fault == "refusal":
            self.event({"refusal": "I will not."})
        else:
            words = ["Half", "a"] if fault in ("filter", "broken") else words
            for index, word in enumerate(words[:limit]):
                self.event({"content": word if index == 0 else f" {word}"})
        if fault == "broken":
            return
        ended = {"filter": "content_filter"}.get(fault, "length" if len(words) > limit else "stop")
        self.event({}, ended)
        usage = {"prompt_tokens": 7, "completion_tokens": min(len(words), limit), "total_tokens": 9}
        self.send({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, delta, finish=None):
        self.send({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def send(self, chunk):
        whole = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "little"}
        self.wfile.write(f"data: {json.dumps(whole | chunk)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_):
        """Quiet."""
