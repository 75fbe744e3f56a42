"""Who gets what, when, and on which side: pure functions, all chance from the study's seed.

Balance is by construction, and chance only breaks ties. A side is the one that a participant has
had less often within a stratum, so the two counts never differ by more than one. The order is a
Latin square, filled as people come: strata take turns within a participant, and a session has as
many parts as a task has raters, of whom each is to meet it in another part (Williams, 1949,
Australian Journal of Scientific Research A 2, 149-168, on why positions have to be balanced).
Where the squares cannot be kept, because somebody met the item before or left, what is needed
still counts for more than where it stands.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from annotations.values import AssignmentKind


@dataclass(frozen=True)
class Candidate:
    """A task that could be given. `taken`: answered or held under a lease that has not ended.

    `firsts` counts how often each arm was shown first in it, `here` how many of those who took it
    met it in the part of the session for which one is chosen.
    """

    id: str
    item: str
    stratum: str
    arms: tuple[str, ...]
    needed: int
    taken: int = 0
    firsts: Mapping[str, int] = field(default_factory=dict)
    here: int = 0


@dataclass(frozen=True)
class Past:
    """What a participant was given so far.

    `met` are items; `strata` counts answered and open tasks by stratum, `firsts` by (stratum,
    arm shown first).
    """

    met: frozenset[str] = frozenset()
    strata: Mapping[str, int] = field(default_factory=dict)
    firsts: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """A main task that a participant has answered, in the order of answering."""

    task: str
    shown: tuple[str, ...]


def chance(seed: int, *names: object) -> int:
    """A number that depends on the seed and the names only."""
    text = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def part_of(place: int, items: int, raters: int) -> range:
    """The places, counted from 1, of the part of a session that `place` lies in.

    A session of `items` has as many parts as a task has raters, but none without a place. What
    comes after the last item belongs to the last part.
    """
    parts = min(raters, items)
    part = min((place - 1) * parts // items, parts - 1)
    first, behind = (-(-items * number // parts) + 1 for number in (part, part + 1))
    return range(first, max(behind, place + 1))


def choose_task(
    candidates: Sequence[Candidate], past: Past, seed: int, participant: int
) -> Candidate | None:
    """The task to give next, or None when none is short that the participant may have.

    First the stratum the participant has had least of for its size, then the one with the smallest
    filled share, then the task that fewest have met in this part of a session, then the one with
    the fewest answers, then chance.
    """
    taken: dict[str, int] = {}
    needed: dict[str, int] = {}
    for task in candidates:
        taken[task.stratum] = taken.get(task.stratum, 0) + min(task.taken, task.needed)
        needed[task.stratum] = needed.get(task.stratum, 0) + task.needed
    short = [task for task in candidates if task.taken < task.needed and task.item not in past.met]
    return min(
        short,
        key=lambda task: (
            past.strata.get(task.stratum, 0) / needed[task.stratum],
            taken[task.stratum] / needed[task.stratum],
            task.here,
            task.taken / task.needed,
            chance(seed, participant, task.id),
        ),
        default=None,
    )


def choose_sides(task: Candidate, past: Past, seed: int, participant: int) -> tuple[str, ...]:
    """The arms in the order in which they are shown."""
    if len(task.arms) == 1:
        return task.arms
    first = min(
        task.arms,
        key=lambda arm: (
            past.firsts.get((task.stratum, arm), 0),
            task.firsts.get(arm, 0),
            chance(seed, participant, task.id, arm),
        ),
    )
    return (first, *(arm for arm in task.arms if arm != first))


def plan_session(
    seed: int, participant: int, items: int, gold: int, repeats: int
) -> tuple[AssignmentKind, ...]:
    """What kind each screen is. Gold is spread over the session, repeats over its second half.

    Never a gold item first, and each repeat has at least half of the items before it.
    """
    rng = random.Random(chance(seed, participant, "plan"))
    placed = [(number + 0.5, AssignmentKind.MAIN) for number in range(items)]
    for number in range(gold):
        low, high = items * number / gold, items * (number + 1) / gold
        low = min(max(low, 1.0), high)  # after the first item
        placed.append((rng.uniform(low, high), AssignmentKind.GOLD))
    for _ in range(repeats):
        placed.append((rng.uniform((items + 1) / 2, items), AssignmentKind.REPEAT))
    return tuple(kind for _, kind in sorted(placed, key=lambda entry: entry[0]))


def choose_repeat(
    answered: Sequence[Answered], repeated: Iterable[str], seed: int, participant: int
) -> Answered | None:
    """Which answered task is shown again (sides swapped): one of the older half if possible."""
    done = set(repeated)
    fresh = [entry for entry in answered if entry.task not in done]
    older = [entry for entry in answered[: max(len(answered) // 2, 1)] if entry.task not in done]
    choices = older or fresh[:-1]
    return min(
        choices,
        key=lambda entry: chance(seed, participant, entry.task, "repeat"),
        default=None,
    )
