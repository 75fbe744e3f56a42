"""Dialogues from files: one loader a format, checks, and splits by dialogue."""

from finetune.data.dataset import DataSet, Problem, content_key, part_hash, set_hash
from finetune.data.formats import DataFormat
from finetune.data.loading import load
from finetune.data.parts import Parts, load_parts
from finetune.data.splits import (
    Split,
    SplitKind,
    check_disjoint,
    load_official_esconv,
    split_esconv,
    split_extes,
    split_nlpcc,
    train_on_validation,
)

__all__ = [
    "DataFormat",
    "DataSet",
    "Parts",
    "Problem",
    "Split",
    "SplitKind",
    "check_disjoint",
    "content_key",
    "load",
    "load_official_esconv",
    "load_parts",
    "part_hash",
    "set_hash",
    "split_esconv",
    "split_extes",
    "split_nlpcc",
    "train_on_validation",
]
