"""The report's content in order, and the same as one HTML file and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from annotations.analysis.analyse import Analysis
from annotations.analysis.plan import NULL_OF_PREFERENCE, Primary
from annotations.analysis.tidy import PREFERENCE
from annotations.judge.frames import RunView
from annotations.reports.formats import cell_text, figure, size, to_html, to_markdown
from annotations.reports.judges import calls_table, g_score_table
from annotations.reports.methods import methods, versions
from annotations.reports.plots import Plot, plots
from annotations.reports.table12 import table12
from annotations.reports.tables import PValue, Table, tables
from annotations.values import RaterKind

EXPLORATORY = (
    "Exploratory: everything below was looked at without having been promised beforehand. With"
    " many comparisons some intervals miss the truth by chance."
)
NO_PLAN = "No plan was given, so no outcome counts as pre-registered: all results are exploratory."
GIVEN_PLAN = "Pre-registered, as the plan's file says; nothing here shows when it was written"
ONLY_JUDGES = (
    "Only judges have answered. What a plan promises is about people's answers, so nothing here"
    " counts as pre-registered: all results are exploratory."
)


@dataclass(frozen=True)
class Document:
    """What the report says."""

    title: str
    notes: tuple[str, ...]
    primary: Primary | None
    label: str
    """What the primary result counts as; without one, why there is none."""
    empty: bool
    main: Table | None
    plots: tuple[Plot, ...]
    tables: tuple[Table, ...]
    methods: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]


def make_document(
    analysis: Analysis,
    title: str,
    notes: tuple[str, ...] = (),
    runs: tuple[RunView, ...] = (),
) -> Document:
    """The report of one analysis; `runs` are those of the judges in it, where they are known."""
    said = list(notes)
    if analysis.stratum:
        said.append(f"Only the stratum {analysis.stratum!r}.")
    if len(analysis.arms) == 1:
        said.append(f"There is one arm ({analysis.arms[0]}), so nothing can be compared.")
    return Document(
        title,
        tuple(said),
        analysis.primary,
        _label(analysis),
        not analysis.kinds,
        table12(analysis),
        tuple(plots(analysis)),
        (*tables(analysis), *_of_judges(analysis, runs)),
        methods(analysis, runs),
        versions(analysis),
    )


def _of_judges(analysis: Analysis, runs: tuple[RunView, ...]) -> Iterator[Table]:
    """What only judges have, where there is anything."""
    judges = analysis.of(RaterKind.JUDGE)
    if judges is not None and judges.g_scores:
        yield g_score_table(judges)
    if runs:
        yield calls_table(runs)


def _label(analysis: Analysis) -> str:
    """Pre-registered is the plan's outcome in the whole study only."""
    if analysis.primary is None:
        return NO_PLAN if analysis.of(RaterKind.HUMAN) else ONLY_JUDGES
    if analysis.stratum:
        return f"Exploratory (the planned comparison, but in the stratum {analysis.stratum} alone)"
    return "Pre-registered" if analysis.primary.plan.frozen else GIVEN_PLAN


def primary_lines(one: Primary) -> tuple[str, str, tuple[str, ...]]:
    """What was compared, the number, and what belongs to it."""
    plan = one.plan
    share = plan.outcome == PREFERENCE
    what = f"{plan.first} against {plan.second}: {plan.outcome} ({one.how})"
    number = figure(one.result, percent=share)
    details = [size(one.result)]
    if one.result.p is not None:
        text = str(PValue(one.result.p))
        details.append(f"p < {text[1:]}" if text.startswith("<") else f"p = {text}")
    null = f"{100 * NULL_OF_PREFERENCE:.0f}%" if share else "0 points"
    details.append(f"no difference would be {null}")
    lines = [", ".join(part for part in details if part) + "."]
    if one.result.note:
        lines.append(f"{one.result.note[0].upper()}{one.result.note[1:]}.")
    if one.bounds is not None:
        lines.append(
            f"Had all {one.bounds.missing} missing scores been extreme: from"
            f" {cell_text(one.bounds.worst)} to {cell_text(one.bounds.best)}."
        )
    if plan.hypothesis:
        lines.insert(0, f"Hypothesis: {plan.hypothesis}")
    return what, number, tuple(lines)


def to_page(document: Document) -> str:
    """One self-contained HTML file: style and drawings inside, nothing loaded from elsewhere."""
    style = (Path(__file__).parent / "style.css").read_text("utf-8")
    title = escape(document.title)
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in document.notes)
    links = [("primary", "Primary outcome")]
    if not document.empty:
        links += [("overview", "Scores"), ("figures", "Figures"), ("tables", "Tables")]
    links.append(("methods", "Methods"))
    nav = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name in links)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body><header><h1>{title}</h1>"
        f'{notes}</header><nav aria-label="Parts"><ul>{nav}</ul></nav><main>'
        f'<section id="primary"><h2>Primary outcome</h2>{_primary_html(document)}</section>'
        f"{'' if document.empty else _results_html(document)}{_methods_html(document)}"
        "</main></body></html>\n"
    )


def _primary_html(document: Document) -> str:
    if document.empty:
        return "<p>There are no answers yet.</p>"
    if document.primary is None:
        return f"<p>{escape(document.label)}</p>"
    what, number, lines = primary_lines(document.primary)
    rest = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return (
        f'<div class="primary"><p class="label">{escape(document.label)}</p>'
        f"<p>{escape(what)}</p>"
        f'<p class="result">{escape(number)}</p><p>{escape(document.primary.verdict)}</p>'
        f"{rest}</div>"
    )


def _results_html(document: Document) -> str:
    """Everything exploratory."""
    main = to_html(document.main) if document.main else "<p>Nothing was rated.</p>"
    drawings = "".join(
        f"<figure>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>"
        for plot in document.plots
    )
    rest = "".join(to_html(table) for table in document.tables)
    return (
        f'<section id="overview"><h2>Scores</h2><p class="note">{escape(EXPLORATORY)}</p>{main}'
        f'</section><section id="figures"><h2>Figures</h2><div class="plots">{drawings}</div>'
        f'</section><section id="tables"><h2>Tables</h2>{rest}</section>'
    )


def _methods_html(document: Document) -> str:
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in document.methods)
    return f'<section id="methods"><h2>Methods</h2>{paragraphs}{_versions(document)}</section>'


def _versions(document: Document) -> str:
    text = ", ".join(f"{name} {version}" for name, version in document.versions)
    return f'<p class="note">Computed with {escape(text)}.</p>'


def to_text(document: Document) -> str:
    """The same in Markdown, without the drawings."""
    parts = [f"# {document.title}", *document.notes, "## Primary outcome"]
    if document.empty:
        parts.append("There are no answers yet.")
    elif document.primary is None:
        parts.append(document.label)
    else:
        what, number, lines = primary_lines(document.primary)
        parts += [f"{document.label}: {what}", f"**{number}**", document.primary.verdict, *lines]
    if not document.empty:
        parts += ["## Scores", EXPLORATORY]
        if document.main:
            parts.append(to_markdown(document.main))
        parts += ["## Tables", *(to_markdown(table) for table in document.tables)]
    parts += ["## Methods", *document.methods]
    parts.append(f"Computed with {', '.join(' '.join(pair) for pair in document.versions)}.")
    return "\n\n".join(part.strip() for part in parts) + "\n"
