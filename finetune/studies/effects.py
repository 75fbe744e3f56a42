"""Main effects: paired differences averaged over the other factors, with intervals and Holm.

An effect is the mean over its pairs of cells (equal but for one factor) of first minus second,
taken within each dialogue; the interval comes from drawing dialogues. With a dozen of these the
plain percentile interval is too narrow and a bootstrap p value too small, so the interval is
expanded (Hesterberg, 2015) and p comes from flipping the signs of the dialogues' differences.
Holm's correction is over all effects and outcomes of a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist
from typing import Any

import numpy as np

from esc_demo.contexts import ContextKind, ContextSpec
from finetune.metrics.bleu import Floats
from finetune.metrics.bootstrap import LEVEL, holm
from finetune.studies.conditions import Condition
from finetune.studies.outcomes import OUTCOMES, Measured, Outcome

EXACT = 14
"""Dialogues up to which all 2^n flips are made."""


class Question(StrEnum):
    """Which factor is varied."""

    PROMPT = "structured prompt, on minus off"
    MODEL = "fine-tuned minus base"
    CONTEXT = "shortened context minus Raw"
    NEGATION = "keeping negation minus plain"


@dataclass(frozen=True)
class Effect:
    """A comparison; `pairs` are places of cells that differ in one factor only."""

    question: Question
    label: str
    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Estimate:
    """What an effect is for one outcome."""

    effect: Effect
    outcome: Outcome
    value: float
    low: float
    high: float
    p: float
    p_holm: float
    second: float
    """Mean of the second cells: what a percentage is of."""
    dialogues: int

    @property
    def direction(self) -> int:
        """1 better, -1 worse, 0 where the interval holds 0."""
        if self.low <= 0 <= self.high:
            return 0
        return self.outcome.better * (1 if self.value > 0 else -1)

    @property
    def held(self) -> int:
        """The direction, where it outlasts Holm's correction; else 0."""
        return self.direction if self.p_holm <= 1 - LEVEL else 0


def planned(conditions: Sequence[Condition]) -> tuple[Effect, ...]:
    """Every effect that the grid's factors allow, in the order of the page."""
    effects = [
        *_prompt_effects(conditions),
        *_model_effects(conditions),
        *_context_effects(conditions),
    ]
    return tuple(effect for effect in effects if effect.pairs)


def _prompt_effects(conditions: Sequence[Condition]) -> list[Effect]:
    """On minus off, for each model."""
    found: list[Effect] = []
    for model in dict.fromkeys(one.model for one in conditions):
        cells = [one for one in conditions if one.model == model and one.prompt]
        pairs = _pairs(conditions, cells, prompt=False)
        found.append(Effect(Question.PROMPT, f"prompt on minus off, {_short(model)}", pairs))
    return found


def _model_effects(conditions: Sequence[Condition]) -> list[Effect]:
    """Each model minus the first, for each setting of the prompt."""
    base, *others = dict.fromkeys(one.model for one in conditions)
    found: list[Effect] = []
    for model in others:
        for prompt in dict.fromkeys(one.prompt for one in conditions):
            cells = [one for one in conditions if (one.model, one.prompt) == (model, prompt)]
            pairs = _pairs(conditions, cells, model=base)
            switch = "on" if prompt else "off"
            label = f"{_short(model)} minus {_short(base)}, prompt {switch}"
            found.append(Effect(Question.MODEL, label, pairs))
    return found


def _context_effects(conditions: Sequence[Condition]) -> list[Effect]:
    """Each shortening minus Raw, then each variant that keeps negation minus its plain one."""
    shorter: list[Effect] = []
    keeping: list[Effect] = []
    for plain in _plain(conditions):
        cells = [one for one in conditions if one.context == plain]
        pairs = _pairs(conditions, cells, context=replace(plain, kind=ContextKind.RAW))
        shorter.append(Effect(Question.CONTEXT, f"{plain.label()} minus Raw", pairs))
        kept = replace(plain, keep_negation=True)
        cells = [one for one in conditions if one.context == kept]
        label = f"{kept.label()} minus {plain.label()}"
        pairs = _pairs(conditions, cells, context=plain)
        keeping.append(Effect(Question.NEGATION, label, pairs))
    return [*shorter, *keeping]


def estimate(measured: Measured, *, replicates: int, seed: int = 0) -> tuple[Estimate, ...]:
    """Every planned effect for every outcome, p values corrected over all of them."""
    found: list[Estimate] = []
    for effect in planned(measured.conditions):
        for outcome in OUTCOMES:
            if outcome.name in measured.values:
                values = measured.values[outcome.name]
                found.append(_estimate(effect, outcome, values, replicates, seed))
    corrected = holm({str(at): one.p for at, one in enumerate(found)})
    return tuple(replace(one, p_holm=corrected[str(at)]) for at, one in enumerate(found))


def differences(values: Floats, effect: Effect) -> Floats:
    """[dialogues] the effect within each, of values [cells, dialogues]."""
    first, second = (list(side) for side in zip(*effect.pairs, strict=True))
    return np.asarray((values[first] - values[second]).mean(axis=0))


def drawn_means(values: Floats, replicates: int, seed: int) -> Floats:
    """[..., replicates] means over drawn dialogues of values [..., dialogues].

    Equal seeds draw the same dialogues.
    """
    size = values.shape[-1]
    weights = np.random.default_rng(seed).multinomial(
        size, np.full(size, 1 / size), size=replicates
    )
    return np.asarray(values @ weights.T / size)


def ends(drawn: Floats, size: int) -> tuple[float, float]:
    """The ends of the expanded percentile interval of a statistic of `size` dialogues.

    Percentiles further out make up for Student's t and for the bootstrap's divisor n (Hesterberg,
    2015: What Teachers Should Know About the Bootstrap, section 3.3).
    """
    from scipy.stats import t  # noqa: PLC0415 (slow to import)

    wide = float(t.ppf((1 + LEVEL) / 2, size - 1)) * (size / (size - 1)) ** 0.5
    tail = NormalDist().cdf(-wide)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip_p(each: Floats, replicates: int, seed: int) -> float:
    """Two-sided p of a mean of differences: as large with signs flipped at will.

    Exact up to `EXACT` dialogues; of more, `replicates` flips are drawn, the observed one
    counted in.
    """
    size = len(each)
    if size <= EXACT:
        signs = 1 - 2 * ((np.arange(2**size)[:, None] >> np.arange(size)) & 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, size=(replicates, size))
        signs = np.vstack([np.ones((1, size), np.int64), 1 - 2 * drawn])
    observed = abs(float(each.sum()))
    return float((np.abs(signs @ each) >= observed - 1e-9).mean())


def _estimate(
    effect: Effect, outcome: Outcome, values: Floats, replicates: int, seed: int
) -> Estimate:
    """One effect, not yet corrected."""
    each = differences(values, effect)
    between = ends(drawn_means(each, replicates, seed), len(each))
    second = values[[pair[1] for pair in effect.pairs]].mean()
    p = sign_flip_p(each, replicates, seed)
    return Estimate(effect, outcome, float(each.mean()), *between, p, p, float(second), len(each))


def _pairs(
    conditions: Sequence[Condition], cells: Sequence[Condition], **changed: Any
) -> tuple[tuple[int, int], ...]:
    """Places of the cells, each with its twin in which `changed` holds; those without are left."""
    places = {one: place for place, one in enumerate(conditions)}
    twins = [(places[one], places.get(replace(one, **changed))) for one in cells]
    return tuple((place, twin) for place, twin in twins if twin is not None and twin != place)


def _plain(conditions: Sequence[Condition]) -> list[ContextSpec]:
    """The shortening contexts that do not keep negation."""
    found = [one.context for one in conditions]
    return [
        one
        for one in dict.fromkeys(found)
        if one.kind is not ContextKind.RAW and not one.keep_negation
    ]


def _short(model: str) -> str:
    """The name of a model without its folders."""
    return model.rstrip("/").rsplit("/", 1)[-1]
