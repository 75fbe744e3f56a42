"""A study as data: the YAML file of its owner, checked and frozen.

The definition holds all that was decided beforehand, the plan of the analysis among it, so that
its hash (see `annotations.studies.build`) pins the study down when it opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from annotations.studies.parts import (
    Arm,
    Consent,
    GoldItem,
    ItemsSource,
    LiveRules,
    Name,
    Plan,
    PracticeItem,
    Recruitment,
    ScalesChoice,
    SessionRules,
    Strict,
    Text,
)
from annotations.studies.reading import read_yaml
from annotations.studies.values import StudyMode
from esc_demo.errors import ConfigError


class StudyDefinition(Strict):
    """A whole study."""

    version: int = Field(ge=1, description="Raised by the owner with every change")
    slug: Name = Field(description="Last part of the address of the study's page")
    title: str = Field(min_length=1, max_length=120, description="Read by participants")
    mode: StudyMode = Field(description="pairs, single or live")
    seed: int = Field(ge=0, description="All order and all sides follow from it")
    arms: tuple[Arm, ...] = Field(min_length=1, max_length=8, description="The conditions")
    pairs: tuple[tuple[Name, Name], ...] | None = Field(
        None, description="Pairs of arms that are compared; all if left out"
    )
    items: ItemsSource | None = Field(None, description="Not in live mode")
    live: LiveRules | None = Field(None, description="Live mode only")
    scales: ScalesChoice = Field(ScalesChoice(), description="What is asked")
    raters_per_item: int = Field(ge=1, le=100, description="Answers wanted for each task")
    session: SessionRules
    practice: tuple[PracticeItem, ...] = ()
    gold: tuple[GoldItem, ...] = ()
    recruitment: Recruitment
    consent: Consent
    content_note: str = Field("", max_length=5000, description="What may be hard to read")
    debrief: Text = Field(description="Shown at the end")
    withdrawal: Literal["delete", "anonymise"] = Field("delete", description="What it does")
    retention_days: int = Field(ge=1, le=36_500, description="Days from closing until answers go")
    plan: Plan
    accept_flags: tuple[str, ...] = Field((), description="Flags of `study check` accepted")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Its parts fit together."""
        if found := [sentence for check in _CHECKS for sentence in check(self)]:
            raise ValueError("; ".join(found))
        return self

    @property
    def arm_ids(self) -> tuple[str, ...]:
        """The names of the arms, in the order they are listed."""
        return tuple(arm.id for arm in self.arms)

    @property
    def arm_pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs that are compared, in the order they are listed (none in single mode)."""
        if self.mode is StudyMode.SINGLE:
            return ()
        return self.pairs if self.pairs is not None else tuple(combinations(self.arm_ids, 2))

    def canonical(self) -> dict[str, Any]:
        """All of it as JSON values, less what may change after opening and where files lie."""
        found = self.model_dump(mode="json")
        del found["recruitment"]["invitations"]
        if not found["plan"]["exclusions"]["at_least"]:
            del found["plan"]["exclusions"]["at_least"]  # older studies keep their hash
        if found["items"] is not None:
            found["items"] |= {"file": None, "runs": None}  # their content is hashed instead
        return found


def _arms(study: StudyDefinition) -> Iterator[str]:
    """Arms are told apart, and what is compared exists."""
    ids = study.arm_ids
    if len(set(ids)) != len(ids):
        yield "arms: two arms have one id"
    if study.mode is not StudyMode.SINGLE and len(ids) < 2:
        yield f"arms: mode {study.mode.value} needs at least two"
    if study.pairs is not None and study.mode is StudyMode.SINGLE:
        yield "pairs: not in mode single"
    pairs = study.arm_pairs
    for pair in pairs:
        if pair[0] == pair[1] or not set(pair) <= set(ids):
            yield f"pairs: {list(pair)} are not two of the arms {list(ids)}"
    if len({frozenset(pair) for pair in pairs}) != len(pairs):
        yield "pairs: a pair is listed twice"
    primary = study.plan.primary
    if primary.arms[0] == primary.arms[1] or not set(primary.arms) <= set(ids):
        yield f"plan.primary.arms: {list(primary.arms)} are not two of the arms {list(ids)}"
    elif pairs and set(primary.arms) not in [set(pair) for pair in pairs]:
        yield f"plan.primary.arms: {list(primary.arms)} are never compared"


def _mode(study: StudyDefinition) -> Iterator[str]:
    """Each mode has what it needs and nothing it cannot use."""
    live = study.mode is StudyMode.LIVE
    if live != (study.live is not None):
        yield "live: belongs to mode live, and mode live needs it"
    if live == (study.items is not None):
        yield "items: belongs to modes pairs and single, which need it; mode live has none"
    if live and (study.session.gold or study.session.repeats):
        yield "session: mode live has neither gold nor repeats"
    if not live and study.scales.once:
        names = ", ".join(name.value for name in study.scales.once)
        yield f"scales.dimensions: {names} can be asked in mode live only"
    runs = study.items.runs if study.items is not None else None
    if runs is not None and set(runs) != set(study.arm_ids):
        yield f"items.runs: name one run for each of {list(study.arm_ids)}"


def _scales(study: StudyDefinition) -> Iterator[str]:
    """Something is asked, and the primary outcome is among it."""
    scales, outcome = study.scales, study.plan.primary.outcome
    if scales.preference and study.mode is StudyMode.SINGLE:
        yield "scales.preference: mode single has nothing to prefer; set it to false"
    if not scales.preference and not scales.per_reply:
        yield "scales: nothing is asked about the replies"
    if outcome == "preference" and not scales.preference:
        yield "plan.primary.outcome: preference is not asked (scales.preference)"
    if outcome != "preference" and outcome not in scales.per_reply:
        yield f"plan.primary.outcome: {outcome} is not asked about the replies"


def _written(study: StudyDefinition) -> Iterator[str]:
    """Practice and gold fit the mode and the scales."""
    written = (*study.practice, *study.gold)
    if len({item.id for item in written}) != len(written):
        yield "practice, gold: two of them have one id"
    if len(study.gold) < study.session.gold:
        yield f"session.gold: {study.session.gold} are wanted, {len(study.gold)} are written"
    replies = 1 if study.mode is StudyMode.SINGLE else 2
    for item in written:
        if len(item.replies) != replies:
            yield f"{item.id}: mode {study.mode.value} wants {replies} replies"
        if item.expected.preference and not study.scales.preference:
            yield f"{item.id}: expects a preference, which is not asked"
        asked = set(study.scales.per_reply)
        for name in sorted({name.value for ranges in item.expected.scores for name in ranges}):
            if name not in asked:
                yield f"{item.id}: expects {name}, which is not asked"


def _plan(study: StudyDefinition) -> Iterator[str]:
    """An exclusion rule has something to be computed from."""
    rules, session = study.plan.exclusions, study.session
    if rules.min_gold_share is not None and not session.gold:
        yield "plan.exclusions.min_gold_share: there are no gold items (session.gold)"
    if rules.min_self_consistency is not None and not session.repeats:
        yield "plan.exclusions.min_self_consistency: nothing is repeated (session.repeats)"
    if rules.max_side_bias is not None and not study.scales.preference:
        yield "plan.exclusions.max_side_bias: no preference is asked"
    if rules.min_items is not None and rules.min_items > session.items:
        yield f"plan.exclusions.min_items: a session has {session.items} items"
    most = {"min_gold_share": session.gold} | dict.fromkeys(
        ("min_median_seconds", "max_straight_line_share", "max_side_bias"), session.items
    )
    for name, least in rules.at_least.items():
        if least > most.get(name, least):
            yield f"plan.exclusions.at_least.{name}: a session has {most[name]} of them at most"


_CHECKS = (_arms, _mode, _scales, _written, _plan)


def load_definition(path: Path) -> StudyDefinition:
    """The definition in a YAML file; paths within it become relative to the working folder.

    A text may be written as `{file: NAME}`, read from beside the study's file.

    Raises:
        ConfigError: unreadable or wrong; each sentence names file, line and key.
    """
    source = read_yaml(path)
    values = source.resolved(path.parent)
    try:
        return StudyDefinition.model_validate(values)
    except ValidationError as error:
        lines = [
            source.sentence(item["loc"], item["type"], item["msg"], item["input"])
            for item in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from error
