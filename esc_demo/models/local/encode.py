"""From messages to token ids: one function for training and for serving.

What a visitor types can never open a new role: when a message contains the text of a special
token, its content is tokenised on its own with special tokens switched off. Families whose
roles are marked by plain text (`[INST]`) get those marks broken by a space, because there the
tokenizer cannot tell template from content; the page shows the prompt with the space in it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from esc_demo.dialogue import Message
from esc_demo.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT_ROLE_MARKS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
"""Role marks of Llama 2 and Mistral, which are ordinary text to their tokenizers."""

_LOCK = threading.Lock()
"""Fast tokenizers keep `split_special_tokens` as state, so two threads must take turns."""

_SENTINEL = "\ue000{}\ue001"
_SENTINEL_RE = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class EncodedPrompt:
    """The prompt as text and as token ids."""

    text: str
    ids: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Length of the prompt in tokens."""
        return len(self.ids)


@lru_cache(maxsize=8)
def special_texts(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Texts the tokenizer would read as special tokens."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple({str(token.content) for token in added} | set(tokenizer.all_special_tokens))


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, reply_follows: bool = True
) -> EncodedPrompt:
    """Text and ids of `messages` in the tokenizer's chat template.

    Raises:
        ModelError: the template refuses the conversation; the text says why.
    """
    # Trimmed here, because many templates trim what they are given and a placeholder's is not.
    contents = [_break_marks(tokenizer, message.content.strip()) for message in messages]
    text = _render(tokenizer, messages, contents, reply_follows)
    specials = special_texts(tokenizer)
    if not any(special in content for content in contents for special in specials):
        return EncodedPrompt(text, tuple(_ids(tokenizer, text, split=False)))
    sentinels = [_SENTINEL.format(index) for index in range(len(messages))]
    skeleton = _render(tokenizer, messages, sentinels, reply_follows)
    ids: list[int] = []
    for index, piece in enumerate(_SENTINEL_RE.split(skeleton)):
        if index % 2:  # the captured number of a message
            ids += encode_text(tokenizer, contents[int(piece)])
        elif piece:
            ids += _ids(tokenizer, piece, split=False)
    return EncodedPrompt(text, tuple(ids))


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of plain `text`; nothing in it is read as a special token."""
    return _ids(tokenizer, text, split=True)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, *, split: bool) -> list[int]:
    """Token ids of `text`; with `split`, special tokens in it are read as ordinary text."""
    with _LOCK:
        return list(
            tokenizer(text, add_special_tokens=False, split_special_tokens=split)["input_ids"]
        )


def _break_marks(tokenizer: PreTrainedTokenizerBase, content: str) -> str:
    """Put a space into textual role marks, where the template uses them."""
    template = str(tokenizer.chat_template or "")
    for mark in TEXT_ROLE_MARKS:
        if mark in template:
            content = content.replace(mark, f"{mark[0]} {mark[1:]}")
    return content


def _render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    contents: Sequence[str],
    reply_follows: bool,
) -> str:
    """The chat template filled with `contents` in the roles of `messages`."""
    turns = [
        {"role": message.role, "content": content}
        for message, content in zip(messages, contents, strict=True)
    ]
    try:
        rendered = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=reply_follows
        )
    except Exception as error:  # jinja's errors have no common public root in transformers
        raise ModelError(f"The model's chat template refused the conversation: {error}") from error
    return str(rendered)
