"""Where the answers of a report come from: files, or a stored study with its frozen plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from annotations.analysis import PlanView, read_plan, tidy
from annotations.analysis.tidy import Frames
from annotations.judge.frames import RunView
from annotations.judge.material import chat_item
from annotations.ratings_csv import read_ratings
from annotations.store import Store
from annotations.studies.answers import Answers, read_answers
from annotations.studies.values import StudyMode, StudyStatus
from esc_demo.settings import get_settings


@dataclass(frozen=True, eq=False)
class ReportSource:
    """What a report is made of, and what its reader should know about it."""

    frames: Frames
    plan: PlanView | None
    title: str
    notes: tuple[str, ...]
    runs: tuple[RunView, ...] = ()
    """Those of judges; not known of imported answers."""


def from_files(ratings: Path | None, preferences: Path | None, plan: Path | None) -> ReportSource:
    """The answers of CSV files.

    Raises:
        BadInput: a line is wrong.
        ConfigError: the plan is wrong.
    """
    view = read_plan(plan) if plan else None
    imported = read_ratings(ratings, preferences)
    notes = list(imported.notes)
    if view and view.exclusions:
        rules = ", ".join(view.exclusions)
        notes.append(f"The plan's exclusion rules ({rules}) were not applied to imported answers.")
    return ReportSource(imported.frames, view, "Results of the study", tuple(notes))


def from_study(slug: str) -> ReportSource:
    """The answers of a stored study, less those whom its own rules leave out.

    Raises:
        StudyError: 404, no such study.
        StorageError: the database cannot be read.
    """
    with Store(get_settings().database_url) as store:
        return of_answers(read_answers(store, slug))


def of_answers(answers: Answers) -> ReportSource:
    """The same from answers that are read already, judges' beside people's."""
    ratings, preferences = _people(answers, answers.ratings), _people(answers, answers.preferences)
    about_replies = ratings[ratings["arm"] != ""]
    judges = answers.judges
    frames = tidy(_beside(about_replies, judges.ratings), _beside(preferences, judges.preferences))
    notes = list(_notes(answers, len(ratings) - len(about_replies)))
    plan: PlanView | None = answers.plan
    if not len(about_replies) and not len(preferences):
        plan = None  # it is about people's answers, and has nothing to say before the first
        if judges.runs:
            notes.append("The study's plan is about people's answers, and there are none yet.")
    return ReportSource(frames, plan, answers.view.title, tuple(notes), judges.runs)


def _people(answers: Answers, frame: pd.DataFrame) -> pd.DataFrame:
    """People's answers that are analysed, under the names that the analysis uses.

    What one participant chatted is no other's item, although both had the same suggestion.
    """
    kept = answers.analysed(frame).rename(columns={"participant": "rater"})
    if answers.view.mode is StudyMode.LIVE:
        names = [chat_item(*pair) for pair in zip(kept["item"], kept["rater"], strict=True)]
        kept = kept.assign(item=names)
    return kept


def _beside(people: pd.DataFrame, judges: pd.DataFrame) -> pd.DataFrame:
    """Both in one table; what only judges have is empty for people."""
    if judges.empty:
        return people
    return pd.concat([people, judges], ignore_index=True) if len(people) else judges


def _notes(answers: Answers, seeker: int) -> Iterator[str]:
    view, people = answers.view, len(answers.quality)
    if view.status is not StudyStatus.CLOSED:
        yield (
            f"The study is {view.status.value} with {view.submitted:,} of {view.needed:,} answers:"
            " these are interim results, and whoever has seen them should not decide when it ends."
        )
    rules = answers.definition.plan.exclusions.words()
    out = sorted({one.participant for one in answers.excluded})
    if not rules:
        yield "The plan has no exclusion rules; all participants are analysed."
    elif not out:
        yield f"The plan's rules ({', '.join(rules)}) leave none of {people} participants out."
    else:
        why = "; ".join(str(one) for one in answers.excluded)
        yield f"The plan's rules leave {len(out)} of {people} participants out: {why}."
    if seeker:
        yield (
            f"{seeker:,} answers about the seeker's own emotion are in the export, not in this"
            " report."
        )
    yield from map(_about, answers.judges.runs)
    yield f"Content hash of the study: {view.content_hash}."


def _about(run: RunView) -> str:
    """How a judge was asked, and what became of it."""
    asked = ", ".join(f"{name} {value}" for name, value in run.asking.items())
    ended = ", ".join(f"{n:,} {status.value}" for status, n in run.counts.items() if n)
    planted = f", planted controls {', '.join(run.controls)}" if run.controls else ""
    again = "" if run.run == run.rater else f" (asked again as {run.run}; same answers count once)"
    return (
        f"Judge {run.rater}{again}: protocol {run.protocol} version {run.version} (hash"
        f" {run.protocol_hash[:12]}), model {run.model} at {run.endpoint}, {asked}, samples"
        f" {run.samples}, references {'shown' if run.with_reference else 'not shown'}{planted}."
        f" Answers: {ended or 'none yet'}; cost {run.cost:.2f} USD."
    )
