"""The wording of all that a study may ask: `scales.yaml`, and `scales_study.yaml` beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from annotations.checking import checked, read_yaml_text
from annotations.scales import CannotJudge, DimensionScale, PreferenceScale, Scales, load_scales
from annotations.values import JUDGES_ONLY, Dimension, StudyDimension
from esc_demo.errors import ConfigError

CORE = frozenset(StudyDimension(dimension.value) for dimension in Dimension)
"""The dimensions whose wording is that of the Compare page."""


class _StudyFile(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1, description="Raised with every change of wording, here or there")
    core_version: int = Field(ge=1, description="The version of scales.yaml it goes with")
    dimensions: dict[StudyDimension, DimensionScale] = Field(description="All but the core four")

    @model_validator(mode="after")
    def _all_but_core(self) -> _StudyFile:
        """Each further dimension is described, and none of the core four twice."""
        wanted = set(StudyDimension) - CORE - JUDGES_ONLY
        if missing := sorted(wanted - set(self.dimensions)):
            raise ValueError(f"no scale for {', '.join(missing)}")
        if doubled := sorted(set(self.dimensions) & CORE):
            raise ValueError(f"{', '.join(doubled)} belongs to scales.yaml")
        return self


@dataclass(frozen=True)
class Wording:
    """How one dimension is asked."""

    dimension: StudyDimension
    title: str
    question: str
    points: Mapping[int, str]


@dataclass(frozen=True)
class StudyScales:
    """All wordings of a study; `version` is stored with each answer."""

    version: int
    core: Scales
    further: dict[StudyDimension, DimensionScale]

    def wording(self, dimension: StudyDimension) -> Wording:
        """How one dimension is asked."""
        if dimension in CORE:
            scale = self.core.dimensions[Dimension(dimension.value)]
        else:
            scale = self.further[dimension]
        return Wording(dimension, scale.title, scale.question, scale.points)

    @property
    def cannot_judge(self) -> CannotJudge:
        """The wording of the answer that is not a score."""
        return self.core.cannot_judge

    @property
    def preference(self) -> PreferenceScale:
        """The wording of the comparison."""
        return self.core.preference


def read_study_scales(path: Path, core: Scales) -> StudyScales:
    """The scales of one file, beside those of the Compare page.

    Raises:
        ConfigError: unreadable, incomplete, or made for another version of `core`.
    """
    found = checked(_StudyFile, read_yaml_text(path), path)
    if found.core_version != core.version:
        raise ConfigError(
            f"{path}: core_version is {found.core_version}, but scales.yaml is at version"
            f" {core.version}. Read both, set core_version and raise version."
        )
    return StudyScales(found.version, core, found.dimensions)


@lru_cache(maxsize=1)
def load_study_scales() -> StudyScales:
    """The scales that ship with the program."""
    return read_study_scales(Path(__file__).parent / "scales_study.yaml", load_scales())
