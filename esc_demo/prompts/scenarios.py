"""Ready scenarios: a person with a situation, and the first thing they say."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from esc_demo.dialogue import MAX_MESSAGE_CHARS, UserProfile
from esc_demo.errors import ConfigError


class _Profile(BaseModel):
    """The eleven fields of NLPCC 2025 Task 8, all of them filled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    sex: str = Field(min_length=1)
    nickname: str = Field(min_length=1)
    age: str = Field(min_length=1)
    occupation: str = Field(min_length=1)
    hobby: str = Field(min_length=1)
    appearance: str = Field(min_length=1)
    education_background: str = Field(min_length=1)
    emotion_type: str = Field(min_length=1)
    problem_type: str = Field(min_length=1)
    situation: str = Field(min_length=1)


class Scenario(BaseModel):
    """One scenario of `scenarios.yaml`. The people are invented."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z-]*$", description="Short unique name")
    title: str = Field(min_length=1, max_length=60, description="Line in the picker")
    character: _Profile = Field(description="Who is talking")
    opening: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS, description="First message")

    @property
    def profile(self) -> UserProfile:
        """The person as the prompt's user profile."""
        return UserProfile(**self.character.model_dump())


class _ScenarioFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1)
    scenarios: list[Scenario] = Field(min_length=1)


@lru_cache(maxsize=1)
def load_scenarios() -> dict[str, Scenario]:
    """The shipped scenarios by id, in the order of the file.

    Raises:
        ConfigError: the file was edited into something unusable.
    """
    path = Path(__file__).parent / "scenarios.yaml"
    try:
        parsed = _ScenarioFile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"The scenarios {path} cannot be used: {error}") from error
    by_id = {scenario.id: scenario for scenario in parsed.scenarios}
    if len(by_id) != len(parsed.scenarios):
        raise ConfigError(f"{path} uses a scenario id twice; give each its own.")
    return by_id
