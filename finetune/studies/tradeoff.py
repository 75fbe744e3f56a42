"""Quality against tokens kept: the trade paper B argues for, context by context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esc_demo.contexts import ContextKind, ContextSpec
from finetune.metrics.bleu import Floats
from finetune.metrics.bootstrap import Interval
from finetune.metrics.scores import Scores
from finetune.studies.conditions import Condition
from finetune.studies.effects import drawn_means, ends
from finetune.studies.outcomes import OUTCOMES, Measured

_SIZES = ("Prompt tokens", "Tokens kept", "Utterance length")


@dataclass(frozen=True)
class Trade:
    """A context with the prompt on or off, over all models."""

    context: ContextSpec
    prompt: bool
    prompt_tokens: Interval | None
    kept: Interval | None
    """Percent of the raw prompt's tokens, the structured prompt included."""
    utterance: Interval | None
    """Treebank tokens of an utterance as the model was shown it."""
    room: Interval | None
    """How many utterances take the room of one in Raw."""
    quality: dict[str, Interval]
    """By outcome, the mean over models and dialogues."""


def trade_offs(
    measured: Measured, scores: Sequence[Scores], *, replicates: int, seed: int = 0
) -> tuple[Trade, ...]:
    """Every context with every setting of the prompt, in the grid's order."""
    conditions = measured.conditions
    found: list[Trade] = []
    for prompt in dict.fromkeys(one.prompt for one in conditions):
        for context in dict.fromkeys(one.context for one in conditions):
            mine = _places(conditions, context, prompt)
            raw = _places(conditions, ContextSpec(ContextKind.RAW), prompt)
            sizes = {name: _sums([scores[at] for at in mine], name) for name in _SIZES}
            plain = _sums([scores[at] for at in raw], "Utterance length") if raw else None
            found.append(
                Trade(
                    context,
                    prompt,
                    _ratio(sizes["Prompt tokens"], replicates, seed),
                    _ratio(sizes["Tokens kept"], replicates, seed, scale=100.0),
                    _ratio(sizes["Utterance length"], replicates, seed),
                    _room(plain, sizes["Utterance length"], replicates, seed),
                    {
                        outcome.name: _mean(measured.values[outcome.name][mine], replicates, seed)
                        for outcome in OUTCOMES
                        if outcome.name in measured.values
                    },
                )
            )
    return tuple(found)


def ratio_interval(above: Floats, below: Floats, replicates: int, seed: int) -> Interval:
    """Sum over sum of two [dialogues], drawn together."""
    drawn = drawn_means(np.array([above, below]), replicates, seed)
    return Interval(float(above.sum() / below.sum()), *ends(drawn[0] / drawn[1], len(above)))


def _places(conditions: Sequence[Condition], context: ContextSpec, prompt: bool) -> list[int]:
    """Cells of all models."""
    return [
        place
        for place, one in enumerate(conditions)
        if one.context == context and one.prompt == prompt
    ]


def _sums(scores: Sequence[Scores], name: str) -> Floats | None:
    """[2, dialogues] sums above and below the line, or None where nobody recorded them."""
    if any(name not in one.stats for one in scores):
        return None
    places = {unit: place for place, unit in enumerate(scores[0].units)}
    sums = np.zeros((2, len(places)))
    for one in scores:
        units = [places[dialogue] for dialogue in one.dialogues]
        np.add.at(sums.T, units, one.stats[name])
    return sums


def _ratio(
    sums: Floats | None, replicates: int, seed: int, *, scale: float = 1.0
) -> Interval | None:
    """The ratio of sums."""
    if sums is None:
        return None
    return ratio_interval(scale * sums[0], sums[1], replicates, seed)


def _room(raw: Floats | None, mine: Floats | None, replicates: int, seed: int) -> Interval | None:
    """Length of a raw utterance by that of a shortened one, on the same draws."""
    if raw is None or mine is None:
        return None
    drawn = drawn_means(np.array([raw, mine]), replicates, seed)
    lengths = drawn[:, 0] / drawn[:, 1]
    whole = [part[0].sum() / part[1].sum() for part in (raw, mine)]
    return Interval(float(whole[0] / whole[1]), *ends(lengths[0] / lengths[1], raw.shape[1]))


def _mean(values: Floats, replicates: int, seed: int) -> Interval:
    """Mean over models and dialogues of values [models, dialogues]."""
    each = np.asarray(values.mean(axis=0))
    return Interval(float(each.mean()), *ends(drawn_means(each, replicates, seed), len(each)))
