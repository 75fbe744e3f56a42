"""The key of a call: equal keys mean that the same thing was asked, so it is paid once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from annotations.judge.values import Asking
from esc_demo.dialogue import Message


def cache_key(
    messages: Sequence[Message],
    schema: Mapping[str, Any] | None,
    model: str,
    endpoint: str,
    asking: Asking,
    sample: int,
) -> str:
    """SHA-256 over all that may change an answer: 64 hex digits.

    `endpoint` is an address without name and password; `schema` is None where plain text was
    asked for, whatever the user had wished.
    """
    told = {
        "messages": [asdict(message) for message in messages],
        "schema": schema,
        "model": model,
        "endpoint": endpoint,
        "asking": asdict(asking),
        "sample": sample,
    }
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
