"""The files of a report."""

from __future__ import annotations

from pathlib import Path

from annotations.analysis.analyse import Analysis
from annotations.judge.frames import RunView
from annotations.reports.document import Document, make_document, to_page, to_text
from annotations.reports.formats import to_csv, to_latex
from annotations.reports.table12 import table12_latex
from esc_demo.errors import StorageError


def report_files(analysis: Analysis, document: Document) -> dict[str, str]:
    """Text of each file by its name within the report's folder."""
    files = {"report.html": to_page(document), "report.md": to_text(document)}
    for table in document.tables:
        files[f"tables/{table.id}.csv"] = to_csv(table)
        files[f"tables/{table.id}.tex"] = to_latex(table)
    if document.main is not None:
        files["tables/table12.csv"] = to_csv(document.main)
        files["tables/table12.tex"] = table12_latex(analysis)
    return files


def write_report(
    analysis: Analysis,
    folder: Path,
    title: str,
    notes: tuple[str, ...] = (),
    runs: tuple[RunView, ...] = (),
) -> tuple[Path, ...]:
    """Write report.html, report.md and every table as CSV and LaTeX.

    Raises:
        StorageError: the folder cannot be written.
    """
    files = report_files(analysis, make_document(analysis, title, notes, runs))
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise StorageError(
            f"Cannot write the report to {folder}: {error.strerror}. Name another with --out."
        ) from error
    return tuple(folder / name for name in files)
