"""From settings to models: what the page and the command line both begin with."""

from __future__ import annotations

import json
from pathlib import Path

from esc_demo.assets import asset_folder, ensure_assets, missing
from esc_demo.assets.sources import sha256_of
from esc_demo.models import ChatModel, ModelSpec, load_specs
from esc_demo.models.registry import ModelRegistry, Progress
from esc_demo.models.scripted import ScriptedModel
from esc_demo.settings import PROJECT_ROOT, Settings

_REBUILT = ".rebuilt.json"


def set_up(settings: Settings, progress: Progress) -> None:
    """Make assets and rebuilt fine-tunes ready; returns within a moment when they are.

    Raises:
        EscError: something cannot be fetched, rebuilt or written.
    """
    ensure_assets(settings, progress, _convert)
    parts = _parts_of_rebuilds(settings)
    marker = settings.cache_dir / _REBUILT
    if parts and not (marker.is_file() and marker.read_text("utf-8") == parts):
        from esc_demo.models.local.rebuild import rebuild_all  # noqa: PLC0415 (imports torch)

        rebuild_all(settings, progress)
        marker.write_text(parts, "utf-8")


def make_registry(settings: Settings, *, pace_s: float = 0.0) -> ModelRegistry:
    """The models of `models.yaml`, or scripted ones when the settings say so.

    Real models fetch missing assets before they load, so that a Space, which
    runs nothing but `app.py`, sets itself up. `pace_s` is the scripted time for a word.

    Raises:
        ConfigError: the file is wrong.
    """

    def load(spec: ModelSpec, progress: Progress) -> ChatModel:
        from esc_demo.models.local import load_model  # noqa: PLC0415 (leads to torch)

        if any(asset.hub == spec.base for asset in missing(settings)):
            ensure_assets(settings, progress, _convert)
        return load_model(spec, progress)

    def script(spec: ModelSpec, progress: Progress) -> ChatModel:
        return ScriptedModel(spec, delay=pace_s)

    return ModelRegistry(load_specs(settings.models_file), script if settings.scripted else load)


def _convert(gguf: Path, target: Path, progress: Progress) -> None:
    """GGUF to safetensors, loading PyTorch only when that is needed."""
    from esc_demo.models.local.convert import convert_gguf  # noqa: PLC0415 (imports torch)

    convert_gguf(gguf, target, progress)


def _parts_of_rebuilds(settings: Settings) -> str:
    """Checksums of what the rebuilt fine-tunes are made from; reading them needs no PyTorch."""
    parts: dict[str, list[str]] = {}
    for spec in load_specs(settings.models_file).specs.values():
        delta = PROJECT_ROOT / (spec.weights or "") / "delta.safetensors"
        base = asset_folder(spec.base, settings)
        if spec.weights and base is not None and delta.is_file():
            parts[spec.weights] = [sha256_of(delta), (base / "manifest.json").read_text("utf-8")]
    return json.dumps(parts, sort_keys=True) if parts else ""
