"""Everything that can be said about one study, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from annotations.analysis.agreement import Agreement, agreements
from annotations.analysis.bradley_terry import BradleyTerry, bradley_terry
from annotations.analysis.calibration import Calibration, calibrations
from annotations.analysis.decided import decided
from annotations.analysis.differences import ArmMean, Difference, arm_means, differences
from annotations.analysis.g_score import GScore, g_scores
from annotations.analysis.judge_checks import Check, judge_checks
from annotations.analysis.missing import Bounds, MissingShare, bounds, missing_shares
from annotations.analysis.mixed import NO_CHANCE, NO_FIT, MixedModel, mixed_models
from annotations.analysis.plan import PlanView, Primary, primary
from annotations.analysis.tidy import Frames
from annotations.analysis.winrates import (
    AspectRate,
    WinRate,
    aspect_rates,
    rates_by_judge,
    win_rates,
)
from annotations.values import RaterKind, RatingStatus


@dataclass(frozen=True)
class Size:
    """How much was answered by raters of one kind."""

    kind: RaterKind
    raters: int
    items: int
    ratings: int
    scored: int
    preferences: int


@dataclass(frozen=True)
class KindResult:
    """What people, or judges, answered."""

    size: Size
    means: tuple[ArmMean, ...]
    means_of_each: tuple[tuple[str, tuple[ArmMean, ...]], ...]
    """By judge, those who scored anything. Empty for people, whose names say nothing."""
    differences: tuple[Difference, ...]
    mixed: tuple[MixedModel, ...]
    win_rates: tuple[WinRate, ...]
    """Of all people together, or of each judge."""
    aspects: tuple[AspectRate, ...]
    bradley_terry: BradleyTerry
    agreement: tuple[Agreement, ...]
    missing: tuple[MissingShare, ...]
    bounds: tuple[Bounds, ...]
    g_scores: tuple[GScore, ...]
    """By judges that were asked for the official one number."""


@dataclass(frozen=True)
class Analysis:
    """All results; `primary` alone was promised beforehand, the rest is exploratory."""

    arms: tuple[str, ...]
    dimensions: tuple[str, ...]
    stratum: str
    """Empty when all strata are pooled."""
    primary: Primary | None
    kinds: tuple[KindResult, ...]
    """People, then judges; only those who answered."""
    calibration: tuple[Calibration, ...]
    checks: tuple[Check, ...]
    seed: int

    def of(self, kind: RaterKind) -> KindResult | None:
        """The results of one kind of rater."""
        return next((one for one in self.kinds if one.size.kind is kind), None)


def models_tried(kinds: tuple[KindResult, ...]) -> tuple[MixedModel, ...]:
    """The mixed models that were fitted, or would have been had the fit converged."""
    every = (model for kind in kinds for model in kind.mixed)
    return tuple(model for model in every if model.spreads or model.note in (NO_FIT, NO_CHANCE))


def analyse(
    frames: Frames, plan: PlanView | None = None, *, stratum: str = "", seed: int = 0
) -> Analysis:
    """Analyse a study, or one stratum of it.

    Raises:
        BadInput: the plan names an arm or an outcome that the answers do not have.
    """
    part = frames.within(stratum) if stratum else frames
    return Analysis(
        part.arms,
        part.dimensions,
        stratum,
        primary(part, plan, frames) if plan else None,
        tuple(_of_kind(part.of(kind), kind, seed) for kind in RaterKind if _answered(part, kind)),
        calibrations(part, seed=seed),
        judge_checks(part),
        seed,
    )


def _answered(frames: Frames, kind: RaterKind) -> bool:
    """Whether this kind of rater gave any answer."""
    own = frames.of(kind)
    return bool(len(own.ratings) or len(own.preferences))


def _of_kind(frames: Frames, kind: RaterKind, seed: int) -> KindResult:
    """All results of one kind of rater."""
    ratings, preferences = frames.ratings, frames.preferences
    replies = ratings[ratings["control"] == ""]
    size = Size(
        kind,
        len(set(ratings["rater"]) | set(preferences["rater"])),
        len(set(ratings["item"]) | set(preferences["item"])),
        len(replies),
        int((replies["status"] == RatingStatus.SCORED.value).sum()),
        len(decided(preferences)),
    )
    judges = sorted(set(replies["rater"])) if kind is RaterKind.JUDGE else []
    return KindResult(
        size,
        arm_means(frames),
        tuple(
            (name, arm_means(Frames(ratings[ratings["rater"] == name], preferences)))
            for name in judges
        ),
        differences(frames),
        mixed_models(frames),
        rates_by_judge(frames) if kind is RaterKind.JUDGE else win_rates(frames),
        aspect_rates(frames),
        bradley_terry(frames, seed=seed),
        agreements(frames, seed=seed),
        missing_shares(frames),
        bounds(frames),
        g_scores(frames) if kind is RaterKind.JUDGE else (),
    )
