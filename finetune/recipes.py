"""Training recipes: YAML files with typed fields, unknown keys refused."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esc_demo.errors import ConfigError

RECIPE_DIR = Path(__file__).parent / "recipe_files"


class Method(StrEnum):
    """What is trained: low-rank adapters or every weight."""

    LORA = "lora"
    FULL = "full"


class LoraRecipe(BaseModel):
    """Shape of the adapter (Hu et al., 2021)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    r: int = Field(gt=0, description="Rank")
    alpha: int = Field(gt=0, description="Scale is alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the adapter's input")
    target_modules: list[str] = Field(min_length=1, description="Names of linear layers")


class Recipe(BaseModel):
    """One training run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Name of the run's folder")
    base: str = Field(description="Hub id or folder of the base weights")
    method: Method = Field(description="lora or full")
    lora: LoraRecipe | None = Field(None, description="Required for method lora")
    train: str = Field(description="Dialogues in ExTES's schema; relative to the project root")
    heldout: str = Field(description="Dialogues for the perplexities")
    learning_rate: float = Field(gt=0, le=1, description="Peak, after warm-up")
    epochs: float = Field(gt=0, description="Passes over the training dialogues")
    batch_size: int = Field(1, gt=0, description="Dialogues per forward pass")
    accumulation: int = Field(1, gt=0, description="Forward passes per optimizer step")
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of steps with rising rate")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled decay")
    max_tokens: int = Field(1024, gt=0, description="Longest sequence")
    seed: int = Field(0, ge=0, description="Order of dialogues and initial adapter")

    @model_validator(mode="after")
    def _lora_iff_lora(self) -> Recipe:
        """The adapter's shape is there exactly when there is an adapter."""
        if (self.lora is not None) != (self.method is Method.LORA):
            raise ValueError("give `lora:` for method lora and for no other")
        return self


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by name from `recipe_files`, or from a path.

    Raises:
        ConfigError: unknown name, or a wrong or unknown entry.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPE_DIR / f"{name_or_path}.yaml"
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in RECIPE_DIR.glob("*.yaml")))
        raise ConfigError(f"No recipe {name_or_path!r} ({path}). Known: {known}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path} has wrong entries. " + "; ".join(lines)) from error
