"""What was answered in one study, with the quality of its participants and the plan's exclusions.

The one place where the stored plan meets the frames; the report, the export and the owner's
page read a study through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from annotations.analysis.plan import PlanView, plan_view
from annotations.frames import Keep, preferences_frame, ratings_frame
from annotations.judge.frames import JudgeFrames, judge_frames
from annotations.store import Store
from annotations.studies.definition import StudyDefinition
from annotations.studies.quality import Excluded, apply_exclusions, broken_rules, quality
from annotations.studies.values import StudyView
from annotations.values import AssignmentKind


@dataclass(frozen=True, eq=False)
class Answers:
    """One study's answers; the frames' columns are those of `annotations.frames`.

    `ratings`, `preferences`, `quality` and `excluded` are about people; what judges said stands
    apart, and no plan's rule applies to it.
    """

    view: StudyView
    definition: StudyDefinition
    ratings: pd.DataFrame
    preferences: pd.DataFrame
    quality: pd.DataFrame
    """A row for each person who answered; see `quality.QUALITY_COLUMNS`."""
    excluded: tuple[Excluded, ...]
    judges: JudgeFrames

    @property
    def plan(self) -> PlanView:
        """What was registered, as the analysis wants it."""
        return plan_view(self.definition.plan)

    def analysed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Main answers in force that count, of those whom no rule leaves out.

        Repeats measure their participant and gold items have no arms, so neither is analysed.
        """
        main = frame[frame["kind"] == AssignmentKind.MAIN.value]
        return apply_exclusions(main, self.quality, self.definition.plan.exclusions)[0]

    def excluded_by(self, participant: str) -> str:
        """The names of the rules that leave somebody out; empty for most."""
        return ";".join(one.rule for one in self.excluded if one.participant == participant)


def read_answers(store: Store, slug: str) -> Answers:
    """The answers in force that count, gold items and repeats among them.

    Raises:
        StudyError: 404, no such study.
        StorageError: the database cannot be read.
    """
    desk = store.desk()
    view, definition = desk.study(slug), desk.definition(slug)
    keep = Keep(gold=True, repeats=True)
    ratings = ratings_frame(store, slug, keep)
    preferences = preferences_frame(store, slug, keep)
    table = quality(ratings, preferences, definition.gold)
    broken = broken_rules(table, definition.plan.exclusions)
    judges = judge_frames(store, slug)
    return Answers(view, definition, ratings, preferences, table, broken, judges)
