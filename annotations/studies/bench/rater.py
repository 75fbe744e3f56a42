"""One simulated rater: a thread that uses the rater's page as a browser would, over HTTP."""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annotations.studies.bench.material import BETTER

if TYPE_CHECKING:
    from annotations.studies.bench.crowd import Crowd

PATIENCE_S = 120.0
"""How long a rater goes on asking a server that does not answer."""

_DOUBLE_CLICKS = 0.05
_SKIPS = 0.02
_ANSWERS = ("1", "2", "tie", "both_bad")
_ENDS = frozenset({"done", "capped", "full", "closed", "withdrawn"})


@dataclass(frozen=True)
class Accepted:
    """A submission that the server said it has."""

    slug: str
    assignment: str
    nonce: str
    scores: tuple[dict[str, Any], ...]
    preference: str | None


@dataclass(frozen=True)
class Call:
    """One answered request. `tries` counts those that got no answer, too."""

    name: str
    ms: float
    tries: int


class Refused(Exception):
    """The server answered with an error that a rater should never see."""


class Rater(threading.Thread):
    """Takes part again and again, each time as somebody new, until the crowd's time is up."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        """One of `crowd`; `number` seeds what it answers."""
        super().__init__(name=f"rater-{number}", daemon=True)
        self._crowd = crowd
        self._random = random.Random(number)
        self._line: http.client.HTTPConnection | None = None
        self._cookie = ""

    def run(self) -> None:
        """Work; what goes wrong is noted with the crowd."""
        try:
            self._crowd.rest(
                self._random.uniform(0, self._crowd.think_s[0])
            )  # nobody comes at once
            while self._crowd.going():
                slug = self._crowd.study()
                if self._take_part(slug) == "full":
                    self._crowd.filled(slug)
        except Exception as error:  # noted: a thread's own error would only be printed
            self._crowd.failed(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self._hang_up()

    def _take_part(self, slug: str) -> str:
        """From the first page to the last; returns the stage at which it ended."""
        self._cookie = ""
        page = self._get(slug, "page", f"/study/{slug}")
        for part in re.findall(r'(?:src|href)="(-/[^"]+)"', page):
            self._get(slug, "part", f"/study/{part}")
        screen = json.loads(self._get(slug, "screen", f"/study/{slug}/api/screen"))
        while screen["stage"] not in _ENDS and self._crowd.going():
            screen = self._step(slug, screen)
        if screen["stage"] in ("done", "capped"):
            self._crowd.finished()
        return str(screen["stage"])

    def _step(self, slug: str, screen: dict[str, Any]) -> dict[str, Any]:
        """Do what a screen asks for; returns the next one."""
        stage = screen["stage"]
        if stage == "welcome":
            return self._post(slug, "enter", {})
        if stage == "consent":
            return self._post(slug, "consent", {"version": screen["consent"]["version"]})
        if stage == "break":
            return self._post(slug, "resume", {})
        if stage == "waiting":
            self._crowd.rest(1.0)
            return dict(json.loads(self._get(slug, "screen", f"/study/{slug}/api/screen")))
        if stage in ("practice", "rating"):
            return self._judge(slug, screen["item"])
        raise Refused(f"a screen nobody expected: {stage}")

    def _judge(self, slug: str, item: dict[str, Any]) -> dict[str, Any]:
        """Look, tick, look again, submit."""
        think = self._random.uniform(*self._crowd.think_s) / 2
        here = {"assignment_id": item["assignment_id"]}
        scores = tuple(self._scores(item) for _ in item["replies"])
        choice = self._choice(item)
        self._crowd.rest(think)
        self._post(slug, "draft", {**here, "draft": {"scores": scores[:1]}})
        self._crowd.rest(think)
        if not item["practice"] and self._random.random() < _SKIPS:
            return self._post(slug, "skip", {**here, "reason": "too close to home"})
        body = {
            **here,
            "nonce": uuid.uuid4().hex,
            "scores": scores,
            "preference": choice,
            "comment": "",
            "client_ms": int(think * 2000),
        }
        second = self._second_click(slug, body) if self._random.random() < _DOUBLE_CLICKS else None
        answer = self._post(slug, "submit", body)
        self._crowd.accepted(Accepted(slug, item["assignment_id"], body["nonce"], scores, choice))
        if second is not None:
            second.join()
        return dict(answer["screen"])

    def _scores(self, item: dict[str, Any]) -> dict[str, Any]:
        points = [0, 1, 2, 3, 4, 5, 5, 4, "cannot_judge"]
        return {row["id"]: self._random.choice(points) for row in item["rows"]}

    def _choice(self, item: dict[str, Any]) -> str:
        if BETTER in item["replies"]:
            return str(item["replies"].index(BETTER) + 1)
        return self._random.choice(_ANSWERS)

    def _second_click(self, slug: str, body: dict[str, Any]) -> threading.Thread:
        """Send the same at the same time, on a line of its own."""
        twin = Rater(self._crowd, 0)
        twin._cookie = self._cookie

        def click() -> None:
            try:
                twin._post(slug, "submit again", body)
            except Exception as error:  # noted, as in `run`
                self._crowd.failed(f"{self.name}, second click: {error}")
            finally:
                twin._hang_up()

        thread = threading.Thread(target=click, name=f"{self.name}-again", daemon=True)
        thread.start()
        return thread

    def _post(self, slug: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call of the page; insists until it is answered."""
        path = f"/study/{slug}/api/{name.split()[0]}"
        return dict(json.loads(self._insist("POST", path, name, json.dumps(body).encode())))

    def _get(self, slug: str, name: str, path: str) -> str:
        return self._insist("GET", path, name, None)

    def _insist(self, method: str, path: str, name: str, body: bytes | None) -> str:
        """Ask until there is an answer, as the page does when it is offline.

        Raises:
            Refused: the answer is an error, or none comes.
        """
        until = time.monotonic() + PATIENCE_S
        tries = 0
        while True:
            tries += 1
            begun = time.monotonic()
            try:
                status, text = self._ask(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                self._hang_up()
                if time.monotonic() > until:
                    raise Refused(f"{method} {path} got no answer: {error}") from error
                time.sleep(0.2)
                continue
            if status != 200:
                raise Refused(f"{method} {path} answered {status}: {text[:200]}")
            self._crowd.called(Call(name, (time.monotonic() - begun) * 1000, tries))
            return text

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        if self._line is None:
            host, port = self._crowd.address
            self._line = http.client.HTTPConnection(host, port, timeout=60)
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._line.request(method, path, body, headers)
        answer = self._line.getresponse()
        text = answer.read().decode()
        if cookie := answer.getheader("Set-Cookie"):
            self._cookie = cookie.partition(";")[0]
        return answer.status, text

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
