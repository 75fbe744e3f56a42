"""From lines of imported files to screens of a study: what belongs together, and whether it fits.

A screen is what one rater answered about one item: the scores of its replies, the preference
between them, and where each stood. Nobody meets an item twice, so rater and item name a screen.
A screen counts as one answer to its task, so it has to be whole: all that the study asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from annotations.import_files import Answer, Files, Place, Problems
from annotations.studies.definition import StudyDefinition
from annotations.studies.values import StudyMode
from annotations.values import Score, StudyDimension


@dataclass(frozen=True)
class Shelf:
    """What of a study answers may refer to."""

    definition: StudyDefinition
    tasks: Mapping[tuple[str, frozenset[str]], str]
    """Id of the task by item and arms."""

    @property
    def items(self) -> frozenset[str]:
        """Names of the items."""
        return frozenset(item for item, _ in self.tasks)


@dataclass
class Screen:
    """Everything one rater answered about one item; `arms` are in the shown order."""

    at: Place
    rater: str
    item: str
    task: str = ""
    arms: tuple[str, ...] = ()
    scores: dict[str, dict[StudyDimension, Score]] = field(default_factory=dict)
    choice: str = ""
    seconds: float | None = None
    submitted_at: datetime | None = None


def screens_of(files: Files, shelf: Shelf) -> list[Screen]:
    """The screens in the order of their first lines; only what fits together and into the study.

    What does not is added to the problems of `files`.
    """
    groups: dict[tuple[str, str], list[Answer]] = {}
    for answer in files.answers:
        if said := _unknown(answer, shelf):
            files.problems.add(answer.at, said)
        else:
            groups.setdefault((answer.rater, answer.item), []).append(answer)
    return [
        screen
        for group in groups.values()
        if (screen := _screen(group, shelf, files.problems)) is not None
    ]


def _unknown(answer: Answer, shelf: Shelf) -> str:
    """What a line names that the study does not have or ask, or nothing."""
    definition = shelf.definition
    if answer.item not in shelf.items:
        return f"item {answer.item[:40]!r} is not one of the study's"
    for arm in answer.sides:
        if arm not in definition.arm_ids:
            return f"arm {arm[:40]!r} is not one of {', '.join(definition.arm_ids)}"
    if answer.dimension is None:
        return "" if definition.scales.preference else "the study asks for no preference"
    if answer.dimension not in definition.scales.per_reply:
        return f"the study does not ask for {answer.dimension.value}"
    return ""


def _screen(group: list[Answer], shelf: Shelf, problems: Problems) -> Screen | None:
    """One screen, or None when its lines contradict one another or the study."""
    first = group[0]
    screen = Screen(first.at, first.rater, first.item)
    before = len(problems.found)
    sides: dict[str, int | None] = {}
    for answer in group:
        for said in (*_placed(sides, answer), *_answered(screen, answer), *_timed(screen, answer)):
            problems.add(answer.at, said)
    if len(problems.found) == before and (said := _arranged(screen, sides, shelf)):
        problems.add(first.at, said)
    elif len(problems.found) == before and (missing := _missing(screen, shelf.definition)):
        problems.add(
            first.at,
            f"this rater's answers about {screen.item} lack {', '.join(missing)}; what belongs to"
            " one screen has to be imported at once",
        )
    return screen if len(problems.found) == before else None


def _placed(sides: dict[str, int | None], answer: Answer) -> Iterator[str]:
    """Note where the arms of a line stood."""
    for arm, side in answer.sides.items():
        known = sides.get(arm)
        if None not in (known, side) and known != side:
            yield f"the reply of {arm} stood on side {known} before, here on side {side}"
        sides[arm] = side if known is None else known


def _answered(screen: Screen, answer: Answer) -> Iterator[str]:
    """Note the answer of a line."""
    if answer.dimension is None:
        if screen.choice:
            yield f"a second preference of this rater for {screen.item}"
        screen.choice = answer.choice
        return
    scores = screen.scores.setdefault(answer.arm, {})
    if answer.dimension in scores:
        yield (
            f"a second score of this rater for {screen.item}, {answer.arm},"
            f" {answer.dimension.value}"
        )
    if answer.score is not None:
        scores[answer.dimension] = answer.score


def _timed(screen: Screen, answer: Answer) -> Iterator[str]:
    """Note the times of a line, which belong to the whole screen."""
    for name in ("seconds", "submitted_at"):
        given, known = getattr(answer, name), getattr(screen, name)
        if given is not None and known is not None and given != known:
            yield f"{name} differs from an earlier line of the same screen"
        elif given is not None:
            setattr(screen, name, given)


def _missing(screen: Screen, definition: StudyDefinition) -> list[str]:
    """What the study asks on a screen and no line answers; such a screen may take no place."""
    found = [
        f"{dimension.value} of {arm}"
        for arm in screen.arms
        for dimension in definition.scales.per_reply
        if dimension not in screen.scores.get(arm, {})
    ]
    asked = definition.scales.preference and not screen.choice
    return [*found, "the preference"] if asked else found


def _arranged(screen: Screen, sides: dict[str, int | None], shelf: Shelf) -> str:
    """Find the task and the order of the replies; what keeps that from working, or nothing."""
    single = shelf.definition.mode is StudyMode.SINGLE
    if single and len(sides) > 1:
        return "the study shows one reply at a time, but this rater's lines name more arms"
    if not single and len(sides) == 1:
        return "the column other_arm must say which reply stood beside this one"
    if len(sides) > 2:
        return f"this rater's lines about {screen.item} name {len(sides)} arms; a screen has two"
    task = shelf.tasks.get((screen.item, frozenset(sides)))
    if task is None:
        return f"{' and '.join(sorted(sides))} are not compared on {screen.item}"
    screen.task, screen.arms = task, tuple(sides)
    if single:
        return ""
    one, other = sides
    if sides[one] is None and sides[other] is None:
        return "the column side must say where the reply stood: 1 (left) or 2 (right)"
    if sides[one] == sides[other]:
        return f"{one} and {other} both stood on side {sides[one]}"
    if sides[one] == 2 or sides[other] == 1:
        screen.arms = (other, one)
    return ""
