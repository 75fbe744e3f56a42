"""`models.yaml`: which models are offered. Unknown keys are errors."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esc_demo.errors import ConfigError


class Variant(StrEnum):
    """How a model was made from its base."""

    BASE = "base"
    LORA = "lora"
    FULL = "full"


class Quantisation(StrEnum):
    """Storage of the weights: weight-only int8 on a CPU, bitsandbytes int8 / nf4 on CUDA."""

    NONE = "none"
    INT8 = "int8"
    FOUR_BIT = "4bit"


class Device(StrEnum):
    """Where a model runs; `auto` takes CUDA when there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ModelSpec(BaseModel):
    """One model of `models.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Short unique name")
    label: str = Field(min_length=1, description="Name on the page")
    family: str = Field(min_length=1, description="Models with one tokenizer and template")
    base: str = Field(min_length=1, description="Hub id or folder of the base weights")
    variant: Variant = Field(description="base, lora or full")
    adapter: str | None = Field(None, description="lora: folder or hub id of the adapter")
    weights: str | None = Field(None, description="full: folder or hub id of weights or delta")
    quantisation: Quantisation = Field(Quantisation.NONE, description="none, int8 or 4bit")
    device: Device = Field(Device.AUTO, description="auto, cpu or cuda")
    context_length: int = Field(gt=0, description="Tokens of prompt and reply together")
    system_role: bool = Field(True, description="False: the template refuses system messages")
    needs_gpu: bool = Field(False, description="Too large for a CPU")
    licence: str = Field("", description="Licence shown on the page")

    @model_validator(mode="after")
    def _variant_has_its_weights(self) -> ModelSpec:
        """A LoRA needs an adapter, a full fine-tune weights, a base neither."""
        wanted = {Variant.LORA: "adapter", Variant.FULL: "weights"}.get(self.variant)
        for name in ("adapter", "weights"):
            if (getattr(self, name) is not None) != (name == wanted):
                verb = "needs" if name == wanted else "must not have"
                raise ValueError(f"model {self.id!r} is {self.variant} and {verb} {name!r}")
        return self


class _ModelFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=1)
    default_panes: list[str] = Field(min_length=1, max_length=4)
    models: list[ModelSpec] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique_and_known(self) -> _ModelFile:
        """No two models share an id, and the default panes exist."""
        ids = [spec.id for spec in self.models]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"model ids used twice: {sorted(twice)}")
        if unknown := set(self.default_panes) - set(ids):
            raise ValueError(f"default_panes names unknown models: {sorted(unknown)}")
        return self


class ModelCatalogue:
    """The models offered, by id, in the order of the file."""

    def __init__(self, specs: dict[str, ModelSpec], default_panes: tuple[str, ...]) -> None:
        """Keep `specs` by id and the ids of the panes shown first."""
        self.specs = specs
        self.default_panes = default_panes

    def __getitem__(self, model_id: str) -> ModelSpec:
        """The spec with that id.

        Raises:
            ConfigError: there is none; the text lists the known ids.
        """
        try:
            return self.specs[model_id]
        except KeyError:
            known = ", ".join(self.specs)
            raise ConfigError(f"There is no model {model_id!r}. Known models: {known}.") from None

    def add(self, spec: ModelSpec) -> None:
        """Offer one more model until the program ends; adding the same one again does nothing.

        Raises:
            ConfigError: another model has that id.
        """
        if self.specs.get(spec.id, spec) != spec:
            raise ConfigError(
                f"There is another model {spec.id!r} already. Rename the folder of the new one."
            )
        self.specs = {**self.specs, spec.id: spec}  # whole, for those who are iterating over it


def load_specs(path: Path) -> ModelCatalogue:
    """Read and check a `models.yaml`.

    Raises:
        ConfigError: the file is missing, not YAML, or has a wrong or unknown entry.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        parsed = _ModelFile.model_validate(raw)
    except OSError as error:
        raise ConfigError(f"Cannot read the model list {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path} has wrong entries. " + "; ".join(lines)) from error
    return ModelCatalogue({spec.id: spec for spec in parsed.models}, tuple(parsed.default_panes))
