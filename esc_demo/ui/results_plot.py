"""The two charts of the Results tab as plotly's JSON, and each in words.

Gradio brings plotly's script with it, so that the package of that name is not needed here. Text,
grid and paper follow the page's theme in `style.css`; what is written into the JSON are the
colours of a downloaded picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from esc_demo.ui.results_table import direction

if TYPE_CHECKING:  # the scorer is imported when a table is first asked for
    from esc_demo.ui.results_score import Scored
    from finetune.metrics.bootstrap import Interval
    from finetune.metrics.slices import Slice, Sliced
    from finetune.metrics.tables import Row

COLOURS = (
    "#2b8a84",
    "#c2702a",
    "#8a6ac0",
    "#3d7fc0",
    "#c25577",
    "#7c8230",
    "#a06a3c",
    "#6f7f86",
)
"""Of runs; each has a contrast above 3 with the cards by day and by night."""

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "bowtie")
"""Of contexts, so that colour is never the only sign."""

_PATTERNS = ("", "/", "x", ".", "-", "|", "+", "\\")
"""Of bars, by context and prompt; the colour is the model's, as in the other chart."""

FEW = 10
"""Dialogues below which a slice's interval is not to be trusted."""

MOST_SLICES = 12
"""Slices drawn at once; the file to download holds all."""

_INK, _LINE, _PAPER = "#1e2b2f", "#ddd3c2", "#fffdf9"
_FONT = {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 13}


def trade_off(scored: Scored, metric: str) -> str | None:
    """Quality over tokens kept as plotly's JSON; None where no run has both."""
    rows = _placed(scored, metric)
    if not rows:
        return None
    models = list(dict.fromkeys(row.model for row in _runs(scored)))
    contexts = list(dict.fromkeys(row.about["context"] for row in _runs(scored)))
    marks = [_mark(row, metric, models, contexts) for row in rows]
    layout = _layout(330 + 21 * len(rows)) | {
        "xaxis": _axis("Tokens kept (% of the raw prompt)"),
        "yaxis": _axis(metric),
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    }
    rival = _best_baseline(scored, metric)
    if rival is not None:
        height = rival.values[metric]
        layout["shapes"] = [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height}
            | {"line": {"color": COLOURS[-1], "width": 1.5, "dash": "dot"}}
        ]
        layout["annotations"] = [
            {"xref": "paper", "x": 0, "y": height, "xanchor": "left", "yanchor": "bottom"}
            | {"text": f"best baseline: {escape(rival.label)}", "showarrow": False}
            | {"font": {"size": 12}}
        ]
        # Marks keep the axis to themselves: without this, one far away is not seen.
        marks.append(
            {"type": "scatter", "mode": "markers", "x": [rows[0].values["Tokens kept"]]}
            | {"y": [height], "marker": {"opacity": 0}, "hoverinfo": "skip", "showlegend": False}
        )
    return _figure(marks, layout, f"{metric}-by-tokens-kept")


def _mark(row: Row, metric: str, models: Sequence[str], contexts: Sequence[str]) -> dict[str, Any]:
    """One run: colour by model, shape by context, hollow without the prompt."""
    colour = COLOURS[models.index(row.model) % len(COLOURS)]
    shape = _SYMBOLS[contexts.index(row.about["context"]) % len(_SYMBOLS)]
    hollow = "" if row.about["prompt"] == "on" else "-open"
    told = f"<b>{escape(row.label)}</b><br>{escape(metric)} {_said(row, metric)}<br>tokens kept"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(row.label),
        "x": [round(row.values["Tokens kept"], 3)],
        "y": [round(row.values[metric], 4)],
        "error_x": _error(row, "Tokens kept", colour),
        "error_y": _error(row, metric, colour),
        "marker": {
            "size": 13,
            "color": colour,
            "symbol": f"{shape}{hollow}",
            "line": {"width": 2, "color": colour},
        },
        "text": [f"{told} {_said(row, 'Tokens kept')} %"],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _error(row: Row, metric: str, colour: str) -> dict[str, Any]:
    """The interval as an error bar."""
    ends, value = row.intervals.get(metric), row.values[metric]
    if ends is None:
        return {"visible": False}
    return _bar(value, ends) | {"color": colour, "thickness": 1.5, "width": 5}


def _bar(value: float, ends: Interval) -> dict[str, Any]:
    """From a value to both ends; a percentile interval may leave the value out."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(max(0.0, ends.high - value), 4)],
        "arrayminus": [round(max(0.0, value - ends.low), 4)],
    }


def trade_off_html(scored: Scored, metric: str) -> str:
    """The plot in a sentence."""
    rows = _placed(scored, metric)
    if not rows:
        return (
            f'<p class="esc-hint">No chosen run has both {escape(metric)} and its tokens kept, so'
            " there is nothing to draw. The table says why.</p>"
        )
    most = max(rows, key=lambda row: row.values["Tokens kept"])
    least = min(rows, key=lambda row: row.values["Tokens kept"])
    named = {row.label: row for row in (most, least)}
    sense = direction(metric)
    if sense:
        best = max(rows, key=lambda row: sense * row.values[metric])
        named[best.label] = best
    said = "; ".join(
        f"{escape(row.label)}: {_said(row, metric)} at {row.values['Tokens kept']:.1f} % of the"
        " tokens"
        for row in named.values()
    )
    left = len(_runs(scored)) - len(rows)
    more = f" {left} chosen run(s) lack one of the two and are not drawn." if left else ""
    return (
        f'<p class="esc-hint">{escape(metric)} against tokens kept, bars are 95 % intervals.'
        f" {said}.{more} Colour: model; shape: context; hollow: without the prompt. Every value is"
        " in the table above.</p>"
    )


def dimensions(scored: Scored) -> list[str]:
    """By what the replies can be sliced."""
    return list(dict.fromkeys(one.by for one in scored.table.slices))


def first_dimension(scored: Scored) -> str | None:
    """What to show at first: a dimension with slices to trust, where there is one."""
    known = dimensions(scored)
    large = {one.by for one in scored.table.slices if one.dialogues >= FEW}
    return next((by for by in known if by in large), next(iter(known), None))


def bars(scored: Scored, metric: str, by: str) -> str | None:
    """One metric of every run in the slices of a dimension; None where there are none."""
    slices = _slices(scored, metric, by)
    if not slices:
        return None
    drawn = slices[:MOST_SLICES]
    runs = _runs(scored)
    names = [_slice_name(one) for one in drawn]
    models = list(dict.fromkeys(run.model for run in runs))
    data = []
    for run in runs:
        parts = [_part(one, run.label) for one in drawn]
        values = [part.values.get(metric) if part else None for part in parts]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": escape(run.label),
                "y": names,
                "x": [None if value is None else round(value, 4) for value in values],
                "marker": {
                    "color": COLOURS[models.index(run.model) % len(COLOURS)],
                    "opacity": [0.45 if one.dialogues < FEW else 1 for one in drawn],
                    "pattern": {"shape": _PATTERNS[_variant(run, runs) % len(_PATTERNS)]},
                },
                "error_x": _errors(parts, metric),
                "hovertemplate": f"<b>{escape(run.label)}</b><br>%{{y}}<br>%{{x:.2f}}"
                "<extra></extra>",
            }
        )
    rows = len(drawn) * (12 + 17 * len(runs))
    layout = _layout(110 + rows + 21 * len(runs)) | {
        "barmode": "group",
        "bargap": 0.25,
        "xaxis": _axis(metric) | {"rangemode": "tozero"},
        "yaxis": _axis("") | {"autorange": "reversed", "type": "category", "showgrid": False},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    }
    return _figure(data, layout, f"{metric}-by-{by}")


def _variant(run: Row, runs: Sequence[Row]) -> int:
    """Number of a run's context and prompt among those of all runs."""
    kinds = dict.fromkeys((row.about["context"], row.about["prompt"]) for row in runs)
    return list(kinds).index((run.about["context"], run.about["prompt"]))


def _errors(parts: Sequence[Sliced | None], metric: str) -> dict[str, Any]:
    """The intervals of a run's bars."""
    above: list[float | None] = []
    below: list[float | None] = []
    for part in parts:
        ends = part.intervals.get(metric) if part else None
        bar = _bar(part.values[metric], ends) if part and ends else None
        above += bar["array"] if bar else [None]
        below += bar["arrayminus"] if bar else [None]
    shape = {"type": "data", "symmetric": False, "thickness": 1.3, "width": 3, "color": "#7c8688"}
    return shape | {"array": above, "arrayminus": below}


def bars_html(scored: Scored, metric: str, by: str) -> str:
    """The same as a table, with counts; or why there is nothing."""
    slices = _slices(scored, metric, by)
    if not slices:
        return f'<p class="esc-hint">{_no_slices(scored, metric)}</p>'
    runs = _runs(scored)
    head = "".join(f'<th scope="col">{escape(run.label)}</th>' for run in runs)
    body = ""
    for one in slices:
        few = ' <span class="esc-flag">few</span>' if one.dialogues < FEW else ""
        cells = ""
        for run in runs:
            part = _part(one, run.label)
            cells += f"<td>{_value_html(part, metric)}</td>"
        body += (
            f'<tr><th scope="row"><b>{escape(one.value)}</b>{few}</th><td>{one.n:,}</td>'
            f"<td>{one.dialogues:,}</td>{cells}</tr>"
        )
    drawn = (
        f" The {MOST_SLICES} largest of {len(slices)} are drawn."
        if len(slices) > MOST_SLICES
        else ""
    )
    return (
        f'<p class="esc-hint">{escape(metric)} by {escape(by)}; n counts replies. Pale and marked'
        f" “few”: fewer than {FEW} dialogues, do not read much into them.{drawn}</p>"
        '<details class="esc-log-lines"><summary>The same as a table</summary>'
        '<div class="esc-table esc-scores" tabindex="0" role="region" aria-label="Slices"><table>'
        f'<thead><tr><th scope="col">{escape(by.capitalize())}</th><th scope="col">n</th>'
        f'<th scope="col">Dialogues</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        "</details>"
    )


def _value_html(part: Sliced | None, metric: str) -> str:
    """A value over its interval."""
    if part is None or metric not in part.values:
        return "-"
    ends = part.intervals.get(metric)
    between = f"<small>{ends.low:.2f} to {ends.high:.2f}</small>" if ends else ""
    return f"{part.values[metric]:.2f}{between}"


def _no_slices(scored: Scored, metric: str) -> str:
    """Why there are no bars."""
    if not scored.table.slices:
        return "The data carry no labels by which replies could be sliced."
    if metric in scored.ngrams:
        return (
            f"{escape(metric)} falls with the amount of text, so slices of unlike size would not"
            " compare. Choose another metric."
        )
    return f"{escape(metric)} is measured once for a run, not by slice. Choose another metric."


def _slices(scored: Scored, metric: str, by: str) -> list[Slice]:
    """The slices of a dimension that have the metric."""
    return [
        one
        for one in scored.table.slices
        if one.by == by and any(metric in row.values for row in one.rows)
    ]


def _slice_name(one: Slice) -> str:
    """Such as "anxiety (n = 40)", marked where there are few dialogues."""
    name = one.value if len(one.value) <= 28 else f"{one.value[:27]}…"
    few = ", few" if one.dialogues < FEW else ""
    return f"{escape(name)}<br>(n = {one.n:,}{few})"


def _part(one: Slice, label: str) -> Sliced | None:
    """A run's values in a slice."""
    return next((row for row in one.rows if row.label == label), None)


def _runs(scored: Scored) -> list[Row]:
    return [row for row in scored.table.rows if row.kind == "run"]


def _placed(scored: Scored, metric: str) -> list[Row]:
    """Runs with both coordinates."""
    return [row for row in _runs(scored) if metric in row.values and "Tokens kept" in row.values]


def _best_baseline(scored: Scored, metric: str) -> Row | None:
    """The baseline to beat."""
    sense = direction(metric)
    rows = [row for row in scored.table.rows if row.kind != "run" and metric in row.values]
    if not sense or not rows:
        return None
    return max(rows, key=lambda row: sense * row.values[metric])


def _said(row: Row, metric: str) -> str:
    """Such as "15.20 (14.10 to 16.30)"."""
    ends = row.intervals.get(metric)
    between = f" ({ends.low:.2f} to {ends.high:.2f})" if ends else ""
    return f"{row.values[metric]:.2f}{between}"


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": escape(title), "standoff": 12},
        "automargin": True,
        "gridcolor": _LINE,
        "linecolor": _LINE,
        "zeroline": False,
    }


def _layout(height: int) -> dict[str, Any]:
    """What both charts share."""
    return {
        "height": height,
        "margin": {"l": 10, "r": 16, "t": 34, "b": 10},
        "font": _FONT | {"color": _INK},
        "paper_bgcolor": _PAPER,
        "plot_bgcolor": _PAPER,
        "hoverlabel": {"bgcolor": _INK, "font": {"color": "#ffffff"}},
        "dragmode": "pan",
    }


def _figure(data: list[dict[str, Any]], layout: dict[str, Any], name: str) -> str:
    """The whole, with the bar of tools; `name` is that of a downloaded picture."""
    safe = "".join(char if char.isalnum() or char == "-" else "-" for char in name.lower())
    picture = {"format": "png", "filename": safe, "width": 1000, "scale": 2}
    config = {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
        "toImageButtonOptions": picture | {"height": max(520, layout["height"])},
    }
    return json.dumps({"data": data, "layout": layout, "config": config}, allow_nan=False)
