"""One rater's browser at the study's page, without a server in between."""

from fastapi.testclient import TestClient


class Rater:
    """One browser: a client that keeps its cookie and every answer it was sent."""

    def __init__(self, app, slug):
        self.slug = slug
        self.client = TestClient(app, base_url="https://study.example")
        self.seen = []

    def post(self, name, _status=200, _headers=None, **body):
        answer = self.client.post(
            f"/study/{self.slug}/api/{name}", json=body, headers=_headers or {}
        )
        assert answer.status_code == _status, answer.text
        self.seen.append((f"POST {name}", answer))
        return answer.json()

    def screen(self):
        answer = self.client.get(f"/study/{self.slug}/api/screen")
        assert answer.status_code == 200, answer.text
        self.seen.append(("GET screen", answer))
        return answer.json()

    def begin(self):
        """Come in, agree and practise; the first screen that counts."""
        self.post("enter")
        screen = self.post("consent", version=4)
        while screen["stage"] == "practice":
            screen = self.post("submit", **answers(screen["item"], preference="2"))["screen"]
        return screen


def answers(item, preference="1", nonce=None, **changes):
    """A complete submission about an item."""
    return {
        "assignment_id": item["assignment_id"],
        "nonce": nonce or f"nonce-{item['assignment_id'][:40]}",
        "scores": [{row["id"]: 3 for row in item["rows"]} for _ in range(item["sides"])],
        "preference": preference,
        "comment": "",
        "client_ms": 1200,
    } | changes
