"""The report on the page: its own words and drawings, in parts that can be folded."""

from __future__ import annotations

import re
from html import escape

from annotations.studies.values import StudyStatus
from esc_demo.ui.ratings_job import Job, Made
from esc_demo.ui.studies import STATUS_WORDS, state_badge

_SECTION = re.compile(r'<section id="(\w+)">(.*?)</section>', re.DOTALL)
_NOTES = re.compile(r"<header><h1>.*?</h1>(.*?)</header>", re.DOTALL)
_FOLDED = {"tables": "All tables", "methods": "Methods and versions"}
_HEADING = re.compile(r"\A<h2>.*?</h2>", re.DOTALL)

PART = (
    "Only one stratum is shown. The plan promised its outcome over all of them, so within one it"
    " is exploratory, too."
)


def report_html(made: Made, stratum: str) -> str:
    """What report.html says: the primary outcome first, tables and methods folded."""
    found = dict(_SECTION.findall(made.page))
    for arm in sorted({escape(line.arm) for line in made.lines}):
        named = f'<th scope="row">{arm}</th>'
        button = f'<th scope="row"><button type="button" data-arm="{arm}">{arm}</button></th>'
        found = {name: inside.replace(named, button) for name, inside in found.items()}
    notes = _NOTES.search(made.page)
    warning = f'<p class="esc-note">{PART}</p>' if stratum else ""
    running = "" if made.public else " is-interim"
    parts = "".join(
        _folded(name, inside)
        if name in _FOLDED
        else f'<section class="is-{name}">{inside}</section>'
        for name, inside in found.items()
    )
    return (
        f'<div class="esc-report"><div class="esc-run-head"><h3>{escape(made.title)}</h3>'
        f"{state_badge(made.status)}</div>"
        f'<div class="esc-report-notes{running}">{notes.group(1) if notes else ""}{warning}</div>'
        f"{parts}</div>"
    )


def _folded(name: str, inside: str) -> str:
    """A part behind a line that can be opened; the line takes the place of its heading."""
    return (
        f'<details class="is-{name}"><summary>{_FOLDED[name]}</summary>'
        f"{_HEADING.sub('', inside)}</details>"
    )


def progress_html(job: Job) -> str:
    """What is being done, and since when."""
    since = f" ({job.seconds} s so far)" if job.seconds else ""
    return (
        '<p class="esc-hint esc-warming" role="status"><span class="esc-spin" aria-hidden="true">'
        f"</span>{escape(job.stage)}{since}. It may take a minute; the other tabs can be used"
        " meanwhile.</p>"
    )


def nothing_html(running: int, *, inside: bool) -> str:
    """Why there is no study to choose."""
    if running and not inside:
        are = "1 study is" if running == 1 else f"{running} studies are"
        return (
            '<div class="esc-run-empty"><p class="esc-empty-title">No study has been closed yet</p>'
            f"<p>{are} running. Results are shown here to everybody once a study is closed, and"
            " before that to its owner, who logs in on the Admin tab.</p></div>"
        )
    return (
        '<div class="esc-run-empty"><p class="esc-empty-title">No ratings yet</p><p>People rate'
        " replies blindly in a study; the Study tab says how to make one. Its report appears here"
        " when it is closed.</p></div>"
    )


def who_sees_html(*, inside: bool, can_log_in: bool) -> str:
    """Who may see what, said on the page."""
    if inside:
        return (
            '<p class="esc-hint">You are logged in: running studies are listed too, and what people'
            " wrote is shown. Interim results can lead to stopping at a lucky moment, and whoever"
            " rates must not see them.</p>"
        )
    log_in = (
        "log in on the Admin tab"
        if can_log_in
        else "needs a login, which is set up with ESC_ADMIN_PASSWORD (see the Admin tab)"
    )
    return (
        '<p class="esc-hint">Closed studies are open to everybody who sees this page. A running'
        " one is not listed, because raters are blinded and early looks mislead; neither are"
        f" people's comments. Its owner {'can ' if can_log_in else ''}{log_in}.</p>"
    )


def choice_label(title: str, slug: str, status: StudyStatus) -> str:
    """A study in the list."""
    return f"{title} ({slug}), {STATUS_WORDS[status]}"
