"""A judge's endpoint on loopback that answers, charges, and fails on demand.

It answers by the schema it is sent (or the one it was given, for plain text), always the same to
the same question, so that a run with faults can be compared with one without. It counts what a
service would charge for: every answer it wrote, read by anybody or not.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.loopback import Loopback, Server

WORDS = ("zero", "one", "two", "three", "four", "five")


@dataclass(frozen=True)
class Fault:
    """`status` for a refusal; else `kind`: how the answer is spoilt, or does not come."""

    kind: str = ""
    status: int = 0
    code: str | None = None
    message: str = "the injected fault"
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    body: dict
    key: str
    at: float

    @property
    def asked(self):
        """Which question it is, repair attempts included."""
        return _hash(self.body["messages"][:2], self.body.get("seed"))

    @property
    def exact(self):
        """Which request it is."""
        return _hash(self.body)

    @property
    def repair(self):
        return len(self.body["messages"]) > 2


def _hash(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Faulty(Loopback):
    """`faults` are used up one by one, not by repairs; then `spoil` may name one for a request.

    While `gate` is clear, requests that have arrived wait for it.
    """

    def __init__(self, schema=None, key="right", pause_s=0.0):
        self.schema, self.key, self.pause_s = schema, key, pause_s
        self.takes_schema = True
        self.faults, self.spoil = [], lambda seen: None
        self.requests, self.paid = [], Counter()
        self.prompt_tokens = self.completion_tokens = 0
        self.most = self.now = 0
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.gate.set()
        self.listen(type("Handler", (_Handler,), {"home": self}), _Server)

    def charge(self, seen, text):
        """Count an answer; what it used."""
        told = sum(len(one["content"]) for one in seen.body["messages"]) // 4
        with self.lock:
            self.paid[seen.exact] += 1
            self.prompt_tokens += told
            self.completion_tokens += len(text) // 4
        return {"prompt_tokens": told, "completion_tokens": len(text) // 4, "total_tokens": 0}

    def cost(self, price):
        """What it charged, in US dollars."""
        tokens = (
            (self.prompt_tokens, price.per_million_in),
            (
                self.completion_tokens,
                price.per_million_out,
            ),
        )
        return sum(count * each for count, each in tokens) / 1e6

    def answer(self, seen):
        """Values for every property of the schema, drawn from the question."""
        told = (seen.body.get("response_format") or {}).get("json_schema") or self.schema
        digest = bytes.fromhex(seen.asked)
        return {
            name: _value(form, digest[place])
            for place, (name, form) in enumerate(told["schema"]["properties"].items())
        }


class _Server(Server):
    def handle_error(self, *_):
        """Clients that leave early are part of the game."""


def _value(form, byte):
    form = form["anyOf"][0] if "anyOf" in form else form
    return form["enum"][byte % len(form["enum"])] if "enum" in form else "Because of its words."


class _Handler(BaseHTTPRequestHandler):
    home: Faulty

    def do_POST(self):
        home = self.home
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = Seen(body, self.headers.get("Authorization", ""), time.monotonic())
        with home.lock:
            home.now += 1
            home.most = max(home.most, home.now)
            home.requests.append(seen)
            first = bool(home.faults) and not seen.repair
            fault = home.faults.pop(0) if first else home.spoil(seen)
        try:
            home.closing.wait(home.pause_s)
            home.gate.wait(20)
            self.handle_one(seen, fault or Fault())
        finally:
            with home.lock:
                home.now -= 1

    def handle_one(self, seen, fault):
        if self.path != "/v1/chat/completions":
            self.refuse(Fault(status=404, message="no such path"))
        elif seen.key != f"Bearer {self.home.key}":
            self.refuse(Fault(status=401, code="invalid_api_key", message="Incorrect API key"))
        elif "response_format" in seen.body and not self.home.takes_schema:
            self.refuse(Fault(status=400, message="Unsupported parameter: response_format"))
        elif fault.status:
            self.refuse(fault)
        elif fault.kind == "gone":
            self.close_connection = True
        else:
            self.reply(seen, fault)

    def refuse(self, fault):
        error = {"message": fault.message, "type": "x", "code": fault.code}
        self.send(fault.status, json.dumps({"error": error}).encode(), fault.headers)

    def reply(self, seen, fault):
        answer = self.home.answer(seen)
        content, ended, refusal = json.dumps(answer), "stop", None
        if fault.kind == "prose":
            content = f"Here is my view.\n```json\n{content}\n```\nI hope that helps."
        elif fault.kind == "words":
            spelt = {k: WORDS[v] if isinstance(v, int) else v for k, v in answer.items()}
            content = json.dumps(spelt)
        elif fault.kind == "six":
            content = json.dumps({k: 6 if isinstance(v, int) else v for k, v in answer.items()})
        elif fault.kind == "nonsense":
            content = "I would rather talk about the weather."
        elif fault.kind == "cut":
            content, ended = content[:-4], "length"
        elif fault.kind == "refusal":
            content, refusal = None, "I will not judge this."
        elif fault.kind == "filter":
            content, ended = "", "content_filter"
        message = {"role": "assistant", "content": content, "refusal": refusal}
        whole = {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": seen.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": ended}],
            "usage": self.home.charge(seen, content or refusal or ""),
        }
        if fault.kind == "slow":
            self.home.closing.wait(3.0)
        if fault.kind == "silent about tokens":
            del whole["usage"]
        raw = json.dumps(whole).encode()
        if fault.kind == "page":
            self.send(200, b"<html>A login page</html>", {"Content-Type": "text/html"})
        elif fault.kind == "truncated":
            self.send(200, raw[: len(raw) // 2])
        elif fault.kind == "disconnect":
            self.send(200, raw[: len(raw) // 2], {"Content-Length": str(len(raw))})
        else:
            self.send(200, raw)

    def send(self, status, raw, headers=None):
        told = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
        self.send_response(status)
        for name, value in (told | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        """Quiet."""
