"""The README is true: its links, commands, settings and file tree are compared with the project."""

import re
import shlex

import pytest
import typer

import annotations.cli
import esc_demo.cli
import finetune.cli
from esc_demo.settings import PROJECT_ROOT, Settings

README = (PROJECT_ROOT / "README.md").read_text("utf-8")
LINKS = sorted({link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link})
CODE = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
GENERATED = {"data", "runs"}
"""Top-level folders that only appear by using the program."""


def commands(app):
    """Names of a typer application's commands and groups."""
    found = {command.name or command.callback.__name__ for command in app.registered_commands}
    for group in app.registered_groups:
        found |= {group.name} if group.name else commands(group.typer_instance)
    return found


@pytest.mark.parametrize("link", LINKS)
def test_every_linked_file_exists(link):
    assert (PROJECT_ROOT / link).is_file()


def test_there_are_links_and_commands_to_check():
    assert len(LINKS) >= 4 and len(CODE) >= 3


def test_every_make_target_exists():
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    makefile = (PROJECT_ROOT / "Makefile").read_text("utf-8")
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test"} <= named


@pytest.mark.parametrize("module", [annotations.cli, esc_demo.cli, finetune.cli])
def test_every_command_exists(module):
    package = module.__name__.split(".")[0]
    named = set(re.findall(rf"-m {package} ([a-z]+)", README))
    assert named and named <= commands(module.app)


@pytest.mark.parametrize("module", [annotations.cli, esc_demo.cli, finetune.cli])
def test_commands_in_code_blocks_are_understood(module):
    package = module.__name__.split(".")[0]
    lines = [line for block in CODE for line in block.replace("\\\n", " ").splitlines()]
    lines = [line for line in lines if f"-m {package} " in line]
    assert lines
    for line in lines:
        words = shlex.split(line.split(f"-m {package} ")[1], comments=True)
        command = typer.main.get_command(module.app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        parser = command.make_parser(command.context_class(command))
        values, left, _ = parser.parse_args(words)  # an unknown option raises
        assert left == [], line
        needed = [one.name for one in command.params if one.required]
        assert set(needed) <= set(values), line


def test_the_settings_table_is_complete():
    rows = re.findall(r"^\| `ESC_([A-Z_]+)` \|", README, re.MULTILINE)
    assert [row.lower() for row in rows] == list(Settings.model_fields)


def tree():
    """The tree's entries: top level, and those inside esc_demo."""
    lines = re.search(r"## Files\n\n```\n(.*?)```", README, re.DOTALL).group(1).splitlines()
    top = {line.split()[0] for line in lines if not line.startswith(" ")}
    return top, {line.split()[0] for line in lines if line.startswith(" ")}


def test_the_tree_shows_every_top_level_folder():
    real = {
        f"{path.name}/"
        for path in PROJECT_ROOT.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__")) and path.name not in GENERATED
    }
    top, _ = tree()
    assert {entry for entry in top if entry.endswith("/")} == real
    for entry in top - real:
        assert (PROJECT_ROOT / entry).is_file()


def test_the_tree_shows_every_room_of_the_conversation():
    real = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (PROJECT_ROOT / "esc_demo").iterdir()
        if not path.name.startswith("__")
    }
    assert tree()[1] == real
