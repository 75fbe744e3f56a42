"""The full fine-tune rebuilt from base and delta, once, into the cache.

Only the rebuilding itself imports PyTorch: whether it is needed is asked at every start.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from esc_demo.errors import ModelError, StorageError
from esc_demo.models.local.folders import artefact_folder, base_folder, file_sha256
from esc_demo.settings import PROJECT_ROOT, get_settings
from esc_demo.storage import cache_lock, clear_storage_errors, disk_full, is_disk_full, remove

if TYPE_CHECKING:
    import torch

DELTA_FILE = "delta.safetensors"
_WEIGHTS = "model.safetensors"
_MANIFEST = "manifest.json"
_PARTIAL = ".rebuild-"


def rebuilt_folder(
    name: str, base: Path, progress: Callable[[str], None], cache: Path | None = None
) -> tuple[Path, Path | None]:
    """The folder of a full fine-tune's weights, and the folder of its delta if it has one.

    The folder in `cache` (by default that of the settings) is named after the checksums of base
    and delta and appears in one step, so it is complete when it exists, and PyTorch is loaded
    only when it does not.

    Raises:
        AssetError: neither weights nor a delta lie under `name`.
        ModelError: the delta or the base is damaged, or they do not belong together.
        StorageError: the cache cannot be written.
    """
    source = artefact_folder(name, DELTA_FILE) if has_delta(name) else base_folder(name)
    if not (source / DELTA_FILE).exists():
        return source, None
    cache = cache or get_settings().cache_dir
    with clear_storage_errors(cache):
        both = _base_sha256(base)[:8] + file_sha256(source / DELTA_FILE)[:8]
        target = cache / f"{source.name}-{both}"
        if not target.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with cache_lock(cache, progress):
                if not target.exists():  # else another process has just made it
                    progress("rebuilding the full fine-tune from its delta")
                    _rebuild(base, source / DELTA_FILE, target)
    return target, source


def has_delta(name: str) -> bool:
    """Whether `name` is a folder of this machine that holds a delta."""
    return any((p / DELTA_FILE).exists() for p in (Path(name).expanduser(), PROJECT_ROOT / name))


def _base_sha256(base: Path) -> str:
    """Checksum of the base weights: from the manifest of the set-up, else from the file."""
    weights = base / _WEIGHTS
    try:
        manifest = json.loads((base / _MANIFEST).read_text("utf-8"))
        if manifest["file"] == _WEIGHTS and manifest["size"] == weights.stat().st_size:
            return str(manifest["sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        pass  # weights from elsewhere: reading them takes a second or two, but is as good
    return file_sha256(weights)


def _rebuild(base: Path, delta: Path, target: Path) -> None:
    """Write config and float16 weights to a temporary folder, then rename it; lock held."""
    for leftover in target.parent.glob(f"{_PARTIAL}*"):
        remove(leftover)
    folder = target.parent / f"{_PARTIAL}{os.getpid()}"
    try:
        weights = _tuned(base, delta)
        folder.mkdir()
        for path in base.iterdir():
            # The manifest speaks of the base's own files.
            if path.suffix in {".json", ".jinja"} and path.name != _MANIFEST and path.is_file():
                shutil.copyfile(path, folder / path.name)
        _save(weights, folder / _WEIGHTS)
        os.replace(folder, target)
    finally:
        remove(folder)


def _tuned(base: Path, delta: Path) -> dict[str, torch.Tensor]:
    """The rebuilt weights in float16.

    Raises:
        ModelError: the delta or the base is damaged, or they do not belong together.
    """
    import torch  # noqa: PLC0415 (slow: not when the folder is there already)

    from esc_demo.models.local.delta import apply_delta  # noqa: PLC0415 (imports torch)

    changes = _load(delta, f"The delta {delta} is damaged", "Restore the file from the repository.")
    originals = _load(
        base / _WEIGHTS,
        f"The base weights in {base} are damaged",
        "Delete that folder and run `python -m esc_demo setup`.",
    )
    tuned = apply_delta(originals, changes)
    return {name: tensor.to(torch.float16) for name, tensor in tuned.items()}


def _load(path: Path, problem: str, remedy: str) -> dict[str, torch.Tensor]:
    """Read a file of tensors.

    Raises:
        ModelError: it cannot be read; the text is made of `problem`, the reason and `remedy`.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 (comes with torch)
    from safetensors.torch import load_file  # noqa: PLC0415 (imports torch)

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{problem} ({error}). {remedy}") from error


def _save(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write a file of tensors.

    Raises:
        StorageError: the disk is full or refuses.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 (comes with torch)
    from safetensors.torch import save_file  # noqa: PLC0415 (imports torch)

    cache = path.parent.parent
    try:
        save_file(weights, path, {"format": "pt"})
    except SafetensorError as error:  # how safetensors reports every trouble with the disk
        if is_disk_full(error):
            raise disk_full(cache) from error
        raise StorageError(
            f"Cannot write the rebuilt fine-tune to {cache}: {error}. Make the folder writable,"
            " or set ESC_CACHE_DIR to another one."
        ) from error
