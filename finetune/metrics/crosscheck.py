"""The same pairs under two public tools, each with the signature that names its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from esc_demo.errors import BadInput
from finetune.metrics.pairs import Pair


@dataclass(frozen=True)
class CrossCheck:
    """A value from another tool, in percent."""

    name: str
    value: float
    signature: str


def cross_checks(pairs: Sequence[Pair]) -> tuple[CrossCheck, ...]:
    """sacrebleu's BLEU and chrF, and rouge_score's ROUGE-1, 2 and L with stemmer.

    They tokenize in their own ways, so they confirm a ranking and not a number.

    Raises:
        BadInput: no pairs.
    """
    if not pairs:
        raise BadInput("There is nothing to score: no pair of hypothesis and reference.")
    return (*_sacrebleu(pairs), *_rouge(pairs))


def _sacrebleu(pairs: Sequence[Pair]) -> list[CrossCheck]:
    """Corpus BLEU and chrF."""
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 (slow to import)
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

    hypotheses = [pair.hypothesis for pair in pairs]
    references = [[pair.reference for pair in pairs]]
    found: list[CrossCheck] = []
    for metric in (BLEU(), CHRF()):
        score = metric.corpus_score(hypotheses, references)
        name = f"sacrebleu {score.name}"
        found.append(CrossCheck(name, float(score.score), str(metric.get_signature())))
    return found


def _rouge(pairs: Sequence[Pair]) -> list[CrossCheck]:
    """Mean F."""
    from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415 (slow to import)

    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds, use_stemmer=True)
    sums = dict.fromkeys(kinds, 0.0)
    for pair in pairs:
        for kind, score in scorer.score(pair.reference, pair.hypothesis).items():
            sums[kind] += score.fmeasure
    signature = f"rouge_score:{version('rouge-score')}|stemmer:yes|F|mean of pairs"
    return [
        CrossCheck(f"rouge_score {kind}", 100 * total / len(pairs), signature)
        for kind, total in sums.items()
    ]
