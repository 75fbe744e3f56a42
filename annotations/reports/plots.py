"""Plots as inline SVG: drawn 360 units wide so that a phone shows their text at full size.

Colours are classes of `style.css`, so they follow the reader's light or dark theme; shape tells
people and judge apart where colour does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from annotations.analysis.analyse import Analysis
from annotations.analysis.calibration import Calibration
from annotations.analysis.estimate import Estimate
from annotations.analysis.tidy import scale_of, without_scale
from annotations.analysis.winrates import WinRate
from annotations.reports.formats import cell_text, figure
from annotations.reports.tables import Percent, dimension_title, kind_title
from annotations.values import HIGHEST_SCORE

WIDTH, LEFT, RIGHT = 360, 128, 342
ROW = 30


@dataclass(frozen=True)
class Plot:
    """A drawing and the sentence under it."""

    caption: str
    svg: str


@dataclass(frozen=True)
class Mark:
    """One estimate on a row of a forest plot."""

    row: str
    series: str
    estimate: Estimate


def plots(analysis: Analysis) -> Iterator[Plot]:
    """Every plot there are numbers for."""
    yield from _differences(analysis)
    for kind in analysis.kinds:
        raters = dict.fromkeys(one.rater for one in kind.win_rates)
        for name in raters:
            who = f"Judge {name}" if len(raters) > 1 else kind_title(kind)
            caption = f"{who}: which arm was preferred; the table has all intervals"
            yield Plot(
                caption, _wins([one for one in kind.win_rates if one.rater == name], caption)
            )
    yield from _distributions(analysis)
    marks = [
        Mark(dimension_title(one.dimension), kind_title(kind), one.alpha)
        for kind in analysis.kinds
        for one in kind.agreement
        if one.alpha.value is not None
    ]
    if marks:
        caption = "Krippendorff's alpha (ordinal), 95% interval; 1 is perfect, 0 is chance"
        yield Plot(caption, forest(marks, caption, 0.0))
    for one in analysis.calibration:
        if one.points:
            caption = f"{dimension_title(one.dimension)}: people's mean and {one.judge}, by reply"
            yield Plot(f"{caption} (n={len(one.points)} replies)", _scatter(one, caption))


def _differences(analysis: Analysis) -> Iterator[Plot]:
    """One forest a pair of arms, people and judge on the same rows."""
    pairs = dict.fromkeys(
        (one.first, one.second) for kind in analysis.kinds for one in kind.differences
    )
    for first, second in pairs:
        marks = [
            Mark(dimension_title(one.dimension), kind_title(kind), one.difference)
            for kind in analysis.kinds
            for one in kind.differences
            if (one.first, one.second) == (first, second)
        ]
        caption = f"{first} − {second}: difference in points, 95% interval"  # noqa: RUF001
        yield Plot(caption, forest(marks, caption, 0.0))


def forest(marks: Sequence[Mark], title: str, zero: float) -> str:
    """Points with intervals on one axis, a row each; series are drawn one below the other."""
    rows = list(dict.fromkeys(mark.row for mark in marks))
    series = list(dict.fromkeys(mark.series for mark in marks))
    ends = [zero]
    for mark in marks:
        ends += [
            end
            for end in (mark.estimate.low, mark.estimate.value, mark.estimate.high)
            if end is not None
        ]
    low, high, step = _axis(min(ends), max(ends))

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (RIGHT - LEFT)

    top = 26 if len(series) > 1 else 8
    bottom = top + ROW * len(rows)
    parts = [_legend(series)] if len(series) > 1 else []
    tick = low
    while tick <= high + step / 2:
        kind = "zero" if abs(tick - zero) < step / 1e6 else "grid"
        parts.append(_line(x(tick), top, x(tick), bottom, kind))
        parts.append(_text(x(tick), bottom + 16, f"{tick:g}".replace("-", "−"), "middle"))  # noqa: RUF001
        tick = round(tick + step, 10)
    parts += [
        _text(LEFT - 10, top + ROW * (at + 0.5) + 4, row, "end") for at, row in enumerate(rows)
    ]
    for mark in marks:
        at = series.index(mark.series)
        offset = 0 if len(series) == 1 else (at - (len(series) - 1) / 2) * 11
        y = top + ROW * (rows.index(mark.row) + 0.5) + offset
        parts.append(_point(mark, x, y, at))
    return _svg(title, bottom + 24, parts)


def _point(mark: Mark, x: object, y: float, series: int) -> str:
    """A marker, its interval, and its numbers as a tooltip."""
    one = mark.estimate
    if one.value is None or not callable(x):
        return ""
    middle = x(one.value)
    whisker = ""
    if one.low is not None and one.high is not None:
        whisker = _line(x(one.low), y, x(one.high), y, f"whisker s{series}")
    shape = (
        f'<circle class="s{series}" cx="{middle:.1f}" cy="{y:.1f}" r="4.5"/>'
        if series == 0
        else f'<rect class="s{series}" x="{middle - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    )
    text = escape(f"{mark.row}, {mark.series}: {cell_text(one)}")
    return f"<g><title>{text}</title>{whisker}{shape}</g>"


def _wins(rates: Sequence[WinRate], title: str) -> str:
    """Stacked bars of win, tie, both bad and loss."""
    names = ("win", "tie", "both bad", "loss")
    parts = []
    left = 6.0
    for at, name in enumerate(names):
        parts.append(f'<rect class="w{at}" x="{left}" y="4" width="11" height="11"/>')
        parts.append(_text(left + 16, 14, name, "start"))
        left += 34 + 7 * len(name)
    y = 30.0
    for rate in rates:
        won = f"win {figure(rate.win, percent=True)}, n={rate.win.n}"
        parts.append(_text(6, y + 12, f"{rate.first} vs {rate.second}: {won}", "start"))
        start = 6.0
        for at, one in enumerate((rate.win, rate.tie, rate.both_bad, rate.loss)):
            width = (one.value or 0.0) * (RIGHT - 6)
            tip = escape(f"{names[at]}: {cell_text(Percent(one))}")
            parts.append(
                f'<g><title>{tip}</title><rect class="w{at}" x="{start:.1f}" y="{y + 18:.1f}"'
                f' width="{width:.1f}" height="22"/></g>'
            )
            if width > 30:
                label = f"{100 * (one.value or 0):.0f}%"
                parts.append(_text(start + width / 2, y + 33.5, label, "middle", f"on{at}"))
            start += width
        y += 52
    return _svg(title, y, parts)


def _distributions(analysis: Analysis) -> Iterator[Plot]:
    """How often each score was given: a small panel for each arm, a plot a dimension."""
    for kind in analysis.kinds:
        for dimension in analysis.dimensions:
            panels = [one for one in kind.means if one.dimension == dimension and one.mean.n]
            if not panels:
                continue
            who = kind_title(kind)
            low, high = scale_of(dimension)
            title = dimension_title(without_scale(dimension))
            caption = f"{who}, {title}: share of each score ({low}-{high}) by arm"
            parts, y = [], 4.0
            for one in panels:
                parts.append(_text(6, y + 36, f"{one.arm} (n={one.mean.n})", "start"))
                total = max(sum(one.counts), 1)
                for score, count in enumerate(one.counts[: high + 1]):
                    if score < low:
                        continue
                    x = LEFT + 12 + score * 35
                    height = 46 * count / total
                    tip = f"<title>{score}: {count} of {total}</title>"
                    parts.append(
                        f'<g>{tip}<rect class="s{kind.size.kind == "judge":d}" x="{x}"'
                        f' y="{y + 52 - height:.1f}" width="26" height="{height:.1f}"/></g>'
                    )
                    if count:
                        label = f"{100 * count / total:.0f}"
                        parts.append(_text(x + 13, y + 49 - height, label, "middle", "tiny"))
                parts.append(_line(LEFT + 8, y + 52, RIGHT, y + 52, "grid"))
                y += 66
            parts += [
                _text(LEFT + 25 + score * 35, y + 4, str(score), "middle")
                for score in range(low, high + 1)
            ]
            yield Plot(f"{caption} (numbers are percent)", _svg(caption, y + 10, parts))


def _scatter(one: Calibration, title: str) -> str:
    """People's mean across, the judge's score up; the line is agreement."""
    x0, y0, size = 46.0, 10.0, 270.0

    def place(value: float) -> float:
        return (value + 0.25) / (HIGHEST_SCORE + 0.5) * size

    parts = [_line(x0, y0 + size, x0 + size, y0, "grid")]
    for score in range(HIGHEST_SCORE + 1):
        parts.append(_text(x0 + place(score), y0 + size + 16, str(score), "middle"))
        parts.append(_text(x0 - 8, y0 + size - place(score) + 4, str(score), "end"))
    parts.append(
        f'<rect class="frame" x="{x0}" y="{y0}" width="{size}" height="{size}" fill="none"/>'
    )
    for at, (people, judge, _) in enumerate(one.points):
        # A fixed spread keeps equal pairs apart without chance.
        shift = (at * 0.618 % 1 - 0.5) * 0.3
        cx, cy = x0 + place(people), y0 + size - place(judge + shift)
        parts.append(f'<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="3"/>')
    parts.append(_text(x0 + size / 2, y0 + size + 34, "people's mean", "middle"))
    parts.append(
        f'<text transform="translate(14 {y0 + size / 2}) rotate(-90)" text-anchor="middle">'
        "judge</text>"
    )
    return _svg(title, y0 + size + 42, parts)


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Round ends and a step with few enough ticks that their labels do not touch."""
    span = max(high - low, 0.2)
    step = next(size for size in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0) if span / size <= 3)
    first, last = step * (low // step), step * -(-high // step)
    return (first, last, step) if last > first else (first - step, last + step, step)


def _legend(series: Sequence[str]) -> str:
    """Which mark is whose."""
    parts, x = [], float(LEFT)
    for at, name in enumerate(series):
        mark = (
            f'<circle class="s{at}" cx="{x + 5}" cy="10" r="4.5"/>'
            if at == 0
            else f'<rect class="s{at}" x="{x + 1}" y="6" width="8" height="8"/>'
        )
        parts.append(mark + _text(x + 16, 14, name, "start"))
        x += 34 + 8 * len(name)
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    short = text if len(text) <= 44 else text[:43] + "…"
    return (
        f'<text{f" class={chr(34)}{kind}{chr(34)}" if kind else ""} x="{x:.1f}" y="{y:.1f}"'
        f' text-anchor="{anchor}">{escape(short)}</text>'
    )


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
