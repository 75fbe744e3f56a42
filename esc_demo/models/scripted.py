"""A scripted model: the same protocol without weights, for tests and recorded demonstrations.

The page says so wherever its replies appear. Replies are picked by the hash of messages and
seed, so the promise "same seed, same reply" holds here too.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence

from esc_demo.dialogue import Message
from esc_demo.errors import ModelError
from esc_demo.models.protocol import (
    Chunk,
    Finish,
    FinishReason,
    GenerationParams,
    Rendered,
    StopSignal,
    TrainedOn,
)
from esc_demo.models.specs import ModelSpec

REPLIES = (
    "What happened there would weigh on anyone. Which part of it is loudest right now?",
    "You have been carrying this alone for a while. What would a little relief look like today?",
    "Let us stay with that for a moment. When did you first notice it changing?",
)

FAIL_ON = "[scripted failure]"
"""A message with this text makes the model fail after its first words."""

PAUSE_ON = "[scripted pause]"
"""A message with this text makes the model pause after its first words: time to press Stop."""

PAUSE_S = 5.0


class ScriptedModel:
    """Writes one of `replies` word by word, `delay` seconds apart."""

    def __init__(
        self, spec: ModelSpec, replies: Sequence[str] = REPLIES, delay: float = 0.0
    ) -> None:
        """Keep the script."""
        self.spec = spec
        self.revision = "scripted-" + _hash(list(replies))
        self.template_hash = "scripted"
        self.notice = "Scripted replies: no model is running."
        self.trained: TrainedOn | None = None
        self._replies = tuple(replies)
        self._delay = delay

    def render(self, messages: Sequence[Message]) -> Rendered:
        """`role: content` lines; a token is a word."""
        text = "\n".join(f"{message.role}: {message.content}" for message in messages)
        return Rendered(text, len(text.split()))

    def count_tokens(self, text: str) -> int:
        """Number of words."""
        return len(text.split())

    def stream(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> Iterator[Chunk]:
        """Write the picked reply, cut at `max_new_tokens` words.

        Raises:
            ModelError: the last message contains `FAIL_ON`.
        """
        picker = random.Random(_hash([self.render(messages).text, params.seed, self.spec.id]))
        words = picker.choice(self._replies).split()
        reason = FinishReason.END
        written = 0
        for word in words:
            if stop.wait(self._delay) if self._delay else stop.is_set():
                reason = FinishReason.STOPPED
                break
            if written == params.max_new_tokens:
                reason = FinishReason.LENGTH
                break
            if written == 2 and FAIL_ON in messages[-1].content:
                raise ModelError("The scripted model was asked to fail. Write something else.")
            if written == 2 and PAUSE_ON in messages[-1].content and stop.wait(PAUSE_S):
                reason = FinishReason.STOPPED
                break
            yield Chunk(word if written == 0 else f" {word}")
            written += 1
        yield Chunk("", Finish(reason, written, decode_s=written * self._delay))


def _hash(value: object) -> str:
    """Short stable hash of a JSON value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
