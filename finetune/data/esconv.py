"""ESConv (Liu et al., 2021) to `Dialogue` values.

Two layouts are read. The split files hold one object a line, numbers as strings, with
`dialog: [{text, speaker: "usr"|"sys", strategy?}]`; the original ESConv.json is one array with
`dialog: [{content, speaker: "seeker"|"supporter", annotation: {strategy}|{feedback}|{}}]`.
The scene is the problem type in one spelling, since the files mix cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esc_demo.dialogue import Dialogue, Role, Turn, UserProfile
from esc_demo.errors import BadInput
from finetune.data.formats import DataFormat
from finetune.data.labels import esconv_problems, esconv_strategies
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

_SPEAKERS = {
    "usr": Role.SEEKER,
    "seeker": Role.SEEKER,
    "sys": Role.SUPPORTER,
    "supporter": Role.SUPPORTER,
}


def parse_esconv(source: Source, findings: Findings) -> tuple[Dialogue, ...]:
    """Every dialogue of an ESConv file, in file order; turns stay as they were cut.

    Raises:
        BadInput: not such a file; the text names the dialogue and the utterance.
    """
    prefix = id_prefix(DataFormat.ESCONV, source.path)

    return parse_listed(
        source,
        "dialog",
        lambda where, entry, number: _dialogue(where, entry, f"{prefix}-{number}", findings),
    )


def _dialogue(where: str, item: Mapping[str, Any], id_: str, findings: Findings) -> Dialogue:
    """One conversation with what its seeker was asked beforehand."""
    turns = turns_of(where, item["dialog"], lambda at, entry: _turn(at, entry, findings))
    problem = _problem(where, field_text(where, item, "problem_type", findings), findings)
    situation = field_text(where, item, "situation", findings)
    emotion = field_text(where, item, "emotion_type", findings).lower()
    profile = UserProfile(emotion_type=emotion, problem_type=problem, situation=situation)
    return Dialogue(turns, problem, situation, id_, profile)


def _problem(where: str, raw: str, findings: Findings) -> str:
    """The problem type in its one spelling."""
    if not raw:
        return raw
    known = esconv_problems().canonical(raw)
    if known is None:
        findings.left(where, f"problem type {raw!r} is not one of ESConv's 13")
        return raw
    if known != raw:
        findings.fixed(where, f"problem type {raw!r} read as {known!r}")
    return known


def _turn(where: str, entry: Any, findings: Findings) -> Turn:
    """One utterance in either layout."""
    if not isinstance(entry, Mapping):
        raise BadInput(f"{where}: expected an object, found {found_value(entry)}.")
    speaker = entry.get("speaker")
    role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        expected = ", ".join(map(repr, _SPEAKERS))
        raise BadInput(
            f"{where}: 'speaker' must be one of {expected}; found {found_value(speaker)}."
        )
    key = "text" if "text" in entry else "content"
    annotation = entry.get("annotation")
    notes = annotation if isinstance(annotation, Mapping) else {}
    findings.unknown_keys(where, entry, (key, "speaker", "strategy", "annotation"))
    text = utterance(where, entry.get(key), findings)
    label = entry.get("strategy", notes.get("strategy"))
    if role is Role.SEEKER:
        if label:
            findings.left(where, "a strategy on a seeker's turn, not read")
        return Turn(role, text)
    return Turn(role, text, strategy(where, label, esconv_strategies(), findings))
