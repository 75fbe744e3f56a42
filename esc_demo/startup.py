"""From settings to models: what the page and the command line both begin with."""

from __future__ import annotations

import logging
from pathlib import Path

from esc_demo.assets import AssetKind, asset_folder, ensure_assets, load_assets
from esc_demo.errors import EscError
from esc_demo.models import ChatModel, ModelSpec, load_specs
from esc_demo.models.local.rebuild import has_delta, rebuilt_folder
from esc_demo.models.registry import ModelRegistry, Progress
from esc_demo.models.scripted import ScriptedModel
from esc_demo.settings import Settings

_log = logging.getLogger(__name__)


def set_up(settings: Settings, progress: Progress) -> None:
    """Make assets and rebuilt fine-tunes ready; returns within a moment when they are.

    Raises:
        EscError: something cannot be fetched, rebuilt or written.
    """
    ensure_assets(settings, progress, _convert)
    _rebuild_all(settings, progress)


def make_registry(settings: Settings, *, pace_s: float = 0.0) -> ModelRegistry:
    """The models of `models.yaml`, or scripted ones when the settings say so.

    Real models fetch missing assets before they load, so that a Space, which
    runs nothing but `app.py`, sets itself up. `pace_s` is the scripted time for a word.

    Raises:
        ConfigError: the file is wrong.
    """

    on_demand = _OnDemand(settings)

    def load(spec: ModelSpec, progress: Progress) -> ChatModel:
        from esc_demo.models.local import load_model  # noqa: PLC0415 (leads to torch)

        on_demand.fetch(spec, progress)
        return load_model(spec, progress)

    def script(spec: ModelSpec, progress: Progress) -> ChatModel:
        return ScriptedModel(spec, delay=pace_s)

    return ModelRegistry(load_specs(settings.models_file), script if settings.scripted else load)


def _convert(gguf: Path, target: Path, progress: Progress) -> None:
    """GGUF to safetensors, loading PyTorch only when that is needed."""
    from esc_demo.models.local.convert import convert_gguf  # noqa: PLC0415 (imports torch)

    convert_gguf(gguf, target, progress)


def _rebuild_all(settings: Settings, progress: Progress) -> None:
    """Rebuild the fine-tunes shipped as a delta; those that lie in the cache cost no PyTorch."""
    for spec in load_specs(settings.models_file).specs.values():
        base = asset_folder(spec.base, settings)
        if spec.weights is not None and base is not None and has_delta(spec.weights):
            rebuilt_folder(spec.weights, base, progress, settings.cache_dir)


class _OnDemand:
    """Fetches what a model needs just before it loads."""

    def __init__(self, settings: Settings) -> None:
        """Fetch nothing yet."""
        self._settings = settings
        self._gave_up = False

    def fetch(self, spec: ModelSpec, progress: Progress) -> None:
        """Fetch the weights of `spec` and the tagger where they are missing.

        Raises:
            EscError: the weights cannot be had. Without the tagger the model still replies, and
                KeyPOS says itself what it lacks.
        """
        weights = [asset for asset in load_assets() if spec.base in (asset.name, asset.hub)]
        ensure_assets(self._settings, progress, _convert, weights)
        if self._gave_up:  # without a network each try would keep the next model waiting
            return
        tagger = [asset for asset in load_assets() if asset.kind is AssetKind.TAGGER]
        try:
            ensure_assets(self._settings, progress, _convert, tagger)
        except EscError as error:
            self._gave_up = True
            _log.warning("tagger: %s", error)
