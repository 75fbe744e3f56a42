"""Shapes of base models: what a memory estimate needs to know, without loading any weights."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esc_demo.errors import ConfigError
from esc_demo.settings import PROJECT_ROOT

SHAPES_FILE = Path(__file__).parent / "shapes.yaml"


class AttentionBias(StrEnum):
    """Which of the attention's linear layers have a bias: none, q/k/v, or all four."""

    NONE = "none"
    QKV = "qkv"
    QKVO = "qkvo"


class Linear(StrEnum):
    """The linear layers of one decoder layer, by their names in transformers."""

    Q = "q_proj"
    K = "k_proj"
    V = "v_proj"
    O = "o_proj"  # noqa: E741 (the field's name for it)
    GATE = "gate_proj"
    UP = "up_proj"
    DOWN = "down_proj"


class ModelShape(BaseModel):
    """Sizes of a Llama-like decoder: RMS norms, gated MLP, grouped-query attention."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="Hub id or folder")
    hidden_size: int = Field(gt=0, description="Width of the residual stream")
    layers: int = Field(gt=0, description="Decoder layers")
    heads: int = Field(gt=0, description="Query heads")
    kv_heads: int = Field(gt=0, description="Key and value heads")
    head_dim: int = Field(gt=0, description="Width of a head")
    intermediate_size: int = Field(gt=0, description="Width of the MLP")
    vocabulary: int = Field(gt=0, description="Rows of the embedding")
    tied_embeddings: bool = Field(description="Input and output embedding are one matrix")
    attention_bias: AttentionBias = Field(AttentionBias.NONE, description="none, qkv or qkvo")
    max_positions: int = Field(gt=0, description="Longest sequence the base was made for")
    source: str = Field(min_length=1, description="Where the figures are from")

    @model_validator(mode="after")
    def _heads_divide(self) -> ModelShape:
        """Each key head serves a whole number of query heads."""
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) is no multiple of kv_heads ({self.kv_heads})")
        return self

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key (or value) heads together."""
        return self.kv_heads * self.head_dim

    def linear_sizes(self, layer: Linear) -> tuple[int, int]:
        """Input and output width of one linear layer."""
        hidden, inner = self.hidden_size, self.intermediate_size
        sizes = {
            Linear.Q: (hidden, self.query_width),
            Linear.K: (hidden, self.kv_width),
            Linear.V: (hidden, self.kv_width),
            Linear.O: (self.query_width, hidden),
            Linear.GATE: (hidden, inner),
            Linear.UP: (hidden, inner),
            Linear.DOWN: (inner, hidden),
        }
        return sizes[layer]


class _ShapeFile(BaseModel):
    """`shapes.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = Field(description="Form of the file")
    shapes: list[ModelShape] = Field(min_length=1, description="One entry a base")


@lru_cache(maxsize=4)
def load_shapes(path: Path = SHAPES_FILE) -> dict[str, ModelShape]:
    """The shapes of `path` by name.

    Raises:
        ConfigError: a wrong or unknown entry, or a name twice.
    """
    try:
        file = _ShapeFile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path} has wrong entries. " + "; ".join(lines)) from error
    by_name = {shape.name: shape for shape in file.shapes}
    if len(by_name) != len(file.shapes):
        raise ConfigError(f"{path} names a base twice. Keep one entry for each.")
    return by_name


def shape_of(base: str) -> ModelShape:
    """The shape of `base`: a name in `shapes.yaml`, or a folder with a `config.json`.

    Relative folders start at the current folder or at the project root.

    Raises:
        ConfigError: neither is the case, or the folder holds another kind of model.
    """
    if known := load_shapes().get(base):
        return known
    for folder in (Path(base).expanduser(), PROJECT_ROOT / base):
        if (folder / "config.json").is_file():
            return read_shape(folder)
    raise ConfigError(
        f"The shape of {base} is not known, and no folder of that name holds a config.json."
        f" Give the folder of the weights, or add an entry to {SHAPES_FILE.name}."
        f" Known: {', '.join(load_shapes())}."
    )


def read_shape(folder: Path) -> ModelShape:
    """The shape that `folder/config.json` states (model types llama, mistral and qwen2).

    Raises:
        ConfigError: unreadable, of another type, or without a size that is needed.
    """
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        kind = str(config.get("model_type"))
        if kind not in ("llama", "mistral", "qwen2") or config.get("mlp_bias"):
            raise ConfigError(
                f"{path} has model_type {kind}{' with mlp_bias' if config.get('mlp_bias') else ''}."
                " Estimates are for llama, mistral and qwen2 without biases in the MLP."
            )
        heads = int(config["num_attention_heads"])
        return ModelShape(
            name=str(folder),
            hidden_size=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            intermediate_size=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            tied_embeddings=config.get("tie_word_embeddings", False),
            attention_bias=_bias(kind, config),
            max_positions=config["max_position_embeddings"],
            source=str(path),
        )
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise ConfigError(f"{path} has no {error.args[0]}. Is it a language model's?") from error
    except ValidationError as error:
        raise ConfigError(f"{path} has wrong sizes: {error}") from error


def _bias(kind: str, config: dict[str, Any]) -> AttentionBias:
    """Qwen2 always has q/k/v biases; the others say so, and then mean all four."""
    if kind == "qwen2":
        return AttentionBias.QKV
    return AttentionBias.QKVO if config.get("attention_bias") else AttentionBias.NONE


def linear_parameters(shape: ModelShape) -> int:
    """Weights of the linear layers of all decoder layers, without biases."""
    each = [shape.linear_sizes(linear) for linear in Linear]
    return shape.layers * sum(inputs * outputs for inputs, outputs in each)


def parameter_count(shape: ModelShape) -> int:
    """All parameters; tied embeddings count once."""
    bias = 0
    if shape.attention_bias is not AttentionBias.NONE:
        bias = shape.query_width + 2 * shape.kv_width
    if shape.attention_bias is AttentionBias.QKVO:
        bias += shape.hidden_size
    norms = 2 * shape.hidden_size
    embeddings = (1 if shape.tied_embeddings else 2) * shape.vocabulary * shape.hidden_size
    return linear_parameters(shape) + shape.layers * (bias + norms) + shape.hidden_size + embeddings
