"""The report on the page: its own words and drawings, in parts that can be folded."""

from __future__ import annotations

import re
from collections.abc import Collection
from html import escape

from annotations.studies.values import StudyStatus
from esc_demo.ui.ratings_job import Job, Made
from esc_demo.ui.studies import STATUS_WORDS, state_badge

_SECTION = re.compile(r'<section id="(\w+)">(.*?)</section>', re.DOTALL)
_NOTES = re.compile(r"<header><h1>.*?</h1>(.*?)</header>", re.DOTALL)
_SIGNS = ("−", "vs")  # noqa: RUF001 (a minus sign)
_COMPARISON = re.compile(
    r'(<th scope="row">|<td>)([^<]* (?:−|vs) [^<]*)(</th>|</td>)(?:<td>([^<]*)</td>)?'  # noqa: RUF001
)
"""A cell with a comparison, and the cell beside it where that has words alone."""
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
    pairs = {(line.arm, line.other) for line in made.lines if line.other}
    found = {name: linked_pairs(inside, pairs) for name, inside in found.items()}
    found["primary"] = _linked_primary(found.get("primary", ""), pairs)
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


def linked_pairs(page: str, pairs: Collection[tuple[str, str]]) -> str:
    """The same with a button in each cell that names a comparison of two arms.

    In a table of differences the dimension stands beside it.
    """
    cells = {
        escape(f"{first} {sign} {second}"): (escape(first), escape(second))
        for first, second in pairs
        for sign in _SIGNS
    }

    def button(found: re.Match[str]) -> str:
        start, text, end, beside = found.groups()
        if text not in cells:
            return found.group(0)
        first, second = cells[text]
        dimension = f' data-dimension="{beside}"' if beside is not None and "−" in text else ""  # noqa: RUF001
        rest = "" if beside is None else f"<td>{beside}</td>"
        return (
            f'{start}<button type="button" data-arm="{first}" data-other="{second}"{dimension}>'
            f"{text}</button>{end}{rest}"
        )

    return _COMPARISON.sub(button, page)


def _linked_primary(page: str, pairs: Collection[tuple[str, str]]) -> str:
    """The same with a button in the sentence that names the comparison, which is people's."""
    for first, second in pairs:
        text, arm, other = (escape(one) for one in (f"{first} against {second}", first, second))
        page = re.sub(
            rf"<p>{re.escape(text)}: (\w+)",
            lambda found, text=text, arm=arm, other=other: (  # type: ignore[misc]
                f'<p><button type="button" data-kind="human" data-arm="{arm}" data-other="{other}"'
                f' data-dimension="{found[1]}">{text}</button>: {found[1]}'
            ),
            page,
        )
    return page


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
