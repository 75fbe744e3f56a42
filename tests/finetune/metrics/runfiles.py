"""Files of replies made by the generate package's own writer, without a model."""

import json

from finetune.data import load, part_hash
from finetune.generate import Mode, Status, items_of
from finetune.generate.store import KIND, Output, Saved

SAID = {"seeker": "I worry about my job", "supporter": "That sounds hard, tell me more"}


def write_dialogues(path, count=4, first=0):
    """A data file of `count` dialogues with three replies each."""
    talks = [
        {
            "id": f"talk-{number}",
            "scene": ["Work", "Sleep"][number % 2],
            "profile": {"emotion_type": ["anxiety", "Anxiety "][number % 2]},
            "turns": [
                {"role": role, "text": f"{SAID[role]} on day {number} {place}"}
                | ({"strategy": ["Question", "Others"][place % 2]} if role == "supporter" else {})
                for place in range(3)
                for role in SAID
            ],
        }
        for number in range(first, first + count)
    ]
    path.write_text("".join(json.dumps(talk) + "\n" for talk in talks), "utf-8")
    return path


def write_run(path, data, reply, *, context="Raw", model="base", seconds=True, **protocol):
    """A finished run over `data`; `reply(item)` gives a text or entries of its record."""
    loaded = load(data)
    items = items_of(loaded.dialogues, Mode.FORCED)
    told = {"data_hash": part_hash(loaded.dialogues), "dialogues": len(loaded.dialogues)}
    told |= {"items": len(items), "params": {"temperature": 0.0}, **protocol}
    head = {
        "kind": KIND,
        "run_hash": f"run-{path.stem}",
        "protocol_hash": json.dumps(told, sort_keys=True),
        "protocol": told,
        "model": {"id": model},
        "condition": {"context": {"label": context}, "prompt": True},
        "data": {"name": data.name},
        "versions": {},
    }
    output = Output(path, head, [])
    for item in items:
        given = reply(item)
        given = given if isinstance(given, dict) else {"hypothesis": given}
        roles = {"seeker": "user", "supporter": "assistant"}
        said = [{"role": roles[turn.role], "content": turn.text} for turn in item.turns]
        record = {
            "dialogue": item.key.dialogue,
            "item": item.key.number,
            "items": item.of,
            "status": Status.OK.value,
            "messages": [{"role": "system", "content": "Be kind."}, *said],
            "reference": item.reference,
            "hypothesis": "",
            "prompt_tokens_raw": 40,
            "prompt_tokens": 30,
            "dropped_turns": 0,
            "strategy": item.strategy,
            "scene": item.scene,
            "emotion": item.profile.emotion_type,
            "problem": item.profile.problem_type,
        } | given
        timing = {"dialogue": item.key.dialogue, "item": item.key.number}
        timing |= {"seconds": 3.0, "queued": 1.0} if seconds else {}
        output.add(Saved.of(record), timing)
    output.finish([item.key for item in items])
    return path
