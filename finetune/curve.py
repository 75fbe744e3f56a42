"""The picture of a run: training and validation loss by epoch (paper B's Figures 5 and 6)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from finetune.runs import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMOOTHED_FROM = 31
"""Shorter runs are readable as they are."""

_INCHES, _DPI = (8.0, 5.0), 100
_INK = {"step": "#9db7d5", "mean": "#1f4e8c", "validation": "#c2410c"}


def draw_curve(run: RunFolder) -> None:
    """Draw the logged losses of `run` into `run.curve`, a PNG of 800 x 500 pixels.

    Losses that are not numbers leave a gap and are counted in the legend. The picture appears
    in one step.

    Raises:
        ConfigError: the folder holds no readable recipe.
        OSError: the folder cannot be written.
    """
    # Imported here: it takes a second, and only the end of a run draws. The object interface
    # keeps no global state, so that a page may draw from several threads.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    steps = run.steps()
    training = [(s.epoch, _finite(s.loss)) for s in steps if s.loss is not None]
    validation = [(s.epoch, _finite(s.eval_loss)) for s in steps if s.eval_loss is not None]
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(run.recipe().name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (nats per reply token)")
    axes.grid(alpha=0.25)
    _draw_training(axes, training)
    if validation:
        axes.plot(
            *zip(*validation, strict=True),
            linestyle="none",
            marker="o",
            markersize=7,
            color=_INK["validation"],
            label="validation" + _odd(validation),
            zorder=3,
        )
    if training or validation:
        axes.legend()
    else:
        axes.text(0.5, 0.5, "no step was logged", ha="center", transform=axes.transAxes)
    temporary = run.curve.with_name(f".{run.curve.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            canvas.print_png(file)
        os.replace(temporary, run.curve)
    finally:
        temporary.unlink(missing_ok=True)


def _draw_training(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """A thin line a step and, for long runs, its moving mean."""
    if not points:
        return
    epochs, losses = zip(*points, strict=True)
    long = len(points) >= SMOOTHED_FROM
    axes.plot(
        epochs,
        losses,
        linewidth=0.8,
        marker="" if long else ".",  # a single step is a point, not a line
        color=_INK["step"] if long else _INK["mean"],
        label="training, each step" + _odd(points),
    )
    if long:
        width = max(5, len(points) // 20) | 1
        axes.plot(
            epochs,
            smoothed(losses, width),
            linewidth=2,
            color=_INK["mean"],
            label=f"training, mean of {width} steps",
        )


def smoothed(values: Sequence[float], width: int) -> list[float]:
    """Mean of the up to `width` (odd) values around each; NaN counts nowhere, ends are narrower."""
    half = width // 2
    means: list[float] = []
    for index in range(len(values)):
        around = values[max(0, index - half) : index + half + 1]
        known = [value for value in around if not math.isnan(value)]
        means.append(sum(known) / len(known) if known else math.nan)
    return means


def _finite(value: float | None) -> float:
    """`value`, or NaN where there is nothing to draw."""
    return value if value is not None and math.isfinite(value) else math.nan


def _odd(points: Sequence[tuple[float, float]]) -> str:
    """How many points are not numbers, for the legend."""
    count = sum(math.isnan(value) for _, value in points)
    return f" ({count} not a number)" if count else ""
