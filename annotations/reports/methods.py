"""The methods paragraph and the versions, filled from what was analysed."""

from __future__ import annotations

import platform
from collections import Counter
from importlib import metadata

from annotations.analysis.agreement import REPLICATES as AGREEMENT_REPLICATES
from annotations.analysis.analyse import Analysis, KindResult, Size, models_tried
from annotations.analysis.bradley_terry import REPLICATES as STRENGTH_REPLICATES
from annotations.analysis.calibration import REPLICATES as CALIBRATION_REPLICATES
from annotations.analysis.differences import WITHIN_ITEM
from annotations.analysis.tidy import scale_text
from annotations.judge.frames import RunView
from annotations.reports.judges import asked_text
from annotations.reports.tables import kind_title
from annotations.values import RaterKind
from esc_demo import __version__

PACKAGES = ("numpy", "scipy", "pandas", "statsmodels")


def methods(analysis: Analysis, runs: tuple[RunView, ...] = ()) -> tuple[str, ...]:
    """Paragraphs that can stand in a paper; each names only what was done here."""
    if not analysis.kinds:
        return ("Nothing has been answered yet, so nothing was computed.",)
    found = [" ".join(_sample(kind) for kind in analysis.kinds)]
    if runs:
        found.append(asked_text(runs))
    found.append(_intervals(analysis))
    for part in (
        _comparisons(analysis),
        _pooled(analysis),
        _agreement(analysis),
        _judge(analysis),
    ):
        if part:
            found.append(part)
    return tuple(found)


def _sample(kind: KindResult) -> str:
    """Who answered what."""
    size = kind.size
    who = _counted(size.raters, "person", "people")
    if size.kind is RaterKind.JUDGE:
        who = _counted(size.raters, "automatic judge", "automatic judges")
    parts = []
    if size.ratings:
        gone = size.ratings - size.scored
        scale = scale_text(one.dimension for one in kind.means)
        parts.append(
            f"gave {_counted(size.ratings, 'rating', 'ratings')} on scales of {scale}, {gone} of"
            " them without a score"
        )
    if size.preferences:
        parts.append(_compared(size))
    items = _counted(size.items, "item", "items")
    return f"{who[0].upper()}{who[1:]} {' and '.join(parts)}, on {items}."


def _pooled(analysis: Analysis) -> str:
    """How several judges are put together."""
    if not any(len(kind.means_of_each) > 1 for kind in analysis.kinds):
        return ""
    return (
        "Tables of all judges take the judges as raters drawn from one kind, which unlike models"
        " and protocols are not; mean scores and preferences are told of each judge by itself."
    )


def _compared(size: Size) -> str:
    return f"made {_counted(size.preferences, 'comparison', 'comparisons')} of two replies"


def _intervals(analysis: Analysis) -> str:
    """How means and their differences got their intervals."""
    text = (
        "Intervals are 95%. Those of means and differences are clustered by item and by rater"
        " (Cameron, Gelbach and Miller, 2011), with t quantiles at Satterthwaite degrees of"
        " freedom; shares use Korn and Graubard's interval at the effective number of answers"
        " so implied."
    )
    if any(kind.size.raters == 1 for kind in analysis.kinds):
        text += (
            " Where there is one rater, only items are clusters, and results hold for that"
            " rater alone."
        )
    if any(kind.size.items == 1 for kind in analysis.kinds):
        text += (
            " Where there is one item, only raters are clusters, and results hold for that"
            " item alone."
        )
    return text


def _comparisons(analysis: Analysis) -> str:
    """Paired differences and models."""
    found = [one for kind in analysis.kinds for one in kind.differences]
    if len(analysis.arms) < 2:
        return "There is one arm, so nothing is compared."
    text = []
    if found:
        pairing = "scores of the same rater on the same item"
        if any(one.how == WITHIN_ITEM for one in found):
            pairing += " (or, where most items have no such rater, an item's mean scores)"
        text.append(
            f"Arms were compared by {pairing}, with Holm's (1979) correction over the dimensions"
            f" of each pair of arms ({_corrected(analysis)})."
        )
    if any(kind.bradley_terry.strengths for kind in analysis.kinds):
        text.append(
            "Preferences were also fitted with the Bradley-Terry model with ties (Davidson, 1970)"
            " and terms for length and side where recorded; its intervals are percentiles of"
            f" {STRENGTH_REPLICATES} reweightings of items and raters (Owen and Eckles, 2012)."
            " 'Both bad' counts as a tie in it."
        )
    if tried := models_tried(analysis.kinds):
        fitted = sum(bool(model.spreads) for model in tried)
        text.append(
            f"A linear mixed-effects model with crossed random items and raters was tried for"
            f" {len(tried)} sets of ratings and converged for {fitted}."
        )
    return " ".join(text)


def _corrected(analysis: Analysis) -> str:
    """How many p values are in one correction, by kind of rater."""
    found = []
    for kind in analysis.kinds:
        pairs = Counter(
            (one.first, one.second) for one in kind.differences if one.difference.p is not None
        )
        if pairs:
            least, most = min(pairs.values()), max(pairs.values())
            count = f"{most}" if least == most else f"{least} to {most}"
            found.append(f"{kind_title(kind).lower()}: {count}")
    return "; ".join(found) or "none had a p value"


def _agreement(analysis: Analysis) -> str:
    """Coefficients of agreement."""
    if not any(kind.agreement for kind in analysis.kinds):
        return ""
    return (
        "Agreement is Krippendorff's alpha for ordinal data and quadratically weighted kappa,"
        " pooled over pairs of raters, with percentile intervals from"
        f" {AGREEMENT_REPLICATES} resamples of items."
    )


def _judge(analysis: Analysis) -> str:
    """How the judge was held against people."""
    if not analysis.calibration:
        return ""
    return (
        "The judge was held against people on the replies both rated: rank correlations are with"
        " the people's mean of a reply, with intervals from"
        f" {CALIBRATION_REPLICATES} resamples of items."
    )


def versions(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    """What computed the report."""
    found = [("esc-demo", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return (*found, ("seed of the resamples", str(analysis.seed)))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
