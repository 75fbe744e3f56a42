"""Small hand-made files, and the real ESConv where it lies beside the checkout."""

import json
from pathlib import Path

import pytest

from esc_demo.settings import PROJECT_ROOT

ESCONV = PROJECT_ROOT.parent / "shared" / "data" / "esconv"


@pytest.fixture
def write(tmp_path):
    """`write(value)` -> a JSON file, `write([..], lines=True)` -> one value a line."""

    def write(value, name="x.json", *, lines=False) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines:
            path.write_text("".join(json.dumps(item) + "\n" for item in value), "utf-8")
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def esconv():
    """The folder of ESConv's official split."""
    if not (ESCONV / "test.jsonl").exists():
        pytest.skip(f"ESConv is not in {ESCONV}; it may not be shipped with this project")
    return ESCONV
