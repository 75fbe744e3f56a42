"""What judges answered in a study, as tidy tables beside those of people.

One row is one score or one comparison, as in `annotations.frames`; more columns say what only
judges have: repeats (`sample`), planted controls, families of models. A call that gave no answer
is a row without a score for each dimension it was asked about, its status saying why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from sqlalchemy import func
from sqlmodel import Session, col, select

from annotations.frames import crisis_word
from annotations.judge.families import family_of, known_models
from annotations.judge.material import chat_item
from annotations.judge.values import BROKEN_OFF
from annotations.schema import Preference, Rating, RatingSubmission
from annotations.schema_judge import JudgeCall, JudgeRun
from annotations.schema_study import (
    StudyAssignment,
    StudyItem,
    StudyParticipant,
    StudyReply,
    StudyTask,
)
from annotations.store import Store
from annotations.studies.people import pseudonym
from annotations.studies.stored import Opened, opened
from annotations.studies.values import StudyMode
from annotations.transactions import Transactions
from annotations.values import AssignmentKind, Choice, JudgeStatus, RaterKind

_WHO = ("study", "rater", "rater_kind", "kind", "item", "stratum", "crisis")
_WHEN = ("seconds", "submitted_at", "assignment", "scales_version", "in_force", "counted")

RATING_COLUMNS = (
    *_WHO,
    *("arm", "other_arm", "side", "dimension", "status", "score", "reply_words"),
    *_WHEN,
    *("sample", "control", "arm_family", "rater_family", "scale"),
)
"""`assignment` is the call. `arm` of a planted reply is `control:WORD`. In a study of pairs the
stratum of a single reply is empty: it belongs to every pair its arm is in. `scale` is as `1-5`."""

PREFERENCE_COLUMNS = (
    *_WHO,
    *("arm_a", "arm_b", "side_a", "choice", "aspect", "words_a", "words_b"),
    *_WHEN,
    *("sample", "control"),
)
"""A row an order: each comparison is there twice, with `side_a` 1 and 2. `aspect` is empty for
the reply as a whole. `control` is the planted reply that gold was compared with."""

_NUMBERS = {
    "side": "Int64", "side_a": "Int64", "score": "Int64", "reply_words": "Int64",
    "words_a": "Int64", "words_b": "Int64", "seconds": "Float64",
}  # fmt: skip


@dataclass(frozen=True)
class RunView:
    """One judge over the study, and how far it came."""

    rater: str
    """Under this name its answers stand in the tables."""
    run: str
    """The name of the run itself: another one where it goes on with an earlier run's judge."""
    protocol: str
    version: int
    protocol_hash: str
    model: str
    endpoint: str
    asking: Mapping[str, object]
    scale: str
    """Lowest and highest score, as `1-5`; empty for pairs."""
    samples: int
    with_reference: bool
    controls: tuple[str, ...]
    counts: Mapping[JudgeStatus, int]
    cost: float


@dataclass(frozen=True, eq=False)
class JudgeFrames:
    """What judges answered; empty frames with all columns when there are none."""

    ratings: pd.DataFrame
    """Columns of `RATING_COLUMNS`."""
    preferences: pd.DataFrame
    """Columns of `PREFERENCE_COLUMNS`."""
    runs: tuple[RunView, ...]


def judge_frames(store: Store, slug: str) -> JudgeFrames:
    """The answers of all judges of a study.

    Raises:
        StudyError: 404, no such study.
        StorageError: the database cannot be read.
    """

    def work(session: Session) -> JudgeFrames:
        study = opened(session, slug)
        runs = session.exec(
            select(JudgeRun)
            .where(JudgeRun.study_id == study.row.id)
            .order_by(col(JudgeRun.created_at), col(JudgeRun.id))
        ).all()
        reader = _Reader(session, study) if runs else None
        ratings: list[dict[str, object]] = []
        preferences: list[dict[str, object]] = []
        views: list[RunView] = []
        judges: list[_Judge] = []
        scales: dict[str, str] = {}
        for run in runs:
            calls = _calls(session, run)
            judge = _join(judges, run, calls)
            scales[run.id] = _scale(session, run)
            views.append(_view(session, run, judge.rater, scales[run.id], calls))
        answers = [(judge.rater, *pair) for judge in judges for pair in judge.kept.values()]
        if reader is not None:
            for rater, run, call in answers:
                rows = reader.ratings(rater, run, call)
                ratings += [row | {"scale": scales[run.id]} for row in rows]
                preferences += reader.preferences(rater, run, call)
        return JudgeFrames(
            _frame(ratings, RATING_COLUMNS), _frame(preferences, PREFERENCE_COLUMNS), tuple(views)
        )

    return Transactions(store.engine).read(work)


@dataclass(frozen=True)
class _Call:
    """What the tables need of a call; its prompt and raw reply can be long."""

    id: str
    place: str
    key: str
    task_id: str
    assignment_id: str | None
    candidates: list[dict[str, str]]
    sample: int
    status: JudgeStatus
    seconds: float
    created_at: object


@dataclass
class _Judge:
    """All runs that put the same questions to the same model in the same way.

    A second run (with more samples, or controls) has what it shares with the first from there, so
    each answer counts once; as two raters they would seem to agree in everything.
    """

    rater: str
    """The name of the first run."""
    asked: str
    with_reference: bool
    kept: dict[str, tuple[JudgeRun, _Call]] = field(default_factory=dict)
    """The answer at each place."""

    def is_asked_by(self, asked: str, run: JudgeRun, calls: Sequence[_Call]) -> bool:
        """Whether a run is of this judge.

        The settings about references matter only when they change a prompt.
        """
        if asked != self.asked:
            return False
        shared = [call for call in calls if call.place in self.kept]
        return run.with_reference == self.with_reference or (
            bool(shared) and all(call.key == self.kept[call.place][1].key for call in shared)
        )


def _join(judges: list[_Judge], run: JudgeRun, calls: Sequence[_Call]) -> _Judge:
    """The judge of a run, with the run's answers; a new one is put into the list."""
    asked = json.dumps([run.protocol_hash, run.model, run.endpoint, run.asking], sort_keys=True)
    judge = next((one for one in judges if one.is_asked_by(asked, run, calls)), None)
    if judge is None:
        judge = _Judge(run.rater_id, asked, run.with_reference)
        judges.append(judge)
    for call in calls:
        known = judge.kept.get(call.place)
        if known is None or known[1].status is JudgeStatus.API_ERROR:
            judge.kept[call.place] = run, call
    return judge


def _calls(session: Session, run: JudgeRun) -> list[_Call]:
    """The last call at each place, in the order in which they were made."""
    last = (
        select(JudgeCall.place, func.max(JudgeCall.attempt).label("attempt"))
        .where(JudgeCall.run_id == run.id)
        .group_by(JudgeCall.place)
        .subquery()
    )
    columns = [getattr(JudgeCall, name) for name in _Call.__dataclass_fields__]
    query = (
        select(*columns)
        .join(last, (last.c.place == JudgeCall.place) & (last.c.attempt == JudgeCall.attempt))
        .where(JudgeCall.run_id == run.id)
        .order_by(col(JudgeCall.created_at), col(JudgeCall.place))
    )
    return [_Call(*row) for row in session.execute(query)]


_ASKED_SCALE = re.compile(r"<whole number from (\d+) to (\d+)>")
"""As `annotations.judge.prompts` writes it."""


def _scale(session: Session, run: JudgeRun) -> str:
    """The scale of a run as its prompts say it: the file of a protocol need not be there any more.

    Prompts about chats that were taken back are empty, and so are those of a killed process; calls
    that were answered come first.
    """
    if not run.dimensions:
        return ""
    messages = select(JudgeCall.messages).where(JudgeCall.run_id == run.id)
    unlike = col(JudgeCall.raw) == "", col(JudgeCall.error) == BROKEN_OFF
    for sent in session.exec(messages.order_by(*unlike, col(JudgeCall.id)).limit(20)):
        said = [pair for one in sent for pair in _ASKED_SCALE.findall(one["content"])]
        if said:
            return "-".join(said[-1])
    return ""


def _view(session: Session, run: JudgeRun, rater: str, scale: str, calls: list[_Call]) -> RunView:
    cost = session.exec(select(func.sum(JudgeCall.cost)).where(JudgeCall.run_id == run.id)).one()
    return RunView(
        rater=rater,
        run=run.rater_id,
        protocol=run.protocol,
        version=run.protocol_version,
        protocol_hash=run.protocol_hash,
        model=run.model,
        endpoint=run.endpoint,
        asking=run.asking,
        scale=scale,
        samples=run.samples,
        with_reference=run.with_reference,
        controls=tuple(run.controls),
        counts={status: sum(c.status is status for c in calls) for status in JudgeStatus},
        cost=float(cost or 0.0),
    )


class _Reader:
    """Looks up what a call was about; reads a study's tasks and replies once."""

    def __init__(self, session: Session, study: Opened) -> None:
        self._study = study
        here = StudyItem.study_id == study.row.id
        tasks = select(StudyTask, StudyItem.key, StudyItem.crisis).join(StudyItem).where(here)
        self._tasks = {task.id: (task, *item) for task, *item in session.exec(tasks)}
        replies = select(StudyReply).join(StudyItem).where(here)
        self._replies = {row.id: row for row in session.exec(replies)}
        people = select(StudyAssignment.id, StudyParticipant).join(StudyParticipant)
        mine = people.where(StudyAssignment.study_id == study.row.id)
        self._people = {name: pseudonym(person) for name, person in session.exec(mine)}
        in_study = col(JudgeCall.run_id).in_(
            select(JudgeRun.id).where(JudgeRun.study_id == study.row.id)
        )
        scores = (
            select(RatingSubmission.judge_call_id, Rating)
            .join(Rating, col(Rating.submission_id) == RatingSubmission.id)
            .join(JudgeCall, col(JudgeCall.id) == RatingSubmission.judge_call_id)
            .where(in_study)
            .order_by(col(Rating.id))
        )
        self._scores: dict[str, list[Rating]] = {}
        for call, rating in session.exec(scores):
            self._scores.setdefault(call, []).append(rating)
        picks = select(Preference).join(JudgeCall).where(in_study).order_by(Preference.aspect)
        self._picks: dict[str, list[Preference]] = {}
        for pick in session.exec(picks):
            self._picks.setdefault(pick.judge_call_id or "", []).append(pick)
        specs = known_models()
        arms = study.definition.arms
        self._family = {arm.id: family_of(arm.model, specs) for arm in arms}
        self._specs = specs
        self._order = {arm.id: place for place, arm in enumerate(arms)}

    def ratings(self, rater: str, run: JudgeRun, call: _Call) -> Iterator[dict[str, object]]:
        """The scores of a call about one reply, or why there are none."""
        if len(call.candidates) != 1:
            return
        (shown,) = call.candidates
        arm, words = self._arm(shown), self._words(shown)
        common = self._common(rater, run, call) | {
            "arm": arm,
            "reply_words": words,
            "control": shown.get("control", ""),
            "arm_family": self._family.get(arm, ""),
            "rater_family": family_of(run.model, self._specs),
        }
        if self._study.definition.mode is StudyMode.PAIRS:
            common["stratum"] = ""
        if call.status is JudgeStatus.OK:
            for rating in self._scores.get(call.id, ()):
                yield common | {
                    "dimension": rating.dimension.value,
                    "status": rating.status.value,
                    "score": rating.score,
                }
        else:
            for dimension in run.dimensions:
                yield common | {"dimension": dimension, "status": call.status.value}

    def preferences(self, rater: str, run: JudgeRun, call: _Call) -> Iterator[dict[str, object]]:
        """What a call about a pair preferred, aspect by aspect."""
        if len(call.candidates) != 2:
            return
        named = {self._arm(shown): shown for shown in call.candidates}
        first, second = sorted(named, key=lambda arm: (self._order.get(arm, -1), arm != GOLD_ARM))
        common = self._common(rater, run, call) | {
            "arm_a": first,
            "arm_b": second,
            "side_a": 1 if next(iter(named)) == first else 2,
            "words_a": self._words(named[first]),
            "words_b": self._words(named[second]),
            "control": named[second].get("control", ""),
        }
        for pick in self._picks.get(call.id, ()):
            yield common | {"aspect": pick.aspect, "choice": self._choice(pick)}

    def _choice(self, pick: Preference) -> str:
        if pick.choice is not Choice.GENERATION:
            return pick.choice.value
        if pick.preferred_control is not None:
            return f"control:{pick.preferred_control.value}"
        return self._replies[pick.preferred_reply_id or ""].arm

    def _common(self, rater: str, run: JudgeRun, call: _Call) -> dict[str, object]:
        task, item, crisis = self._tasks[call.task_id]
        if call.assignment_id is not None:
            item = chat_item(item, self._people[call.assignment_id])
        return {
            "study": self._study.row.slug,
            "rater": rater,
            "rater_kind": RaterKind.JUDGE.value,
            "kind": AssignmentKind.MAIN.value,
            "item": item,
            "stratum": task.stratum,
            "crisis": crisis_word(crisis),
            "seconds": call.seconds,
            "submitted_at": call.created_at,
            "assignment": call.id,
            "scales_version": run.protocol_version,
            "in_force": True,
            "counted": "submitted",
            "sample": str(call.sample),
        }

    def _arm(self, shown: Mapping[str, str]) -> str:
        if "control" in shown:
            return f"control:{shown['control']}"
        return self._replies[shown["reply"]].arm

    def _words(self, shown: Mapping[str, str]) -> int | None:
        """Words of a reply; not known of a control, and without meaning for a chat."""
        text = "" if "control" in shown else self._replies[shown["reply"]].text
        return len(text.split()) or None


GOLD_ARM = "control:gold"


def _frame(rows: list[dict[str, object]], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    for name, kind in _NUMBERS.items():
        if name in frame:
            frame[name] = frame[name].astype(kind)
    frame["submitted_at"] = pd.to_datetime(frame["submitted_at"], utc=True)
    frame["in_force"] = frame["in_force"].astype(bool)
    return frame
