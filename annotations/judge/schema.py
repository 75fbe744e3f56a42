"""The JSON schema of a protocol's answer, as `response_format` takes it."""

from __future__ import annotations

from typing import Any

from annotations.judge.protocol import RATIONALE, Protocol
from annotations.values import RatingStatus


def answer_keys(protocol: Protocol) -> tuple[str, ...]:
    """The keys of an answer in the order they are to be written."""
    verdict = (*(name.value for name in protocol.dimensions), *protocol.aspects)
    return (RATIONALE, *verdict) if protocol.rationale_words else verdict


def answer_schema(protocol: Protocol) -> dict[str, Any]:
    """What goes under `response_format["json_schema"]`: name, strict, and the schema itself.

    Strict output wants every property required and none further; properties are written in the
    order given. Ranges are enumerated, because not every server enforces minimum and maximum.
    """
    properties = {key: _property(protocol, key) for key in answer_keys(protocol)}
    return {
        "name": protocol.name.replace("-", "_"),
        "strict": True,
        "schema": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


def _property(protocol: Protocol, key: str) -> dict[str, Any]:
    """The schema of one key's value."""
    if key == RATIONALE:
        return {"type": "string"}
    if key in protocol.aspects:
        return {"type": "string", "enum": [pick.value for pick in protocol.picks]}
    scores = {"type": "integer", "enum": list(range(protocol.low, protocol.high + 1))}
    if not protocol.cannot_judge:
        return scores
    withheld = {"type": "string", "enum": [RatingStatus.CANNOT_JUDGE.value]}
    return {"anyOf": [scores, withheld]}
