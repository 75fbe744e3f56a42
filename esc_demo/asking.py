"""From raw turns to the prompt: the one way, taken by serving and by training alike.

What a model is shown depends on the turns, on how they are asked (`Asking`) and on how many
tokens fit. Serving fits a prompt beside the reply it expects; training fits it beside the
reply it supervises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from esc_demo.contexts import ContextSpec, ContextView, render_context
from esc_demo.dialogue import Message, Role, Turn, UserProfile
from esc_demo.prompts import PromptTemplate, build_messages


class Prompt(Protocol):
    """A prompt whose length is known."""

    @property
    def tokens(self) -> int:
        """Its length in tokens, chat template included."""


P = TypeVar("P", bound=Prompt)


@dataclass(frozen=True)
class Asking:
    """How a conversation is put to a model."""

    context: ContextSpec = ContextSpec()
    template: PromptTemplate = PromptTemplate()
    profile: UserProfile = UserProfile()
    system_role: bool = True


@dataclass(frozen=True)
class Shown(Generic[P]):
    """A rendered conversation, its messages, and the prompt made of them."""

    view: ContextView
    messages: tuple[Message, ...]
    prompt: P


@dataclass(frozen=True)
class Fitted(Generic[P]):
    """What fits: `first` turns were left out by last-k, `start - first` more for the budget.

    `fits` is False when even the last message alone is too long.
    """

    shown: Shown[P]
    first: int
    start: int
    fits: bool


def show(
    turns: Sequence[Turn], asking: Asking, render: Callable[[Sequence[Message]], P]
) -> Shown[P]:
    """Render `turns`, the last of them the message to be answered, and make the prompt."""
    view = render_context(turns, asking.context)
    messages = build_messages(
        view.turns, asking.template, asking.profile, system_role=asking.system_role
    )
    return Shown(view, messages, render(messages))


def fit(
    turns: Sequence[Turn],
    last_k: int | None,
    budget: int,
    shown: Callable[[Sequence[Turn]], Shown[P]],
) -> Fitted[P]:
    """Drop the oldest turns until the prompt takes at most `budget` tokens.

    `turns` end with the seeker's. What is left always opens with the seeker, because chat
    templates insist on it; a turn left out for that reason counts with those that made it
    necessary.
    """
    first = _seeker_from(turns, max(0, len(turns) - last_k) if last_k else 0)
    start = first
    while True:
        now = shown(turns[start:])
        if now.prompt.tokens <= budget:
            return Fitted(now, first, start, True)
        following = _seeker_from(turns, start + 1)
        if following == len(turns):
            return Fitted(now, first, start, False)
        start = following


def _seeker_from(turns: Sequence[Turn], start: int) -> int:
    """The index of the first turn of the seeker at or after `start`; the length without one."""
    return next((i for i in range(start, len(turns)) if turns[i].role is Role.SEEKER), len(turns))
