"""Dialogue to token ids and labels, through the same functions that serving uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from esc_demo.asking import Asking, Shown, fit, show
from esc_demo.contexts import ContextSpec
from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile, merge_same_speaker
from esc_demo.errors import BadInput
from esc_demo.models import TrainedOn
from esc_demo.models.local.encode import EncodedPrompt, encode_prompt, encode_text
from esc_demo.models.local.folders import template_fingerprint
from esc_demo.prompts import PromptTemplate
from finetune.recipes import Recipe

IGNORED = -100
"""Label of tokens without loss (PyTorch's cross-entropy ignores it)."""


@dataclass(frozen=True)
class Encoding:
    """How dialogues become prompts.

    `profile_share` is the share of dialogues, picked by the hash of their situation (or, without
    one, of what is said), whose profile is told in the prompt, so that a model learns to do with
    one and without.
    """

    template: PromptTemplate = PromptTemplate()
    context: ContextSpec = ContextSpec()
    system_role: bool = True
    profile_share: float = 0.5
    max_tokens: int = 1024

    @classmethod
    def of(cls, recipe: Recipe) -> Encoding:
        """What `recipe` asks for."""
        return cls(
            recipe.template,
            recipe.context.spec(),
            recipe.system_role,
            recipe.profile_share,
            recipe.max_tokens,
        )

    def trained_on(self, tokenizer: PreTrainedTokenizerBase) -> TrainedOn:
        """What a checkpoint records, and serving compares with."""
        fingerprint = template_fingerprint(tokenizer)
        return TrainedOn(
            self.template.content_hash, self.context.label(), fingerprint, self.system_role
        )

    def profile(self, dialogue: Dialogue) -> UserProfile:
        """The profile told in the prompts of `dialogue`, empty for those without."""
        profile = dialogue.profile
        if dialogue.situation and not profile.situation:
            profile = UserProfile(situation=dialogue.situation)
        text = profile.situation or "\n".join(turn.text for turn in dialogue.turns)
        digest = hashlib.sha256(text.encode()).digest()
        told = digest[0] < 256 * self.profile_share
        return profile if told else UserProfile()


@dataclass(frozen=True)
class Sample:
    """One training sequence: `labels[t]` is `ids[t]` where supervised and IGNORED elsewhere.

    `dialogue` identifies where it comes from; `reply_bytes` is the length in UTF-8 of the
    supervised replies.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    dialogue: str = ""
    reply_bytes: int = 0

    @property
    def supervised(self) -> int:
        """Number of tokens with loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True)
class Encoded:
    """The sequences of one or many dialogues; `left_out` replies were too long to be used."""

    samples: tuple[Sample, ...]
    replies: int = 0
    left_out: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(len(sample.ids) for sample in self.samples)

    @property
    def supervised(self) -> int:
        """Tokens with loss."""
        return sum(sample.supervised for sample in self.samples)


def encode_dialogue(
    tokenizer: PreTrainedTokenizerBase, dialogue: Dialogue, encoding: Encoding
) -> Encoded:
    """Sequences with loss on each supporter reply exactly once, and on nothing else.

    Adjacent turns of one speaker are merged. Each reply's prompt is what serving would send
    before it. Where a prompt extends the sequence so far, token by token (as in the raw
    context), the reply joins that sequence; otherwise, as when earlier turns are transformed
    or the oldest ones no longer fit into `max_tokens`, a new sequence begins with it. A reply
    that does not fit together with the message it answers is left out and counted.
    """
    turns = merge_same_speaker(dialogue.turns)
    profile = encoding.profile(dialogue)
    asking = Asking(encoding.context, encoding.template, profile, encoding.system_role)
    growing = _Growing(dialogue.id or dialogue.scene)

    def shown(kept: Sequence[Turn]) -> Shown[EncodedPrompt]:
        return show(kept, asking, partial(encode_prompt, tokenizer))

    replies = left_out = 0
    for index, turn in enumerate(turns):
        if turn.role is not Role.SUPPORTER or index == 0 or not turn.text.strip():
            continue
        replies += 1
        reply = [*encode_text(tokenizer, turn.text.strip()), tokenizer.eos_token_id]
        budget = encoding.max_tokens - len(reply)
        fitted = fit(turns[:index], encoding.context.last_k, budget, shown)
        if fitted.fits:
            growing.add(fitted.shown.prompt.ids, reply, len(turn.text.strip().encode()))
        else:
            left_out += 1
    return Encoded(growing.finished(), replies, left_out)


class _Growing:
    """Sequences under construction."""

    def __init__(self, dialogue: str) -> None:
        """Begin with nothing."""
        self._dialogue = dialogue
        self._done: list[Sample] = []
        self._ids: list[int] = []
        self._labels: list[int] = []
        self._bytes = 0

    def add(self, prompt: tuple[int, ...], reply: list[int], reply_bytes: int) -> None:
        """Append a reply to the sequence its prompt extends, or begin another."""
        if list(prompt[: len(self._ids)]) != self._ids:
            self._end()
        self._labels += [IGNORED] * (len(prompt) - len(self._ids)) + reply
        self._ids = [*prompt, *reply]
        self._bytes += reply_bytes

    def finished(self) -> tuple[Sample, ...]:
        """All sequences."""
        self._end()
        return tuple(self._done)

    def _end(self) -> None:
        """Close the sequence at hand."""
        if self._ids:
            sample = Sample(tuple(self._ids), tuple(self._labels), self._dialogue, self._bytes)
            self._done.append(sample)
        self._ids, self._labels, self._bytes = [], [], 0


def encode_all(
    tokenizer: PreTrainedTokenizerBase,
    dialogues: Iterable[Dialogue],
    encoding: Encoding,
    *,
    title: str = "",
) -> Encoded:
    """Encode many dialogues; `title` shows a progress bar.

    Raises:
        BadInput: there is no dialogue, or not one reply that could be supervised.
    """
    whole = list(dialogues)
    if not whole:
        raise BadInput("There are no dialogues in this part of the data. Check the data file.")
    samples: list[Sample] = []
    replies = left_out = 0
    for dialogue in tqdm(whole, desc=title, disable=not title, leave=False):
        encoded = encode_dialogue(tokenizer, dialogue, encoding)
        samples += encoded.samples
        replies += encoded.replies
        left_out += encoded.left_out
    if not samples:
        raise BadInput(
            f"Nothing to learn: of {replies:,} supporter replies none fits into"
            f" {encoding.max_tokens:,} tokens with the message it answers."
            if replies
            else "Nothing to learn: no dialogue has a supporter reply after a seeker's message,"
            " so every label would be masked. Check the roles in the data file."
        )
    return Encoded(tuple(samples), replies, left_out)


def samples_hash(samples: Sequence[Sample]) -> str:
    """First 12 hex digits of the SHA-256 over ids and labels, in order."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(repr((sample.ids, sample.labels)).encode())
    return digest.hexdigest()[:12]
