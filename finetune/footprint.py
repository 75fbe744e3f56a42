"""Bytes that a training run keeps in memory, part by part, from recipe and shape alone.

Activations are counted as in Korthikanti et al. (2022), "Reducing Activation Recomputation in
Large Transformer Models": what each operation keeps for its backward pass. Their layer (GELU,
layer norm, heads x s^2 attention) is replaced by ours: RMS norms, gated MLP, grouped-query
attention that is fused, so that scores are never kept; only an additive mask, where rows are
packed or padded, is (s^2 a layer and row, once for all heads).

Weights that are trained are float32 whatever the arithmetic (`finetune.prepare`); a frozen base
lies in the precision of the arithmetic, or in nf4. AdamW keeps two float32 values a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from esc_demo.errors import ConfigError
from finetune.recipes import Batching, Method, Precision, Recipe
from finetune.shapes import Linear, ModelShape, linear_parameters, parameter_count

FLOAT32 = 4
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight in nf4: half a byte, plus its share of doubly quantised block scales
(blocks of 64 and of 256; Dettmers et al., 2023, "QLoRA")."""

SUPERVISED_SHARE = 0.5
"""Share of a row's tokens with loss, and so with logits: the two speakers write about as much."""

CPU_SLACK = 0.5
"""Freed blocks that glibc keeps, over the activations without recomputation.

Fitted to the measurements of SmolLM2-135M (tests/finetune/measured_peaks.json), within 8% of
each; it is the same with recomputation, because the same blocks come and go.
"""

CPU_FIXED = 455_000_000
"""A Python process after importing torch, transformers and peft (same measurement)."""

CUDA_FIXED = 1_000_000_000
"""CUDA context, cuBLAS and NCCL workspaces. An assumption, not measured here."""


class Spread(StrEnum):
    """How a run lies on its devices."""

    CPU = "cpu"
    SINGLE = "one GPU"
    REPLICATED = "data parallel, everything on every GPU"
    FSDP = "FSDP, a piece on every GPU"
    ZERO3 = "DeepSpeed ZeRO-3, a piece on every GPU"


@dataclass(frozen=True)
class Layout:
    """A recipe on `gpus` devices; `sharded` spreads divide weights, gradients and optimizer."""

    spread: Spread
    gpus: int

    @property
    def sharded(self) -> bool:
        """Whether each device holds a piece only."""
        return self.spread in (Spread.FSDP, Spread.ZERO3)

    @property
    def pieces(self) -> int:
        """Into how many pieces trained state is divided."""
        return self.gpus if self.sharded else 1


def trainable_count(recipe: Recipe, shape: ModelShape) -> int:
    """Weights that are trained: all, or r x (inputs + outputs) for each adapted layer.

    Raises:
        ConfigError: an adapter for a layer that such a model does not have.
    """
    if recipe.lora is None:
        return parameter_count(shape)
    widths = [sum(shape.linear_sizes(layer)) for layer in targets(recipe)]
    return shape.layers * recipe.lora.r * sum(widths)


def targets(recipe: Recipe) -> list[Linear]:
    """The adapted layers of a recipe (none for full).

    Raises:
        ConfigError: an unknown name.
    """
    names = recipe.lora.target_modules if recipe.lora else []
    try:
        return [Linear(name) for name in names]
    except ValueError as error:
        known = ", ".join(Linear)
        raise ConfigError(
            f"{recipe.name}: lora.target_modules {names}: {error}. Known: {known}."
        ) from error


def compute_size(recipe: Recipe) -> int:
    """Bytes of a number in the forward pass."""
    return FLOAT32 if recipe.precision is Precision.FLOAT32 else 2


def weight_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """Weights on one device, with the copies that training makes of them."""
    size, total = compute_size(recipe), parameter_count(shape)
    adapters = 0 if recipe.lora is None else FLOAT32 * trainable_count(recipe, shape)
    if recipe.method is Method.QLORA:
        # peft's prepare_model_for_kbit_training makes whatever is not in 4 bits float32. One
        # matrix at a time is unpacked to be multiplied with.
        quantised = linear_parameters(shape)
        largest = shape.hidden_size * shape.intermediate_size
        return NF4_BYTES * quantised + FLOAT32 * (total - quantised) + size * largest + adapters
    held = size if recipe.method is Method.LORA else FLOAT32
    if layout.spread is Spread.ZERO3:
        held = size  # its float32 copy belongs to the optimizer
    own = (held * total + adapters) / layout.pieces
    if layout.sharded:
        # Two layers are whole at a time, one at work and one on its way; FSDP2 also leaves the
        # output embedding whole.
        return own + size * (2 * _layer_parameters(shape) + _embedding(shape))
    if recipe.method is Method.FULL and size < FLOAT32:
        own += size * (linear_parameters(shape) + _embedding(shape))  # autocast keeps its copies
    return own


def gradient_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """Gradients on one device: as wide as the trained weights."""
    size, count = compute_size(recipe), trainable_count(recipe, shape)
    held = size if layout.spread is Spread.ZERO3 else FLOAT32
    own = held * count / layout.pieces
    if layout.spread is Spread.REPLICATED:
        own *= 2  # and once more in the buckets in which they are exchanged
    if layout.spread is Spread.FSDP and recipe.accumulation > 1:
        return own + size * count  # the Trainer divides them at the last pass of a step only
    if layout.sharded and recipe.method is Method.FULL:
        own += size * (_layer_parameters(shape) + _embedding(shape))  # before they are divided
    return own


def optimizer_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """AdamW's two averages in float32; ZeRO-3 in half precision adds the float32 weights."""
    master = layout.spread is Spread.ZERO3 and compute_size(recipe) < FLOAT32
    each = (3 if master else 2) * FLOAT32
    return each * trainable_count(recipe, shape) / layout.pieces


def activation_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """What the forward pass of one device keeps for the backward pass, without logits."""
    tokens = tokens_per_pass(recipe)
    layer = _layer_bytes(recipe, shape, layout)
    wide = FLOAT32 if _wide_residual(recipe, layout) else compute_size(recipe)
    ends = 3 * FLOAT32 * shape.hidden_size  # embedding and final norm
    if recipe.gradient_checkpointing:
        # Each layer's input, and one layer at a time in full.
        return tokens * (shape.layers * wide * shape.hidden_size + layer + ends)
    return tokens * (shape.layers * layer + ends)


def slack_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """What the allocator holds beyond what is in use; nothing is assumed for GPUs."""
    if layout.spread is not Spread.CPU:
        return 0.0
    kept = recipe.model_copy(update={"gradient_checkpointing": False})
    return CPU_SLACK * activation_bytes(kept, shape, layout)


def logit_bytes(recipe: Recipe, shape: ModelShape) -> float:
    """Logits at supervised positions: they, their log-probabilities and both gradients in
    float32; in half precision also the half-precision logits they are made from."""
    each = 4 * FLOAT32 + (0 if compute_size(recipe) == FLOAT32 else 2)
    return each * SUPERVISED_SHARE * tokens_per_pass(recipe) * shape.vocabulary


def tokens_per_pass(recipe: Recipe) -> int:
    """Tokens of one forward pass on one device, at most."""
    if recipe.batching is Batching.PACKED:
        return recipe.pack_tokens
    return recipe.batch_size * recipe.max_tokens


def _layer_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """Bytes that one decoder layer keeps for each token."""
    size, hidden, query = compute_size(recipe), shape.hidden_size, shape.query_width
    trained = recipe.method is Method.FULL
    masked = recipe.batching is Batching.PACKED or recipe.batch_size > 1
    norms = 2 * FLOAT32 * (hidden + 1)  # its input is float32 in any precision
    if trained:
        wide = FLOAT32 if _wide_residual(recipe, layout) else size
        # Autocast makes a half-precision copy of a float32 norm for each linear that reads it.
        copies = 5 if wide > size else 2
        norms += 2 * wide * hidden + copies * size * hidden
    # With a mask, keys and values are repeated to the number of query heads.
    keys = query if masked else shape.kv_width
    attention = size * (2 * query + 2 * keys) + FLOAT32 * shape.heads
    if masked:
        length = recipe.pack_tokens if recipe.batching is Batching.PACKED else recipe.max_tokens
        attention += size * length
    mlp = size * (4 if trained else 3) * shape.intermediate_size
    return norms + attention + mlp + _adapter_bytes(recipe, shape, layout)


def _adapter_bytes(recipe: Recipe, shape: ModelShape, layout: Layout) -> float:
    """What the adapters of one layer keep for each token: their input, dropped out, and r."""
    if recipe.lora is None:
        return 0.0
    size, layers = compute_size(recipe), targets(recipe)
    rank = size * recipe.lora.r * len(layers)
    widths = [shape.linear_sizes(layer)[0] for layer in layers]
    if recipe.lora.dropout:
        noise = FLOAT32 if layout.spread is Spread.CPU else 1  # CUDA keeps a mask of bytes
        return rank + (noise + size) * sum(widths)
    if size < FLOAT32:
        return rank + size * sum(widths)  # autocast: one copy for each
    return rank + size * _shared_widths(layers, shape)


def _shared_widths(layers: Sequence[Linear], shape: ModelShape) -> int:
    """Widths of the distinct inputs; that of o_proj is kept by the attention anyway."""
    readers = {Linear.Q: 0, Linear.K: 0, Linear.V: 0, Linear.GATE: 1, Linear.UP: 1, Linear.DOWN: 2}
    read = [layer for layer in layers if layer in readers]
    distinct = {readers[layer]: shape.linear_sizes(layer)[0] for layer in read}
    return sum(distinct.values())


def _wide_residual(recipe: Recipe, layout: Layout) -> bool:
    """Whether the residual stream is float32 although the arithmetic is not.

    It is where embedding and norms are float32: a full fine-tune under autocast, and QLoRA.
    Sharded weights are cast before they are used.
    """
    if recipe.method is Method.QLORA:
        return True
    return recipe.method is Method.FULL and not layout.sharded


def _layer_parameters(shape: ModelShape) -> int:
    """Weights of one decoder layer, without norms and biases (under 0.1%)."""
    return linear_parameters(shape) // shape.layers


def _embedding(shape: ModelShape) -> int:
    """Weights of one embedding."""
    return shape.vocabulary * shape.hidden_size
