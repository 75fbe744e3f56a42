"""A table as CSV at full precision, Markdown, LaTeX and HTML."""

from __future__ import annotations

import csv
import io
from html import escape

from annotations.analysis.estimate import Estimate
from annotations.reports.tables import Cell, Percent, PValue, Table

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # a row's end would take them for its own arguments
    "−": "$-$", "–": "--", "½": r"\textonehalf{}", "ν": r"$\nu$", "<": "$<$", ">": "$>$",  # noqa: RUF001
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@")


def figure(one: Estimate, *, percent: bool = False, digits: int = 2) -> str:
    """A number with its interval: `3.42 [3.10, 3.74]`; without one it says so."""
    if one.value is None:
        return "–"  # noqa: RUF001
    factor, digits = (100.0, 0) if percent else (1.0, digits)
    sign = "%" if percent else ""
    value = f"{_number(one.value * factor, digits)}{sign}"
    if one.low is None or one.high is None:
        return f"{value} [no interval]"
    return f"{value} [{_number(one.low * factor, digits)}, {_number(one.high * factor, digits)}]"


def _number(value: float, digits: int) -> str:
    """Rounded, with a minus sign and without a negative zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "−")  # noqa: RUF001


def size(one: Estimate) -> str:
    """What the number rests on."""
    if not one.n:
        return ""
    items = f"{one.items} item{'s' if one.items != 1 else ''}"
    return f"n={one.n}, {items}, {one.raters} rater{'s' if one.raters != 1 else ''}"


def cell_text(cell: Cell) -> str:
    """A cell in one line, its n and note included."""
    if isinstance(cell, Estimate | Percent):
        percent = isinstance(cell, Percent)
        one = cell.share if isinstance(cell, Percent) else cell
        extra = "; ".join(part for part in (size(one), one.note) if part)
        return figure(one, percent=percent) + (f" ({extra})" if extra else "")
    return str(cell)


def to_csv(table: Table) -> str:
    """Each estimate takes the columns value, low, high, n, items, raters and note."""
    wide = [
        any(isinstance(row[at], Estimate | Percent) for row in table.rows)
        for at in range(len(table.heads))
    ]
    heads: list[str] = []
    for head, is_wide in zip(table.heads, wide, strict=True):
        name = head.lower()
        parts = ("", " low", " high", " n", " items", " raters", " note")
        heads += [name + part for part in parts] if is_wide else [name]
    lines: list[list[object]] = [list(heads)]
    for row in table.rows:
        line: list[object] = []
        for cell, is_wide in zip(row, wide, strict=True):
            line += _csv_cells(cell) if is_wide else [_plain(cell)]
        lines.append(line)
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def _csv_cells(cell: Cell) -> list[object]:
    one = cell.share if isinstance(cell, Percent) else cell
    if not isinstance(one, Estimate):
        return [_plain(cell), *[""] * 6]
    numbers = ["" if value is None else value for value in (one.value, one.low, one.high)]
    return [*numbers, one.n, one.items, one.raters, one.note]


def _plain(cell: Cell) -> object:
    if isinstance(cell, PValue):
        return "" if cell.value is None else cell.value
    if not isinstance(cell, str):
        return cell
    flat = " ".join(cell.split())  # the writer does not quote a carriage return: it would end a row
    # What begins so would be run by a spreadsheet.
    return f"'{flat}" if flat.startswith(_FORMULA) else flat


def to_markdown(table: Table) -> str:
    """A pipe table under its caption."""
    lines = [f"**{_md(table.caption)}**", ""]
    lines.append("| " + " | ".join(map(_md, table.heads)) + " |")
    lines.append("|" + "---|" * len(table.heads))
    lines += ["| " + " | ".join(_md(cell_text(cell)) for cell in row) + " |" for row in table.rows]
    if table.note:
        lines += ["", _md(table.note)]
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    """Text that cannot end a cell or start markup."""
    flat = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\|*_`<[#" else char for char in flat)


def to_latex(table: Table) -> str:
    """A booktabs table; n and notes stand below the number in small type."""
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{latex(table.caption)}. {latex(table.note)}}}".replace(". }", "}"),
        rf"\begin{{tabular}}{{{'l' * len(table.heads)}}}",
        r"\toprule",
        " & ".join(map(latex, table.heads)) + r" \\",
        r"\midrule",
        *(" & ".join(latex(cell_text(cell)) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """Text in one line, with LaTeX's own characters escaped."""
    return "".join(_LATEX.get(char, char) for char in " ".join(text.split()))


def to_html(table: Table) -> str:
    """A table that scrolls sideways on its own when the page is narrow."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(f"<tr>{_html_row(row)}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<figure class="table" id="{escape(table.id)}"><div class="scroll" tabindex="0"'
        f' role="region" aria-label="{escape(table.caption)}"><table><caption>'
        f"{escape(table.caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{note}</figure>"
    )


def _html_row(row: tuple[Cell, ...]) -> str:
    """The first cell heads the row."""
    first = f'<th scope="row">{escape(cell_text(row[0]))}</th>'
    return first + "".join(_html_cell(cell) for cell in row[1:])


def _html_cell(cell: Cell) -> str:
    if isinstance(cell, Estimate | Percent):
        one = cell.share if isinstance(cell, Percent) else cell
        small = [part for part in (size(one), one.note) if part]
        below = "".join(f"<small>{escape(part)}</small>" for part in small)
        text = escape(figure(one, percent=isinstance(cell, Percent)))
        return f'<td class="number"><span>{text}</span>{below}</td>'
    number = ' class="number"' if isinstance(cell, int | PValue) else ""
    return f"<td{number}>{escape(str(cell))}</td>"
