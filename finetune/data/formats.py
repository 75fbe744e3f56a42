"""The file formats that are read."""

from __future__ import annotations

from enum import StrEnum


class DataFormat(StrEnum):
    """How a dialogue file is laid out; `auto` looks at its content."""

    AUTO = "auto"
    ESCONV = "esconv"
    EXTES = "extes"
    NLPCC = "nlpcc"
    JSONL = "jsonl"
