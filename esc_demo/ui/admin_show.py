"""How a study looks to its owner: HTML from values, nothing of it telling the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from annotations.studies.retention import overdue, retention_text
from annotations.studies.values import Stage, StudyStatus, StudyView
from annotations.studies.watching import CodeCheck, CodeVerdict, Problem
from esc_demo.ui.admin_login import LEAST_CHARS, Closed
from esc_demo.ui.frames import notice_html
from esc_demo.ui.studies import STATUS_WORDS, state_badge

if TYPE_CHECKING:
    from annotations.analysis.agreement import Agreement
    from annotations.analysis.estimate import Estimate
    from annotations.studies.oversight import Oversight
    from annotations.studies.values import StudyProgress

_STAGES = {
    Stage.CONSENT: "reading the consent text",
    Stage.PRACTICE: "practising",
    Stage.RATING: "rating",
    Stage.BREAK: "on a break",
    Stage.DONE: "finished",
    Stage.CAPPED: "ended by the longest time",
    Stage.FULL: "ended because nothing was left",
    Stage.WAITING: "waiting for an item to become free",
    Stage.PAUSED: "waiting for the study to go on",
    Stage.CLOSED: "under way when it closed",
    Stage.WITHDRAWN: "withdrew",
}
_VERDICTS = {
    CodeVerdict.FINISHED: "real, finished",
    CodeVerdict.EARLY: "real, sent home early with thanks",
    CodeVerdict.UNFINISHED: "real, but not at the end",
    CodeVerdict.WITHDRAWN: "real, took part and withdrew",
    CodeVerdict.SHARED: "the code that everybody gets; it tells nothing about who took part",
    CodeVerdict.UNKNOWN: "unknown in this study",
}
_QUALITY = {
    "participant": "Who",
    "items": "Items",
    "gold_share": "Gold right",
    "median_seconds": "Median s",
    "quick_share": "Quick",
    "straight_line_share": "One answer",
    "left_share": "Left",
    "side_p": "p (left)",
    "self_consistency": "Repeats alike",
}
_N_OF = {
    "gold_share": "gold_n",
    "median_seconds": "seconds_n",
    "straight_line_share": "straight_line_n",
    "left_share": "side_n",
    "self_consistency": "repeated_scores_n",
}
_MOST_ROWS = 200


def closed_html(closed: Closed | None) -> str:
    """How to get a login, where there is none; else nothing."""
    if closed is None:
        return ""
    why = {
        Closed.NO_PASSWORD: "No password is set, so this tab shows nothing.",
        Closed.TOO_SHORT: f"The password has fewer than {LEAST_CHARS} characters, so this tab stays"
        " closed.",
    }[closed]
    return (
        f"<h2>Admin</h2><p>{why} To watch, pause and export studies here, set one and start the"
        " page again:</p><pre class='esc-prompt' tabindex='0'>ESC_ADMIN_PASSWORD='a long sentence"
        " of your own' python app.py</pre><p class='esc-hint'>On a Hugging Face Space, add it as a"
        " secret. Without it, <code>python -m annotations study status</code> tells how far a"
        " study is.</p>"
    )


def state_html(view: StudyView, now: datetime) -> str:
    """One study: where it stands, what it was frozen as, and how long its answers are kept."""
    opened = f", opened {_day(view.opened_at)}" if view.opened_at else ""
    closed = f", closed {_day(view.closed_at)}" if view.closed_at else ""
    hint = ""
    if view.status is StudyStatus.DRAFT:
        hint = (
            "<p class='esc-hint'>A draft is opened with <code>python -m annotations study open"
            " FILE</code>, which checks its replies once more and freezes it.</p>"
        )
    return (
        f"<div class='esc-run-head'><h3>{escape(view.title)}</h3>{state_badge(view.status)}</div>"
        f"<p class='esc-meta'>{escape(view.slug)} · version {view.version} · {view.mode.value} ·"
        f" {STATUS_WORDS[view.status]}{opened}{closed} · content hash"
        f" {view.content_hash[:12]} ·"
        f" <a href='study/{escape(view.slug)}' target='_blank' rel='noopener'>rater's page</a></p>"
        f"{hint}{_retention(view, now)}"
    )


def _retention(view: StudyView, now: datetime) -> str:
    """The end of the retention; a warning once it is overdue."""
    text = f"Retention: {retention_text(view, now)}."
    return notice_html(text) if overdue(view, now) else f"<p class='esc-hint'>{escape(text)}</p>"


def progress_html(seen: Oversight) -> str:
    """Answers by arm pair and stratum, time at an item, and agreement over all arms."""
    now = seen.progress
    rows = [
        (
            escape(" / ".join(part.stratum.arms)),
            bar(part.submitted, part.stratum.needed, part.stratum.id),
            f"{part.submitted:,}",
            f"{part.stratum.needed:,}",
            f"{part.open:,}",
            escape(part.stratum.label) or "-",
        )
        for part in now.strata
    ]
    rows.append(
        (
            "<b>all</b>",
            bar(now.submitted, now.needed, "all"),
            f"{now.submitted:,}",
            f"{now.needed:,}",
            f"{sum(part.open for part in now.strata):,}",
            "",
        )
    )
    arms = "Arms" if len(now.strata) and len(now.strata[0].stratum.arms) > 1 else "Arm"
    telling = (
        f" Live replies that named a model or a machine: {now.telling:,}." if now.telling else ""
    )
    return (
        table("Progress", (arms, "Share", "Answers", "Needed", "At hand", "Stratum"), rows)
        + f"<p class='esc-hint'>Surplus {now.surplus:,}, skipped {now.skipped:,}.{telling}"
        f" {_times(seen)}</p>{_agreement(seen.agreement)}"
    )


def people_html(progress: StudyProgress) -> str:
    """Participants by stage."""
    total = sum(progress.participants.values())
    if not total:
        return "<p class='esc-hint'>Nobody has come in yet.</p>"
    rows = [
        (escape(_STAGES[stage]), f"{progress.participants[stage]:,}")
        for stage in Stage
        if progress.participants.get(stage)
    ]
    return table(
        "Participants by stage", ("Stage", "People"), [*rows, ("<b>all</b>", f"{total:,}")]
    )


def quality_html(seen: Oversight) -> str:
    """How carefully each participant answers, and whom the plan's rules would leave out."""
    if seen.quality.empty:
        return "<p class='esc-hint'>Nothing has been answered yet.</p>"
    rules: dict[str, list[str]] = {}
    for one in seen.excluded:
        rules.setdefault(one.participant, []).append(f"{one.rule} {one.limit:g}")
    rows = [
        (
            *(_measure(row, name) for name in _QUALITY),
            escape(", ".join(rules.get(row["participant"], []))) or "-",
        )
        for row in seen.quality.head(_MOST_ROWS).to_dict("records")
    ]
    return (
        table("Care by pseudonym", (*_QUALITY.values(), "Outside of the plan's rules"), rows)
        + "<p class='esc-hint'>Quick: screens in less than a third of everybody's median time. One"
        " answer: screens with the same answer to every question. Left: share of preferences for"
        " the left reply, with the exact binomial p against a half. Repeats alike: repeated scores"
        " within one point. Below each, the answers it rests on. Nobody is left out but by the"
        f" plan's rules, in the analysis.{_more(len(seen.quality))}</p>"
    )


def problems_html(problems: Sequence[Problem]) -> str:
    """What was reported, in people's own words."""
    if not problems:
        return "<p class='esc-hint'>Nobody has reported a problem.</p>"
    rows = [
        (
            _day(one.created_at),
            escape(one.pseudonym),
            f"screen {one.screen}" if one.screen else "-",
            f"<span class='esc-text'>{escape(one.text)}</span>",
        )
        for one in problems[:_MOST_ROWS]
    ]
    return table("Problems", ("When", "Who", "Where", "What"), rows) + (
        f"<p class='esc-hint'>{_more(len(problems))}</p>" if len(problems) > _MOST_ROWS else ""
    )


def codes_html(checks: Sequence[CodeCheck]) -> str:
    """What became of each code."""
    if not checks:
        return "<p class='esc-hint'>No code was given.</p>"
    rows = [
        (
            escape(one.code[:64]),
            f"{_VERDICTS[one.verdict]}{f' · listed {one.times} times' if one.times > 1 else ''}",
            "-"
            if one.screens is None or one.verdict is CodeVerdict.WITHDRAWN
            else str(one.screens),
        )
        for one in checks
    ]
    return table("Codes", ("Code", "What it is", "Screens"), rows)


def table(label: str, names: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls by itself; cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="esc-table" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def bar(done: int, needed: int, label: str) -> str:
    """A bar with its share in words."""
    share = min(done / needed, 1.0) if needed else 0.0
    return (
        f'<div class="esc-bar" role="img" aria-label="{escape(label)}: {share:.0%}">'
        f'<span style="width:{share:.1%}"></span></div><small>{share:.0%}</small>'
    )


def _times(seen: Oversight) -> str:
    if seen.times is None:
        return "No item has been answered yet."
    one = seen.times
    return (
        f"Time at an item: {one.median:.0f} s (middle half {one.low:.0f} to {one.high:.0f} s,"
        f" n = {one.n:,}), over all arms."
    )


def _agreement(found: Sequence[Agreement]) -> str:
    if not found:
        return ""
    rows = [
        (escape(one.dimension), _estimate(one.alpha), _estimate(one.kappa), f"{one.alpha.n:,}")
        for one in found
    ]
    return (
        "<h3>Agreement so far, over all arms together</h3>"
        + table(
            "Agreement",
            ("Dimension", "Krippendorff's alpha", "Weighted kappa", "Replies scored twice or more"),
            rows,
        )
        + "<p class='esc-hint'>Ordinal alpha and quadratically weighted kappa with 95% intervals"
        " (bootstrap over items). They are not shown by arm, so they give nothing away.</p>"
    )


def _estimate(one: Estimate) -> str:
    if one.value is None:
        return f"<small>{escape(one.note)}</small>"
    ends = "" if one.low is None or one.high is None else f" ({one.low:.2f} to {one.high:.2f})"
    return f"{one.value:.2f}{ends}"


def _measure(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if name == "participant":
        return escape(str(value))
    if pd.isna(value):
        return "-"
    if name == "items":
        return f"{int(value)}"
    shown = {
        "median_seconds": f"{value:.0f}",
        "side_p": f"{value:.3f}" if value >= 0.001 else "&lt; 0.001",
    }.get(name, f"{value:.0%}")
    number = _N_OF.get(name)
    return f"{shown}<br><small>n = {int(row[number])}</small>" if number else shown


def _more(count: int) -> str:
    return f" Only {_MOST_ROWS} of {count:,} rows are shown here." if count > _MOST_ROWS else ""


def _day(moment: datetime | None) -> str:
    """A moment in UTC; databases differ in whether they say the zone."""
    if moment is None:
        return "-"
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{known.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
