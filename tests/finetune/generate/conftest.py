"""Small data files, the command as a program, and scripted models."""

import json

import pytest
import typer
from typer.testing import CliRunner

from finetune.generate.cli import generate_command

SEEKER, SUPPORTER = "seeker", "supporter"


def turn(role, text, strategy=None):
    return {"role": role, "text": text} | ({"strategy": strategy} if strategy else {})


DIALOGUES = [
    {
        "id": "short",
        "scene": "Sleep",
        "situation": "Lies awake since the move.",
        "turns": [
            turn(SUPPORTER, "Hello, what brings you here?", "Question"),
            turn(SEEKER, "I cannot sleep."),
            turn(SEEKER, "Not since we moved."),
            turn(SUPPORTER, "That is hard.", "Affirmation and Reassurance"),
            turn(SUPPORTER, "What keeps you awake?", "Question"),
            turn(SEEKER, "The street. I do not know why."),
        ],
    },
    *(
        {
            "id": f"talk-{number}",
            "scene": "Work",
            "profile": {"name": "Ana", "emotion_type": "anxiety", "problem_type": "job crisis"},
            "turns": [
                turn(role, f"{said} {number}.{place}")
                for place in range(2 + number)
                for role, said in ((SEEKER, "I am worried about"), (SUPPORTER, "Gold reply"))
            ],
        }
        for number in range(4)
    ),
]
REPLIES = 1 + 2 + 3 + 4 + 5


@pytest.fixture
def data(tmp_path):
    """A file in the project's own layout with `REPLIES` items."""
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in DIALOGUES), "utf-8")
    return path


@pytest.fixture
def task_8(tmp_path):
    """NLPCC 2025 Task 8's test form: every supporter string is empty."""
    said = [f"seeker:My day {k} was long." if k % 2 == 0 else "supporter:" for k in range(20)]
    character = {"Name": "Bo", "situation": "Has lost a job."}
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"1201": {"whole_dialog": said, "character": character}}), "utf-8")
    return path


@pytest.fixture
def command(monkeypatch):
    """`command("--model", "base", ...)` with scripted models; errors for people are raised."""
    monkeypatch.setenv("ESC_SCRIPTED", "1")
    app = typer.Typer()
    app.command()(generate_command)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [*map(str, arguments), "--quiet"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code in (0, 1) else result

    return run


def lines(path):
    """Header and items of a file of replies."""
    head, *items = map(json.loads, path.read_text("utf-8").splitlines())
    return head, items
