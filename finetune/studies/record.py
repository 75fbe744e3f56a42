"""The results of a study as JSON and CSV, at full precision."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from esc_demo.errors import StorageError
from finetune.metrics.bootstrap import Interval
from finetune.metrics.layout import to_json
from finetune.studies.effects import Estimate
from finetune.studies.page import About, page
from finetune.studies.reading import findings
from finetune.studies.results import Part, Results
from finetune.studies.tradeoff import Trade

HEADS = ("data", "kind", "row", "measure", "value", "low", "high", "p", "p_holm", "n", "reason")


def write_results(results: Results, about: About, out: Path, folder: Path) -> tuple[Path, ...]:
    """Write the page to `out`, and `results.json` and `results.csv` into `folder`.

    Raises:
        StorageError: one of them cannot be written.
    """
    texts = {
        out: page(results, about),
        folder / "results.json": to_record(results, about),
        folder / "results.csv": to_csv(results),
    }
    for target, text in texts.items():
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, "utf-8", newline="")
            partial.replace(target)
        except OSError as error:
            raise StorageError(f"Cannot write {target}: {error.strerror}.") from error
    return tuple(texts)


def to_record(results: Results, about: About) -> str:
    """Everything as one JSON object."""
    whole = {
        "about": asdict(about),
        "grid": results.grid.model_dump(mode="json"),
        "data": {part.entry.name: _part_record(part) for part in results.parts},
        "left_out": [source.entry.name for source in results.missing],
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def _part_record(part: Part) -> dict[str, Any]:
    """One data set."""
    return {
        "table": json.loads(to_json(part.table)),
        "loss": [
            None if loss is None else loss.record() | {"intervals": _intervals(between)}
            for loss, between in zip(part.losses, part.loss_intervals, strict=True)
        ],
        "effects": [_effect(one) for one in part.estimates],
        "trade_offs": [_trade(one) for one in part.trades],
        "reading": [asdict(one) for one in findings(part)],
    }


def _effect(one: Estimate) -> dict[str, Any]:
    """A comparison."""
    found = {name: getattr(one, name) for name in ("value", "low", "high", "p", "p_holm")}
    return {
        "question": one.effect.question.value,
        "comparison": one.effect.label,
        "outcome": one.outcome.name,
        **found,
        "mean_of_second": one.second,
        "dialogues": one.dialogues,
        "direction": one.direction,
    }


def _trade(one: Trade) -> dict[str, Any]:
    """A context."""
    return {"context": one.context.label(), "prompt": one.prompt} | _intervals(_measures(one))


def _measures(one: Trade) -> dict[str, Interval]:
    """What is known of a context."""
    sizes = {
        "Prompt tokens": one.prompt_tokens,
        "Tokens kept": one.kept,
        "Utterance length": one.utterance,
        "Room": one.room,
    }
    return {name: ends for name, ends in sizes.items() if ends is not None} | one.quality


def _intervals(found: dict[str, Interval]) -> dict[str, dict[str, float]]:
    """Intervals as numbers."""
    return {
        name: {"value": one.value, "low": one.low, "high": one.high} for name, one in found.items()
    }


def to_csv(results: Results) -> str:
    """One line a data set, row and measure."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADS)
    for part in results.parts:
        writer.writerows(_rows(part))
        writer.writerows(_effect_lines(part))
        writer.writerows(_trade_lines(part))
    return file.getvalue()


def _rows(part: Part) -> list[list[Any]]:
    """Conditions and baselines."""
    found: list[list[Any]] = []
    pairs = part.table.header["pairs"]
    nothing: dict[str, Interval] = {}
    between = [*part.loss_intervals, *[nothing] * len(part.baselines)]
    for row, losses in zip(part.table.rows, between, strict=True):
        start = [part.entry.name, row.kind, row.label]
        for name, value in row.values.items():
            ends = losses.get(name) or row.intervals.get(name)
            sides = [ends.low, ends.high] if ends else ["", ""]
            found.append([*start, name, value, *sides, "", "", pairs, ""])
        for name, why in row.missing.items():
            found.append([*start, name, *[""] * 5, pairs, why])
    return found


def _effect_lines(part: Part) -> list[list[Any]]:
    """Comparisons; n is dialogues."""
    return [
        [
            part.entry.name,
            "effect",
            one.effect.label,
            one.outcome.name,
            *(one.value, one.low, one.high, one.p, one.p_holm, one.dialogues, ""),
        ]
        for one in part.estimates
    ]


def _trade_lines(part: Part) -> list[list[Any]]:
    """Contexts."""
    found: list[list[Any]] = []
    for one in part.trades:
        label = f"{one.context.label()} · prompt {'on' if one.prompt else 'off'}"
        for name, ends in _measures(one).items():
            start = [part.entry.name, "trade-off", label, name]
            found.append([*start, ends.value, ends.low, ends.high, "", "", "", ""])
    return found
