"""ExTES (Zheng et al., 2024) to `Dialogue` values, with the irregularities of the released file.

One array of `{scene, description, content: [{"User"} | {"AI Strategy", "AI"}]}`. Tolerated:
three spellings of the strategy's key, an empty strategy, `AI` as an object around the text,
dialogues that begin with the supporter or end with the seeker, and one speaker twice in a row.
A replacement of "ai" by "AI" through the whole release damaged words ("UncertAInty"): scenes
are put right, since they are labels; in utterances the damage is only reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile
from esc_demo.errors import BadInput
from finetune.data.formats import DataFormat
from finetune.data.labels import extes_scenes, extes_strategies
from finetune.data.parsing import (
    Findings,
    field_text,
    id_prefix,
    parse_listed,
    strategy,
    turns_of,
    utterance,
)
from finetune.data.reading import Source, found_value

_STRATEGY_KEYS = ("AI Strategy", "AI strategy", "strategy")
_TEXT_KEYS = ("Response", "AI", "response", "text", "content")
_DAMAGED = re.compile(r"[a-z]AI|AI(?!s\b)[a-z]")


def parse_extes(source: Source, findings: Findings) -> tuple[Dialogue, ...]:
    """Every dialogue of a file in ExTES's schema, in file order.

    Raises:
        BadInput: not such a file; the text names the dialogue and the utterance.
    """
    prefix = id_prefix(DataFormat.EXTES, source.path)

    return parse_listed(
        source,
        "content",
        lambda where, entry, number: _dialogue(where, entry, f"{prefix}-{number:05d}", findings),
    )


def _dialogue(where: str, item: Mapping[str, Any], id_: str, findings: Findings) -> Dialogue:
    """One dialogue with its canonical scene; the description is the seeker's situation."""
    findings.unknown_keys(where, item, ("scene", "description", "content"))
    turns = turns_of(where, item["content"], lambda at, entry: _turn(at, entry, findings))
    _note_repeats(where, turns, findings)
    scene = _scene(where, field_text(where, item, "scene", findings), findings)
    situation = field_text(where, item, "description", findings)
    return Dialogue(turns, scene, situation, id_, UserProfile(situation=situation))


def _scene(where: str, raw: str, findings: Findings) -> str:
    """The canonical scene; an unknown one is kept."""
    if not raw:
        return raw
    known = extes_scenes().canonical(raw)
    if known is None:
        nearest = extes_scenes().nearest(raw)
        hint = f" (nearest: {nearest!r})" if nearest else ""
        findings.left(where, f"scene {raw!r} is not one of ExTES's 36{hint}")
        return raw
    if known != raw:
        findings.fixed(where, f"scene {raw!r} read as {known!r}")
    return known


def _turn(where: str, entry: Any, findings: Findings) -> Turn:
    """One utterance of either speaker."""
    if not isinstance(entry, Mapping) or ("User" in entry) == ("AI" in entry):
        raise BadInput(f"{where}: expected 'User' or 'AI', found {found_value(entry)}.")
    findings.unknown_keys(where, entry, ("User", "AI", *_STRATEGY_KEYS))
    label: Any = next((entry[key] for key in _STRATEGY_KEYS if key in entry), None)
    if "User" in entry:
        if label:
            findings.left(where, "a strategy on a seeker's turn, not read")
        return Turn(Role.SEEKER, _words(where, entry["User"], findings))
    said = entry["AI"]
    if isinstance(said, Mapping):
        said, inner = _unwrapped(where, said)
        label = label or inner
        findings.fixed(where, "'AI' is an object; its text was taken")
    text = _words(where, said, findings)
    return Turn(Role.SUPPORTER, text, strategy(where, label, extes_strategies(), findings))


def _unwrapped(where: str, wrapper: Mapping[str, Any]) -> tuple[Any, Any]:
    """Text and strategy of an `AI` that is an object."""
    texts = [wrapper[key] for key in _TEXT_KEYS if wrapper.get(key)]
    if len(texts) != 1:
        raise BadInput(
            f"{where}: expected one text under {', '.join(map(repr, _TEXT_KEYS))} in 'AI', found"
            f" {found_value(wrapper)}."
        )
    return texts[0], next((wrapper[key] for key in _STRATEGY_KEYS if key in wrapper), None)


def _words(where: str, raw: Any, findings: Findings) -> str:
    """The utterance; damage by the replacement of "ai" is noted."""
    text = utterance(where, raw, findings)
    if _DAMAGED.search(text):
        findings.left(where, "words damaged by a replacement of 'ai' by 'AI' (as in 'agAIn')")
    return text


def _note_repeats(where: str, turns: tuple[Turn, ...], findings: Findings) -> None:
    """Note seeker turns that say word for word what the seeker has said before."""
    said: set[str] = set()
    for index, turn in enumerate(turns):
        if turn.role is Role.SEEKER:
            words = " ".join(turn.text.casefold().split())
            if words in said:
                findings.left(f"{where}, utterance {index}", "the seeker repeats an earlier turn")
            said.add(words)
