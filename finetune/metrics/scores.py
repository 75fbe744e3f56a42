"""Scores of one system: per-pair statistics that can be summed, resampled and sliced."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from esc_demo.errors import BadInput
from esc_demo.settings import Settings, get_settings
from finetune.metrics.bleu import Floats
from finetune.metrics.distinct import NgramTable, number_tokens
from finetune.metrics.pairs import Pair, dialogue_keys
from finetune.metrics.profiles import Profile, ProfileName, make_profile
from finetune.metrics.resources import Resources, find_resources
from finetune.metrics.tokens import Tokens
from finetune.metrics.total import with_totals

WORTH_A_SECOND_PROCESS = 4000
"""Pairs from which the start of a second process (a few seconds) pays."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Header:
    """What a result must state to be comparable."""

    profile: ProfileName
    tokenizer: str
    smoothing: str
    case: str
    pairs: int
    dialogues: int
    empty: int
    """Hypotheses without a word; they count, with 0."""
    versions: dict[str, str]

    def record(self) -> dict[str, object]:
        """As a JSON object."""
        return {**self.__dict__, "profile": self.profile.value}


@dataclass(frozen=True, eq=False)
class Scores:
    """A system's statistics under one profile, a row a pair."""

    profile: Profile
    dialogues: tuple[str, ...]
    """Dialogue of each pair."""
    references: tuple[str, ...]
    """A digest of each pair's reference: two systems compare only on the same ones."""
    empty: npt.NDArray[np.bool_]
    """[pairs] whether the hypothesis is."""
    stats: Mapping[str, Floats]
    """By metric, [pairs, numbers]."""
    tokens: tuple[Tokens, ...]
    """Hypotheses as distinct-n counts them."""
    versions: dict[str, str]
    g_score: float | None = None
    """Mean rating of a judge in percent (a rating of 1-5, divided by 5)."""

    @property
    def header(self) -> Header:
        """What must be stated with the values."""
        return Header(
            self.profile.name,
            self.profile.tokenizer,
            self.profile.smoothing,
            self.profile.case,
            len(self.dialogues),
            len(self.units),
            int(self.empty.sum()),
            self.versions,
        )

    @cached_property
    def units(self) -> tuple[str, ...]:
        """The different dialogues in order of appearance: what a bootstrap draws."""
        return tuple(dict.fromkeys(self.dialogues))

    @cached_property
    def values(self) -> dict[str, float]:
        """Every metric that could be computed; percent but for a length."""
        once = np.ones((1, len(self.units)), np.int64)
        measured = self.resampled(once)
        return {name: float(value[0]) for name, value in self.totalled(measured).items()}

    def each(self) -> dict[str, Floats]:
        """[pairs] by metric: every reply as if it were the only one.

        Without distinct-n and totals, which say nothing of a single reply.
        """
        alone = np.ones(len(self.dialogues))
        return {one.name: one.value(self.stats[one.name], alone) for one in self.profile.metrics}

    @property
    def missing(self) -> dict[str, str]:
        """Why the other columns are empty."""
        empty = dict(self.profile.missing)
        if self.profile.name is ProfileName.NLPCC2025:
            if self.g_score is None:
                empty["G-score"] = empty["Total"] = "no judge's rating was given"
            lacking = " and ".join(name for name in ("METEOR", "Ext") if name in empty)
            if lacking:
                empty["Total"] = empty["Total without G"] = f"needs {lacking}"
        return empty

    def resampled(self, weights: Ints) -> dict[str, Floats]:
        """Every metric but totals where unit d occurs `weights[b, d]` times; shape [b] each."""
        count = (weights @ self._counts).astype(np.float64)
        found = {
            metric.name: metric.value(weights @ self._sums[metric.name], count)
            for metric in self.profile.metrics
        }
        found |= {name: 100 * table.resampled(weights) for name, table in self._tables.items()}
        return found

    def totalled(self, values: Mapping[str, Floats]) -> dict[str, Floats]:
        """The values in the order of the table, with the totals where the profile has them."""
        ordered = {name: values[name] for name in self.profile.columns if name in values}
        if self.profile.name is ProfileName.NLPCC2025:
            return with_totals(ordered, self.g_score)
        return ordered

    def select(self, chosen: Sequence[int]) -> Scores:
        """The same system on some of its pairs, for slices.

        Raises:
            BadInput: none is chosen.
        """
        if not len(chosen):
            raise BadInput("No pair is in this slice.")
        return replace(
            self,
            dialogues=tuple(self.dialogues[index] for index in chosen),
            references=tuple(self.references[index] for index in chosen),
            empty=self.empty[list(chosen)],
            stats={name: rows[list(chosen)] for name, rows in self.stats.items()},
            tokens=tuple(self.tokens[index] for index in chosen),
            g_score=None,
        )

    @cached_property
    def _groups(self) -> Ints:
        """Number of each pair's unit."""
        numbers = {unit: number for number, unit in enumerate(self.units)}
        return np.array([numbers[dialogue] for dialogue in self.dialogues], np.int64)

    @cached_property
    def _counts(self) -> Ints:
        """Pairs of each unit."""
        return np.bincount(self._groups, minlength=len(self.units)).astype(np.int64)

    @cached_property
    def _sums(self) -> dict[str, Floats]:
        """Statistics of each unit, [units, numbers]."""
        sums: dict[str, Floats] = {}
        for name, rows in self.stats.items():
            sums[name] = np.zeros((len(self.units), rows.shape[1]))
            np.add.at(sums[name], self._groups, rows)
        return sums

    @cached_property
    def _tables(self) -> dict[str, NgramTable]:
        """n-grams for distinct-n."""
        groups, corpus = self._groups.tolist(), number_tokens(self.tokens)
        return {
            one.name: one.table(corpus, groups, len(self.units)) for one in self.profile.distinct
        }


@dataclass(frozen=True)
class _Part:
    """What a process makes of some pairs."""

    stats: dict[str, Floats]
    tokens: list[Tokens]


def score(
    pairs: Sequence[Pair],
    profile: ProfileName,
    *,
    resources: Resources | None = None,
    settings: Settings | None = None,
    workers: int | None = None,
    g_score: float | None = None,
) -> Scores:
    """Score a system under a profile.

    `workers` processes share the work, by default two for many pairs; the values do not depend
    on it. `g_score` is a mean in percent, from a judge.

    Raises:
        BadInput: no pairs, some without a dialogue id beside others with one, or a G-score
            outside 0 to 100 or for a profile that has none.
    """
    if not pairs:
        raise BadInput("There is nothing to score: no pair of hypothesis and reference.")
    if g_score is not None and not 0 <= g_score <= 100:
        raise BadInput(f"The G-score is {g_score}; it is a percentage (rating / 5 * 100).")
    if g_score is not None and profile is not ProfileName.NLPCC2025:
        raise BadInput(f"The profile {profile} has no G-score; leave it out.")
    dialogues = dialogue_keys(pairs)
    found = resources or find_resources(settings or get_settings())
    parts = _work_shared(pairs, profile, found, _workers(workers, len(pairs)))
    return Scores(
        make_profile(profile, found),
        dialogues,
        tuple(hashlib.sha256(pair.reference.encode()).hexdigest()[:12] for pair in pairs),
        np.array([pair.empty for pair in pairs], bool),
        {name: np.concatenate([part.stats[name] for part in parts]) for name in parts[0].stats},
        tuple(reply for part in parts for reply in part.tokens),
        _versions(found),
        g_score,
    )


def _work_shared(
    pairs: Sequence[Pair], profile: ProfileName, resources: Resources, workers: int
) -> list[_Part]:
    """The parts in order, from several processes where that is possible."""
    if workers == 1:
        return [_work(pairs, profile, resources)]
    size = -(-len(pairs) // workers)
    chunks = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    try:
        # Spawned, not forked: a fork of a process with threads (the page, PyTorch) can hang.
        with ProcessPoolExecutor(workers - 1, mp_context=get_context("spawn")) as pool:
            others = [pool.submit(_work, chunk, profile, resources) for chunk in chunks[1:]]
            first = _work(chunks[0], profile, resources)  # meanwhile this process does its share
            return [first, *(other.result() for other in others)]
    except (OSError, BrokenProcessPool, AssertionError):  # no processes here, or inside a daemon
        return [_work(pairs, profile, resources)]


def _work(pairs: Sequence[Pair], name: ProfileName, resources: Resources) -> _Part:
    """Statistics of some pairs."""
    profile = make_profile(name, resources)
    rows: dict[str, list[tuple[float, ...]]] = {metric.name: [] for metric in profile.metrics}
    tokens: list[Tokens] = []
    for pair in pairs:
        view = profile.view(pair)
        for metric in profile.metrics:
            rows[metric.name].append(metric.stats(view))
        tokens.append(profile.distinct_tokens(view))
    return _Part({name: np.array(found, np.float64) for name, found in rows.items()}, tokens)


def _workers(wanted: int | None, pairs: int) -> int:
    """How many processes to use."""
    if wanted is not None:
        return max(1, min(wanted, pairs))
    return min(2, os.cpu_count() or 1) if pairs >= WORTH_A_SECOND_PROCESS else 1


def _versions(resources: Resources) -> dict[str, str]:
    """Versions of everything that shapes a value."""
    names = ("nltk", "rouge-score", "sacrebleu", "numpy")
    return {name: version(name) for name in names} | resources.versions
