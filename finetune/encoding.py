"""Dialogue to token ids and labels, through the same functions that serving uses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from esc_demo.contexts import ContextSpec, render_context
from esc_demo.dialogue import Dialogue, Role, UserProfile, merge_same_speaker
from esc_demo.errors import BadInput
from esc_demo.models.local.encode import encode_prompt, encode_text
from esc_demo.prompts import PromptTemplate, build_messages

IGNORED = -100
"""Label of tokens without loss (PyTorch's cross-entropy ignores it)."""


@dataclass(frozen=True)
class Sample:
    """One training sequence: `labels[t]` is `ids[t]` where supervised and IGNORED elsewhere."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def supervised(self) -> int:
        """Number of tokens with loss."""
        return sum(label != IGNORED for label in self.labels)


def encode_dialogue(
    tokenizer: PreTrainedTokenizerBase,
    dialogue: Dialogue,
    template: PromptTemplate,
    *,
    max_tokens: int,
    system_role: bool = True,
) -> Sample:
    """One sequence per dialogue in the raw context, with loss on every supporter reply.

    In the raw context the prompt of each reply extends the one before, so one sequence
    serves all replies; that it does is checked here, token by token, for each of them. The
    situation is told to the model in half of the dialogues (by the text's hash), so that it
    learns to do with a profile and without. Turns beyond `max_tokens` are left out.

    Raises:
        BadInput: no supporter reply fits, or a prompt does not extend the one before.
    """
    turns = merge_same_speaker(dialogue.turns)
    profile = _profile(dialogue)
    eos = tokenizer.eos_token_id
    ids: list[int] = []
    labels: list[int] = []
    for index, turn in enumerate(turns):
        if turn.role is not Role.SUPPORTER or index == 0:
            continue
        view = render_context(turns[:index], ContextSpec())
        messages = build_messages(view.turns, template, profile, system_role=system_role)
        prompt = list(encode_prompt(tokenizer, messages).ids)
        if prompt[: len(ids)] != ids:
            raise BadInput(f"Scene {dialogue.scene!r}: prompt {index} does not extend the last.")
        reply = [*encode_text(tokenizer, turn.text), eos]
        if len(prompt) + len(reply) > max_tokens:
            break
        labels += [IGNORED] * (len(prompt) - len(ids)) + reply
        ids = prompt + reply
    if not ids:
        raise BadInput(f"Scene {dialogue.scene!r}: no reply fits into {max_tokens} tokens.")
    return Sample(tuple(ids), tuple(labels))


def _profile(dialogue: Dialogue) -> UserProfile:
    """The situation as a profile for half of the dialogues, chosen by its hash."""
    told = hashlib.sha256(dialogue.situation.encode()).digest()[0] % 2 == 0
    return UserProfile(situation=dialogue.situation) if told else UserProfile()


def corpus_hash(samples: Sequence[Sample]) -> str:
    """Hash of exactly what is trained on: ids and labels, in order."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(repr((sample.ids, sample.labels)).encode())
    return digest.hexdigest()[:12]
