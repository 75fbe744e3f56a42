"""Metrics of generated replies: two exact profiles, intervals, and trivial baselines."""

from finetune.metrics.baselines import BASELINES, Baseline
from finetune.metrics.bootstrap import Difference, Interval, differences, holm, intervals
from finetune.metrics.items import ReplyItem, reply_items
from finetune.metrics.pairs import Pair, PairFile, make_pairs, read_pairs
from finetune.metrics.profiles import ProfileName
from finetune.metrics.resources import Missing, Resources, find_resources
from finetune.metrics.scores import Header, Scores, score

__all__ = [
    "BASELINES",
    "Baseline",
    "Difference",
    "Header",
    "Interval",
    "Missing",
    "Pair",
    "PairFile",
    "ProfileName",
    "ReplyItem",
    "Resources",
    "Scores",
    "differences",
    "find_resources",
    "holm",
    "intervals",
    "make_pairs",
    "read_pairs",
    "reply_items",
    "score",
]
