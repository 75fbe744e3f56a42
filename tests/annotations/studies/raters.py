"""People who take part in a study, and the office in which it runs."""

import uuid
from datetime import UTC, datetime, timedelta

from annotations import Store
from annotations.studies.desk import Desk
from annotations.studies.forms import SubmissionForm
from annotations.transactions import Transactions
from tests.annotations import raw

PRACTICE = {
    "id": "warm-up",
    "history": [{"role": "seeker", "text": "I failed my exam."}],
    "replies": ["That hurts. What was hardest?", "Study more."],
    "expected": {"preference": ["first"]},
    "feedback": "The first one listens.",
    "must_pass": True,
}
GOLD = {
    "id": "clear-case",
    "history": [{"role": "seeker", "text": "My dog died."}],
    "replies": ["I am so sorry. Tell me about your dog.", "Buy another one."],
    "expected": {"preference": ["first"]},
}


class Clock:
    """The server's clock, set by hand."""

    def __init__(self):
        self.now = datetime(2026, 5, 1, 9, tzinfo=UTC)

    def __call__(self):
        return self.now

    def advance(self, **units):
        """Move on; negative units set it back."""
        self.now += timedelta(**units)


class Office:
    """A database with a desk, and what tests do at it."""

    def __init__(self, url, new_study, clock):
        self.url, self.clock, self.new_study = url, clock, new_study
        self.store = Store(url)
        self.desk = Desk(Transactions(self.store.engine), clock)

    def found(self, lines=None, **changes):
        """Create and open a study; returns its slug."""
        built = self.new_study(lines, **changes)
        self.desk.create(built)
        self.desk.open(built.definition.slug)
        return built.definition.slug

    def rater(self, slug, **how):
        """Somebody new who has agreed."""
        rater = Rater(self.desk, slug, **how)
        self.desk.consent(slug, rater.key, 1)
        return rater

    def sql(self, statement, *values):
        """Rows of a raw statement."""
        return raw.run(self.url, statement, *values)

    def kinds(self, rater):
        """Kind and status of everything a rater was given, in order."""
        return self.sql(
            "SELECT a.kind, a.status FROM study_assignment AS a JOIN study_participant AS p"
            " ON p.id = a.participant_id WHERE p.number = ? ORDER BY a.number",
            int(rater.pseudonym[1:]),
        )


class Rater:
    """A participant with a key."""

    def __init__(self, desk, slug, **how):
        self.desk, self.slug = desk, slug
        entry = desk.enter(slug, **how)
        self.key, self.pseudonym = entry.key, entry.pseudonym

    def screen(self):
        """What the page shows."""
        return self.desk.current(self.slug, self.key)

    def item(self):
        """The item on the page."""
        item = self.screen().item
        assert item is not None
        return item

    def submit(self, item, **changes):
        """Answer an item."""
        return self.desk.submit(self.slug, self.key, form(item, **changes))

    def work(self, screens=10**6, **answers):
        """Answer up to so many screens, without breaks; returns the last screen."""
        while True:
            screen = self.screen()
            if screen.rest is not None:
                self.desk.resume_from_break(self.slug, self.key)
            elif screen.item is None or screens == 0:
                return screen
            else:
                self.submit(screen.item, **answers)
                screens -= 1


def form(item, score=3, **changes):
    """A complete answer to an item."""
    values = {
        "assignment_id": item.assignment_id,
        "nonce": uuid.uuid4().hex,
        "scores": [{name.value: score for name in item.dimensions} for _ in item.replies],
        "preference": "1" if item.preference else None,
    }
    return SubmissionForm.parse(values | changes)
