"""A small study in a database of its own, whose arms have names that nothing else has."""

import json

import yaml

from annotations import Store
from annotations.studies import build, load_definition

ARMS = ("zebrafinch", "quetzalcoatl")
MODELS = ("okapi-nine", "axolotl-seven")

TELLING = (*ARMS, *MODELS, "swapped", "content_hash", "revision", ".jsonl", "gold", "stratum")
"""What no answer may contain before a submission."""

PRACTICE = {
    "id": "practice-one",
    "history": [{"role": "seeker", "text": "My cat died and people laugh at me for crying."}],
    "replies": ["Stop crying about a cat.", "Of course you cry. What was your cat like?"],
    "expected": {"preference": ["second"]},
    "feedback": "The second reply takes the grief seriously.",
    "must_pass": True,
}


def study_values(**changes):
    """A study of two arms over twelve items; a value of None takes the key out."""
    values = {
        "version": 1,
        "slug": "blind",
        "title": "Which reply supports better?",
        "mode": "pairs",
        "seed": 7,
        "arms": [{"id": a, "model": m} for a, m in zip(ARMS, MODELS, strict=True)],
        "items": {"file": "items.jsonl"},
        "raters_per_item": 3,
        "session": {"items": 12, "break_every": 6, "most_minutes": 60, "lease_minutes": 20},
        "practice": [PRACTICE],
        "recruitment": {"open": True, "completion_url": "https://example.org/done?cc={code}"},
        "consent": {"version": 4, "text": "You read twelve conversations.\n\n- Stop at any time."},
        "content_note": "Some of it is about loss.",
        "debrief": "Two versions of one program wrote the replies.",
        "retention_days": 30,
        "plan": {"primary": {"outcome": "preference", "arms": list(ARMS)}, "participants": 3},
    } | changes
    return {key: value for key, value in values.items() if value is not None}


def live_values(models, **changes):
    """A study of live chats between a participant and two of `models`."""
    arms = [{"id": a, "model": m} for a, m in zip(ARMS, models, strict=True)]
    chats = {"chats_per_pair": 3, "least_turns": 2, "most_turns": 4, "situations": ["A row."]}
    dimensions = ["emotion_before", "comforting", "emotion_after"]
    return study_values(
        mode="live",
        arms=arms,
        items=None,
        live=chats,
        practice=None,
        scales={"dimensions": dimensions, "preference": True},
        session={"items": 1},
        **changes,
    )


def item_lines(count=12):
    """Items whose replies say by their words, not by their arm, which is which."""
    return [
        {
            "id": f"item-{number}",
            "history": [
                {"role": "seeker", "text": f"Day {number} without sleep."},
                {"role": "supporter", "text": "That is long. What keeps you awake?"},
                {"role": "seeker", "text": "The news from home. I lie there and listen."},
            ],
            "replies": {
                ARMS[0]: f"Night {number} sounds endless. What did you hear from home?",
                ARMS[1]: f"Try tea before bed on day {number + 1}. It will get better soon.",
            },
        }
        for number in range(count)
    ]


def open_study(folder, url, values):
    """Write the study's files into `folder`, store and open it; returns its slug."""
    lines = "".join(f"{json.dumps(line)}\n" for line in item_lines())
    (folder / "items.jsonl").write_text(lines, "utf-8")
    path = folder / f"{values['slug']}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    built = build(load_definition(path))
    with Store(url) as store:
        desk = store.desk()
        desk.create(built)
        desk.open(values["slug"], built)
    return values["slug"]
