"""Scoring speed: this package against one plain loop over nltk and rouge_score, in one run.

Both sides compute all metrics of both profiles that need no neural model, from the same pairs;
the values must be equal. The plain side finds WordNet and GloVe already loaded, ours loads them
within the measured time wherever a second process needs them.
"""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esc_demo.errors import BadInput, ModelError
from esc_demo.settings import PROJECT_ROOT, get_settings
from finetune.metrics.items import reply_items
from finetune.metrics.pairs import Pair
from finetune.metrics.plain import plain_scores
from finetune.metrics.profiles import ProfileName
from finetune.metrics.resources import (
    Missing,
    find_resources,
    load_glove,
    load_meteor,
    open_wordnet,
)
from finetune.metrics.scores import score

TOLERANCE = 1e-9
PAIRS = 10_000


@dataclass(frozen=True)
class ScoreBench:
    """Both sides on the same pairs."""

    pairs: int
    workers: int
    source: str
    ours_s: float
    plain_s: float
    largest_difference: float
    """Of all metrics, in percent points."""
    metrics: int
    left_out: tuple[str, ...]
    """Metrics without their data, on both sides."""

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.plain_s / self.ours_s

    def record(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            **self.__dict__,
            "ours_pairs_per_s": self.pairs / self.ours_s,
            "plain_pairs_per_s": self.pairs / self.plain_s,
            "ratio": self.ratio,
        }


def make_bench_pairs(count: int, esconv: Path | None = None, seed: int = 0) -> tuple[Pair, ...]:
    """Pairs of replies recombined from the sentences of real ones, the same for a seed.

    About a third of the hypotheses repeat a sentence of their reference, so that longer n-grams
    match too. Sentences come from ESConv's folder, or else from this project's corpus.

    Raises:
        BadInput: no sentence was found.
    """
    from finetune.data import load, load_official_esconv  # noqa: PLC0415 (quick --help)

    if esconv is not None:
        sets = [part.dialogues for part in load_official_esconv(esconv).values()]
    else:
        corpus = PROJECT_ROOT / "finetune" / "corpus"
        names = ("train", "validation", "heldout")
        sets = [load(corpus / f"{name}.json").dialogues for name in names]
    replies = [item.reference for part in sets for item in reply_items(part)]
    sentences = [s for reply in replies for s in re.split(r"(?<=[.!?])\s+", reply) if s]
    if not sentences:
        raise BadInput("There is no reply to make pairs from.")
    draw = random.Random(seed)
    pairs: list[Pair] = []
    for number in range(count):
        reference = [draw.choice(sentences) for _ in range(draw.randint(1, 3))]
        hypothesis = [draw.choice(sentences) for _ in range(draw.randint(1, 3))]
        if draw.random() < 1 / 3:
            hypothesis[0] = reference[0]
        pairs.append(Pair(" ".join(hypothesis), " ".join(reference), f"dialogue {number // 8}"))
    return tuple(pairs)


def run_score_bench(
    esconv: Path | None = None, pairs: int = PAIRS, workers: int | None = None
) -> ScoreBench:
    """Measure both sides.

    Raises:
        BadInput: no pairs are wanted, or there is nothing to make them from.
        ModelError: the sides disagree on a value.
    """
    if pairs < 1:
        raise BadInput(f"The number of pairs is {pairs}; use 1 or more.")
    made = make_bench_pairs(pairs, esconv)
    resources = find_resources(get_settings())
    left_out: list[str] = []
    wordnet = glove = None
    if isinstance(resources.wordnet, Missing):
        left_out.append(f"METEOR: {resources.wordnet}")
    else:
        load_meteor(resources.wordnet)
        wordnet = open_wordnet(resources.wordnet)  # its own, or ours would fill its cache
    if isinstance(resources.glove, Missing):
        left_out.append(f"Ext, Extrema: {resources.glove}")
    else:
        glove = load_glove(resources.glove)
    used = workers or min(2, os.cpu_count() or 1)

    start = time.perf_counter()
    ours = {name: score(made, name, resources=resources, workers=used) for name in ProfileName}
    values = {name: scores.values for name, scores in ours.items()}
    ours_s = time.perf_counter() - start
    start = time.perf_counter()
    plain = {name: plain_scores(made, name, wordnet, glove) for name in ProfileName}
    plain_s = time.perf_counter() - start

    largest = max(_difference(values[name], plain[name]) for name in ProfileName)
    if largest > TOLERANCE:
        raise ModelError(f"The two sides differ by {largest:g}; the benchmark means nothing so.")
    count = sum(len(found) for found in plain.values())
    source = str(esconv) if esconv else "the project's corpus"
    return ScoreBench(pairs, used, source, ours_s, plain_s, largest, count, tuple(left_out))


def score_bench_text(found: ScoreBench) -> str:
    """The comparison as a Markdown table."""
    speed = found.record()
    lines = [
        f"{found.pairs:,} pairs from {found.source}, {found.metrics} metrics of both profiles,"
        f" {found.workers} processes; largest difference {found.largest_difference:.1e}",
        "",
        "| | pairs per second | seconds |",
        "|---|---|---|",
        f"| this project | {speed['ours_pairs_per_s']:,.0f} | {found.ours_s:.1f} |",
        f"| plain loop over nltk and rouge_score | {speed['plain_pairs_per_s']:,.0f} |"
        f" {found.plain_s:.1f} |",
        f"| ratio | **{found.ratio:.2f}** | |",
        *(f"\nLeft out on both sides: {name}" for name in found.left_out),
    ]
    return "\n".join(lines)


def _difference(ours: dict[str, float], plain: dict[str, float]) -> float:
    """The largest difference over the plain side's metrics."""
    return max(abs(ours[name] - value) for name, value in plain.items())
