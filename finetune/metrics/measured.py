"""What a run's records say beside the words: lengths, fit and speed, as columns of `Scores`.

They are ratios of sums over replies, so the bootstrap over dialogues works on them as it does on
any metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune.generate import ItemKey, Status
from finetune.metrics.bleu import Floats
from finetune.metrics.runs import Record, Run
from finetune.metrics.scores import Scores
from finetune.metrics.tokens import treebank
from finetune.metrics.views import View

NAMES = ("Utterance length", "Prompt tokens", "Tokens kept", "Fits window", "Seconds")
"""Mean Treebank tokens of an utterance as the model was shown it; mean tokens of a prompt, in the
model's own tokenizer; what share of the raw prompt that is; share of prompts from which nothing
was dropped to fit the window; mean seconds of a reply, without waiting."""

_WHY = {
    "Utterance length": "no prompt was recorded",
    "Prompt tokens": "no prompt was recorded",
    "Tokens kept": "no prompt was recorded",
    "Fits window": "no prompt was recorded",
    "Seconds": "the file of timings beside the run is missing or holds too few of its replies",
}
_IN_PERCENT = frozenset({"Tokens kept", "Fits window"})
_Ratio = tuple[float, float]


@dataclass(frozen=True)
class RatioOfSums:
    """A column whose statistics, [pairs, 2], are made from records and not from texts."""

    name: str
    scale: float = 1.0

    def stats(self, view: View) -> tuple[float, ...]:
        """Nothing: texts alone do not tell."""
        return (0.0, 0.0)

    def value(self, sums: Floats, count: Floats) -> Floats:
        """First sum by second; 0 where the second is."""
        below = np.where(sums[:, 1] > 0, sums[:, 1], 1.0)
        return self.scale * sums[:, 0] / below


def with_measured(scores: Scores, run: Run, keys: Sequence[ItemKey]) -> Scores:
    """The scores of `run` on `keys` with the columns `NAMES`, or why one is empty."""
    stats, missing = dict(scores.stats), dict(scores.profile.missing)
    added: list[RatioOfSums] = []
    for name, ratios in _ratios(run, keys).items():
        known = sum(below > 0 for _, below in ratios)
        # An utterance is counted once a dialogue; of the others half may not be missing.
        needed = 1 if name == "Utterance length" else len(keys) / 2
        if known < needed:
            missing[name] = _WHY[name]
            continue
        added.append(RatioOfSums(name, 100.0 if name in _IN_PERCENT else 1.0))
        stats[name] = np.array(ratios, np.float64)
    profile = replace(
        scores.profile,
        metrics=(*scores.profile.metrics, *added),
        columns=(*scores.profile.columns, *(one.name for one in added)),
        missing=missing,
    )
    return replace(scores, profile=profile, stats=stats)


def _ratios(run: Run, keys: Sequence[ItemKey]) -> dict[str, list[_Ratio]]:
    """By column, for every item what it adds above and below the line."""
    records = [run.records[key] for key in keys]
    longest = _longest_prompts(run.records, keys)
    return {
        "Utterance length": [
            _utterances(record) if key in longest else (0.0, 0.0)
            for key, record in zip(keys, records, strict=True)
        ],
        "Prompt tokens": [_ratio(record, "prompt_tokens", None) for record in records],
        "Tokens kept": [_ratio(record, "prompt_tokens", "prompt_tokens_raw") for record in records],
        "Fits window": [_fits(record) for record in records],
        "Seconds": [
            (run.seconds[key], 1.0)
            if key in run.seconds and record["status"] == Status.OK
            else (0.0, 0.0)
            for key, record in zip(keys, records, strict=True)
        ],
    }


def _longest_prompts(records: Mapping[ItemKey, Record], keys: Sequence[ItemKey]) -> set[ItemKey]:
    """Of each dialogue the item with most messages: every utterance stands there once."""
    best: dict[str, ItemKey] = {}
    for key in keys:
        size = len(records[key]["messages"] or ())
        if size and size > len(
            records[best[key.dialogue]]["messages"] if key.dialogue in best else ()
        ):
            best[key.dialogue] = key
    return set(best.values())


def _utterances(record: Record) -> _Ratio:
    """Treebank tokens of the conversation's messages, and how many these are."""
    said = [one["content"] for one in record["messages"] if one["role"] != "system"]
    return float(sum(len(treebank(text)) for text in said)), float(len(said))


def _ratio(record: Record, above: str, below: str | None) -> _Ratio:
    """Two numbers of a record, or one and 1; zeros where the model saw nothing."""
    if record[above] is None:
        return 0.0, 0.0
    return float(record[above]), float(record[below]) if below else 1.0


def _fits(record: Record) -> _Ratio:
    """Whether nothing was dropped from the prompt; unknown for what failed before it."""
    if record["status"] == Status.TOO_LONG:
        return 0.0, 1.0
    if record["dropped_turns"] is None:
        return 0.0, 0.0
    return float(record["dropped_turns"] == 0), 1.0
