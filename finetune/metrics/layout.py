"""A table as JSON, tidy CSV, Markdown and LaTeX; the latter two in the papers' columns."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from esc_demo.errors import StorageError
from finetune.metrics.marks import Mark, marks, styled
from finetune.metrics.profiles import ProfileName
from finetune.metrics.slices import DIMENSIONS
from finetune.metrics.tables import Row, Table

MAIN = "ROUGE-L"
"""The metric of the slices on paper; JSON and CSV hold all."""


class TableFormat(StrEnum):
    """How a table is written."""

    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"


@dataclass(frozen=True)
class Layout:
    """A table of a paper: heading and metric of each column."""

    caption: str
    columns: tuple[tuple[str, str], ...]
    marked: bool = False
    """Whether best and second stand out: in tables of quality."""


LAYOUTS = {
    ProfileName.NLPCC2025: (
        Layout(
            "Automatic metrics of NLPCC 2025 Task 8",
            (
                ("ME", "METEOR"),
                ("B-4", "BLEU-4"),
                ("R-L", "ROUGE-L"),
                ("Ext", "Ext"),
                ("D-2", "D-2"),
                ("D-3", "D-3"),
                ("G-score", "G-score"),
                ("Total", "Total"),
                ("Total w/o G", "Total without G"),
            ),
            marked=True,
        ),
    ),
    ProfileName.ESCONV: (
        Layout(
            "Automatic metrics",
            (
                ("PPL", "Perplexity"),
                ("B-2", "BLEU-2"),
                ("B-4", "BLEU-4"),
                ("R-L", "ROUGE-L"),
                ("METEOR", "METEOR"),
                ("Bert P", "BERTScore P"),
                ("Bert R", "BERTScore R"),
                ("Bert F1", "BERTScore F1"),
            ),
            marked=True,
        ),
        Layout(
            "Length, fit and speed",
            (
                ("Utterance tokens", "Utterance length"),
                ("Reply tokens", "Length"),
                ("Prompts whole (%)", "Fits window"),
                ("Tokens kept (%)", "Tokens kept"),
                ("s / reply", "Seconds"),
            ),
        ),
    ),
}


def render(table: Table, form: TableFormat) -> str:
    """The table as text."""
    return {
        TableFormat.JSON: to_json,
        TableFormat.CSV: to_csv,
        TableFormat.MARKDOWN: to_markdown,
        TableFormat.LATEX: to_latex,
    }[form](table)


def write_all(table: Table, folder: Path) -> tuple[Path, ...]:
    """Write every format, and the slices as CSV, into `folder`.

    Raises:
        StorageError: it cannot be written.
    """
    texts = {
        "table.json": to_json(table),
        "table.csv": to_csv(table),
        "slices.csv": slices_csv(table),
        "table.md": to_markdown(table),
        "table.tex": to_latex(table),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8", newline="")
    except OSError as error:
        raise StorageError(
            f"Cannot write the table to {folder}: {error.strerror}. Name another folder with --out."
        ) from error
    return tuple(folder / name for name in texts)


def to_json(table: Table) -> str:
    """Everything at full precision."""
    slices = [
        {"by": one.by, "value": one.value, "n": one.n, "dialogues": one.dialogues}
        | {"rows": {row.label: _metrics(row.values, row.intervals) for row in one.rows}}
        for one in table.slices
    ]
    whole = {
        "header": table.header,
        "notes": table.notes,
        "rows": [_row_record(row) for row in table.rows],
        "slices": slices,
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def _row_record(row: Row) -> dict[str, Any]:
    """A row with all of its metrics."""
    metrics = _metrics(row.values, row.intervals)
    for name, why in row.missing.items():
        metrics[name] = {"value": None, "reason": why}
    for name, difference in row.differences.items():
        metrics[name]["difference"] = dict(difference.__dict__)
    return {"label": row.label, "kind": row.kind, **row.about, "metrics": metrics}


def _metrics(values: dict[str, float], between: dict[str, Any]) -> dict[str, Any]:
    """Values with their intervals where there are some."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found[name] = {"value": value}
        if name in between:
            found[name] |= {"low": between[name].low, "high": between[name].high}
    return found


def to_csv(table: Table) -> str:
    """One line a row and metric; an empty value has its reason."""
    heads = ["row", "kind", "model", "context", "prompt", "metric", "value", "low", "high"]
    heads += ["n", "dialogues", "difference", "difference_low", "difference_high", "p", "p_holm"]
    lines: list[list[Any]] = [[*heads, "reason"]]
    sizes = [table.header["pairs"], table.header["dialogues"]]
    for row in table.rows:
        start = [row.label, row.kind, row.model]
        start += [row.about.get("context", ""), row.about.get("prompt", "")]
        for name, value in row.values.items():
            ends = row.intervals.get(name)
            delta = row.differences.get(name)
            between = [ends.low, ends.high] if ends else ["", ""]
            compared = (
                [delta.value, delta.low, delta.high, delta.p, delta.p_holm] if delta else [""] * 5
            )
            lines.append([*start, name, value, *between, *sizes, *compared, ""])
        lines += [
            [*start, name, "", "", "", *sizes, *[""] * 5, why] for name, why in row.missing.items()
        ]
    return _csv(lines)


def slices_csv(table: Table) -> str:
    """One line a slice, row and metric."""
    lines: list[list[Any]] = [
        ["by", "slice", "n", "dialogues", "row", "metric", "value", "low", "high"]
    ]
    for one in table.slices:
        for row in one.rows:
            for name, value in row.values.items():
                ends = row.intervals.get(name)
                between = [ends.low, ends.high] if ends else ["", ""]
                lines.append(
                    [one.by, one.value, one.n, one.dialogues, row.label, name, value, *between]
                )
    return _csv(lines)


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    """Comma separated, with newline ends."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


@dataclass(frozen=True)
class Grid:
    """A table on paper."""

    caption: str
    heads: tuple[str, ...]
    texts: int
    """How many columns from the left are words."""
    lines: tuple[tuple[str, ...], ...]
    marks: dict[tuple[int, int], Mark] = field(default_factory=dict)
    """By line and column."""


def grids(table: Table) -> tuple[Grid, ...]:
    """The papers' tables, the differences and the slices."""
    found = [_layout_grid(table, layout) for layout in LAYOUTS[table.profile]]
    found += _difference_grids(table)
    found += [grid for by in DIMENSIONS if (grid := _slice_grid(table, by)) is not None]
    return tuple(found)


def _layout_grid(table: Table, layout: Layout) -> Grid:
    """One of the papers' tables; the columns on the left say what its rows compare."""
    lines = tuple(
        (
            row.model,
            row.about.get("context", ""),
            row.about.get("prompt", ""),
            *(_cell(row, metric) for _, metric in layout.columns),
        )
        for row in table.rows
    )
    heads = ("Model", "Context", "Prompt", *(head for head, _ in layout.columns))
    metrics = [metric for _, metric in layout.columns]
    found = marks(table.rows, metrics) if layout.marked else {}
    placed = {(row, 3 + metrics.index(metric)): mark for (row, metric), mark in found.items()}
    return Grid(layout.caption, heads, 3, lines, placed)


def _difference_grids(table: Table) -> list[Grid]:
    """Paired differences to the first row, in the columns of the first table."""
    if not any(row.differences for row in table.rows):
        return []
    columns = [
        (head, metric)
        for head, metric in LAYOUTS[table.profile][0].columns
        if any(metric in row.differences for row in table.rows)
    ]
    lines: list[tuple[str, ...]] = []
    for row in table.rows[1:]:
        cells: list[str] = []
        for _, metric in columns:
            found = row.differences.get(metric)
            said = "-"
            if found is not None:
                between = f"[{found.low:+.2f}, {found.high:+.2f}]"
                said = f"{found.value:+.2f} {between} p={_p(found.p_holm)}"
            cells.append(said)
        lines.append((row.label, *cells))
    caption = f"Difference to {table.rows[0].label}, 95% interval, p after Holm over the rows"
    heads = ("Row", *(head for head, _ in columns))
    return [Grid(caption, heads, 1, tuple(lines))]


def _p(value: float) -> str:
    """Rounded up: a p value is never said to be smaller than it is."""
    return f"{math.ceil(value * 1000 - 1e-9) / 1000:.3f}"


def _slice_grid(table: Table, by: str) -> Grid | None:
    """`MAIN` of every row in the slices of one dimension."""
    slices = [one for one in table.slices if one.by == by]
    if not slices:
        return None
    lines: list[tuple[str, ...]] = []
    for one in slices:
        cells = [_number(row.values.get(MAIN), row.intervals.get(MAIN)) for row in one.rows]
        lines.append((one.value, str(one.n), *cells))
    heads = (by.capitalize(), "n", *(row.label for row in slices[0].rows))
    return Grid(f"{MAIN} by {by}", heads, 1, tuple(lines))


def _cell(row: Row, metric: str) -> str:
    """Value and interval, or a dash."""
    return _number(row.values.get(metric), row.intervals.get(metric))


def _number(value: float | None, ends: Any) -> str:
    """Two decimals, with the interval where there is one."""
    if value is None:
        return "-"
    return f"{value:.2f} [{ends.low:.2f}, {ends.high:.2f}]" if ends else f"{value:.2f}"


def statements(table: Table) -> list[str]:
    """What must stand with the figures: protocol, profile, versions, counts, empty columns."""
    head = table.header
    versions = ", ".join(f"{name} {number}" for name, number in head["versions"].items())
    protocol = json.dumps(head["protocol"], sort_keys=True)
    said = [
        f"Profile {head['profile']}: {head['tokenizer']}; {head['smoothing']}; case:"
        f" {head['case']}. {versions}.",
        f"Protocol {head['protocol_hash']}: {protocol}. Data: {head['data']['name']}.",
        f"{head['pairs']} replies of {head['dialogues']} dialogues in every row; baselines take"
        f" their replies from {head['baselines']['train']}, seed {head['baselines']['seed']}.",
        f"In brackets: {100 * head['intervals']['level']:g}% interval,"
        f" {head['intervals']['method']}, {head['intervals']['replicates']} replicates.",
    ]
    empty = [f"{row.label}: {row.about['empty']}" for row in table.rows if row.about.get("empty")]
    if empty:
        said.append(f"Empty replies, scored 0: {'; '.join(empty)}.")
    hashes = [f"{row.label} {row.about['run_hash']}" for row in table.rows if row.kind == "run"]
    said.append(f"Runs: {'; '.join(hashes)}.")
    said.append("Of two runs or more the best is bold, the second in italics (LaTeX: underlined).")
    return [*said, *table.notes, *_reasons(table)]


def _reasons(table: Table) -> list[str]:
    """Why cells of the papers' columns are empty, each reason once."""
    shown = {metric for layout in LAYOUTS[table.profile] for _, metric in layout.columns}
    rows: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        columns: dict[str, list[str]] = {}
        for name, why in row.missing.items():
            if name in shown or name == "all":
                columns.setdefault(why, []).append(name)
        for why, names in columns.items():
            rows.setdefault((", ".join(names), why), []).append(row.label)
    return [
        f"Empty, {names} ({'all rows' if len(found) == len(table.rows) else '; '.join(found)}):"
        f" {why}."
        for (names, why), found in rows.items()
    ]


def to_markdown(table: Table) -> str:
    """Tables, then what must be stated."""
    parts: list[str] = []
    for grid in grids(table):
        aligned = [":--"] * grid.texts + ["--:"] * (len(grid.heads) - grid.texts)
        body = styled(grid.lines, grid.marks, _markdown, {Mark.BEST: "**{}**", Mark.SECOND: "*{}*"})
        lines = [[*map(_markdown, grid.heads)], aligned, *body]
        cells = ["| " + " | ".join(line) + " |" for line in lines]
        parts.append("\n".join([f"**{_markdown(grid.caption)}**", "", *cells]))
    parts.append("\n".join(f"- {_markdown(line)}" for line in statements(table)))
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    """Text of a cell or line."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def to_latex(table: Table) -> str:
    """Floats with booktabs rules; needs `\\usepackage{booktabs}`."""
    parts = [
        "% needs \\usepackage{booktabs}",
        *(f"% {' '.join(line.split())}" for line in statements(table)),
    ]
    for grid in grids(table):
        spec = "l" * grid.texts + "r" * (len(grid.heads) - grid.texts)
        styles = {Mark.BEST: r"\textbf{{{}}}", Mark.SECOND: r"\underline{{{}}}"}
        body = [" & ".join(line) + r" \\" for line in styled(grid.lines, grid.marks, latex, styles)]
        parts += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(grid.caption)}}}",
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            " & ".join(map(latex, grid.heads)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


_LATEX: dict[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "·": r"\textperiodcentered{}",
    "[": "{[}",  # after a line's end, a bare one would begin an argument, and so would a star
    "*": "{*}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(char, char) for char in " ".join(text.split()))
