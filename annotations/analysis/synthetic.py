"""Studies with a known truth: simulated raters and a simulated judge, who agree on nothing real.

A score is a latent number, rounded and kept to 0..5. The latent number is the arm's level plus
what item, item and arm, rater, rater and arm add, plus the side's pull and noise; all parts are
normal, so the expected score of an arm, and with it the true difference, is known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from annotations.analysis.estimate import Floats, Ints
from annotations.analysis.tidy import Frames, tidy
from annotations.values import HIGHEST_SCORE, Dimension, RaterKind
from esc_demo.errors import BadInput

TIE = 0.4
"""Replies that are liked equally within so many points are not told apart."""


@dataclass(frozen=True)
class Design:
    """A study to be simulated. Spreads are standard deviations on the 0-5 scale."""

    items: int = 40
    raters: int = 12
    per_task: int = 4
    """Raters of each task, which is an item and a pair of arms."""
    effects: Mapping[str, float] = field(default_factory=lambda: {"base": 0.0, "lora": 0.4})
    """What each arm adds to the level."""
    level: float = 2.6
    item: float = 0.5
    item_arm: float = 0.35
    rater: float = 0.5
    rater_arm: float = 0.25
    noise: float = 0.8
    side_bias: float = 0.2
    """Added to the reply on the left, taken from the one on the right."""
    missing: float = 0.05
    """Share of answers that are "cannot judge", whatever the score."""
    missing_low: float = 0.0
    """Further share that is missing when the score is 0 or 1."""

    def __post_init__(self) -> None:
        if self.raters < self.most_per_item:
            raise BadInput(
                f"{self.raters} raters cannot rate {self.most_per_item} different tasks of one"
                " item; nobody rates an item twice."
            )

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every pair of arms."""
        return tuple(combinations(sorted(self.effects), 2))

    @property
    def most_per_item(self) -> int:
        """Raters that meet one item."""
        return self.per_task * len(self.pairs)


@dataclass(frozen=True, eq=False)
class Layout:
    """Who rates what, one entry an assignment. Shapes (n,)."""

    items: Ints
    raters: Ints
    arms: Ints
    """Shape (n, 2): the arms of the pair."""
    left: Ints
    """0 or 1: which of the two stands on the left."""


def layout(design: Design) -> Layout:
    """Who rates what: the raters with least to do come next, and each rater's sides alternate.

    Ties are broken by chance, the same for every study of a design, so that raters do not move
    through the items in fixed groups.
    """
    random = np.random.default_rng(design.items * 1000 + design.raters)
    names = sorted(design.effects)
    pairs = [(names.index(a), names.index(b)) for a, b in design.pairs]
    load = np.zeros(design.raters)
    sides = np.arange(design.raters) % 2
    rows = []
    for item in range(design.items):
        order = np.argsort(load + 0.5 * random.random(design.raters), kind="stable")
        for slot, rater in enumerate(random.permutation(order[: design.most_per_item])):
            rows.append((item, rater, *pairs[slot // design.per_task], sides[rater]))
            load[rater] += 1
            sides[rater] = 1 - sides[rater]
    table = np.array(rows, dtype=np.int64)
    return Layout(table[:, 0], table[:, 1], table[:, 2:4], table[:, 4])


def draw_scores(design: Design, studies: int, seed: int) -> Floats:
    """Scores of one dimension in many studies with the same layout.

    Returns:
        Shape (studies, assignments, 2), nan where the rater could not judge.
    """
    random = np.random.default_rng(seed)
    latent = _latent(design, studies, random)
    scores = np.clip(np.rint(latent), 0, HIGHEST_SCORE)
    unknown = random.random(latent.shape) < design.missing + design.missing_low * (scores < 2)
    return np.asarray(np.where(unknown, np.nan, scores), dtype=float)


def draw_choices(design: Design, studies: int, seed: int) -> Floats:
    """Preferences between the two arms of each assignment in many studies with the same layout.

    Returns:
        Shape (studies, assignments): 1 the second arm of the pair, -1 the first, 0 a tie, nan
        where nothing was answered. Whatever is liked more by less than `TIE` points is a tie.
    """
    random = np.random.default_rng(seed)
    latent = _latent(design, studies, random)
    gap = latent[:, :, 1] - latent[:, :, 0]
    choice = np.where(np.abs(gap) < TIE, 0.0, np.sign(gap))
    return np.where(random.random(gap.shape) < design.missing, np.nan, choice)


def _latent(design: Design, studies: int, random: np.random.Generator) -> Floats:
    """How much each reply is liked. Shape (studies, assignments, 2)."""
    plan = layout(design)
    n_arms = len(design.effects)
    levels = design.level + np.array([design.effects[name] for name in sorted(design.effects)])
    normal = random.standard_normal
    item = design.item * normal((studies, design.items))
    rater = design.rater * normal((studies, design.raters))
    item_arm = design.item_arm * normal((studies, design.items, n_arms))
    rater_arm = design.rater_arm * normal((studies, design.raters, n_arms))
    shape = (studies, len(plan.items), 2)
    latent = levels[plan.arms] + design.noise * normal(shape)
    latent += (item[:, plan.items] + rater[:, plan.raters])[:, :, None]
    latent += item_arm[:, plan.items[:, None], plan.arms]
    latent += rater_arm[:, plan.raters[:, None], plan.arms]
    latent += np.where(plan.left[:, None] == np.arange(2), design.side_bias, -design.side_bias)
    return np.asarray(latent, dtype=float)


def expected_score(design: Design, arm: str) -> float:
    """The expected score of an arm over all items, raters and sides, before anything is missing."""
    parts = (design.item, design.item_arm, design.rater, design.rater_arm, design.noise)
    spread = float(np.sqrt(np.square(parts).sum()))
    centre = design.level + design.effects[arm]
    steps = np.arange(1, HIGHEST_SCORE + 1) - 0.5
    sides = centre + design.side_bias * np.array([[1.0], [-1.0]])
    return float(stats.norm.sf(steps, loc=sides, scale=spread).sum(axis=1).mean())


def expected_wins(design: Design, first: str, second: str) -> float:
    """The true share of comparisons that `first` wins against `second`, ties being no wins."""
    spread = float(np.sqrt(2 * np.square((design.item_arm, design.rater_arm, design.noise)).sum()))
    gap = design.effects[first] - design.effects[second]
    sides = gap + 2 * design.side_bias * np.array([1.0, -1.0])
    return float(stats.norm.sf(TIE, loc=sides, scale=spread).mean())


def expected_difference(design: Design, first: str, second: str) -> float:
    """The true difference `first` minus `second` on the observed scale."""
    return expected_score(design, first) - expected_score(design, second)


def rating_frame(design: Design, scores: Floats, dimension: str) -> pd.DataFrame:
    """Tidy ratings of one study; `scores` has shape (assignments, 2)."""
    plan, names = layout(design), np.array(sorted(design.effects))
    parts = []
    for place in range(2):
        value = scores[:, place]
        parts.append(
            pd.DataFrame(
                {
                    "rater": [f"P{code + 1:03d}" for code in plan.raters],
                    "rater_kind": RaterKind.HUMAN.value,
                    "item": [f"item-{code + 1:03d}" for code in plan.items],
                    "arm": names[plan.arms[:, place]],
                    "dimension": dimension,
                    "score": value,
                    "status": np.where(np.isnan(value), "cannot_judge", "scored"),
                    "side": np.where(plan.left == place, "left", "right"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def make_study(
    design: Design, seed: int, *, judge_bias: float = 0.4, judge_noise: float = 0.6
) -> Frames:
    """One study: four dimensions and a preference by people, and a judge who rates each reply.

    The judge sees what people see on average, plus its own bias and noise, and likes length.
    """
    random = np.random.default_rng([seed, 1])
    plan, names = layout(design), sorted(design.effects)
    every = [draw_scores(design, 1, seed * 10 + at)[0] for at in range(len(Dimension))]
    people = pd.concat(
        [rating_frame(design, s, name.value) for name, s in zip(Dimension, every, strict=True)],
        ignore_index=True,
    )
    words = {
        (f"item-{item + 1:03d}", arm): int(random.integers(18, 60)) + 10 * place
        for item in range(design.items)
        for place, arm in enumerate(names)
    }
    judge = _judge_frame(people, words, random, judge_bias, judge_noise)
    ratings = pd.concat([people, judge], ignore_index=True)
    ratings["reply_words"] = [
        words[key] for key in zip(ratings["item"], ratings["arm"], strict=True)
    ]
    risky = {f"item-{code + 1:03d}" for code in range(0, design.items, 8)}
    ratings["crisis"] = np.where(ratings["item"].isin(risky), "yes", "no")
    ratings["stratum"] = _strata(ratings["item"])
    ratings["study"] = "synthetic"
    liked = np.nansum(np.stack(every), axis=0) + random.normal(0, 1.0, (len(plan.items), 2))
    preferences = _preference_frame(plan, names, liked, words)
    return tidy(ratings, preferences)


def _strata(items: pd.Series) -> list[str]:
    """Two strata, by the item's number."""
    return ["work" if int(name[-3:]) % 2 else "family" for name in items]


def _judge_frame(
    people: pd.DataFrame,
    words: Mapping[tuple[str, str], int],
    random: np.random.Generator,
    bias: float,
    noise: float,
) -> pd.DataFrame:
    """One judge's rating of each reply and dimension, made from what people gave on average."""
    means = people.groupby(["item", "arm", "dimension"], as_index=False)["score"].mean()
    means = means[means["score"].notna()]
    length = np.array([words[key] for key in zip(means["item"], means["arm"], strict=True)])
    latent = means["score"] + bias + 0.3 * np.log2(length / 40)
    latent += random.normal(0, noise, len(means))
    score = np.clip(np.rint(latent), 0, HIGHEST_SCORE)
    return means.assign(rater="judge-a", rater_kind=RaterKind.JUDGE.value, score=score).assign(
        status="scored", side=""
    )


def _preference_frame(
    plan: Layout,
    names: list[str],
    liked: Floats,
    words: Mapping[tuple[str, str], int],
) -> pd.DataFrame:
    """Which reply is preferred: the one liked more by a margin, else a tie or both bad."""
    rows = []
    for at in range(len(plan.items)):
        item = f"item-{plan.items[at] + 1:03d}"
        first, second = (names[code] for code in plan.arms[at])
        gap = liked[at, 0] - liked[at, 1]
        draw = "both_bad" if liked[at].mean() < 8 else "tie"
        rows.append(
            {
                "study": "synthetic",
                "rater": f"P{plan.raters[at] + 1:03d}",
                "rater_kind": RaterKind.HUMAN.value,
                "item": item,
                "stratum": _strata(pd.Series([item]))[0],
                "arm_a": first,
                "arm_b": second,
                "choice": draw if abs(gap) < 1.5 else first if gap > 0 else second,
                "side_a": "left" if plan.left[at] == 0 else "right",
                "words_a": words[item, first],
                "words_b": words[item, second],
            }
        )
    return pd.DataFrame(rows)
