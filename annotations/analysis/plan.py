"""The pre-registered primary outcome: what was promised before anybody looked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from annotations.analysis.differences import comparable, paired_difference
from annotations.analysis.estimate import Estimate
from annotations.analysis.missing import Bounds, bounds
from annotations.analysis.tidy import PREFERENCE, Frames
from annotations.analysis.winrates import win_rate
from annotations.checking import checked, read_yaml_text
from annotations.studies.parts import Plan
from annotations.values import RaterKind
from esc_demo.errors import BadInput, ConfigError

NULL_OF_PREFERENCE = 0.5


@dataclass(frozen=True)
class PlanView:
    """The primary comparison: `first` against `second`, as judged by people."""

    outcome: str
    """A dimension, or `preference`."""
    first: str
    second: str
    hypothesis: str = ""
    notes: str = ""
    exclusions: tuple[str, ...] = ()
    """Names of the exclusion rules; whoever makes the frames applies them."""
    frozen: bool = True
    """Whether it was stored and frozen before the first answer; a file shows nothing of that."""


@dataclass(frozen=True)
class Primary:
    """The result of the plan. Its p value is not corrected: it is the one test promised."""

    plan: PlanView
    result: Estimate
    """A difference in points, or the share of wins plus half of the ties."""
    null: float
    how: str
    bounds: Bounds | None

    @property
    def verdict(self) -> str:
        """One sentence in plain words."""
        first, second = self.plan.first, self.plan.second
        if self.result.value is None:
            return f"The planned comparison cannot be made: {self.result.note}."
        if self.result.low is None or self.result.high is None:
            return f"A number but no interval ({self.result.note}), so nothing can be concluded."
        if self.result.low > self.null:
            return f"People rated {first} above {second}."
        if self.result.high < self.null:
            return f"People rated {first} below {second}."
        return (
            f"No difference between {first} and {second} was shown; the interval says which"
            " differences remain possible."
        )


def primary(frames: Frames, plan: PlanView, whole: Frames | None = None) -> Primary:
    """The planned comparison on people's answers; `whole` is the study if `frames` is a part.

    Raises:
        BadInput: the plan names an arm or an outcome that the study's answers do not have.
    """
    known = whole or frames
    arms, outcomes = known.arms, (*known.dimensions, PREFERENCE)
    for arm in (plan.first, plan.second):
        if arms and arm not in arms:
            raise BadInput(f"The plan names the arm {arm!r}; the answers have {', '.join(arms)}.")
    if arms and plan.outcome not in outcomes:
        raise BadInput(
            f"The plan's outcome is {plan.outcome!r}; the answers have {', '.join(outcomes)}."
        )
    people = frames.of(RaterKind.HUMAN)
    if plan.outcome == PREFERENCE:
        rate = win_rate(people.preferences, plan.first, plan.second)
        how = "wins plus half of ties and both bad"
        return Primary(plan, rate.score, NULL_OF_PREFERENCE, how, None)
    scored = comparable(people)
    result, how = paired_difference(scored, plan.first, plan.second, plan.outcome)
    return Primary(plan, result, 0.0, how, _bounds_of(people, plan))


def _bounds_of(people: Frames, plan: PlanView) -> Bounds | None:
    """Best and worst case in the plan's direction."""
    for one in bounds(people):
        if one.dimension == plan.outcome and {one.first, one.second} == {plan.first, plan.second}:
            if one.first == plan.first:
                return one
            return Bounds(
                plan.first,
                plan.second,
                one.dimension,
                one.missing,
                _negated(one.best),
                _negated(one.worst),
            )
    return None


def _negated(one: Estimate) -> Estimate:
    """The same difference the other way round."""
    if one.value is None:
        return one
    low = None if one.high is None else -one.high
    high = None if one.low is None else -one.low
    return Estimate(-one.value, low, high, one.n, one.items, one.raters, one.p, one.se, one.df)


class _PlanFile(Plan):
    """A study's plan in which only the primary outcome must be there."""

    participants: int | None = Field(None, ge=1)  # type: ignore[assignment]


def read_plan(path: Path) -> PlanView:
    """The plan of a YAML file: `primary: {outcome: comforting, arms: [base, lora]}`.

    It may be a study's definition too, whose part `plan` then counts.

    Raises:
        ConfigError: unreadable, or an entry is unknown or missing; the text names it.
    """
    whole = read_yaml_text(path)
    part = whole["plan"] if isinstance(whole, dict) and "plan" in whole else whole
    found = checked(_PlanFile, part, path)
    second, first = found.primary.arms
    if first == second:
        raise ConfigError(f"{path}: primary.arms compares {first!r} with itself")
    return replace(plan_view(found), frozen=False)


def plan_view(plan: Plan) -> PlanView:
    """A study's plan as the analysis wants it: its second arm is compared with the first."""
    second, first = plan.primary.arms
    rules = tuple(plan.exclusions.limits())
    return PlanView(str(plan.primary.outcome), first, second, plan.hypothesis, plan.notes, rules)
