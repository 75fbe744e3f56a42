"""Small wheels served to pip from a folder, and a catalogue of them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from esc_demo.assets import Asset

MakeAsset = Callable[..., Asset]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip can see; empty at first."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A wheel that pip accepts, carrying `files`."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def make_asset(index: Path) -> MakeAsset:
    """Publishes a wheel and returns its catalogue entry."""

    def make(
        name: str = "tagger", files: dict[str, bytes] | None = None, **changes: object
    ) -> Asset:
        weights = changes.get("kind") == "weights"
        if files is None and weights:
            files = {f"{name}/model.gguf": b"gguf" * 1000}
        elif files is None:
            files = {f"{name}/data/meta.json": b"{}", f"{name}/data/sub/model": b"m" * 5000}
        wheel = write_wheel(index, name, files)
        entry = {
            "name": name,
            "kind": "tagger",
            "title": f"test asset {name}",
            "folder": f"{name}-1.0",
            "licence": "MIT",
            "source": "this test",
            "wheel": {
                "requirement": f"{name}==1.0",
                "file": wheel.name,
                "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
                "size": wheel.stat().st_size,
                "member": f"{name}/model.gguf" if weights else f"{name}/data/",
            },
        }
        return Asset.model_validate(entry | changes)

    return make


@pytest.fixture
def converter() -> Callable[..., None]:
    """A quick stand-in for PyTorch's conversion: the bytes go over as they are."""

    def convert(gguf: Path, target: Path, progress: Callable[[str], None]) -> None:
        (target / "config.json").write_text("{}")
        (target / "model.safetensors").write_bytes(gguf.read_bytes())

    return convert
