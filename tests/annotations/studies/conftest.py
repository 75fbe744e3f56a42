"""Small studies as files: a definition, hand-written items, and files of generated replies."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from annotations.cli import app
from esc_demo.settings import get_settings

ARMS = ("base", "lora", "full")


def study_values(**changes):
    """A valid study of three arms in pairs; a value of None takes the key out."""
    values = {
        "version": 1,
        "slug": "small",
        "title": "Which reply helps?",
        "mode": "pairs",
        "seed": 7,
        "arms": [{"id": arm, "model": f"model-{arm}-x"} for arm in ARMS],
        "items": {"file": "items.jsonl", "max_chars": 200},
        "raters_per_item": 2,
        "session": {"items": 3},
        "recruitment": {"open": True},
        "consent": {"version": 1, "text": "Do you agree?"},
        "debrief": "Thank you.",
        "retention_days": 30,
        "plan": {"primary": {"outcome": "preference", "arms": ["base", "lora"]}, "participants": 6},
    } | changes
    return {key: value for key, value in values.items() if value is not None}


def item_lines(count=4, **changes):
    """Lines of an items file, whose replies all differ."""
    return [
        {
            "id": f"item-{number}",
            "history": [{"role": "seeker", "text": f"My day {number} was long."}],
            "replies": {arm: f"Reply {place} to day {number}." for place, arm in enumerate(ARMS)},
        }
        | changes
        for number in range(count)
    ]


class Writer:
    """Writes studies into a folder."""

    def __init__(self, folder):
        self.folder = folder

    def study(self, lines=None, **changes):
        """The path of a study with its items."""
        self.jsonl("items.jsonl", lines or item_lines())
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump(study_values(**changes), sort_keys=False), "utf-8")
        return path

    def jsonl(self, name, lines):
        """The path of a file with one object a line."""
        path = self.folder / name
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
        return path

    def run(
        self,
        name,
        *,
        context="raw",
        dialogues=3,
        replies=4,
        mode="forced",
        data="d",
        prompt=True,
        **of,
    ):
        """The path of a file of generated replies; `of` changes every record."""
        header = {
            "kind": "esc-replies",
            "run_hash": f"hash-{name}",
            "protocol": {"mode": mode, "data_hash": data, "items": dialogues * replies},
            "condition": {
                "context": {"kind": context, "keep_negation": False, "last_k": None},
                "prompt": prompt,
            },
        }
        records = [
            {
                "dialogue": f"talk-{talk}",
                "item": item,
                "status": "ok",
                "error": None,
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": f"Message {talk}.{item}"},
                ],
                "hypothesis": f"{name} answers {talk}.{item}.",
                "finish": "end",
                "dropped_turns": 0,
                "scene": f"Scene {talk}",
                "emotion": "sad",
            }
            | of
            for talk in range(dialogues)
            for item in range(replies)
        ]
        return self.jsonl(f"{name}.jsonl", [header, *records])


@pytest.fixture
def written(tmp_path):
    """A writer into a folder of its own."""
    return Writer(tmp_path)


@pytest.fixture
def new_study(written):
    """Build a study from changes to the small one."""
    from annotations.studies import build, load_definition

    return lambda lines=None, **changes: build(load_definition(written.study(lines, **changes)))


@pytest.fixture
def clock():
    """A clock that is set by hand."""
    from tests.annotations.studies.raters import Clock

    return Clock()


@pytest.fixture
def office(database_url, new_study, clock):
    """A desk on a new database, of the one kind and then of the other."""
    from tests.annotations.studies.raters import Office

    office = Office(database_url, new_study, clock)
    yield office
    office.store.close()


@pytest.fixture
def cli(office, monkeypatch):
    """Run `study` commands on the office's database; returns what they printed."""
    monkeypatch.setenv("ESC_DATABASE_URL", office.url)
    monkeypatch.setenv("ESC_STUDY_SECRET", "a long random text")
    get_settings.cache_clear()

    def run(*words, code=0, answer=None):
        result = CliRunner().invoke(
            app, ["study", *map(str, words)], input=answer, catch_exceptions=False
        )
        assert result.exit_code == code, result.output
        return result.output

    return run
