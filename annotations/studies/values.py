"""Words and values of a study that go between its parts: enums, items, and views for the page.

What a rater's page may be sent is `Screen` and `ItemView`; nothing in them tells which arm
wrote what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from annotations.scales_study import Wording
from annotations.values import (
    ASKED_ONCE,
    AssignmentKind,
    AssignmentStatus,
    Score,
    StudyDimension,
    StudyMode,
    StudyStatus,
)
from esc_demo.dialogue import Turn

__all__ = [
    "ASKED_ONCE",
    "BLOCKING",
    "ENDS",
    "AnsweredView",
    "AssignmentKind",
    "AssignmentStatus",
    "BreakView",
    "ConsentView",
    "DebriefView",
    "Entry",
    "Flag",
    "FlagKind",
    "Item",
    "ItemView",
    "Receipt",
    "Scores",
    "Screen",
    "Stage",
    "Stratum",
    "StratumProgress",
    "StudyDimension",
    "StudyMode",
    "StudyProgress",
    "StudyStatus",
    "StudyView",
    "Task",
    "Verdict",
    "WithdrawalReceipt",
    "Wording",
    "retention_end",
]


class Stage(StrEnum):
    """What a participant's page shows next.

    `capped`: the longest time at the task is reached, `full`: the study needs no more answers;
    both are friendly ends with debrief and completion code, as `done` is. `waiting`: all that is
    still needed is held by others just now.
    """

    CONSENT = "consent"
    PRACTICE = "practice"
    RATING = "rating"
    BREAK = "break"
    DONE = "done"
    CAPPED = "capped"
    FULL = "full"
    WAITING = "waiting"
    PAUSED = "paused"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


ENDS = frozenset({Stage.DONE, Stage.CAPPED, Stage.FULL})
"""Stages with debrief and completion code."""


class Verdict(StrEnum):
    """A preference between two replies in the order in which they are written down."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    BOTH_BAD = "both_bad"


class FlagKind(StrEnum):
    """What was noticed about a reply when the study was built."""

    NAMES_MODEL = "names_model"
    SAYS_MACHINE = "says_machine"
    EMPTY = "empty"
    IDENTICAL = "identical"
    STRIPPED = "stripped"
    UNFINISHED = "unfinished"
    CUT = "cut"


BLOCKING = frozenset(
    {FlagKind.NAMES_MODEL, FlagKind.SAYS_MACHINE, FlagKind.EMPTY, FlagKind.IDENTICAL}
)
"""Flags that keep a study from opening unless `accept_flags` lists them."""


@dataclass(frozen=True)
class Flag:
    """One thing noticed about the reply of `arm` (empty: of both) to `item`."""

    kind: FlagKind
    item: str
    arm: str
    text: str

    @property
    def key(self) -> str:
        """What `accept_flags` lists: `KIND:ITEM:ARM`, or a whole `KIND`."""
        return f"{self.kind.value}:{self.item}:{self.arm}"

    @property
    def blocking(self) -> bool:
        """Whether it must be accepted before the study can open."""
        return self.kind in BLOCKING


@dataclass(frozen=True)
class Item:
    """One thing to be judged: a conversation that ends with the seeker, and a reply per arm.

    In live mode there is no history and no reply; `situation` says what the chat may be about.
    """

    id: str
    history: tuple[Turn, ...]
    replies: Mapping[str, str]
    stratum: str = ""
    situation: str = ""
    source: Mapping[str, str] = field(default_factory=dict)
    """Where each arm's reply comes from (the hash of its run), for the owner only."""
    reference: str = ""
    """What the supporter of the data said here, for judges only; empty where it is not known."""
    crisis: bool | None = None
    """Whether the seeker was marked as in a crisis, for the analysis; None: nobody said."""


@dataclass(frozen=True)
class Task:
    """What `raters_per_item` participants answer: an item with two arms, or with one."""

    id: str
    item: str
    arms: tuple[str, ...]
    stratum: str


@dataclass(frozen=True)
class Stratum:
    """Tasks among which answers and sides are balanced: an arm pair (or arm) and a label."""

    id: str
    arms: tuple[str, ...]
    label: str
    tasks: int
    needed: int
    """Answers needed in it: its tasks times the raters of each."""


@dataclass(frozen=True)
class ItemView:
    """One screen of judging, as its participant may see it. `replies` are in the shown order.

    `position` counts from 1 to `of`; practice has its own count. `dimensions` are asked for each
    shown reply, `once` for the whole screen (live mode). `draft` is what the page saved last.
    """

    assignment_id: str
    mode: StudyMode
    practice: bool
    position: int
    of: int
    history: tuple[Turn, ...]
    replies: tuple[str, ...]
    dimensions: tuple[StudyDimension, ...]
    once: tuple[StudyDimension, ...]
    preference: bool
    draft: Mapping[str, Any] | None
    lease_expires_at: datetime
    situation: str = ""
    least_turns: int = 0
    most_turns: int = 0
    chat_ended: bool = False


@dataclass(frozen=True)
class AnsweredView:
    """An answer as it stands, in the shown order, so that it can be corrected."""

    item: ItemView
    scores: tuple[Mapping[StudyDimension, Score], ...]
    once: Mapping[StudyDimension, Score]
    preference: str | None
    comment: str


@dataclass(frozen=True)
class ConsentView:
    """What is read before anything else."""

    version: int
    text: str
    content_note: str


@dataclass(frozen=True)
class BreakView:
    """Said between two items. `answered` of `of` items are behind the participant."""

    answered: int
    of: int
    minutes: int
    minutes_left: int


@dataclass(frozen=True)
class DebriefView:
    """The end: what it was about, and the code that shows one took part."""

    text: str
    completion_code: str
    completion_url: str


@dataclass(frozen=True)
class Screen:
    """What a participant's page shows now; exactly the part that belongs to `stage` is set.

    `withdrawal` is how the study takes answers out; `known_by` are the parameters of the address
    that say who comes.
    """

    stage: Stage
    title: str
    pseudonym: str
    withdrawal: str
    known_by: tuple[str, ...]
    consent: ConsentView | None = None
    item: ItemView | None = None
    rest: BreakView | None = None
    debrief: DebriefView | None = None
    can_correct: str | None = None
    """The assignment answered last, while it may still be corrected."""
    answered: int = 0
    of: int = 0
    """Screens behind the participant, of those in a session; practice does not count."""


@dataclass(frozen=True)
class Entry:
    """A participant who came in; `key` is shown as the resume code and kept only as a hash."""

    key: str
    pseudonym: str
    stage: Stage
    resumed: bool


@dataclass(frozen=True)
class Receipt:
    """What became of a submission, and what comes next. The last two belong to practice."""

    status: AssignmentStatus
    screen: Screen
    duplicate: bool = False
    passed: bool | None = None
    feedback: str = ""


@dataclass(frozen=True)
class WithdrawalReceipt:
    """Proof that a participant's answers were taken out."""

    code: str
    how: str
    answers: int
    withdrawn_at: datetime


@dataclass(frozen=True)
class StratumProgress:
    """How far one stratum is. `open` are leased places that have not expired."""

    stratum: Stratum
    submitted: int
    open: int


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is; nothing in it tells the outcome."""

    slug: str
    status: StudyStatus
    strata: tuple[StratumProgress, ...]
    participants: Mapping[Stage, int]
    submitted: int
    needed: int
    surplus: int
    skipped: int
    median_seconds: float | None
    problems: int
    telling: int | None = None
    """Live replies that may have given their arm away, over all arms; None in other modes."""


@dataclass(frozen=True)
class StudyView:
    """A stored study."""

    slug: str
    title: str
    mode: StudyMode
    status: StudyStatus
    version: int
    content_hash: str
    tasks: int
    needed: int
    submitted: int
    created_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None
    retention_days: int
    purged_at: datetime | None = None
    purged_rows: int = 0
    """Rows that went when the retention was carried out."""

    @property
    def retention_ends(self) -> datetime | None:
        """When the answers are to be deleted; None while the study is not closed."""
        return self.closed_at and retention_end(self.closed_at, self.retention_days)


def retention_end(closed_at: datetime, days: int) -> datetime:
    """The moment from which on a study's answers are to be deleted: days after its closing."""
    return closed_at + timedelta(days=days)


Scores = Mapping[StudyDimension, Score]
"""A participant's answers about one reply."""
