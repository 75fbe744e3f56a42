"""What each column of an export means. A test keeps it in step with what is exported."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How the values of a column are stored where the format has types (Parquet)."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


_KINDS = {
    "whole number": Kind.WHOLE,
    "1 | 2": Kind.WHOLE,
    "0 to 5": Kind.WHOLE,
    "number": Kind.NUMBER,
    "0 to 1": Kind.NUMBER,
    "0 to 0.5": Kind.NUMBER,
    "-1 to 1": Kind.NUMBER,
    "true | false": Kind.BOOLEAN,
    "time": Kind.TIME,
}
"""The type of values that are no words."""


@dataclass(frozen=True)
class Column:
    """One column of an exported table. `kind` says which values there are."""

    name: str
    kind: str
    meaning: str

    @property
    def type(self) -> Kind:
        """How its values are stored."""
        return _KINDS.get(self.kind, Kind.TEXT)


_WHO = (
    Column("study", "text", "Name (slug) of the study"),
    Column("rater", "text", "Pseudonym P001, P002, ...; for a judge its name"),
    Column("rater_kind", "human | judge", "Who answered"),
    Column(
        "kind",
        "main | gold | repeat | practice",
        "Why the screen was given; only main answers are analysed",
    ),
    Column("item", "text", "Name of the item"),
    Column(
        "stratum",
        "text",
        "Pair of arms (or arm) and the item's own label; empty: a judge's score of one of a pair",
    ),
    Column("crisis", "yes | no", "Whether the item is marked as about a crisis; empty: not marked"),
)
_WHEN = (
    Column(
        "seconds",
        "number",
        "Server's time from showing the screen to its first answer; judge: time of the call",
    ),
    Column("submitted_at", "time", "When the answer came in, UTC"),
)
_STATE = (
    Column(
        "screen", "whole number", "The same for all answers of one screen, or of one judge's call"
    ),
    Column(
        "scales_version", "whole number", "Version of the questions' wording; judge: protocol's"
    ),
    Column("sample", "whole number", "Judge: number of the repeat, from 0; empty for people"),
    Column("in_force", "true | false", "False: replaced later by a correction"),
    Column(
        "counted",
        "submitted | surplus | withdrawn",
        "Surplus: came when enough others had answered",
    ),
    Column(
        "excluded_by",
        "text",
        "Rules of the registered plan that leave this rater out, with ; between; empty: none",
    ),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "ratings": (
        *_WHO,
        Column(
            "arm",
            "text",
            "Whose reply was rated; empty: a question about the seeker; control:...: planted",
        ),
        Column("other_arm", "text", "Whose reply stood beside it; empty: none"),
        Column("side", "1 | 2", "Where the reply was shown: 1 first (left), 2 second"),
        Column("dimension", "text", "What was asked"),
        Column(
            "status",
            "scored | cannot_judge | parse_error | refused | content_filtered | api_error",
            "Cannot judge is an answer without a score; from parse_error on: why a judge gave none",
        ),
        Column("score", "0 to 5", "Higher is better; empty unless scored"),
        Column("scale", "text", "Lowest and highest score that could be given, as 0-5"),
        *_WHEN,
        Column("reply_words", "whole number", "Words of the reply; empty for a chat"),
        Column("control", "text", "Judge: kind of the planted reply; empty: a reply of an arm"),
        Column("arm_family", "text", "Judge's rows: family of the arm's model, where known"),
        Column("rater_family", "text", "Judge's rows: family of the judge's model, where known"),
        *_STATE,
    ),
    "preferences": (
        *_WHO,
        Column("arm_a", "text", "First arm of the pair, in the order of the study's file"),
        Column("arm_b", "text", "Second arm of the pair"),
        Column("side_a", "1 | 2", "Where the reply of arm_a was shown: 1 first (left), 2 second"),
        Column("choice", "an arm | tie | both_bad", "The better reply"),
        Column("aspect", "text", "Judge: in which respect; empty: as a whole"),
        Column("control", "text", "Judge: the planted reply that gold was compared with"),
        *_WHEN,
        Column("words_a", "whole number", "Words of the reply of arm_a; empty for a chat"),
        Column("words_b", "whole number", "Words of the reply of arm_b; empty for a chat"),
        *_STATE,
    ),
    "participants": (
        Column("study", "text", "Name (slug) of the study"),
        Column("rater", "text", "Pseudonym P001, P002, ..."),
        Column(
            "state",
            "done | capped | full | unfinished | withdrawn",
            "Done: a whole session; capped: the longest time was reached; full: no item was left",
        ),
        Column("consent_version", "whole number", "Version of the text agreed to; empty: none"),
        Column("items", "whole number", "Main screens answered"),
        Column("gold_share", "0 to 1", "Gold items answered as expected"),
        Column("gold_n", "whole number", "Gold items answered"),
        Column("median_seconds", "number", "Median time at a main screen"),
        Column("quick_share", "0 to 1", "Main screens below a third of everybody's median time"),
        Column("seconds_n", "whole number", "Main screens with a known time"),
        Column(
            "straight_line_share", "0 to 1", "Main screens with one same answer to all questions"
        ),
        Column("straight_line_n", "whole number", "Main screens with two or more questions"),
        Column("left_share", "0 to 1", "Preferences for the reply shown first (left)"),
        Column("side_bias", "0 to 0.5", "Distance of left_share from a half"),
        Column("side_p", "0 to 1", "Exact two-sided binomial p of left_share against a half"),
        Column("side_n", "whole number", "Main preferences for one of the two replies"),
        Column("self_consistency", "0 to 1", "Repeated scores within one point of the first"),
        Column("self_kappa", "-1 to 1", "Quadratically weighted kappa of first and repeated"),
        Column("repeated_scores_n", "whole number", "Scores given twice"),
        Column("same_preference_share", "0 to 1", "Repeated preferences for the same arm"),
        Column("repeated_preferences_n", "whole number", "Preferences given twice"),
        Column("excluded_by", "text", "As in ratings"),
    ),
}
"""The columns of each exported table, in their order."""


def dictionary_csv() -> str:
    """The dictionary with the columns table, column, type, values, meaning."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", "column", "type", "values", "meaning"))
    for table, columns in TABLES.items():
        writer.writerows(
            (table, one.name, one.type.value, one.kind, one.meaning) for one in columns
        )
    return text.getvalue()


def dictionary_markdown() -> str:
    """The dictionary to be read."""
    return "\n".join(_markdown()) + "\n"


_HEAD = "| column | type | values | meaning |"


def _markdown() -> Iterator[str]:
    yield "# Data dictionary"
    yield ""
    yield (
        "An empty cell is a missing value. Free text that people wrote, their keys and what"
        " recruiting sites call them are not exported. CSV, JSON lines and Parquet hold the same"
        " tables. In Parquet a text is a string, a whole number int64, a number double and a time"
        " timestamp[ms, UTC]; each column carries its meaning as `description`."
    )
    for table, columns in TABLES.items():
        yield from ("", f"## {table}", "", _HEAD, "|---|---|---|---|")
        for one in columns:
            values = one.kind.replace("|", "\\|")
            yield f"| {one.name} | {one.type.value} | {values} | {one.meaning} |"
