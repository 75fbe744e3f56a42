"""Crisis resources by region, from `resources.yaml`: a versioned data file, checked by hand."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esc_demo.errors import ConfigError

INTERNATIONAL = "international"
"""The region that is always shown, because we cannot know where a visitor is."""


class Resource(BaseModel):
    """One service a person can reach."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="Name of the service")
    contact: str = Field(min_length=1, description="What to dial or open, as people write it")
    href: str = Field(pattern=r"^(tel:[0-9+]+|https://\S+)$", description="Link behind it")
    note: str = Field("", description="Hours, languages or what it is for")
    source: str = Field(pattern=r"^https://\S+$", description="Where the contact was read")


class Region(BaseModel):
    """The services of one part of the world."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z-]+$", description="Value of ESC_REGION")
    name: str = Field(min_length=1, description="Name on the page")
    services: list[Resource] = Field(min_length=1, description="In the order of help")


class CrisisResources(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1, description="Raised with every change of the contents")
    checked: str = Field(pattern=r"^\d{4}-\d{2}$", description="Month of the last check")
    regions: list[Region] = Field(min_length=1, description="In the order of the page")

    @model_validator(mode="after")
    def _regions_are_unique(self) -> CrisisResources:
        """Region ids are unique, and the international one is there."""
        ids = [region.id for region in self.regions]
        if len(ids) != len(set(ids)) or INTERNATIONAL not in ids:
            raise ValueError(f"region ids must be unique and include {INTERNATIONAL!r}: {ids}")
        return self

    def ordered(self, first: str) -> list[Region]:
        """All regions, `first` at the top and the international one next.

        Raises:
            ConfigError: there is no region of that name; the text lists the known ones.
        """
        known = [region.id for region in self.regions]
        if first not in known:
            raise ConfigError(f"ESC_REGION is {first!r}; known regions: {', '.join(known)}.")
        return sorted(
            self.regions, key=lambda region: (region.id != first, region.id != INTERNATIONAL)
        )


@lru_cache(maxsize=1)
def load_resources() -> CrisisResources:
    """Read the shipped file.

    Raises:
        ConfigError: it was edited into something unusable.
    """
    path = Path(__file__).parent / "resources.yaml"
    try:
        return CrisisResources.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"The crisis resources {path} cannot be used: {error}") from error
