"""The table of the Results tab as HTML: values with intervals, marks, reasons and protocol."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the scorer is imported when a table is first asked for
    from esc_demo.ui.results_score import Scored
    from finetune.metrics.tables import Row

MAIN, ALL = "Main", "All"

MOST_NOTES = 2
"""Remarks that are shown without being asked for."""

_LOWER_IS_BETTER = frozenset({"Perplexity", "Bits per byte", "Seconds"})
_NEITHER = frozenset({"Length", "Utterance length", "Prompt tokens", "Tokens kept"})
"""More of them is neither good nor bad in itself."""

_UNITS = {
    "Seconds": "s a reply",
    "Length": "tokens of a reply",
    "Utterance length": "tokens of an utterance shown to the model",
    "Prompt tokens": "tokens of a prompt",
    "Tokens kept": "% of the raw prompt's tokens",
    "Fits window": "% of prompts from which nothing was dropped",
}


def direction(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither."""
    if metric in _NEITHER:
        return 0
    return -1 if metric in _LOWER_IS_BETTER else 1


def columns(scored: Scored, which: str) -> tuple[tuple[str, str], ...]:
    """Heading and metric of each column."""
    if which != ALL:
        return scored.main
    names = [name for row in scored.table.rows for name in [*row.values, *row.missing]]
    ordered = [*(metric for _, metric in scored.main), *names]
    return tuple((name, name) for name in dict.fromkeys(ordered) if name != "all")


def table_html(scored: Scored, which: str) -> str:
    """Runs first, then the baselines; why a cell is empty stands below."""
    shown = columns(scored, which)
    marks = {metric: _marks(scored, metric) for _, metric in shown}
    reasons: dict[str, str] = {}
    body = ""
    for row in scored.table.rows:
        cells = "".join(
            _cell(row, metric, marks[metric].get(row.label, ""), reasons) for _, metric in shown
        )
        body += f'<tr class="is-{row.kind}"><th scope="row">{_name(row)}</th>{cells}</tr>'
    head = "".join(_head(title, metric) for title, metric in shown)
    return (
        '<div class="esc-table esc-scores" tabindex="0" role="region" aria-label="Scores"><table>'
        f'<thead><tr><th scope="col">Run</th>{head}</tr></thead><tbody>{body}</tbody></table>'
        f"</div>{_legend(scored)}{_reasons_html(reasons)}{_notes_html(scored)}"
    )


def _head(title: str, metric: str) -> str:
    """A column's heading with what is better."""
    arrow, said = {1: ("↑", "more is better"), -1: ("↓", "less is better"), 0: ("", "")}[
        direction(metric)
    ]
    about = "; ".join(part for part in (metric, _UNITS.get(metric, ""), said) if part)
    hidden = f'<span class="esc-sr">, {said}</span>' if said else ""
    return (
        f'<th scope="col" title="{escape(about)}">{escape(title)}'
        f'<span aria-hidden="true"> {arrow}</span>{hidden}</th>'
    )


def _name(row: Row) -> str:
    """The label in two lines: the model, and the rest."""
    rest = row.label.removeprefix(row.model).strip(" ·")
    below = rest if row.kind == "run" else "baseline"
    return f"<b>{escape(row.model)}</b><small>{escape(below)}</small>"


def _cell(row: Row, metric: str, mark: str, reasons: dict[str, str]) -> str:
    """Value over interval, or a dash with the letter of its reason."""
    value = row.values.get(metric)
    if value is None:
        why = row.missing.get(metric) or row.missing.get("all") or "not measured"
        letter = reasons.setdefault(why, _letter(len(reasons)))
        return (
            f'<td class="is-empty" title="{escape(why)}"><span aria-hidden="true">-</span>'
            f'<span class="esc-sr">none, reason </span><sup>{letter}</sup></td>'
        )
    ends = row.intervals.get(metric)
    between = f"<small>{ends.low:.2f} to {ends.high:.2f}</small>" if ends else ""
    sign = {"best": "★", "above": "▲"}.get(mark, "")
    told = {"best": "best run", "above": "baseline above every run"}.get(mark, "")
    flag = f'<i aria-hidden="true">{sign}</i><span class="esc-sr"> {told}</span>' if sign else ""
    return f'<td class="is-{mark or "plain"}"><b>{value:,.2f}</b>{flag}{between}</td>'


def _letter(number: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else _letter(number // 26 - 1) + letter


def _marks(scored: Scored, metric: str) -> dict[str, str]:
    """`best` for the best of several runs, `above` for a baseline better than all of them."""
    sense = direction(metric)
    runs = [row for row in scored.table.rows if row.kind == "run" and metric in row.values]
    if not sense or not runs:
        return {}
    rows = [row for row in scored.table.rows if metric in row.values]
    if metric in scored.ngrams and len({row.about.get("empty") for row in rows}) > 1:
        return {}
    top = max(sense * row.values[metric] for row in runs)
    found = {
        row.label: "above" for row in rows if row.kind != "run" and sense * row.values[metric] > top
    }
    if len(runs) > 1:
        found |= {row.label: "best" for row in runs if sense * row.values[metric] == top}
    return found


def _legend(scored: Scored) -> str:
    """What the marks and small figures mean."""
    between = scored.table.header["intervals"]
    return (
        '<p class="esc-hint esc-marks">★ best of the runs. ▲ a trivial baseline above every run:'
        f" the metric says little here. Small: {100 * between['level']:g} % interval over dialogues"
        f" ({between['replicates']:,} draws).</p>"
    )


def _reasons_html(reasons: dict[str, str]) -> str:
    """Why cells are empty."""
    if not reasons:
        return ""
    lines = "".join(f"<li><b>{letter}</b> {escape(why)}</li>" for why, letter in reasons.items())
    return (
        '<details class="esc-log-lines esc-reasons" open><summary>Why cells are empty</summary>'
        f"<ul>{lines}</ul></details>"
    )


def _notes_html(scored: Scored) -> str:
    """What a reader must know of these files."""
    notes = [f'<p class="esc-note">{escape(note)}</p>' for note in scored.table.notes]
    if len(notes) <= MOST_NOTES:
        return "".join(notes)
    return (
        f'<details class="esc-log-lines"><summary>{len(notes)} remarks on these runs</summary>'
        f"{''.join(notes)}</details>"
    )


def header_html(scored: Scored) -> str:
    """Protocol, versions and hashes, behind a line that can be opened."""
    head = scored.table.header
    between, rivals, protocol = head["intervals"], head["baselines"], head["protocol"]
    entries = {
        "Data": f"{head['data']['name']}: {head['pairs']:,} replies of"
        f" {head['dialogues']:,} dialogues in every row",
        "Protocol": f"{_words(protocol)} (hash {head['protocol_hash']})",
        "Profile": f"{head['profile']}: {head['tokenizer']}; {head['smoothing']}; case:"
        f" {head['case']}",
        "Intervals": f"{100 * between['level']:g} %, {between['method']},"
        f" {between['replicates']:,} replicates, seed {between['seed']}",
        "Differences": head["differences"],
        "Baselines": f"take their replies from {rivals['train']}, seed {rivals['seed']}",
        "Versions": ", ".join(f"{name} {number}" for name, number in head["versions"].items()),
        "Runs": "; ".join(_run_words(row) for row in scored.table.rows if row.kind == "run"),
    }
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items()
    )
    return (
        '<details class="esc-log-lines esc-protocol"><summary>Protocol, profile and versions'
        f"</summary><dl>{lines}</dl></details>"
    )


def _run_words(row: Row) -> str:
    """A run with its hash and how its replies ended."""
    ended = ", ".join(f"{count} {name}" for name, count in row.about["statuses"].items())
    return f"{row.label} (hash {row.about['run_hash']}; {ended})"


def _words(value: dict[str, Any]) -> str:
    """Entries as text, nested ones as JSON."""
    return ", ".join(
        f"{name} {json.dumps(entry, sort_keys=True) if isinstance(entry, dict) else entry}"
        for name, entry in value.items()
    )


def differences_html(scored: Scored) -> str:
    """Every row minus the first one, in the main columns."""
    rows = [row for row in scored.table.rows if row.differences]
    shown = [
        (title, metric)
        for title, metric in scored.main
        if any(metric in row.differences for row in rows)
    ]
    if not shown:
        return ""
    first = scored.table.rows[0].label
    body = "".join(
        f'<tr class="is-{row.kind}"><th scope="row">{_name(row)}</th>'
        f"{''.join(_difference(row, metric) for _, metric in shown)}</tr>"
        for row in rows
    )
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title, _ in shown)
    return (
        '<details class="esc-log-lines"><summary>Differences to the first run chosen:'
        f" {escape(first)}</summary>"
        '<div class="esc-table esc-scores" tabindex="0" role="region" aria-label="Differences to'
        f' the first run"><table><thead><tr><th scope="col">Run</th>{head}</tr></thead><tbody>'
        f'{body}</tbody></table></div><p class="esc-hint">Each row minus the first, on the same'
        " draws of dialogues. p after Holm's correction over the rows; bold below .05.</p>"
        "</details>"
    )


def _difference(row: Row, metric: str) -> str:
    """A difference with interval and p."""
    found = row.differences.get(metric)
    if found is None:
        return '<td class="is-empty">-</td>'
    text = f"{found.value:+.2f}"
    value = f"<b>{text}</b>" if found.p_holm < 0.05 else f"<span>{text}</span>"
    p = math.ceil(found.p_holm * 1000 - 1e-9) / 1000  # never said to be smaller than it is
    between = f"{found.low:+.2f} to {found.high:+.2f}"
    return f"<td>{value}<small>{between}</small><small>p {p:.3f}</small></td>"


def metric_choices(scored: Scored) -> list[str]:
    """What can be drawn over the tokens kept: all that a run has, the papers' columns first."""
    have: Sequence[str] = [
        name for row in scored.table.rows if row.kind == "run" for name in row.values
    ]
    ordered = [metric for _, metric in scored.main if metric in have] + list(have)
    return [name for name in dict.fromkeys(ordered) if name != "Tokens kept"]
