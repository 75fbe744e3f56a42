"""The full fine-tune rebuilt from base and delta, once, into the cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from esc_demo.errors import ModelError, StorageError
from esc_demo.models.local.delta import apply_delta
from esc_demo.models.local.folders import artefact_folder, base_folder, file_sha256
from esc_demo.models.specs import load_specs
from esc_demo.settings import PROJECT_ROOT, Settings, get_settings

DELTA_FILE = "delta.safetensors"


def rebuilt_folder(
    name: str, base: Path, progress: Callable[[str], None]
) -> tuple[Path, Path | None]:
    """The folder of a full fine-tune's weights, and the folder of its delta if it has one.

    Raises:
        AssetError: neither weights nor a delta lie under `name`.
        ModelError: the delta is damaged or belongs to another base.
        StorageError: the cache cannot be written.
    """
    source = artefact_folder(name, DELTA_FILE) if _is_delta(name) else base_folder(name)
    if not (source / DELTA_FILE).exists():
        return source, None
    both = file_sha256(base / "model.safetensors")[:8] + file_sha256(source / DELTA_FILE)[:8]
    target = get_settings().cache_dir / f"{source.name}-{both}"
    if not target.exists():
        progress("rebuilding the full fine-tune from its delta")
        _rebuild(base, source, target)
    return target, source


def rebuild_all(settings: Settings, progress: Callable[[str], None]) -> None:
    """Rebuild every full fine-tune of the model list whose delta is shipped with the project.

    Raises:
        EscError: as `rebuilt_folder`.
    """
    for spec in load_specs(settings.models_file).specs.values():
        if spec.weights is not None and _is_delta(spec.weights):
            rebuilt_folder(spec.weights, base_folder(spec.base), progress)


def _is_delta(name: str) -> bool:
    """Whether `name` is a folder of this machine rather than a hub id."""
    return any((p / DELTA_FILE).exists() for p in (Path(name).expanduser(), PROJECT_ROOT / name))


def _rebuild(base: Path, source: Path, target: Path) -> None:
    """Write config and float16 weights to a temporary folder, then rename it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".rebuild-") as temporary:
            folder = Path(temporary) / "weights"
            folder.mkdir()
            for path in base.iterdir():
                if path.is_file() and path.suffix in {".json", ".jinja"}:
                    shutil.copyfile(path, folder / path.name)
            base_weights = load_file(base / "model.safetensors")
            tuned = apply_delta(base_weights, load_file(source / DELTA_FILE))
            halves = {name: tensor.to(torch.float16) for name, tensor in tuned.items()}
            save_file(halves, folder / "model.safetensors", {"format": "pt"})
            try:
                os.replace(folder, target)
            except OSError:
                if not target.exists():  # else another process was quicker: same content
                    raise
    except SafetensorError as error:
        raise ModelError(
            f"The delta {source / DELTA_FILE} is damaged ({error}). Restore the file from the"
            " repository."
        ) from error
    except OSError as error:
        raise StorageError(
            f"Cannot write the rebuilt fine-tune to {target.parent}: {error.strerror}. Free some"
            " space (300 MB) or set ESC_CACHE_DIR to another folder."
        ) from error
