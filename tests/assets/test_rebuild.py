"""The full fine-tune in the cache: rebuilt once, whole or not at all, from what is there."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from esc_demo import startup
from esc_demo.assets import load_assets
from esc_demo.errors import ModelError, StorageError
from esc_demo.models.local.rebuild import DELTA_FILE, rebuilt_folder
from esc_demo.settings import PROJECT_ROOT


def write_asset(folder: Path, main: str) -> None:
    """Complete an asset's folder, whose main file exists, with a manifest."""
    manifest = {
        "asset": "a",
        "source": "wheel",
        "origin": "o",
        "file": main,
        "sha256": "0123456789" * 6 + "abcd",
        "size": (folder / main).stat().st_size,
        "licence": "MIT",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def parts(settings, tmp_path):
    """Base in the cache and delta beside it, of a model with two tensors."""
    import torch
    from safetensors.torch import save_file

    from esc_demo.models.local.delta import encode_delta

    weights, tagger = load_assets()
    base, delta = settings.cache_dir / weights.folder, tmp_path / "tuned"
    for folder in (base, delta, settings.cache_dir / tagger.folder):
        folder.mkdir(parents=True)
    original = {"a.weight": torch.randn(8, 16), "norm.weight": torch.ones(16)}
    tuned = {name: tensor + 0.1 for name, tensor in original.items()}
    save_file(original, base / "model.safetensors")
    save_file(encode_delta(original, tuned), delta / DELTA_FILE)
    (base / "config.json").write_text('{"of": "base"}')
    write_asset(base, "model.safetensors")
    (settings.cache_dir / tagger.folder / "meta.json").write_text("{}")
    write_asset(settings.cache_dir / tagger.folder, "meta.json")
    return base, delta


@pytest.fixture
def shipped(settings, parts, tmp_path):
    """Settings whose one model is that fine-tune."""
    path = tmp_path / "models.yaml"
    path.write_text(
        "version: 1\ndefault_panes: [full]\nmodels:\n  - {id: full, label: Full, family: tiny,"
        f" base: {load_assets()[0].hub}, variant: full, weights: {parts[1]},"
        " context_length: 64, licence: MIT}\n"
    )
    return settings.model_copy(update={"models_file": path})


def rebuild(settings, parts, notes):
    return rebuilt_folder(str(parts[1]), parts[0], notes.append, settings.cache_dir)[0]


def left_in(cache):
    assets = {asset.folder for asset in load_assets()} | {".setup.lock"}
    return sorted(path.name for path in cache.iterdir() if path.name not in assets)


def test_it_is_made_whole_and_named_after_what_it_is_made_of(settings, parts):
    from safetensors.torch import load_file

    notes = []
    folder = rebuild(settings, parts, notes)
    assert folder.name.startswith("tuned-01234567")  # the manifest's word, no long reading
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    before = load_file(parts[0] / "model.safetensors")["norm.weight"]
    after = load_file(folder / "model.safetensors")["norm.weight"].float()
    assert float((after - before).mean()) == pytest.approx(0.1, abs=2e-3)
    assert rebuild(settings, parts, notes) == folder
    assert len(notes) == 1


def test_what_an_interrupted_rebuilding_left_goes(settings, parts):
    leftover = settings.cache_dir / ".rebuild-x1"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    folder = rebuild(settings, parts, [])
    assert left_in(settings.cache_dir) == [folder.name]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("I/O error: No space left on device (os error 28)", "The disk is full"),
        ("I/O error: Permission denied (os error 13)", "Cannot write the rebuilt fine-tune"),
    ],
)
def test_a_disk_that_refuses_is_not_called_a_damaged_delta(
    settings, parts, monkeypatch, reason, told
):
    import safetensors.torch

    def refuse(tensors, path, metadata):
        path.write_bytes(b"half")
        raise safetensors.SafetensorError(f"Error while serializing: {reason}")

    monkeypatch.setattr(safetensors.torch, "save_file", refuse)
    with pytest.raises(StorageError, match=told):
        rebuild(settings, parts, [])
    assert left_in(settings.cache_dir) == []


@pytest.mark.parametrize(("which", "told"), [(0, "The base weights in"), (1, "The delta")])
def test_what_is_damaged_is_named(settings, parts, which, told):
    path = parts[which] / ("model.safetensors", DELTA_FILE)[which]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match=rf"{told} .*{parts[which]}.* damaged"):
        rebuild(settings, parts, [])
    assert left_in(settings.cache_dir) == []


def test_two_at_once_do_the_work_once(settings, parts):
    notes = []
    threads = [threading.Thread(target=rebuild, args=(settings, parts, notes)) for _ in range(2)]
    with FileLock(settings.cache_dir / ".setup.lock"):
        for thread in threads:
            thread.start()
        end = time.monotonic() + 20
        while sum("waiting for it" in note for note in notes) < 2:
            assert time.monotonic() < end, notes
            time.sleep(0.02)
        assert not any("rebuilding" in note for note in notes)
    for thread in threads:
        thread.join(60)
    assert sum("rebuilding" in note for note in notes) == 1


def test_set_up_makes_a_deleted_folder_anew(shipped, parts):
    startup.set_up(shipped, print)
    (name,) = left_in(shipped.cache_dir)
    weights = shipped.cache_dir / name / "model.safetensors"
    weights.unlink()
    weights.with_name("config.json").unlink()
    weights.parent.rmdir()
    startup.set_up(shipped, print)
    assert weights.is_file()


def test_a_start_with_everything_there_loads_no_pytorch(shipped):
    startup.set_up(shipped, print)
    code = (
        "import sys; from pathlib import Path; from esc_demo.settings import Settings;"
        "from esc_demo.startup import set_up;"
        "set_up(Settings(cache_dir=Path(sys.argv[1]), models_file=Path(sys.argv[2]), hub=False),"
        " print); print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(shipped.cache_dir), str(shipped.models_file)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert result.stdout == "False\n", result.stderr
