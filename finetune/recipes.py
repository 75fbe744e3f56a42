"""Training recipes: YAML files with typed fields, unknown keys refused."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esc_demo.contexts import ContextKind, ContextSpec, Scope
from esc_demo.errors import ConfigError
from esc_demo.prompts import PromptTemplate
from finetune.data.formats import DataFormat
from finetune.data.splits import SplitKind

RECIPE_DIR = Path(__file__).parent / "recipe_files"


class Method(StrEnum):
    """What is trained: low-rank adapters, adapters on a 4-bit base, or every weight."""

    LORA = "lora"
    QLORA = "qlora"
    FULL = "full"


class Precision(StrEnum):
    """Arithmetic of the forward pass; weights being trained stay float32."""

    FLOAT32 = "float32"
    BF16 = "bf16"
    FP16 = "fp16"


class Batching(StrEnum):
    """How sequences share a forward pass.

    `packed`: as many as fit in one row, attention kept apart, no padding. `padded`: a row each,
    in random order, padded to the longest; the baseline of the benchmark.
    """

    PACKED = "packed"
    PADDED = "padded"


class _Entry(BaseModel):
    """Refuses unknown keys; never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraRecipe(_Entry):
    """Shape of the adapter (Hu et al., 2021)."""

    r: int = Field(gt=0, description="Rank")
    alpha: int = Field(gt=0, description="Scale is alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the adapter's input")
    target_modules: list[str] = Field(min_length=1, description="Names of linear layers")


class DataRecipe(_Entry):
    """Which dialogues; relative paths start at the project root."""

    train: str = Field(description="File of the training part, or of the whole set with a split")
    validation: str | None = Field(None, description="split files: dialogues for early stopping")
    heldout: str | None = Field(None, description="split files: dialogues for the final figures")
    format: DataFormat = Field(DataFormat.AUTO, description="File format")
    split: SplitKind = Field(SplitKind.FILES, description="How the set is divided")
    split_seed: int = Field(0, ge=0, description="Seed of the division, where it has one")
    train_on_validation: bool = Field(
        False, description="Train on both parts, as paper A's second submission"
    )
    licence: str = Field("", description="Licence of the data, for the model card")

    @model_validator(mode="after")
    def _parts_come_from_one_place(self) -> DataRecipe:
        """Files for the parts, or a split that makes them."""
        if self.split is not SplitKind.FILES and (self.validation or self.heldout):
            raise ValueError(f"split {self.split} makes validation and heldout; do not name files")
        return self


class ContextRecipe(_Entry):
    """How earlier turns are shown; the same choices as a pane's."""

    kind: ContextKind = Field(ContextKind.RAW, description="raw, keypos or nostopwords")
    keep_negation: bool = Field(False, description="Keep not, no, never and the like")
    scope: Scope = Field(Scope.EARLIER, description="Transform earlier turns only, or all")
    last_k: int | None = Field(None, ge=1, description="Only the newest k utterances")

    def spec(self) -> ContextSpec:
        """The context representation as serving knows it."""
        return ContextSpec(self.kind, self.keep_negation, self.scope, self.last_k)


class Recipe(_Entry):
    """One training run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Name of the run's folder")
    about: str = Field("", description="Where the settings come from")
    base: str = Field(min_length=1, description="Hub id or folder of the base weights")
    base_licence: str = Field("", description="Licence of the base, for the model card")
    system_role: bool = Field(True, description="False: the template refuses system messages")
    method: Method = Field(description="lora, qlora or full")
    lora: LoraRecipe | None = Field(None, description="Required for lora and qlora")
    data: DataRecipe = Field(description="Training, validation and held-out dialogues")
    context: ContextRecipe = Field(ContextRecipe(), description="Context representation")
    prompt: bool = Field(True, description="Whether the structured prompt is sent")
    profile_share: float = Field(
        0.5, ge=0, le=1, description="Share of dialogues whose profile is told in the prompt"
    )
    max_tokens: int = Field(1024, gt=0, description="Longest sequence")
    batching: Batching = Field(Batching.PACKED, description="packed or padded")
    pack_tokens: int = Field(1024, gt=0, description="packed: tokens of one row, at most")
    batch_size: int = Field(1, gt=0, description="padded: sequences a forward pass")
    accumulation: int = Field(1, gt=0, description="Forward passes per optimizer step")
    learning_rate: float = Field(gt=0, le=1, description="Peak, after warm-up")
    schedule: str = Field("cosine", pattern="^(cosine|linear|constant)$", description="Decay")
    epochs: float = Field(gt=0, description="Passes over the training dialogues")
    max_steps: int | None = Field(None, gt=0, description="Optimizer steps instead of epochs")
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of steps with rising rate")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled decay")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm")
    precision: Precision = Field(Precision.FLOAT32, description="float32, bf16 or fp16")
    gradient_checkpointing: bool = Field(False, description="Recompute activations: less memory")
    patience: int | None = Field(
        None, gt=0, description="Stop after so many evaluations without a lower validation loss"
    )
    watch_heldout: bool = Field(
        False, description="Also log the held-out loss after each pass; it decides nothing"
    )
    needs_gpu: bool = Field(False, description="Too large, or of a kind that needs CUDA")
    gpus: int = Field(1, gt=0, description="GPUs the recipe was laid out for")
    launch: str | None = Field(None, description="File of finetune/launch for several GPUs")
    seed: int = Field(0, ge=0, description="Order of dialogues and initial adapter")

    @model_validator(mode="after")
    def _entries_agree(self) -> Recipe:
        """An adapter has a shape; rows are as long as their sequences; patience needs data."""
        if (self.lora is None) != (self.method is Method.FULL):
            raise ValueError("give `lora:` for the methods lora and qlora, and not for full")
        if self.batching is Batching.PACKED:
            if self.batch_size != 1:
                raise ValueError("packed rows are one a forward pass: leave batch_size at 1")
            if self.pack_tokens < self.max_tokens:
                raise ValueError(
                    f"pack_tokens ({self.pack_tokens}) is less than max_tokens ({self.max_tokens})"
                )
        made_by_split = self.data.split in (SplitKind.ESCONV, SplitKind.NLPCC)
        if self.patience and not (self.data.validation or made_by_split):
            raise ValueError(
                "patience needs a validation part: data.validation, or the split esconv or nlpcc"
            )
        if self.watch_heldout and (self.data.validation or made_by_split):
            raise ValueError("watch_heldout is for recipes without a validation part")
        if self.patience and self.data.train_on_validation:
            raise ValueError("patience cannot watch dialogues that are trained on")
        self.context.spec()  # refuses combinations that mean nothing
        return self

    @property
    def template(self) -> PromptTemplate:
        """The structured prompt as serving would send it."""
        return PromptTemplate() if self.prompt else PromptTemplate.off()


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in RECIPE_DIR.glob("*.yaml"))


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
        known = ", ".join(recipe_names())
        raise ConfigError(f"No recipe {name_or_path!r} ({path}). Known: {known}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path} has wrong entries. " + "; ".join(lines)) from error


def with_data(recipe: Recipe, path: Path) -> Recipe:
    """`recipe` with the training data of `path`.

    Under a split, the whole set is read from there; otherwise `path` is the training part, and
    the recipe's own validation and held-out parts stay.
    """
    data = recipe.data.model_copy(update={"train": str(path.absolute()), "licence": ""})
    about = f"{recipe.about} Trained on other data than the recipe's, given with --data.".strip()
    return recipe.model_copy(update={"data": data, "about": about})


def recipe_text(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads back to an equal value."""
    return str(yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), sort_keys=False))
