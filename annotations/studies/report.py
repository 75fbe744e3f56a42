"""What `python -m annotations study` prints: plain text for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from annotations.studies.build import BuiltStudy
from annotations.studies.power import PowerRow, enough
from annotations.studies.retention import Purged, overdue, retention_text
from annotations.studies.values import Stage, StudyMode, StudyProgress, StudyView

_LISTED = 12
"""Flags and strata that are printed before the rest is only counted."""


def check_lines(built: BuiltStudy) -> Iterator[str]:
    """All that `study check` has to say."""
    study = built.definition
    yield f"{study.title} ({study.slug}, version {study.version}, mode {study.mode.value})"
    yield f"content hash  {built.content_hash[:16]}"
    yield ""
    yield f"arms          {len(study.arms)}"
    for arm in study.arms:
        prompt = "with prompt" if arm.prompt else "without prompt"
        yield f"  {arm.id:<11} {arm.model}, {arm.spec().label()}, {prompt}"
    yield f"items         {len(built.items)}"
    yield f"tasks         {len(built.tasks)} ({_unit(study.mode)})"
    yield f"strata        {len(built.strata)}"
    for stratum in built.strata[:_LISTED]:
        yield f"  {stratum.id}: {stratum.tasks} tasks, {stratum.needed} answers"
    if len(built.strata) > _LISTED:
        yield f"  and {len(built.strata) - _LISTED} more"
    yield f"assignments   {built.needed} needed ({study.raters_per_item} for each task)"
    yield f"raters        at least {built.raters}; the plan has {study.plan.participants}"
    yield (
        f"a session     {study.session.items} items + {study.session.gold} gold +"
        f" {study.session.repeats} repeated = {study.session.screens} screens, about"
        f" {built.minutes:.0f} minutes (estimate)"
    )
    asked = [name.value for name in study.scales.dimensions]
    asked += ["preference"] if study.scales.preference else []
    yield f"asked         {', '.join(asked)} (wording version {built.scales_version})"
    yield f"practice      {len(study.practice)} items; gold written: {len(study.gold)}"
    primary = study.plan.primary
    yield f"primary       {primary.outcome}, {primary.arms[1]} against {primary.arms[0]}"
    yield from _flag_lines(built)
    for warning in built.warnings():
        yield f"note: {warning}"


def _unit(mode: StudyMode) -> str:
    """What a task is made of."""
    if mode is StudyMode.SINGLE:
        return "an item and an arm each"
    return "an item and a pair of arms each"


def _flag_lines(built: BuiltStudy) -> Iterator[str]:
    """The flags by kind; those that keep the study from opening are listed in full."""
    left = set(built.unaccepted)
    yield f"flags         {len(built.flags)}; {len(left)} to be accepted or mended before opening"
    ordered = sorted(built.flags, key=lambda flag: (not flag.blocking, flag.kind.value))
    for kind, group in groupby(ordered, key=lambda flag: flag.kind):
        flags = list(group)
        yield f"  {kind.value}: {len(flags)}"
        shown = [flag for flag in flags if flag in left]
        shown += [flag for flag in flags if flag not in left][: max(0, _LISTED - len(shown))]
        for flag in shown:
            mark = "!" if flag in left else " "
            yield f"   {mark} {flag.key}  {flag.text}"
        if len(flags) > len(shown):
            yield f"     and {len(flags) - len(shown)} more"


def power_lines(built: BuiltStudy, rows: Sequence[PowerRow], effect: float) -> Iterator[str]:
    """The table of `study power`, and what follows from it."""
    plan = built.definition.plan
    first, second = plan.primary.arms
    what = (
        f"{second} preferred to {first} in {0.5 + effect:.0%} (ties count half)"
        if plan.primary.outcome == "preference"
        else f"{second} {effect:g} points above {first} on {plan.primary.outcome}"
    )
    yield f"effect: {what}; two-sided alpha {plan.alpha:g}"
    yield f"{'participants':>12}  {'answers':>8}  {'raters/task':>11}  {'power':>6}  95% interval"
    for row in rows:
        mark = " <- plan" if row.participants == plan.participants else ""
        yield (
            f"{row.participants:>12}  {row.comparisons:>8,}  {row.raters_per_item:>11}"
            f"  {row.power:>6.3f}  {row.low:.3f} to {row.high:.3f}{mark}"
        )
    if not effect:
        yield "Without an effect, this is the rate of false positives."
    elif (found := enough(rows, plan.power)) is None:
        yield f"None of these reaches a power of {plan.power:g}; try more with --participants."
    else:
        yield (
            f"{found.participants} participants reach a power of {plan.power:g}; set"
            f" plan.participants to {found.participants} and raters_per_item to"
            f" {found.raters_per_item}."
        )


def study_line(view: StudyView, now: datetime) -> str:
    """One study in the list of all."""
    late = "  [retention overdue]" if overdue(view, now) else ""
    return (
        f"{view.slug:<24} {view.status.value:<7} {view.mode.value:<7}"
        f" {view.submitted:>6,} of {view.needed:,} answers  {view.title}{late}"
    )


def purge_lines(done: Purged, *, dry_run: bool) -> Iterator[str]:
    """What a purge took, or would take."""
    would = "Would delete" if dry_run else "Deleted"
    yield f"{would} {done.rows:,} rows of {done.participants:,} participants of {done.slug}:"
    for table, rows in sorted(done.removed.items()):
        if rows:
            yield f"  {table:<20} {rows:>9,}"
    if not done.scrubbed:
        yield (
            "The database is in use or its disk full, so traces may be left in its files. Stop the"
            " app, make room, and run VACUUM on it."
        )


def status_lines(view: StudyView, progress: StudyProgress, now: datetime) -> Iterator[str]:
    """How far one study is; nothing here tells which arm does better."""
    yield f"{view.title} ({view.slug}, version {view.version}): {progress.status.value}"
    yield f"content hash  {view.content_hash[:16]}"
    share = progress.submitted / progress.needed if progress.needed else 0.0
    yield f"answers       {progress.submitted:,} of {progress.needed:,} ({share:.0%})"
    yield f"surplus       {progress.surplus:,};  skipped {progress.skipped:,}"
    if progress.median_seconds is not None:
        yield f"time an item  {timedelta(seconds=round(progress.median_seconds))} (median)"
    yield f"problems      {progress.problems:,} reported"
    if progress.telling is not None:
        yield f"give-aways    {progress.telling:,} live replies named a model or a machine"
    people = sum(progress.participants.values())
    stages = [f"{progress.participants[s]} {s.value}" for s in Stage if s in progress.participants]
    yield f"participants  {people}{' (' + ', '.join(stages) + ')' if stages else ''}"
    yield f"retention     {retention_text(view, now)}"
    yield f"{'stratum':<40} {'submitted':>9}  {'open':>5}  {'needed':>6}"
    for part in progress.strata:
        yield (
            f"{part.stratum.id[:40]:<40} {part.submitted:>9,}  {part.open:>5,}"
            f"  {part.stratum.needed:>6,}"
        )
