"""The structured prompt of paper A: four parts, each with a text that can be edited or left out.

The texts live in `text/*.txt`; the version of a template is the hash of what it would send.
Training and serving both call `build_messages`, so a model is asked exactly what it was taught.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Literal

from esc_demo.dialogue import Message, Role, UserProfile, ViewedTurn, clean_message


class Part(StrEnum):
    """The parts of the prompt, in the order they are sent."""

    ROLE = "role"
    OBJECTIVE = "objective"
    PROFILE = "profile"
    GUIDELINES = "guidelines"


PROFILE_SLOT = "{profile}"
"""Where the profile's lines go in the text of the profile part."""


@lru_cache(maxsize=1)
def default_texts() -> dict[Part, str]:
    """The shipped texts by part."""
    folder = Path(__file__).parent / "text"
    return {part: (folder / f"{part}.txt").read_text("utf-8").strip() for part in Part}


@dataclass(frozen=True)
class PromptTemplate:
    """Which parts are sent and what they say.

    With no part switched on, no system message is sent and the model's own default applies.
    """

    enabled: frozenset[Part] = frozenset(Part)
    edits: tuple[tuple[Part, str], ...] = field(default=())

    @classmethod
    def off(cls) -> PromptTemplate:
        """The template that sends nothing."""
        return cls(enabled=frozenset())

    def text(self, part: Part) -> str:
        """The text of `part`, edited or shipped."""
        return dict(self.edits).get(part, default_texts()[part])

    def edited(self, part: Part, text: str) -> PromptTemplate:
        """This template with `text` for `part`.

        Raises:
            BadInput: the text is empty or too long; switch the part off instead.
        """
        others = tuple(pair for pair in self.edits if pair[0] is not part)
        cleaned = clean_message(text)
        if cleaned == default_texts()[part]:
            return replace(self, edits=others)
        return replace(self, edits=tuple(sorted((*others, (part, cleaned)))))

    def system_text(self, profile: UserProfile) -> str:
        """The system message for `profile`; empty when nothing is switched on."""
        texts: list[str] = []
        for part in Part:
            if part not in self.enabled:
                continue
            text = self.text(part)
            if part is Part.PROFILE:
                lines = "\n".join(profile.lines())
                if not lines:
                    continue
                text = (
                    text.replace(PROFILE_SLOT, lines)
                    if PROFILE_SLOT in text
                    else (f"{text}\n{lines}")
                )
            texts.append(text)
        return "\n\n".join(texts)

    @property
    def content_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the parts that are sent, profile unfilled."""
        content = {part.value: self.text(part) for part in Part if part in self.enabled}
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:12]


def build_messages(
    turns: Iterable[ViewedTurn],
    template: PromptTemplate,
    profile: UserProfile,
    *,
    system_role: bool = True,
) -> tuple[Message, ...]:
    """The messages sent for a rendered conversation.

    Adjacent turns of one speaker become one message, because most chat templates insist on
    alternation. With `system_role` False the system text opens the first user message instead.
    """
    system = template.system_text(profile)
    messages: list[Message] = []
    for turn in turns:
        role: Literal["user", "assistant"]
        role = "user" if turn.raw.role is Role.SEEKER else "assistant"
        if messages and messages[-1].role == role:
            messages[-1] = Message(role, f"{messages[-1].content}\n{turn.text}")
        else:
            messages.append(Message(role, turn.text))
    if not system:
        return tuple(messages)
    if system_role:
        return (Message("system", system), *messages)
    if messages and messages[0].role == "user":
        return (Message("user", f"{system}\n\n{messages[0].content}"), *messages[1:])
    return (Message("user", system), *messages)
