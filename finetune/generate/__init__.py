"""Replies for evaluation: one for every supporter utterance of a data set, written to JSONL."""

from finetune.generate.items import ItemKey, Mode, ReplyItem, items_of
from finetune.generate.store import Status, read_replies

__all__ = ["ItemKey", "Mode", "ReplyItem", "Status", "items_of", "read_replies"]
