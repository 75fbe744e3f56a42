"""Sentences about the figures, chosen by rules: sign, whether the interval holds 0, Holm.

No conclusion is written here beforehand. A claim of a paper is met by comparisons; each is for
it or against it where its interval excludes 0 and Holm's correction leaves it standing, and
undecided otherwise; these counts choose the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from finetune.metrics.bootstrap import Interval
from finetune.studies.effects import Estimate, Question
from finetune.studies.outcomes import BITS
from finetune.studies.results import Part

NEARLY_TWICE = 1.8
"""From so many utterances in the room of one, paper B's "nearly twice" counts as met."""


LITTLE = 10.0
"""Percent of Raw's score: paper B's "relatively low performance loss" counts as met when every
interval rules out a larger one."""


class Verdict(StrEnum):
    """How a claim fares."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    MIXED = "mixed"
    OPEN = "cannot tell"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Finding:
    """A claim, what became of it here, and why."""

    claim: str
    verdict: Verdict
    evidence: tuple[str, ...]


def findings(part: Part) -> tuple[Finding, ...]:
    """Every claim held against one data set."""
    shorter = _about(part, Question.CONTEXT)
    overlap = [one for one in shorter if one.outcome != BITS]
    return (
        _finding(
            "Paper A: a structured prompt makes a model better at this (it reports no run"
            " without one).",
            _about(part, Question.PROMPT),
        ),
        _finding(
            "Paper A, Table 1: fine-tuned models are clearly better than the base model.",
            _about(part, Question.MODEL),
        ),
        _finding(
            "Paper B, Tables 4-10: a shortened context makes the reference less likely (a higher"
            " perplexity).",
            [one for one in shorter if one.outcome == BITS],
            expected=-1,
        ),
        _little_loss(overlap),
        _room(part),
        _finding(
            "Not in the papers: shortened contexts that keep negation are better than those that"
            " drop it.",
            _about(part, Question.NEGATION),
        ),
    )


def verdict(directions: Sequence[int]) -> Verdict:
    """What comparisons say of a claim: 1 is for it, -1 against it, 0 undecided."""
    if not directions:
        return Verdict.NOT_MEASURED
    if 1 in directions:
        return Verdict.MIXED if -1 in directions else Verdict.AGREES
    return Verdict.DISAGREES if -1 in directions else Verdict.OPEN


def sentence(one: Estimate) -> str:
    """One comparison in words."""
    digits = one.outcome.digits
    change = f"{one.value:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
    if one.second:
        change += f", {100 * one.value / one.second:+.1f}%"
    words = {1: "better", -1: "worse", 0: "no difference can be told"}[one.direction]
    if one.direction and not one.held:
        words += ", but not after Holm's correction"
    return f"{one.effect.label}: {one.outcome.name} {change}: {words}"


def _about(part: Part, question: Question) -> list[Estimate]:
    """The comparisons that vary one factor."""
    return [one for one in part.estimates if one.effect.question is question]


def _finding(claim: str, found: Sequence[Estimate], *, expected: int = 1) -> Finding:
    """A claim that the first cells are better, or with -1 worse, than the second."""
    directions = [expected * one.held for one in found]
    return Finding(claim, verdict(directions), tuple(map(sentence, found)))


def _little_loss(found: Sequence[Estimate]) -> Finding:
    """Paper B's "relatively low performance loss", on the overlap with references."""
    claim = (
        "Paper B: shortening costs little; its ROUGE-L and METEOR are not significantly behind"
        " Raw, and on ESConv KeyPOS is sometimes ahead."
    )
    if not found:
        return Finding(claim, Verdict.NOT_MEASURED, ())
    lost = [one for one in found if one.held < 0]
    said = [sentence(one) for one in found]
    if lost:
        worst = min(lost, key=lambda one: one.value / (one.second or 1.0))
        said.append(
            f"A cost shows in {len(lost)} of {len(found)} comparisons; the largest is"
            f" {100 * worst.value / (worst.second or 1.0):+.1f}% of Raw's {worst.outcome.name}"
        )
        return Finding(claim, Verdict.DISAGREES, tuple(said))
    deepest = min(100 * one.low / (one.second or 1.0) for one in found)
    said.append(
        "No cost outlasts the correction, which is not the same as none: the intervals reach"
        f" down to {deepest:+.1f}% of Raw, and only from -{LITTLE:g}% on the claim counts as met"
    )
    return Finding(claim, Verdict.AGREES if deepest >= -LITTLE else Verdict.OPEN, tuple(said))


def _room(part: Part) -> Finding:
    """How many more utterances fit."""
    claim = "Paper B: nearly twice as many utterances fit into the window."
    found = [
        (f"{one.context.label()}, prompt {'on' if one.prompt else 'off'}", one.room)
        for one in part.trades
        if one.room is not None
        and one.context.kind.value != "raw"
        and not one.context.keep_negation
    ]
    said = [
        f"{label}: {ends.value:.2f} [{ends.low:.2f}, {ends.high:.2f}] utterances in the room of"
        " one as it was said"
        for label, ends in found
    ]
    said += [f"From {NEARLY_TWICE} on the claim counts as met"] if found else []
    return Finding(claim, verdict([_met(ends) for _, ends in found]), tuple(said))


def _met(ends: Interval) -> int:
    """Whether nearly twice as many fit: 1 yes, -1 no, 0 undecided."""
    return 1 if ends.low >= NEARLY_TWICE else -1 if ends.high < NEARLY_TWICE else 0


CANNOT = (
    "Paper A fine-tunes models of 7 and 72 billion parameters, paper B of 7; none of these runs on"
    " this study's machine, and what helps or harms a small model may not do so in a large one.",
    "Paper A's data (NLPCC 2025 Task 8) and paper B's (ExTES) may not be shipped; other dialogues"
    " and other references were answered here. Paper A's total holds a judge's rating"
    " (set to 100 for all its validation runs), which is not part of this study.",
    "Perplexity does not compare across tokenizers, so no figure of paper B's can be held against"
    " one here; bits per byte can be compared between any two models, but the papers do not report"
    " them.",
    "Paper B's figures contradict each other in places: its BLEU on ExTES does not fit its ROUGE-L,"
    " Tables 7 and 11 are identical, and a perplexity of 5.47 does not match its evaluation loss of"
    " 0.86. Its protocol is repeated here, not its numbers.",
    "Paper B says that it transforms an utterance before adding it to the context, not whether the"
    " message being answered is already part of it. Here it is not: that message is sent as typed.",
    "Overlap with one reference says little about support. Nobody rated these replies.",
)
"""What no result of this study can settle."""
