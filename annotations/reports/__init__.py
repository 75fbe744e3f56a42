"""An analysis as a report: HTML, Markdown, CSV and LaTeX."""

from annotations.reports.document import Document, make_document, to_page, to_text
from annotations.reports.write import write_report

__all__ = ["Document", "make_document", "to_page", "to_text", "write_report"]
