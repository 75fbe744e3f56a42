"""Checks of the project's own corpus: enough dialogues, and no two cut from one pattern."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from esc_demo.dialogue import Dialogue, Role
from finetune.data.labels import extes_scenes, extes_strategies

MIN_DIALOGUES = 160
MIN_UTTERANCES, MAX_UTTERANCES = 8, 16
MIN_DISTINCT_3 = 0.65
"""The gold replies of NLPCC 2025 Task 8 have 0.59."""
SEQUENCE_WORDS = 8
MAX_SHARING = 3
"""In so many dialogues one sequence of SEQUENCE_WORDS words may occur."""

_EDGES = re.compile(r"^\W+|\W+$")


@dataclass(frozen=True)
class SharedSequence:
    """Words that several dialogues have in common."""

    words: str
    dialogues: tuple[str, ...]
    """Ids."""


@dataclass(frozen=True)
class CorpusReport:
    """What `check_corpus` measured."""

    dialogues: int
    shortest: int
    """Utterances of the shortest dialogue."""
    longest: int
    distinct_3: float
    shared_sequences: tuple[SharedSequence, ...]
    """Sequences in more than MAX_SHARING dialogues."""
    equal_openings: tuple[tuple[str, ...], ...]
    """Ids of dialogues that begin with the same words."""
    scenes: dict[str, int]
    """Dialogues by scenario, all of ExTES's 36."""
    other_scenes: tuple[str, ...]
    strategies: dict[str, int]
    """Supporter turns by strategy, all of ExTES's 16."""
    other_strategies: tuple[str, ...]
    """Labels beyond the 16; "(none)" for a supporter turn without one."""

    @property
    def failures(self) -> list[str]:
        """What the corpus should be and is not, a sentence each; empty when it is fit."""
        said: list[str] = []
        if self.dialogues < MIN_DIALOGUES:
            said.append(f"{self.dialogues} dialogues; at least {MIN_DIALOGUES} are needed.")
        if self.shortest < MIN_UTTERANCES or self.longest > MAX_UTTERANCES:
            said.append(
                f"Dialogues of {self.shortest} to {self.longest} utterances; they should have"
                f" {MIN_UTTERANCES} to {MAX_UTTERANCES}."
            )
        if self.distinct_3 < MIN_DISTINCT_3:
            said.append(f"distinct-3 is {self.distinct_3:.3f}; it should be {MIN_DISTINCT_3}.")
        said += [
            f"{sequence.words!r} occurs in {', '.join(sequence.dialogues)}."
            for sequence in self.shared_sequences
        ]
        said += [f"{' and '.join(ids)} open with the same words." for ids in self.equal_openings]
        for kind, counts in (("Scenario", self.scenes), ("Strategy", self.strategies)):
            said += [f"{kind} {name!r} does not occur." for name, n in counts.items() if not n]
        for kind, names in (("scenario", self.other_scenes), ("strategy", self.other_strategies)):
            said += [f"{name!r} is no {kind} of ExTES." for name in names]
        return said


def check_corpus(dialogues: Sequence[Dialogue]) -> CorpusReport:
    """Measure all parts of the corpus together; ids must differ between parts.

    Words are lower-cased and separated by white space. distinct-3 is the number of different
    word trigrams by the number of all, over every utterance of the corpus; the longer
    sequences leave out punctuation at the edges of words, so that a comma does not hide one.
    No sequence crosses the end of an utterance.
    """
    lengths = [len(dialogue.turns) for dialogue in dialogues]
    scenes = Counter(dialogue.scene for dialogue in dialogues)
    strategies = Counter(
        turn.strategy or "(none)"
        for dialogue in dialogues
        for turn in dialogue.turns
        if turn.role is Role.SUPPORTER
    )
    return CorpusReport(
        dialogues=len(dialogues),
        shortest=min(lengths, default=0),
        longest=max(lengths, default=0),
        distinct_3=_distinct(dialogues, 3),
        shared_sequences=_shared(dialogues),
        equal_openings=_equal_openings(dialogues),
        scenes={name: scenes[name] for name in extes_scenes().names},
        other_scenes=tuple(sorted(set(scenes) - set(extes_scenes().names))),
        strategies={name: strategies[name] for name in extes_strategies().names},
        other_strategies=tuple(sorted(set(strategies) - set(extes_strategies().names))),
    )


def _distinct(dialogues: Iterable[Dialogue], size: int) -> float:
    """Different sequences of `size` words by all of them; 0 without any."""
    seen: set[tuple[str, ...]] = set()
    total = 0
    for dialogue in dialogues:
        for turn in dialogue.turns:
            grams = _sequences(turn.text.lower().split(), size)
            seen.update(grams)
            total += len(grams)
    return len(seen) / total if total else 0.0


def _shared(dialogues: Iterable[Dialogue]) -> tuple[SharedSequence, ...]:
    """Sequences in too many dialogues, the most frequent first."""
    owners: dict[tuple[str, ...], dict[str, None]] = {}
    for dialogue in dialogues:
        for turn in dialogue.turns:
            for gram in _sequences(_bare_words(turn.text), SEQUENCE_WORDS):
                owners.setdefault(gram, {})[dialogue.id] = None
    found = [
        SharedSequence(" ".join(gram), tuple(ids))
        for gram, ids in owners.items()
        if len(ids) > MAX_SHARING
    ]
    return tuple(sorted(found, key=lambda one: -len(one.dialogues)))


def _equal_openings(dialogues: Iterable[Dialogue]) -> tuple[tuple[str, ...], ...]:
    """Ids of dialogues whose first utterances have the same words."""
    openings: dict[tuple[str, ...], list[str]] = {}
    for dialogue in dialogues:
        openings.setdefault(tuple(_bare_words(dialogue.turns[0].text)), []).append(dialogue.id)
    return tuple(tuple(ids) for ids in openings.values() if len(ids) > 1)


def _bare_words(text: str) -> list[str]:
    """Lower-cased words without punctuation at their edges."""
    words = (_EDGES.sub("", word) for word in text.lower().split())
    return [word for word in words if word]


def _sequences(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Every run of `size` words, overlapping."""
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
