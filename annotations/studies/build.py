"""From a definition to what will be shown: items, tasks, strata, flags, and one hash over all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

from annotations.scales_study import StudyScales, load_study_scales
from annotations.studies.alike import items_alike, written_alike
from annotations.studies.definition import StudyDefinition
from annotations.studies.items import items_from_runs, read_items
from annotations.studies.values import (
    Flag,
    Item,
    Stratum,
    StudyDimension,
    StudyMode,
    Task,
    Wording,
)
from esc_demo.errors import ConfigError

READING_WPM = 238
"""Words a minute of silent reading (Brysbaert, 2019, doi:10.1016/j.jml.2019.104047)."""

SECONDS_A_SCORE = 6
"""Our assumption for choosing one answer; `study status` shows the measured time an item."""

MINUTES_A_CHAT_TURN = 1.0
"""Our assumption for writing one message and reading two replies."""


_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z]{2}[^\]\n]{0,60}\]")


@dataclass(frozen=True)
class BuiltStudy:
    """A definition with all it leads to."""

    definition: StudyDefinition
    items: tuple[Item, ...]
    tasks: tuple[Task, ...]
    strata: tuple[Stratum, ...]
    flags: tuple[Flag, ...]
    wordings: Mapping[StudyDimension, Wording]
    scales_version: int
    canonical: Mapping[str, Any]
    """All that is frozen at opening, as JSON values."""

    @property
    def content_hash(self) -> str:
        """SHA-256 of what is frozen, 64 hex digits."""
        text = json.dumps(self.canonical, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def needed(self) -> int:
        """Answers that are needed in all; gold and repeats are not among them."""
        return len(self.tasks) * self.definition.raters_per_item

    @property
    def raters(self) -> int:
        """The fewest people who can give them, each working through one session.

        Nobody meets an item twice, so the tasks of one item need as many different people.
        """
        most = max(sum(task.item == item.id for task in self.tasks) for item in self.items)
        by_length = ceil(self.needed / self.definition.session.items)
        return max(by_length, most * self.definition.raters_per_item)

    @property
    def minutes(self) -> float:
        """How long a session takes by estimate, without consent, practice and breaks."""
        return _minutes(self)

    @property
    def unaccepted(self) -> tuple[Flag, ...]:
        """Flags that keep the study from opening."""
        accepted = set(self.definition.accept_flags)
        return tuple(
            flag
            for flag in self.flags
            if flag.blocking and not {flag.key, flag.kind.value} & accepted
        )

    def ready(self) -> None:
        """Nothing keeps the study from opening.

        Raises:
            ConfigError: replies are flagged and not accepted; the text lists them.
        """
        if found := self.unaccepted:
            lines = [f"  {flag.key}: {flag.text}" for flag in found]
            raise ConfigError(
                f"{len(found)} replies may give their arm away or cannot be judged:\n"
                + "\n".join(lines)
                + "\nReplace these items, or list the flags under accept_flags."
            )

    def warnings(self) -> Iterator[str]:
        """What the owner should know; none of it keeps the study from opening."""
        plan, session = self.definition.plan, self.definition.session
        if plan.participants < self.raters:
            yield (
                f"plan.participants is {plan.participants}, but the answers need at least"
                f" {self.raters} people."
            )
        elif plan.participants * session.items > self.needed:
            yield (
                f"{plan.participants} people with {session.items} items each could give"
                f" {plan.participants * session.items:,} answers and {self.needed:,} are needed:"
                " the last ones will find fewer items."
            )
        if self.minutes > session.most_minutes:
            yield (
                f"A session takes about {self.minutes:.0f} minutes and is ended after"
                f" {session.most_minutes} (session.most_minutes)."
            )
        small = [stratum.id for stratum in self.strata if stratum.tasks == 1]
        if small and len(small) == len(self.strata):
            yield (
                "Every stratum has one task only, so sides are balanced over people and not within"
                " a person. Use coarser strata (items.stratum)."
            )
        texts = {"consent": self.definition.consent.text, "debrief": self.definition.debrief}
        for name, text in texts.items():
            if found := _PLACEHOLDER.search(text):
                yield f"{name}: {found.group()} is still to be filled in."
        if not self.definition.practice:
            yield "There are no practice items: people meet the scales unprepared."


def build(definition: StudyDefinition) -> BuiltStudy:
    """Read the items, make replies alike, and lay out tasks and strata.

    Raises:
        BadInput: the items cannot be read.
        ConfigError: items and definition do not fit together.
    """
    shown, noticed = written_alike(definition)
    items, flags = items_alike(definition, _items(definition))
    tasks = tuple(_tasks(definition, items))
    scales = load_study_scales()
    wordings = {name: scales.wording(name) for name in definition.scales.dimensions}
    return BuiltStudy(
        shown,
        items,
        tasks,
        tuple(_strata(definition, tasks)),
        (*flags, *noticed),
        wordings,
        scales.version,
        # Practice and gold as they were written, so that studies stored earlier keep their hash.
        _canonical(definition, items, wordings, scales),
    )


def differing(old: Any, new: Any, at: str = "") -> tuple[str, ...]:
    """The dotted keys in which two canonical forms differ; places in lists count from 1."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        parts = [(str(key), old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        parts = [(str(n), *pair) for n, pair in enumerate(zip(old, new, strict=True), 1)]
    else:
        return () if old == new else (at,)
    return tuple(
        key
        for name, left, right in parts
        for key in differing(left, right, f"{at}.{name}" if at else name)
    )


def _items(definition: StudyDefinition) -> tuple[Item, ...]:
    """The items as they are found."""
    if definition.mode is StudyMode.LIVE:
        chats = tuple(_chats(definition))
        _check_fit(definition, chats, "the chats")
        return chats
    source = definition.items
    if source is None:  # the definition's own check refuses this
        raise ConfigError("items: missing.")
    if source.file is not None:
        found = read_items(source.file)
        if source.stratum == "none":
            found = tuple(replace(item, stratum="") for item in found)
        found = found[: source.limit] if source.limit else found
        where = str(source.file)
    else:
        label = "none" if source.stratum == "given" else source.stratum
        found = items_from_runs(
            source.runs or {},
            per_dialogue=source.per_dialogue,
            limit=source.limit,
            label=label,
            arms=definition.arms,
        )
        where = "the runs"
    _check_fit(definition, found, where)
    return found


def _check_fit(definition: StudyDefinition, items: Sequence[Item], where: str) -> None:
    """Every item has a reply of every arm, and there are enough for a session.

    Raises:
        ConfigError: not so.
    """
    arms = () if definition.mode is StudyMode.LIVE else definition.arm_ids
    for item in items:
        if missing := [arm for arm in arms if arm not in item.replies]:
            raise ConfigError(
                f"{where}: item {item.id} has no reply of {', '.join(missing)}; it has those of"
                f" {', '.join(item.replies)}. Name the arms as in the study, or add the replies."
            )
    if len(items) < definition.session.items:
        raise ConfigError(
            f"session.items is {definition.session.items}, but there are only {len(items)} items"
            " and nobody may meet one twice. Lower it, or add items."
        )


def _chats(definition: StudyDefinition) -> Iterator[Item]:
    """The slots of live mode; situations go round."""
    rules = definition.live
    if rules is None:  # the definition's own check refuses this
        raise ConfigError("live: missing.")
    for number in range(rules.chats_per_pair):
        situations = rules.situations
        situation = situations[number % len(situations)] if situations else ""
        yield Item(f"chat-{number + 1:03}", (), {}, situation=situation)


def _tasks(definition: StudyDefinition, items: Sequence[Item]) -> Iterator[Task]:
    """Every item with every pair of arms (or every arm)."""
    groups: Sequence[tuple[str, ...]] = definition.arm_pairs
    if definition.mode is StudyMode.SINGLE:
        groups = [(arm,) for arm in definition.arm_ids]
    for item in items:
        for arms in groups:
            name = "+".join(arms)
            stratum = f"{name} / {item.stratum}" if item.stratum else name
            yield Task(f"{item.id}~{name}", item.id, arms, stratum)


def _strata(definition: StudyDefinition, tasks: Sequence[Task]) -> Iterator[Stratum]:
    """The strata in the order in which they first occur."""
    members: dict[str, list[Task]] = {}
    for task in tasks:
        members.setdefault(task.stratum, []).append(task)
    for name, within in members.items():
        label = name.partition(" / ")[2]
        needed = len(within) * definition.raters_per_item
        yield Stratum(name, within[0].arms, label, len(within), needed)


def _canonical(
    definition: StudyDefinition,
    items: Sequence[Item],
    wordings: Mapping[StudyDimension, Wording],
    scales: StudyScales,
) -> dict[str, Any]:
    """Definition, items as shown and the wording of the questions, as JSON values."""
    # Items by id, so that a difference names the item rather than a place.
    shown = {
        item.id: {
            "history": [[turn.role.value, turn.text] for turn in item.history],
            "replies": dict(item.replies),
            "stratum": item.stratum,
            "situation": item.situation,
        }
        | ({"reference": item.reference} if item.reference else {})
        | ({} if item.crisis is None else {"crisis": item.crisis})
        for item in items
    }
    asked: dict[str, Any] = {name.value: asdict(wordings[name]) for name in wordings}
    asked["cannot_judge"] = scales.cannot_judge.model_dump(mode="json")
    asked["preference"] = scales.preference.model_dump(mode="json")
    whole = {
        "definition": definition.canonical(),
        "order": [item.id for item in items],
        "shown": shown,
        "wording": asked,
        "scales_version": scales.version,
    }
    found: dict[str, Any] = json.loads(json.dumps(whole))  # the values a database gives back
    return found


def _minutes(built: BuiltStudy) -> float:
    """The estimate behind `BuiltStudy.minutes`: reading, then one choice after another."""
    definition = built.definition
    arms = 1 if definition.mode is StudyMode.SINGLE else 2
    scores = arms * len(definition.scales.per_reply) + len(definition.scales.once)
    choosing = (scores + definition.scales.preference) * SECONDS_A_SCORE / 60
    if definition.live is not None:
        turns = (definition.live.least_turns + definition.live.most_turns) / 2
        return definition.session.screens * (turns * MINUTES_A_CHAT_TURN + choosing)
    words = [
        sum(len(turn.text.split()) for turn in item.history)
        + arms * sum(len(text.split()) for text in item.replies.values()) / len(item.replies)
        for item in built.items
    ]
    reading = sum(words) / len(words) / READING_WPM
    return definition.session.screens * (reading + choosing)
