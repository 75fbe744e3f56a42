"""What a fresh machine relies on: make targets, bounded requirements, a quick command line."""

import os
import re
import subprocess
import sys
import tomllib

import pytest

from esc_demo.settings import PROJECT_ROOT

BOUNDED = re.compile(r"^[A-Za-z0-9_.-]+(\[[a-z0-9,-]+\])?(==[\w.]+|>=[\w.]+,<[\w.]+)$")


def requirements(name):
    lines = (PROJECT_ROOT / name).read_text("utf-8").splitlines()
    return [line for raw in lines if (line := raw.split("#")[0].strip())]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_bounded_sorted_and_unique(name):
    found = requirements(name)
    assert [line for line in found if not BOUNDED.match(line)] == []
    names = [re.split(r"[=>\[]", line)[0].lower() for line in found]
    assert names == sorted(set(names))


def test_what_the_tests_need_is_not_what_a_user_installs():
    assert "torch==2.13.0" in requirements("requirements.txt")
    user = " ".join(requirements("requirements.txt"))
    assert not any(tool in user for tool in ("pytest", "ruff", "mypy", "playwright"))


@pytest.mark.parametrize("target", ["setup", "demo", "test", "lint", "bench"])
def test_make_knows_the_target(target):
    result = subprocess.run(
        ["make", "--dry-run", target], cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert ".venv/bin/python" in result.stdout


def test_the_check_script_runs_lint_and_tests_strictly():
    script = PROJECT_ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text("utf-8").splitlines()
    assert {"set -euo pipefail", "make lint", "make test"} <= set(lines)
    assert any(line.startswith("export CI=1") for line in lines)


def test_warnings_are_errors_and_the_rules_are_on():
    config = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert config["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    wanted = {"E", "F", "I", "UP", "B", "SIM", "RUF", "C4", "DTZ", "PLC0415"}
    assert set(config["ruff"]["lint"]["select"]) == wanted


def test_the_command_line_loads_no_heavy_library():
    code = (
        "import sys, esc_demo.cli;"
        "print(sorted({'torch', 'transformers', 'peft', 'gradio', 'spacy', 'sqlmodel'}"
        " & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_only_settings_reads_the_environment():
    found = {
        str(path.relative_to(PROJECT_ROOT))
        for room in ("esc_demo", "annotations", "finetune")
        for path in (PROJECT_ROOT / room).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))
    }
    assert found == {"esc_demo/settings.py"}
