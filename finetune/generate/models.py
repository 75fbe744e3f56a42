"""From a name to a model that answers, and what identifies it in a header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esc_demo.errors import BadInput, ModelError
from esc_demo.models import ChatModel, ModelSpec
from esc_demo.models.local.folders import (
    artefact_folder,
    base_folder,
    file_sha256,
    weights_sha256,
)
from esc_demo.models.local.rebuild import rebuilt_folder
from esc_demo.models.openai_api import OpenAIModel
from esc_demo.models.registry import ModelRegistry
from esc_demo.settings import Settings
from esc_demo.startup import make_registry
from finetune.opened import spec_of
from finetune.runs import RunFolder

ENDPOINT = "openai:"
"""Names with this before them are models of an OpenAI-compatible endpoint."""


@dataclass(frozen=True)
class EndpointOptions:
    """What cannot be known of an endpoint's model: tokens of its window, seconds to wait."""

    window: int = 8192
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Named:
    """A model, and what identifies it beside its revision."""

    model: ChatModel
    identity: dict[str, Any]


class ModelNames:
    """Finds models by id of `models.yaml`, folder of a run, or `openai:NAME`."""

    def __init__(self, settings: Settings) -> None:
        """Read the list of models; none is loaded yet.

        Raises:
            ConfigError: the list is wrong.
        """
        self._settings = settings
        self._registry: ModelRegistry = make_registry(settings)

    def check(self, name: str) -> None:
        """Refuse a wrong name before anything takes time.

        Raises:
            EscError: unknown, an unfinished run, or without the key it needs.
        """
        if name.startswith(ENDPOINT):
            self._endpoint(name, EndpointOptions())
        else:
            self._spec(name)

    def load(self, name: str, options: EndpointOptions) -> Named:
        """The model called `name`, ready to answer.

        Raises:
            EscError: it cannot be had here; the text says why and what to do.
        """
        if name.startswith(ENDPOINT):
            model = self._endpoint(name, options)
            return Named(model, {"kind": "endpoint", "id": model.name, "url": model.base_url})
        spec = self._spec(name)
        loaded = self._registry.get(spec.id)
        if self._settings.scripted:
            return Named(loaded, {"kind": "scripted", "id": spec.id})
        return Named(loaded, _local_identity(spec))

    def _endpoint(self, name: str, options: EndpointOptions) -> OpenAIModel:
        """The endpoint's model.

        Raises:
            EscError: no model is named, or there is no key for the public endpoint.
        """
        key = self._settings.openai_api_key
        return OpenAIModel(
            name.removeprefix(ENDPOINT),
            base_url=self._settings.openai_base_url,
            api_key=(key.get_secret_value() if key else "") or None,
            window=options.window,
            timeout_s=options.timeout_s,
        )

    def _spec(self, name: str) -> ModelSpec:
        """The entry of models.yaml, or the result of the run in that folder.

        Raises:
            EscError: neither, or the run is not finished, or it needs a GPU.
        """
        catalogue = self._registry.catalogue
        run = RunFolder(Path(name))
        if name not in catalogue.specs and run.recipe_file.exists():
            spec = spec_of(run, catalogue)
            catalogue.add(spec)
        elif name not in catalogue.specs and run.path.is_dir():
            raise BadInput(f"{name} is a folder without a recipe.yaml; it is no training run.")
        else:
            spec = catalogue[name]
        if spec.needs_gpu and not self._settings.scripted and not _has_gpu():
            raise ModelError(
                f"{spec.label} needs a GPU, and this machine has none that PyTorch can use. Choose"
                " one of the small models, or reach it on a server with --model openai:NAME."
            )
        return spec


def _has_gpu() -> bool:
    """Whether PyTorch sees CUDA."""
    import torch  # noqa: PLC0415 (seconds; only large models ask)

    return bool(torch.cuda.is_available())


def _local_identity(spec: ModelSpec) -> dict[str, Any]:
    """Hashes of the weights of this machine that answer as `spec`.

    `threads` is there because the order of a sum, and so its last bits, may follow it.
    """
    import torch  # noqa: PLC0415 (already loaded with the model)

    base = base_folder(spec.base)
    device = "cuda" if spec.device != "cpu" and torch.cuda.is_available() else "cpu"
    identity: dict[str, Any] = {
        "kind": "local",
        "id": spec.id,
        "variant": spec.variant.value,
        "base": spec.base,
        "base_sha256": weights_sha256(base),
        "quantisation": spec.quantisation.value,
        "device": device,
        "threads": torch.get_num_threads() if device == "cpu" else 0,
    }
    if spec.adapter is not None:
        adapter = artefact_folder(spec.adapter, "adapter_config.json")
        identity["adapter_sha256"] = file_sha256(adapter / "adapter_model.safetensors")
    if spec.weights is not None:
        folder, _ = rebuilt_folder(spec.weights, base, lambda note: None)
        identity["weights_sha256"] = weights_sha256(folder)
    return identity
