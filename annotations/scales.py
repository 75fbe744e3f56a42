"""The wording of the rating scales: `scales.yaml`, checked when it is read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from annotations.checking import checked, read_yaml_text
from annotations.values import HIGHEST_SCORE, LOWEST_SCORE, Choice, Dimension

Line = Annotated[str, Field(min_length=1, max_length=89)]
"""A text short enough to be read at a glance."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DimensionScale(_Strict):
    """One dimension and what each of its points means."""

    title: Line = Field(description="Name on the page")
    question: Line = Field(description="What is asked, in one line")
    points: dict[int, Line] = Field(description="Meaning of each score, 0 to 5")

    @field_validator("points")
    @classmethod
    def _all_points_differ(cls, points: dict[int, str]) -> dict[int, str]:
        """Each score has a meaning, and no two share one."""
        wanted = list(range(LOWEST_SCORE, HIGHEST_SCORE + 1))
        if sorted(points) != wanted:
            raise ValueError(f"the points are {sorted(points)}; they must be {wanted}")
        if len({text.casefold() for text in points.values()}) != len(points):
            raise ValueError("two points have the same meaning")
        return dict(sorted(points.items()))


class CannotJudge(_Strict):
    """The wording of the answer that is not a score."""

    title: Line = Field(description="Name on the page")
    meaning: Line = Field(description="When to choose it")


class PreferenceScale(_Strict):
    """The wording of the comparison across panes."""

    question: Line = Field(description="What is asked, in one line")
    choices: dict[Choice, Line] = Field(description="Wording of each answer")

    @field_validator("choices")
    @classmethod
    def _all_choices(cls, choices: dict[Choice, str]) -> dict[Choice, str]:
        """Each answer has its wording."""
        if missing := [choice.value for choice in Choice if choice not in choices]:
            raise ValueError(f"no wording for {', '.join(missing)}")
        return choices


class Scales(_Strict):
    """All that raters are asked; `version` is stored with each answer."""

    version: int = Field(ge=1, description="Raised with every change of wording")
    dimensions: dict[Dimension, DimensionScale] = Field(description="The four rated dimensions")
    cannot_judge: CannotJudge = Field(description="Offered beside the scores")
    preference: PreferenceScale = Field(description="The comparison across panes")

    @field_validator("dimensions")
    @classmethod
    def _all_dimensions(
        cls, dimensions: dict[Dimension, DimensionScale]
    ) -> dict[Dimension, DimensionScale]:
        """Each dimension is described; they come back in the order they are asked."""
        if missing := [name.value for name in Dimension if name not in dimensions]:
            raise ValueError(f"no scale for {', '.join(missing)}")
        return {name: dimensions[name] for name in Dimension}


def read_scales(path: Path) -> Scales:
    """The scales of one file.

    Raises:
        ConfigError: unreadable, or not as `Scales` wants it; the text names file and entry.
    """
    return checked(Scales, read_yaml_text(path), path)


@lru_cache(maxsize=1)
def load_scales() -> Scales:
    """The scales that ship with the program."""
    return read_scales(Path(__file__).parent / "scales.yaml")
