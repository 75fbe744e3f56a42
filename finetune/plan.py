"""What a recipe needs: memory part by part, which GPUs hold it, and how many steps it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from esc_demo.errors import BadInput, ConfigError
from finetune import footprint
from finetune.footprint import Layout, Spread
from finetune.recipes import Batching, Method, Precision, Recipe
from finetune.shapes import ModelShape, parameter_count

LAUNCH_DIR = Path(__file__).parent / "launch"
GPU_SIZES = (24, 40, 48, 80, 141)
"""Common GPU memories in GB."""

USABLE = 0.92
"""Share of a GPU's memory that a plan may fill; the rest is for fragmentation."""

_GPU_COUNTS = (1, 2, 4, 8, 16, 32, 64)
_GB = 1e9
_CPU_RECIPE = "esc-smollm2-lora"
_SPREADS = {
    "FSDP": Spread.FSDP,
    "DEEPSPEED": Spread.ZERO3,
    "MULTI_GPU": Spread.REPLICATED,
}


@dataclass(frozen=True)
class Part:
    """One use of memory: bytes on each device, what it is, and what makes it smaller."""

    name: str
    size: float
    what: str
    lower: str


@dataclass(frozen=True)
class Fit:
    """The fewest GPUs of a size (in GB) that hold the run; None: no number up to 64 does."""

    gigabytes: int
    gpus: int | None


@dataclass(frozen=True)
class Plan:
    """Memory and work of a recipe.

    `total_bytes` is per GPU, or all of the process's RAM on a CPU. `steps` and `total_tokens`
    are None where the data is not known.
    """

    recipe: str
    base: str
    layout: Layout
    total_parameters: int
    trainable_parameters: int
    parts: tuple[Part, ...]
    fits: tuple[Fit, ...]
    verdict: str
    tokens_per_step: int
    steps: int | None
    total_tokens: int | None

    @property
    def total_bytes(self) -> float:
        """Sum of all parts."""
        return sum(part.size for part in self.parts)


def plan(
    recipe: Recipe,
    shape: ModelShape,
    *,
    train_tokens: int | None = None,
    gpus: int | None = None,
    rows: int | None = None,
) -> Plan:
    """Estimate `recipe` on a base of `shape`.

    `train_tokens` are those of one pass over the training part, and `rows` its number of rows
    (`finetune.batches.make_rows`). Without `gpus`, a recipe that needs
    GPUs is planned for its own number of them and any other for the CPU.

    Raises:
        BadInput: `gpus` is below 1.
        ConfigError: unknown adapter layers, or a launch file that is missing or wrong.
    """
    if gpus is not None and gpus < 1:
        raise BadInput(f"--gpus {gpus}: give 1 or more, or leave it out.")
    if gpus is None and recipe.needs_gpu:
        gpus = recipe.gpus
    spread = spread_of(recipe)
    layout = _layout(spread, gpus)
    parts = _parts(recipe, shape, layout)
    fits = tuple(_fit(recipe, shape, spread, size) for size in GPU_SIZES) if gpus else ()
    step = footprint.tokens_per_pass(recipe) * recipe.accumulation * (gpus or 1)
    steps, tokens = _work(recipe, train_tokens, rows, gpus or 1)
    return Plan(
        recipe=recipe.name,
        base=shape.name,
        layout=layout,
        total_parameters=parameter_count(shape),
        trainable_parameters=footprint.trainable_count(recipe, shape),
        parts=parts,
        fits=fits,
        verdict=_verdict(layout, sum(part.size for part in parts), fits),
        tokens_per_step=step,
        steps=steps,
        total_tokens=tokens,
    )


def spread_of(recipe: Recipe) -> Spread:
    """How the recipe's launch file spreads it over several GPUs (plain copies without one).

    Raises:
        ConfigError: no such file, or one of another kind.
    """
    if recipe.launch is None:
        return Spread.REPLICATED
    path = LAUNCH_DIR / recipe.launch
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        return _SPREADS[config["distributed_type"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        known = ", ".join(sorted(file.name for file in LAUNCH_DIR.glob("*.yaml")))
        raise ConfigError(
            f"{recipe.name}: launch {recipe.launch} is no accelerate configuration for"
            f" FSDP, DEEPSPEED or MULTI_GPU ({path}: {error!r}). Known: {known}."
        ) from error


def runs_here(recipe: Recipe, has_cuda: bool, gpus: int) -> str | None:
    """Why `recipe` cannot run on this machine and what can; None where it can.

    Fewer GPUs than the recipe was laid out for are no hindrance by themselves: a smaller
    number may have more memory, which `plan` tells.
    """
    needs_cuda = recipe.needs_gpu or recipe.method is Method.QLORA
    if (not needs_cuda and recipe.precision is not Precision.FP16) or (has_cuda and gpus > 0):
        return None
    count = "a CUDA GPU" if recipe.gpus == 1 else f"CUDA GPUs (laid out for {recipe.gpus})"
    return (
        f"{recipe.name} needs {count}, and there is none here. On a CPU `{_CPU_RECIPE}` and"
        f" `esc-smollm2-full` run: python -m finetune train {_CPU_RECIPE}. What"
        f" {recipe.name} would need: python -m finetune plan {recipe.name}."
    )


def _layout(spread: Spread, gpus: int | None) -> Layout:
    """One device needs no spreading."""
    if gpus is None:
        return Layout(Spread.CPU, 1)
    return Layout(Spread.SINGLE if gpus == 1 else spread, gpus)


def _parts(recipe: Recipe, shape: ModelShape, layout: Layout) -> tuple[Part, ...]:
    """Every use of memory on one device."""
    adapt = "`method: lora`" if recipe.method is Method.FULL else "a smaller `lora.r`"
    whole = layout.spread is Spread.FSDP and recipe.accumulation > 1
    on_cpu = layout.spread is Spread.CPU
    rows = "pack_tokens" if recipe.batching is Batching.PACKED else "batch_size, max_tokens"
    parts = (
        Part(
            "weights",
            footprint.weight_bytes(recipe, shape, layout),
            _weights_text(recipe, layout),
            _smaller_weights(recipe, layout),
        ),
        Part(
            "gradients",
            footprint.gradient_bytes(recipe, shape, layout),
            "of the trained weights" + (", whole while accumulating" if whole else ""),
            "`accumulation: 1`" if whole else adapt,
        ),
        Part(
            "optimizer",
            footprint.optimizer_bytes(recipe, shape, layout),
            "AdamW: two float32 values a trained weight"
            + (", and a float32 copy of it" if layout.spread is Spread.ZERO3 else ""),
            adapt,
        ),
        Part(
            "activations",
            footprint.activation_bytes(recipe, shape, layout),
            f"{footprint.tokens_per_pass(recipe):,} tokens a pass"
            + (", recomputed layer by layer" if recipe.gradient_checkpointing else ""),
            f"{rows}" + ("" if recipe.gradient_checkpointing else ", gradient_checkpointing"),
        ),
        Part(
            "logits",
            footprint.logit_bytes(recipe, shape),
            f"{shape.vocabulary:,} scores at tokens with loss (half of them)",
            rows,
        ),
        Part(
            "allocator",
            footprint.slack_bytes(recipe, shape, layout),
            "freed memory that the C library keeps",
            "MALLOC_MMAP_THRESHOLD_=65536 in the environment",
        ),
        Part(
            "fixed",
            footprint.CPU_FIXED if on_cpu else footprint.CUDA_FIXED,
            "Python and its libraries" if on_cpu else "CUDA context, libraries (assumed)",
            "nothing",
        ),
    )
    return tuple(part for part in parts if part.size)


def _weights_text(recipe: Recipe, layout: Layout) -> str:
    """Precision and place of the weights."""
    half = recipe.precision.value
    kind = {
        Method.QLORA: "base in nf4, embeddings and norms in float32",
        Method.LORA: f"frozen base in {half}",
        Method.FULL: half if layout.spread is Spread.ZERO3 else "float32",
    }[recipe.method]
    if recipe.method is Method.FULL and not layout.sharded and half != Precision.FLOAT32:
        kind += f", and {half} copies"
    return f"{kind}; a piece of 1/{layout.gpus} and two whole layers" if layout.sharded else kind


def _smaller_weights(recipe: Recipe, layout: Layout) -> str:
    """What lowers the weights; 4 bits and pieces are for GPUs."""
    if layout.spread is Spread.CPU:
        return "a smaller base"
    spread = "more GPUs" if layout.sharded else "fsdp or zero3 in `launch`"
    return "`method: qlora`" if recipe.method is Method.LORA else f"a smaller base, {spread}"


def _fit(recipe: Recipe, shape: ModelShape, spread: Spread, gigabytes: int) -> Fit:
    """The fewest GPUs of a size that hold the recipe."""
    for count in _GPU_COUNTS:
        parts = _parts(recipe, shape, _layout(spread, count))
        if sum(part.size for part in parts) <= USABLE * gigabytes * _GB:
            return Fit(gigabytes, count)
    return Fit(gigabytes, None)


def _work(
    recipe: Recipe, train_tokens: int | None, rows: int | None, devices: int
) -> tuple[int | None, int | None]:
    """Optimizer steps and tokens of the whole run, where they can be told."""
    step = recipe.batch_size * recipe.accumulation * devices
    per_pass = math.ceil(rows / step) if rows else None
    if recipe.max_steps:
        passes = recipe.max_steps / per_pass if per_pass else None
        steps: int | None = recipe.max_steps
    else:
        passes = recipe.epochs
        steps = math.ceil(per_pass * recipe.epochs) if per_pass else None
    tokens = round(train_tokens * passes) if train_tokens and passes else None
    return steps, tokens


def _verdict(layout: Layout, total: float, fits: tuple[Fit, ...]) -> str:
    """One sentence: what holds the run."""
    if layout.spread is Spread.CPU:
        return f"On a CPU: {_gb(total)} of RAM for the run, beside what else the machine does."
    held = [f"{fit.gpus} x {fit.gigabytes} GB" for fit in fits if fit.gpus]
    never = [f"{fit.gigabytes}" for fit in fits if fit.gpus is None]
    text = f"{_gb(total)} on each of {layout.gpus} GPU{'s' if layout.gpus > 1 else ''}."
    text += f" Fits from {', '.join(held)}." if held else " No common GPU holds it."
    if held and never:
        text += f" GPUs of {', '.join(never)} GB do not hold it, whatever their number."
    return text


def _gb(size: float) -> str:
    """Bytes in decimal gigabytes, as GPU sizes are named."""
    return f"{size / _GB:.1f} GB"


def plan_text(plan: Plan) -> str:
    """The plan as a table for the terminal."""
    trained, total = plan.trainable_parameters, plan.total_parameters
    lines = [
        f"{plan.recipe} on {plan.base}",
        f"{total:,} parameters, {trained:,} trained ({trained / total:.2%})",
        f"Layout: {plan.layout.spread}"
        + (f", {plan.layout.gpus} GPUs" if plan.layout.gpus > 1 else ""),
        "",
        f"{'part':<12}{'GB':>8}  {'what it is':<58}lower it by",
    ]
    lines += [
        f"{part.name:<12}{part.size / _GB:>8.2f}  {part.what:<58}{part.lower}"
        for part in plan.parts
    ]
    lines += [f"{'total':<12}{plan.total_bytes / _GB:>8.2f}", "", plan.verdict]
    steps = f"{plan.steps:,} steps" if plan.steps else "steps depend on the data"
    lines.append(f"{steps}, up to {plan.tokens_per_step:,} tokens each")
    if plan.total_tokens:
        lines.append(f"{plan.total_tokens:,} tokens in all")
    return "\n".join(lines)
