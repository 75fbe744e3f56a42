"""The studies that simulated raters work on: as long as the shipped example, and own words."""

from __future__ import annotations

import json
from itertools import combinations
from math import ceil
from pathlib import Path

from annotations.studies.build import BuiltStudy, build
from annotations.studies.definition import load_definition

ARMS = ("first-arm", "second-arm", "third-arm")
ITEMS = 16
PAIRS = len(list(combinations(ARMS, 2)))
LEASE_MINUTES = 20
BETTER = "That sounds lonely. What was the evening like for you?"
"""The reply that passes practice."""

_ANSWERS_EACH = 8
"""Answers a study takes from each rater before it is full, so that places run out often."""


def write_studies(folder: Path, raters: int, answers: float) -> list[BuiltStudy]:
    """Studies that fill up one after another until there are `answers`, and one more.

    Args:
        folder: where their files are written.
        raters: how many work at once.
        answers: how many they can give.
    """
    each = max(1, raters * _ANSWERS_EACH // (ITEMS * PAIRS))
    count = ceil(answers / (each * ITEMS * PAIRS)) + 1
    (folder / "items.jsonl").write_text(
        "".join(f"{json.dumps(_item(number))}\n" for number in range(ITEMS)), "utf-8"
    )
    return [_study(folder, f"bench-{number + 1}", each) for number in range(count)]


def _study(folder: Path, slug: str, each: int) -> BuiltStudy:
    path = folder / f"{slug}.yaml"
    path.write_text(json.dumps(_values(slug, each)), "utf-8")  # JSON is YAML
    return build(load_definition(path))


def _values(slug: str, each: int) -> dict[str, object]:
    seeker = "Everybody went home after the party and I sat in the kitchen until four."
    replies = ["It was only a party.", BETTER]
    written = {
        "history": [{"role": "seeker", "text": seeker}],
        "replies": replies,
        "expected": {"preference": ["second"]},
    }
    return {
        "version": 1,
        "slug": slug,
        "title": "Replies under load",
        "mode": "pairs",
        "seed": 11,
        "arms": [{"id": arm, "model": arm} for arm in ARMS],
        "items": {"file": "items.jsonl"},
        "raters_per_item": each,
        "session": {
            "items": 12,
            "break_every": 6,
            "lease_minutes": LEASE_MINUTES,
            "gold": 1,
            "repeats": 1,
        },
        "practice": [
            {"id": "warm-up", "feedback": "It asks.", "must_pass": True, **written},
        ],
        "gold": [{"id": "clear-case", **written}],
        "recruitment": {"open": True},
        "consent": {"version": 1, "text": "Simulated raters agree to everything."},
        "debrief": "Thank you.",
        "retention_days": 1,
        "plan": {"primary": {"outcome": "preference", "arms": list(ARMS[:2])}, "participants": 1},
    }


def _item(number: int) -> dict[str, object]:
    return {
        "id": f"item-{number}",
        "history": [
            {"role": "seeker", "text": f"It is night {number} in the new flat and I miss home."},
            {"role": "supporter", "text": "A new place can be very quiet. What do you miss most?"},
            {"role": "seeker", "text": "The noise of my brothers. I never thought I would."},
        ],
        "replies": {
            arm: f"Reply {place} of evening {number}: what would they be doing right now?"
            for place, arm in enumerate(ARMS, 1)
        },
    }
