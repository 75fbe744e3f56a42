"""What a model gets to see of a conversation, as values, and the one way to render it.

Paper B (section 4.3) applies a representation to an utterance "before adding [it] to the
context". Which utterances that means is left open, so it is an explicit option, `Scope`:

- `EARLIER` (default): the conversation remembered so far is transformed; the message being
  answered is sent as typed and joins the transformed memory with the next turn.
- `ALL`: the message being answered is transformed too.

An utterance of which nothing would be left ("Hi!" in KeyPOS) stays as it was said: an empty
message means nothing to any chat template, and the paper does not speak of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from esc_demo.contexts.keypos import keypos
from esc_demo.contexts.nostopwords import nostopwords
from esc_demo.contexts.raw import raw
from esc_demo.contexts.window import last_k
from esc_demo.dialogue import Turn, ViewedTurn
from esc_demo.errors import ConfigError


class ContextKind(StrEnum):
    """The three representations of paper B."""

    RAW = "raw"
    KEYPOS = "keypos"
    NOSTOPWORDS = "nostopwords"


class Scope(StrEnum):
    """Which utterances are transformed."""

    EARLIER = "earlier"
    ALL = "all"


_TRANSFORMS: dict[ContextKind, Callable[[str, bool], str]] = {
    ContextKind.RAW: raw,
    ContextKind.KEYPOS: keypos,
    ContextKind.NOSTOPWORDS: nostopwords,
}


@dataclass(frozen=True)
class ContextSpec:
    """How a pane remembers.

    `keep_negation` is our variant that never drops not, no, never and the like; it has no
    meaning for Raw. `last_k` keeps only the newest k utterances, the current one included.

    Raises:
        ConfigError: `keep_negation` with Raw, or `last_k` below 1.
    """

    kind: ContextKind = ContextKind.RAW
    keep_negation: bool = False
    scope: Scope = Scope.EARLIER
    last_k: int | None = None

    def __post_init__(self) -> None:
        """Refuse combinations that would silently mean something else."""
        if self.keep_negation and self.kind is ContextKind.RAW:
            raise ConfigError("keep_negation has no meaning for the raw context; switch it off.")
        if self.last_k is not None and self.last_k < 1:
            raise ConfigError(f"last_k is {self.last_k}; it must be at least 1, or empty for all.")

    def label(self) -> str:
        """A short name, such as `KeyPOS + negation, last 6`."""
        name = {"raw": "Raw", "keypos": "KeyPOS", "nostopwords": "NoStopwords"}[self.kind]
        if self.keep_negation:
            name += " + negation"
        if self.scope is Scope.ALL and self.kind is not ContextKind.RAW:
            name += ", current too"
        return name if self.last_k is None else f"{name}, last {self.last_k}"


@dataclass(frozen=True)
class ContextView:
    """A rendered conversation; `outside_window` turns were left out by `last_k`."""

    spec: ContextSpec
    turns: tuple[ViewedTurn, ...]
    outside_window: int = 0


def render_context(turns: Sequence[Turn], spec: ContextSpec) -> ContextView:
    """Render raw `turns`, the last of them the message to be answered, as `spec` says.

    The whole history is rendered anew from the raw turns each time, so switching the
    representation mid-conversation never leaves a mixture behind.

    Raises:
        AssetError: KeyPOS without its tagger.
    """
    transform = _TRANSFORMS[spec.kind]
    last = len(turns) - 1
    viewed = tuple(
        ViewedTurn(
            turn,
            turn.text
            if index == last and spec.scope is Scope.EARLIER
            else transform(turn.text, spec.keep_negation) or turn.text,
        )
        for index, turn in enumerate(turns)
    )
    kept = last_k(viewed, spec.last_k)
    return ContextView(spec, kept, len(viewed) - len(kept))


class DiffOp(StrEnum):
    """What happened to a word between the raw utterance and what was sent."""

    KEPT = "kept"
    DROPPED = "dropped"
    ADDED = "added"


@dataclass(frozen=True)
class DiffRun:
    """A run of words with one fate."""

    op: DiffOp
    text: str


_PIECE = re.compile(r"\w+(?=n['\u2019]t\b)|n['\u2019]t\b|['\u2019]\w+|\w+|[^\w\s]")


def _pieces(text: str) -> list[str]:
    """Words, parts of contractions, and punctuation marks of `text`."""
    return _PIECE.findall(text)


def diff_words(before: str, after: str) -> tuple[DiffRun, ...]:
    """Word-level difference of two texts, as runs in reading order.

    Words and punctuation marks are compared one by one, and a contraction by its parts, as
    the tagger sees it; so a kept word stays kept when the comma behind it goes.
    """
    old, new = _pieces(before), _pieces(after)
    runs: list[DiffRun] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for op, a0, a1, b0, b1 in matcher.get_opcodes():
        if op == "equal":
            runs.append(DiffRun(DiffOp.KEPT, " ".join(old[a0:a1])))
            continue
        if a1 > a0:
            runs.append(DiffRun(DiffOp.DROPPED, " ".join(old[a0:a1])))
        if b1 > b0:
            runs.append(DiffRun(DiffOp.ADDED, " ".join(new[b0:b1])))
    return tuple(runs)
