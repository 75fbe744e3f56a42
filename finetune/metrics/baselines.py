"""Trivial repliers. A system that does not clearly beat them has learned nothing a metric sees.

Each takes training and test dialogues and returns one hypothesis for every item of
`reply_items(test)`, in that order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import StrEnum

from esc_demo.dialogue import Dialogue
from esc_demo.errors import BadInput
from finetune.metrics.items import ReplyItem, reply_items

CONSTANT = (
    "I understand how you feel, and I am sorry that you are going through this. Have you talked"
    " to someone about it?"
)
"""Nothing in it is about the person it answers."""

_ROWS = 256
"""Test items compared with the training part at once; bounds the memory."""


class Baseline(StrEnum):
    """The four."""

    CONSTANT = "constant sentence"
    RANDOM = "random reply"
    RETRIEVAL = "TF-IDF retrieval"
    COPY = "copy of the last turn"


Replier = Callable[..., list[str]]
"""(train, test, *, seed, merged) -> hypotheses"""


def constant_sentence(
    train: Sequence[Dialogue], test: Sequence[Dialogue], *, seed: int = 0, merged: bool = True
) -> list[str]:
    """`CONSTANT`, always."""
    return [CONSTANT] * len(reply_items(test, merged=merged))


def random_reply(
    train: Sequence[Dialogue], test: Sequence[Dialogue], *, seed: int = 0, merged: bool = True
) -> list[str]:
    """A supporter's reply drawn from the training part.

    Raises:
        BadInput: the training part has none.
    """
    replies = [item.reference for item in _training(train, merged)]
    draw = random.Random(seed)
    return [draw.choice(replies) for _ in reply_items(test, merged=merged)]


def retrieval(
    train: Sequence[Dialogue], test: Sequence[Dialogue], *, seed: int = 0, merged: bool = True
) -> list[str]:
    """The training reply whose context has the nearest TF-IDF vector (cosine).

    The context is what the seeker just said and the two turns before it. Of equally near ones
    the first counts; `seed` changes nothing.

    Raises:
        BadInput: the training part has no reply.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 (slow to import)

    known = _training(train, merged)
    items = reply_items(test, merged=merged)
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    theirs = vectorizer.fit_transform([_context(item) for item in known]).T.tocsr()
    mine = vectorizer.transform([_context(item) for item in items])
    found: list[str] = []
    for start in range(0, len(items), _ROWS):
        near = (mine[start : start + _ROWS] @ theirs).toarray()
        found += [known[int(best)].reference for best in near.argmax(axis=1)]
    return found


def copy_last_turn(
    train: Sequence[Dialogue], test: Sequence[Dialogue], *, seed: int = 0, merged: bool = True
) -> list[str]:
    """What the seeker just said."""
    return [item.last_seeker_turn for item in reply_items(test, merged=merged)]


BASELINES: dict[Baseline, Replier] = {
    Baseline.CONSTANT: constant_sentence,
    Baseline.RANDOM: random_reply,
    Baseline.RETRIEVAL: retrieval,
    Baseline.COPY: copy_last_turn,
}


def _training(train: Sequence[Dialogue], merged: bool) -> tuple[ReplyItem, ...]:
    """Replies to learn from."""
    items = reply_items(train, merged=merged)
    if not items:
        raise BadInput("The training part has no supporter reply to take from.")
    return items


def _context(item: ReplyItem) -> str:
    """The last three turns before the reply."""
    return " ".join(turn.text for turn in item.history[-3:])
