"""BERTScore (Zhang et al., 2020), where its package and weights happen to be there.

Both are left out of the requirements: the weights are 1.4 GB and come from a model hub.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from esc_demo.errors import BadInput
from finetune.metrics.pairs import Pair
from finetune.metrics.resources import Missing

COMMAND = "pip install bert-score, then run once with a network so that it can fetch its weights"


@dataclass(frozen=True)
class BertScore:
    """Means in percent, with the hash that names model, layer and versions."""

    precision: float
    recall: float
    f1: float
    hash: str


def bert_score(pairs: Sequence[Pair], *, model: str | None = None) -> BertScore | Missing:
    """Score the pairs, or say what is missing.

    `model` is a folder or hub id; by default the package's own choice for English.

    Raises:
        BadInput: no pairs.
    """
    if not pairs:
        raise BadInput("There is nothing to score: no pair of hypothesis and reference.")
    if importlib.util.find_spec("bert_score") is None:
        return Missing("The package bert-score", COMMAND)
    package = importlib.import_module("bert_score")
    try:
        scorer = package.BERTScorer(model_type=model, lang="en")
    except Exception as error:  # the hub's client raises a dozen kinds; all mean: no weights
        return Missing(f"The model of BERTScore ({str(error).splitlines()[0][:120]})", COMMAND)
    # An empty hypothesis has no embedding; it scores 0 as everywhere.
    spoken = [pair for pair in pairs if not pair.empty]
    if not spoken:
        return BertScore(0.0, 0.0, 0.0, str(scorer.hash))
    found = scorer.score([pair.hypothesis for pair in spoken], [pair.reference for pair in spoken])
    means = [100 * float(part.sum()) / len(pairs) for part in found]
    return BertScore(means[0], means[1], means[2], str(scorer.hash))
