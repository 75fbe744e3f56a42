"""The two named profiles: which metrics, on which tokens, with which smoothing.

`nlpcc2025` follows the official script of NLPCC 2025 Task 8, `esconv` that of ESConv (Liu et
al., 2021). Two results compare only under one profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from finetune.metrics.bleu import ORDERS, Floats, corpus_bleu, sentence_bleu_of
from finetune.metrics.distinct import Distinct
from finetune.metrics.embeddings import WordVectors, extrema_similarity, maximum_similarity
from finetune.metrics.pairs import Pair
from finetune.metrics.resources import Missing, Resources, load_glove, load_meteor
from finetune.metrics.rouge import rouge_l, rouge_l_beta
from finetune.metrics.tokens import Tokens
from finetune.metrics.views import View, as_they_are, esconv_view, lower_words, nlpcc_view


class ProfileName(StrEnum):
    """Which set of definitions."""

    NLPCC2025 = "nlpcc2025"
    ESCONV = "esconv"


class Metric(Protocol):
    """A metric with sufficient statistics that add up over pairs."""

    @property
    def name(self) -> str:
        """Column name, unique in a profile."""
        ...

    def stats(self, view: View) -> tuple[float, ...]:
        """What one pair contributes; always as many numbers."""
        ...

    def value(self, sums: Floats, count: Floats) -> Floats:
        """Values in percent for sums of shape [corpora, numbers] over `count` [corpora] pairs."""
        ...


@dataclass(frozen=True)
class MeanOfPairs:
    """The mean of a score per pair, 0 to 1."""

    name: str
    score: Callable[[View], float]

    def stats(self, view: View) -> tuple[float, ...]:
        """The score."""
        return (self.score(view),)

    def value(self, sums: Floats, count: Floats) -> Floats:
        """100 times the mean."""
        return 100 * sums[:, 0] / count


@dataclass(frozen=True)
class MeanLength:
    """Mean length of the hypotheses in the profile's tokens; not a percentage."""

    name: str

    def stats(self, view: View) -> tuple[float, ...]:
        """Tokens of the hypothesis."""
        return (len(view.hypothesis),)

    def value(self, sums: Floats, count: Floats) -> Floats:
        """The mean."""
        return sums[:, 0] / count


@dataclass(frozen=True)
class CorpusBleu:
    """BLEU-`order` of the corpus, smoothing method 3."""

    name: str
    order: int

    def stats(self, view: View) -> tuple[float, ...]:
        """`BleuCounts.stats`."""
        return view.bleu.stats

    def value(self, sums: Floats, count: Floats) -> Floats:
        """100 times BLEU."""
        return 100 * corpus_bleu(sums, self.order)


@dataclass(frozen=True)
class Profile:
    """A profile with the resources it found."""

    name: ProfileName
    tokenizer: str
    smoothing: str
    case: str
    view: Callable[[Pair], View]
    metrics: tuple[Metric, ...]
    distinct: tuple[Distinct, ...]
    distinct_tokens: Callable[[View], Tokens]
    columns: tuple[str, ...]
    """All names in the order of a table; those of metrics that cannot be computed too."""
    missing: dict[str, str]
    """Why a column is empty."""


def make_profile(name: ProfileName, resources: Resources) -> Profile:
    """The profile with every metric for which the data is there."""
    return _nlpcc(resources) if name is ProfileName.NLPCC2025 else _esconv(resources)


def _nlpcc(resources: Resources) -> Profile:
    """NLPCC 2025 Task 8; the G-score and the totals come afterwards (`total.py`)."""
    metrics: list[Metric] = [
        MeanOfPairs("BLEU-4", lambda view: sentence_bleu_of(view.bleu)),
        MeanOfPairs("ROUGE-L", lambda view: rouge_l(*view.stems)),
    ]
    missing = _add_meteor(metrics, resources)
    missing |= _add_similarity(metrics, resources, "Ext", maximum_similarity)
    return Profile(
        ProfileName.NLPCC2025,
        tokenizer="white space; ROUGE-L: rouge_score with Porter stems",
        smoothing="mean of sentence BLEU-4, Chen and Cherry's method 1 (epsilon 0.1)",
        case="kept (METEOR, ROUGE-L and distinct-n lower-cased)",
        view=nlpcc_view,
        metrics=tuple(metrics),
        distinct=(Distinct("D-2", 2), Distinct("D-3", 3)),
        distinct_tokens=lower_words,
        columns=("METEOR", "BLEU-4", "ROUGE-L", "Ext", "D-2", "D-3"),
        missing=missing,
    )


def _esconv(resources: Resources) -> Profile:
    """ESConv."""
    metrics: list[Metric] = [CorpusBleu(f"BLEU-{n}", n) for n in range(1, ORDERS + 1)]
    metrics.append(
        MeanOfPairs("ROUGE-L", lambda view: rouge_l_beta(view.hypothesis, view.reference))
    )
    missing = _add_meteor(metrics, resources)
    missing |= _add_similarity(metrics, resources, "Extrema", extrema_similarity)
    metrics.append(MeanLength("Length"))
    distinct = tuple(Distinct(f"Distinct-{n}", n) for n in (1, 2, 3))
    original = tuple(Distinct(f"Distinct-{n} (ESConv script)", n, True) for n in (1, 2, 3))
    return Profile(
        ProfileName.ESCONV,
        tokenizer="Treebank (nltk), a reply as one sentence",
        smoothing="corpus BLEU, NIST smoothing (nltk method 3); ROUGE-L with beta 1.2",
        case="lower-cased",
        view=esconv_view,
        metrics=tuple(metrics),
        distinct=distinct + original,
        distinct_tokens=as_they_are,
        columns=(
            *(f"BLEU-{n}" for n in range(1, ORDERS + 1)),
            "ROUGE-L",
            "METEOR",
            "Extrema",
            *(one.name for one in distinct + original),
            "Length",
        ),
        missing=missing,
    )


def _add_meteor(metrics: list[Metric], resources: Resources) -> dict[str, str]:
    """Append METEOR, or say why not."""
    if isinstance(resources.wordnet, Missing):
        return {"METEOR": str(resources.wordnet)}
    meteor = load_meteor(resources.wordnet)
    metrics.append(MeanOfPairs("METEOR", lambda view: meteor(view.hypothesis, view.reference)))
    return {}


def _add_similarity(
    metrics: list[Metric],
    resources: Resources,
    name: str,
    similarity: Callable[[Tokens, Tokens, WordVectors], float],
) -> dict[str, str]:
    """Append a similarity of word vectors, or say why not."""
    if isinstance(resources.glove, Missing):
        return {name: str(resources.glove)}
    glove = load_glove(resources.glove)
    metrics.append(
        MeanOfPairs(name, lambda view: similarity(view.hypothesis, view.reference, glove))
    )
    return {}
