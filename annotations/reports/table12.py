"""Table 12 of paper B: one row a system, its criteria as columns, people and judge side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from annotations.analysis.analyse import Analysis
from annotations.analysis.differences import ArmMean
from annotations.analysis.estimate import Estimate, missing_estimate
from annotations.analysis.tidy import scale_text
from annotations.reports.formats import figure, latex
from annotations.reports.tables import PEOPLE, Cell, Table, dimension_title
from annotations.values import RaterKind

_WHO = {RaterKind.HUMAN: "people", RaterKind.JUDGE: "the judge"}


@dataclass(frozen=True)
class Column:
    """A criterion as judged by people, or by one judge."""

    group: str
    dimension: str
    cells: tuple[Estimate, ...]
    """In the order of the arms."""


def columns(analysis: Analysis) -> tuple[Column, ...]:
    """People's columns, then those of each judge: unlike judges have no mean in common."""
    found = []
    for group, raw in _groups(analysis):
        means = {(one.arm, one.dimension): one.mean for one in raw}
        found += [
            Column(
                group,
                dimension,
                tuple(
                    means.get((arm, dimension), missing_estimate("no answers"))
                    for arm in analysis.arms
                ),
            )
            for dimension in _rated(raw)
        ]
    return tuple(found)


def _groups(analysis: Analysis) -> Iterator[tuple[str, Sequence[ArmMean]]]:
    """Whose means stand together; a judge has its name where there are several."""
    for kind in analysis.kinds:
        if len(kind.means_of_each) > 1:
            yield from ((f"Judge {name}", means) for name, means in kind.means_of_each)
        else:
            yield PEOPLE[kind.size.kind], kind.means


def caption(analysis: Analysis) -> str:
    """What the table shows, by whom and on which scales."""
    rated = [kind for kind in analysis.kinds if kind.means]
    scale = scale_text(one.dimension for kind in rated for one in kind.means)
    who = ["each judge" if len(kind.means_of_each) > 1 else _WHO[kind.size.kind] for kind in rated]
    return f"Mean scores ({scale}) by {' and by '.join(who)}, in the layout of Table 12"


def _rated(means: Sequence[ArmMean]) -> list[str]:
    return list(dict.fromkeys(one.dimension for one in means))


def table12(analysis: Analysis) -> Table | None:
    """The table for HTML, Markdown and CSV; None when nothing was rated."""
    all_columns = columns(analysis)
    if not all_columns:
        return None
    heads = tuple(f"{one.group}: {dimension_title(one.dimension)}" for one in all_columns)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (arm, *(one.cells[at] for one in all_columns)) for at, arm in enumerate(analysis.arms)
    )
    return Table("table12", caption(analysis), ("System", *heads), rows)


def table12_latex(analysis: Analysis) -> str:
    """The same for a paper: groups over their columns, best bold, second best underlined."""
    all_columns = columns(analysis)
    if not all_columns:
        return "% Nothing was rated.\n"
    groups = list(dict.fromkeys(one.group for one in all_columns))
    spans = [sum(one.group == group for one in all_columns) for group in groups]
    over = " & ".join(
        rf"\multicolumn{{{span}}}{{c}}{{{latex(group)}}}"
        for group, span in zip(groups, spans, strict=True)
    )
    lines = [
        "% Needs booktabs. Brackets: 95% interval clustered by item and rater; n: answers.",
        r"\begin{table*}",
        r"\centering\small",
        rf"\begin{{tabular}}{{l{'c' * len(all_columns)}}}",
        r"\toprule",
        f"& {over} " + r"\\",
        _rules(spans),
        "System & "
        + " & ".join(latex(dimension_title(one.dimension)) for one in all_columns)
        + r" \\",
        r"\midrule",
    ]
    marks = [_marks(one.cells) for one in all_columns]
    for at, arm in enumerate(analysis.arms):
        cells = [_cell(one.cells[at], marks[i][at]) for i, one in enumerate(all_columns)]
        lines.append(f"{latex(arm)} & " + " & ".join(cells) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{latex(caption(analysis))}; 95\% intervals in brackets. Bold: highest mean,"
        r" underlined: second; neither is a claim of significance.}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _rules(spans: list[int]) -> str:
    """A rule under each group."""
    at, rules = 2, []
    for span in spans:
        rules.append(rf"\cmidrule(lr){{{at}-{at + span - 1}}}")
        at += span
    return "".join(rules)


def _marks(cells: tuple[Estimate, ...]) -> list[str]:
    """bold for the highest, underline for the second, as the papers do."""
    values = sorted({round(one.value, 2) for one in cells if one.value is not None}, reverse=True)
    marks = []
    for one in cells:
        rank = values.index(round(one.value, 2)) if one.value is not None else 9
        marks.append({0: "textbf", 1: "underline"}.get(rank, "") if len(values) > 1 else "")
    return marks


def _cell(one: Estimate, mark: str) -> str:
    """Mean, interval and n of one cell."""
    if one.value is None:
        return "--"
    value, _, interval = latex(figure(one)).partition(" ")
    value = rf"\{mark}{{{value}}}" if mark else value
    return rf"\shortstack{{{value}\\{{\scriptsize {interval}}}\\{{\scriptsize n={one.n}}}}}"
