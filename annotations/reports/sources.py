"""Where the answers of a report come from: files, or a stored study with its frozen plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from annotations.analysis import PlanView, read_plan, tidy
from annotations.analysis.tidy import Frames
from annotations.ratings_csv import read_ratings
from annotations.store import Store
from annotations.studies.answers import Answers, read_answers
from annotations.studies.values import StudyStatus
from esc_demo.settings import get_settings


@dataclass(frozen=True, eq=False)
class ReportSource:
    """What a report is made of, and what its reader should know about it."""

    frames: Frames
    plan: PlanView | None
    title: str
    notes: tuple[str, ...]


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
    """The same from answers that are read already."""
    ratings = answers.analysed(answers.ratings).rename(columns={"participant": "rater"})
    preferences = answers.analysed(answers.preferences).rename(columns={"participant": "rater"})
    about_replies = ratings[ratings["arm"] != ""]
    frames = tidy(about_replies, preferences)
    notes = tuple(_notes(answers, len(ratings) - len(about_replies)))
    # A plan has nothing to say before the first answer.
    known = len(frames.ratings) or len(frames.preferences)
    return ReportSource(frames, answers.plan if known else None, answers.view.title, notes)


def _notes(answers: Answers, seeker: int) -> Iterator[str]:
    view, people = answers.view, len(answers.quality)
    if view.status is not StudyStatus.CLOSED:
        yield (
            f"The study is {view.status.value} with {view.submitted:,} of {view.needed:,} answers:"
            " these are interim results, and whoever has seen them should not decide when it ends."
        )
    rules = answers.definition.plan.exclusions.model_dump(exclude_none=True)
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
    yield f"Content hash of the study: {view.content_hash}."
