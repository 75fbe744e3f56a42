"""The tidy frames an analysis starts from: checked, and with every column present.

Ratings: one row an answer; preferences: one row a comparison. Nothing is filtered here: that is
done by whoever makes the frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from annotations.values import HIGHEST_SCORE, LOWEST_SCORE, Dimension, RaterKind, RatingStatus
from esc_demo.errors import BadInput

RATING_KEYS = ("rater", "item", "arm", "dimension", "score")
RATING_DEFAULTS = {
    "study": "",
    "rater_kind": RaterKind.HUMAN.value,
    "stratum": "",
    "side": "",
    "seconds": np.nan,
    "crisis": "",
    "reply_words": np.nan,
    "sample": "",
    "control": "",
    "arm_family": "",
    "rater_family": "",
    "scale": f"{LOWEST_SCORE}-{HIGHEST_SCORE}",
}
PREFERENCE_KEYS = ("rater", "item", "arm_a", "arm_b", "choice")
PREFERENCE_DEFAULTS = {
    "study": "",
    "rater_kind": RaterKind.HUMAN.value,
    "stratum": "",
    "side_a": "",
    "words_a": np.nan,
    "words_b": np.nan,
    "crisis": "",
    "sample": "",
    "aspect": "",
    "control": "",
}
UNDECIDED = ("tie", "both_bad")
PREFERENCE = "preference"
"""The name of the preference among outcomes, beside the dimensions."""


_OWN_SCALE = re.compile(r"(.*) \(([0-5])-([0-5])\)")


def scale_of(dimension: str) -> tuple[int, int]:
    """The lowest and the highest score of a dimension."""
    found = _OWN_SCALE.fullmatch(dimension)
    return (int(found[2]), int(found[3])) if found else (LOWEST_SCORE, HIGHEST_SCORE)


def without_scale(dimension: str) -> str:
    """The name alone: `overall` of `overall (1-5)`."""
    found = _OWN_SCALE.fullmatch(dimension)
    return found[1] if found else dimension


def scale_text(dimensions: Iterable[str]) -> str:
    """The scales of some dimensions, as `0-5 and 1-5`."""
    return " and ".join(sorted({"{}-{}".format(*scale_of(name)) for name in dimensions}))


@dataclass(frozen=True, eq=False)
class Frames:
    """What people and judges answered."""

    ratings: pd.DataFrame
    """The columns of `RATING_KEYS` and `RATING_DEFAULTS`, and `status`.

    A dimension that is not scored from 0 to 5 has its scale in its name, `overall (1-5)`: it is
    another one than people's, and never pooled or compared with it.
    """
    preferences: pd.DataFrame
    """The columns of `PREFERENCE_KEYS` and `PREFERENCE_DEFAULTS`."""

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms but planted controls, sorted."""
        found = set(self.ratings.loc[self.ratings["control"] == "", "arm"])
        pairs = self.preferences[self.preferences["control"] == ""]
        found |= set(pairs["arm_a"]) | set(pairs["arm_b"])
        return tuple(sorted(found))

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions that were rated, in the order they are asked."""
        present = set(self.ratings["dimension"])
        core = [name.value for name in Dimension if name.value in present]
        return (*core, *sorted(present - set(core)))

    @property
    def strata(self) -> tuple[str, ...]:
        """Labels of strata, without the empty one."""
        found = set(self.ratings["stratum"]) | set(self.preferences["stratum"])
        return tuple(sorted(found - {""}))

    def of(self, kind: RaterKind) -> Frames:
        """Only the answers of people, or of judges."""
        ratings, preferences = self.ratings, self.preferences
        return Frames(
            ratings[ratings["rater_kind"] == kind.value],
            preferences[preferences["rater_kind"] == kind.value],
        )

    def within(self, stratum: str) -> Frames:
        """Only one stratum, and in it what a judge said about the replies that people met there.

        People meet a reply beside another one; a judge of single replies scores it once for all
        pairs, so its ratings have no stratum of their own.
        """
        ratings, preferences = self.ratings, self.preferences
        inside = ratings["stratum"] == stratum
        loose = (ratings["rater_kind"] == RaterKind.JUDGE.value) & (ratings["stratum"] == "")
        met = pd.MultiIndex.from_frame(ratings.loc[inside, ["item", "arm"]])
        about = pd.MultiIndex.from_frame(ratings[["item", "arm"]]).isin(met)
        planted = (ratings["control"] != "") & ratings["item"].isin(ratings.loc[inside, "item"])
        return Frames(
            ratings[inside | (loose & (about | planted))],
            preferences[preferences["stratum"] == stratum],
        )


def tidy(ratings: pd.DataFrame | None, preferences: pd.DataFrame | None = None) -> Frames:
    """Checked frames with every column.

    Raises:
        BadInput: a column is missing, a score is off the scale, an answer was given twice, or a
            preference names an arm that was not compared.
    """
    rated = pd.DataFrame(columns=list(RATING_KEYS)) if ratings is None else ratings
    preferred = pd.DataFrame(columns=list(PREFERENCE_KEYS)) if preferences is None else preferences
    return Frames(_ratings(rated), _preferences(preferred))


def _ratings(frame: pd.DataFrame) -> pd.DataFrame:
    """The ratings with every column and status, in their own order."""
    table = _filled(frame, RATING_KEYS, RATING_DEFAULTS, "ratings")
    table["score"] = pd.to_numeric(table["score"], errors="coerce").astype(float)
    if "status" not in table:
        answered = np.where(table["score"].isna(), "cannot_judge", "scored")
        table["status"] = answered
    table.loc[table["status"] != RatingStatus.SCORED.value, "score"] = np.nan
    scored = table[table["status"] == RatingStatus.SCORED.value]
    wrong = scored[~scored["score"].between(LOWEST_SCORE, HIGHEST_SCORE)]
    if len(wrong):
        first = wrong.iloc[0]
        raise BadInput(
            f"{len(wrong)} scores are off the scale of {LOWEST_SCORE} to {HIGHEST_SCORE}; the first"
            f" is {first['score']} for item {first['item']!r} by rater {first['rater']!r}."
        )
    _name_scales(table)
    keys = ["study", "rater_kind", "rater", "item", "arm", "dimension", "sample", "control"]
    table["words"] = pd.to_numeric(table.pop("reply_words"), errors="coerce").astype(float)
    _refuse_twice(table, keys, "rated")
    return table


def _name_scales(table: pd.DataFrame) -> None:
    """Put a scale that is not the usual one into the dimension's name."""
    usual = str(RATING_DEFAULTS["scale"])
    table["scale"] = table["scale"].replace("", usual)
    for scale in sorted(set(table["scale"]) - {usual}):
        low, high = scale_of(f"x ({scale})")
        if (low, high) == scale_of(usual) or low >= high:
            raise BadInput(f"The scale {scale!r} is not one like 1-5, within {usual}.")
        rows = table["scale"] == scale
        wrong = table[rows & ~table["score"].isna() & ~table["score"].between(low, high)]
        if len(wrong):
            first = wrong.iloc[0]
            raise BadInput(
                f"{len(wrong)} scores are off their scale of {scale}; the first is"
                f" {first['score']} for item {first['item']!r} by rater {first['rater']!r}."
            )
        names = table.loc[rows, "dimension"]
        table.loc[rows, "dimension"] = [f"{without_scale(name)} ({scale})" for name in names]


def _preferences(frame: pd.DataFrame) -> pd.DataFrame:
    """The preferences with every column; `side_a` becomes left, right or empty."""
    table = _filled(frame, PREFERENCE_KEYS, PREFERENCE_DEFAULTS, "preferences")
    table["side_a"] = table["side_a"].replace({"1": "left", "2": "right"})
    for name in ("words_a", "words_b"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    choice = table["choice"]
    known = (choice == table["arm_a"]) | (choice == table["arm_b"]) | choice.isin(UNDECIDED)
    if (~known).any():
        first = table[~known].iloc[0]
        raise BadInput(
            f"The choice {first['choice']!r} for item {first['item']!r} by rater"
            f" {first['rater']!r} is neither {first['arm_a']!r}, {first['arm_b']!r}, tie nor"
            " both_bad."
        )
    same = table["arm_a"] == table["arm_b"]
    if same.any():
        first = table[same].iloc[0]
        raise BadInput(f"{first['arm_a']!r} is compared with itself for item {first['item']!r}.")
    swap = table["arm_a"] > table["arm_b"]
    _swap(table, swap, "arm_a", "arm_b")
    _swap(table, swap, "words_a", "words_b")
    table.loc[swap, "side_a"] = (
        table.loc[swap, "side_a"].map({"left": "right", "right": "left"}).fillna("")
    )
    keys = ["study", "rater_kind", "rater", "item", "arm_a", "arm_b", "sample", "side_a"]
    keys += ["aspect", "control"]
    _refuse_twice(table, keys, "compared")
    return table


_FLAGS = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}
"""A crisis flag as programs write it, and as it is told here."""


def _filled(
    frame: pd.DataFrame, keys: tuple[str, ...], defaults: dict[str, object], what: str
) -> pd.DataFrame:
    """A copy with every column; texts are str and never missing."""
    absent = [name for name in keys if name not in frame]
    if absent:
        raise BadInput(f"The {what} have no column {absent[0]!r}; needed are {', '.join(keys)}.")
    table = frame.reset_index(drop=True).copy()
    for name, default in defaults.items():
        if name not in table:
            table[name] = default
    numbers = {name for name, default in defaults.items() if isinstance(default, float)}
    for name in [*keys, *defaults]:
        if name not in numbers and name != "score":
            table[name] = [_text(value) for value in table[name]]
    table["crisis"] = [_FLAGS.get(value.lower(), value) for value in table["crisis"]]
    return table


def _text(value: object) -> str:
    """Text of a cell: empty when missing, plain words for enums and flags."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _swap(table: pd.DataFrame, rows: pd.Series, first: str, second: str) -> None:
    """Exchange two columns where `rows` is True, so that each pair has one spelling."""
    held = table.loc[rows, first].copy()
    table.loc[rows, first] = table.loc[rows, second]
    table.loc[rows, second] = held


def _refuse_twice(table: pd.DataFrame, keys: list[str], verb: str) -> None:
    """One answer a question: which of two would count is not ours to choose."""
    twice = table.duplicated(keys)
    if twice.any():
        row = table[twice].iloc[0]
        about = row["dimension"] if verb == "rated" else f"{row['arm_a']} and {row['arm_b']}"
        raise BadInput(
            f"Rater {row['rater']!r} {verb} item {row['item']!r} ({about}) twice, and"
            f" {int(twice.sum())} answers in all are repeated. Keep the one in force, or number"
            " repeats in a column 'sample'."
        )


def averaged(ratings: pd.DataFrame) -> pd.DataFrame:
    """Scored ratings, repeats of one rater (`sample`) averaged into one row. Adds no columns."""
    scored = ratings[ratings["status"] == RatingStatus.SCORED.value]
    keys = ["study", "rater", "item", "stratum", "arm", "dimension", "control"]
    if not scored.duplicated(keys).any():
        return scored
    means = {"score": "mean", "words": "mean", "crisis": "first"}
    return scored.groupby(keys, as_index=False, sort=False).agg(means)
