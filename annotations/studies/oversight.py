"""All that a study's owner may see while it runs: nothing in it tells which arm does better."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from annotations.analysis.agreement import Agreement, agreements
from annotations.analysis.tidy import tidy
from annotations.store import Store
from annotations.studies.answers import read_answers
from annotations.studies.quality import Excluded
from annotations.studies.values import StudyProgress, StudyView
from annotations.studies.watching import Problem
from annotations.values import AssignmentKind, RaterKind

REPLICATES = 200
"""Resamples of the intervals; the report draws more."""


@dataclass(frozen=True)
class Times:
    """Seconds at a main item, over all participants and arms: median and middle half."""

    median: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, eq=False)
class Oversight:
    """One study as it stands. Agreement is pooled over arms, on purpose."""

    view: StudyView
    progress: StudyProgress
    times: Times | None
    agreement: tuple[Agreement, ...]
    quality: pd.DataFrame
    """Columns of `quality.QUALITY_COLUMNS`."""
    excluded: tuple[Excluded, ...]
    problems: tuple[Problem, ...]


def oversee(store: Store, slug: str) -> Oversight:
    """Look at a study.

    Raises:
        StudyError: 404.
        StorageError: the database cannot be read.
    """
    desk, answers = store.desk(), read_answers(store, slug)
    return Oversight(
        view=answers.view,
        progress=desk.progress(slug),
        times=_times(answers.ratings, answers.preferences),
        agreement=_agreement(answers.ratings),
        quality=answers.quality,
        excluded=answers.excluded,
        problems=desk.problems(slug),
    )


def _people(frame: pd.DataFrame) -> pd.DataFrame:
    """What people answered about main items."""
    main = frame["kind"] == AssignmentKind.MAIN.value
    return frame[main & (frame["rater_kind"] == RaterKind.HUMAN.value)]


def _times(ratings: pd.DataFrame, preferences: pd.DataFrame) -> Times | None:
    columns = ["assignment", "seconds"]
    screens = pd.concat([_people(ratings)[columns], _people(preferences)[columns]])
    seconds = screens.drop_duplicates("assignment")["seconds"].dropna().astype(float)
    if seconds.empty:
        return None
    low, median, high = seconds.quantile([0.25, 0.5, 0.75])
    return Times(float(median), float(low), float(high), len(seconds))


def _agreement(ratings: pd.DataFrame) -> tuple[Agreement, ...]:
    """Agreement about replies; what is asked about the seeker has no second rater."""
    people = _people(ratings)
    about = people[people["arm"] != ""]
    if about.empty:
        return ()
    columns = ["participant", "item", "arm", "dimension", "status", "score"]
    return agreements(
        tidy(about[columns].rename(columns={"participant": "rater"})), replicates=REPLICATES
    )
