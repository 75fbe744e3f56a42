"""The results as tables: cells that know their interval, before any is written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from annotations.analysis.analyse import Analysis, KindResult
from annotations.analysis.estimate import Estimate
from annotations.analysis.tidy import scale_text
from annotations.analysis.winrates import WinRate
from annotations.values import HIGHEST_SCORE, RaterKind

PEOPLE = {RaterKind.HUMAN: "People", RaterKind.JUDGE: "Judge"}


@dataclass(frozen=True)
class PValue:
    """A p value."""

    value: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "–"  # noqa: RUF001
        return "<0.001" if self.value < 0.001 else f"{self.value:.3f}"


@dataclass(frozen=True)
class Percent:
    """A share, shown in percent."""

    share: Estimate


Cell = str | int | Estimate | Percent | PValue


@dataclass(frozen=True)
class Table:
    """One table; `id` names its files."""

    id: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def kind_title(kind: KindResult) -> str:
    """Whose results these are; several judges are not called one."""
    if kind.size.kind is RaterKind.JUDGE and kind.size.raters > 1:
        return "All judges"
    return PEOPLE[kind.size.kind]


def dimension_title(name: str) -> str:
    """A dimension as a heading."""
    return name.replace("_", " ").capitalize()


def tables(analysis: Analysis) -> tuple[Table, ...]:
    """Every table that has rows, in the order of the report."""
    found: list[Table] = []
    for kind in analysis.kinds:
        found += _of_kind(kind)
    if analysis.calibration:
        found += [_calibration(analysis), *_confusions(analysis)]
    if analysis.checks:
        found.append(
            Table(
                "judge-checks",
                "What is known to lead judges astray",
                ("Rater", "Check", "Estimate", "What it is"),
                tuple(
                    (one.rater, one.name, _as_share(one.name, one.estimate), one.meaning)
                    for one in analysis.checks
                ),
            )
        )
    return tuple(table for table in found if table.rows)


def _as_share(name: str, one: Estimate) -> Cell:
    """Checks that are shares are shown in percent."""
    shares = name in ("order flips", "test-retest") or name.startswith("control")
    return Percent(one) if shares and one.value is not None else one


_WIN_HEADS = ("Win", "Tie", "Both bad", "Loss", "Win + ½ tie", "p", "Left won")
_WIN_NOTE = (
    "Win and loss are the first arm's. p is against one half. 'Left won' is of decided ones."
)

_ORDERS_NOTE = (
    "A pair shown in both orders counts once, as a tie where they disagree, and not at all where"
    " one of them has no answer."
)


def _win_row(one: WinRate, *aspect: str) -> tuple[Cell, ...]:
    """One comparison, with its judge where it is one's."""
    judge = (one.rater,) if one.rater else ()
    return (*judge, *aspect, f"{one.first} vs {one.second}", *_win_cells(one))


def _win_cells(one: WinRate) -> tuple[Cell, ...]:
    """One comparison under `_WIN_HEADS`."""
    shares = (one.win, one.tie, one.both_bad, one.loss, one.score)
    return (*map(Percent, shares), PValue(one.score.p), Percent(one.left))


def _of_kind(kind: KindResult) -> Iterator[Table]:
    """The tables of people, or of judges."""
    who, key = kind_title(kind), kind.size.kind.value
    scale = scale_text(one.dimension for one in kind.means)
    yield Table(
        f"{key}-means",
        f"{who}: mean score ({scale}) of each arm",
        ("Arm", "Dimension", "Mean", *(str(point) for point in range(HIGHEST_SCORE + 1))),
        tuple((one.arm, one.dimension, one.mean, *one.counts) for one in kind.means),
        "The six columns on the right count how often each score was given.",
    )
    yield Table(
        f"{key}-differences",
        f"{who}: paired differences between arms, in points",
        ("Comparison", "Dimension", "Difference", "p", "p (Holm)", "Paired by"),
        tuple(
            (
                f"{one.first} − {one.second}",  # noqa: RUF001 (a minus sign)
                one.dimension,
                one.difference,
                PValue(one.difference.p),
                PValue(one.p_holm),
                one.how,
            )
            for one in kind.differences
        ),
        "Holm's correction is over the dimensions of a comparison.",
    )
    judge = ("Judge",) if kind.size.kind is RaterKind.JUDGE else ()
    each = "Judges" if len({one.rater for one in kind.win_rates}) > 1 else who
    yield Table(
        f"{key}-wins",
        f"{each}: preferences",
        (*judge, "Comparison", *_WIN_HEADS),
        tuple(_win_row(one) for one in kind.win_rates),
        f"{_WIN_NOTE} {_ORDERS_NOTE}" if judge else _WIN_NOTE,
    )
    yield Table(
        f"{key}-aspects",
        f"{each}: preferences by aspect (exploratory)",
        (*judge, "Aspect", "Comparison", *_WIN_HEADS),
        tuple(_win_row(one.rate, one.aspect) for one in kind.aspects),
        f"{_WIN_NOTE} Two orders that disagree in an aspect are a tie in it; p is not corrected for"
        " the number of aspects.",
    )
    strengths = kind.bradley_terry
    rows = [(f"strength of {arm}", one) for arm, one in strengths.strengths]
    rows += [
        (name, one)
        for name, one in (
            ("ties (log ν)", strengths.tie),  # noqa: RUF001 (Davidson's letter)
            ("length, per doubling of words", strengths.length),
            ("left side", strengths.left),
        )
        if strengths.strengths
    ]
    if kind.size.preferences and not strengths.strengths:
        rows = [("not fitted", strengths.tie)]
    yield Table(
        f"{key}-strengths",
        f"{who}: Bradley-Terry model with ties, log-odds",
        ("Term", "Estimate"),
        tuple(rows),
        strengths.note if strengths.strengths else "",
    )
    yield _mixed(kind, who, key)
    yield Table(
        f"{key}-agreement",
        f"{who}: agreement between raters",
        ("Dimension", "Krippendorff's alpha (ordinal)", "Weighted kappa (quadratic)"),
        tuple((one.dimension, one.alpha, one.kappa) for one in kind.agreement),
        "n counts replies.",
    )
    yield Table(
        f"{key}-missing",
        f"{who}: answers without a score",
        ("By", "Group", "Missing"),
        tuple((one.by, one.value, Percent(one.share)) for one in kind.missing),
    )
    yield Table(
        f"{key}-bounds",
        f"{who}: differences if every missing score had been extreme",
        ("Comparison", "Dimension", "Missing", "Worst case", "Best case"),
        tuple(
            (
                f"{one.first} − {one.second}",  # noqa: RUF001 (a minus sign)
                one.dimension,
                one.missing,
                one.worst,
                one.best,
            )
            for one in kind.bounds
        ),
        "Worst: missing scores of the first arm are the lowest of the scale and of the second the"
        " highest; best: the reverse.",
    )


def _mixed(kind: KindResult, who: str, key: str) -> Table:
    """The mixed models: effects against the reference, and how much raters and items differ."""
    rows: list[tuple[Cell, ...]] = []
    for model in kind.mixed:
        spread = "; ".join(f"{name} {sd:.2f}" for name, sd in model.spreads)
        rows += [
            (
                model.dimension,
                f"{arm} − {model.reference}",  # noqa: RUF001 (a minus sign)
                effect,
                PValue(effect.p),
                spread or "–",  # noqa: RUF001
                model.note,
            )
            for arm, effect in model.effects
        ]
    return Table(
        f"{key}-mixed",
        f"{who}: mixed-effects model",
        ("Dimension", "Effect", "Points", "p", "Standard deviations", "Note"),
        tuple(rows),
        "Arms fixed; items, raters and their departures for each arm random (REML).",
    )


def _calibration(analysis: Analysis) -> Table:
    """The calibration card."""
    return Table(
        "calibration",
        "The judge against people",
        (
            "Judge", "Dimension", "Kappa with people", "Kappa among people", "Spearman",
            "Kendall", "Bias (judge − people)",  # noqa: RUF001
        ),
        tuple(
            (
                one.judge,
                one.dimension,
                one.kappa,
                one.human_kappa,
                one.spearman,
                one.kendall,
                one.bias,
            )
            for one in analysis.calibration
        ),
        "Kappa is quadratically weighted; n counts replies rated by both.",
    )  # fmt: skip


def _confusions(analysis: Analysis) -> Iterator[Table]:
    """How often a person's score met each of the judge's."""
    heads = ("Person gave", *(f"judge {point}" for point in range(HIGHEST_SCORE + 1)))
    for at, one in enumerate(analysis.calibration):
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (str(point), *counts) for point, counts in enumerate(one.confusion)
        )
        yield Table(
            f"confusion-{at + 1}-{one.dimension}",
            f"{one.judge}, {one.dimension}: a person's score against the judge's",
            heads,
            rows,
            "Counts of pairs of one person's and the judge's score for the same reply.",
        )
