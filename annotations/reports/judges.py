"""What a report says of its judges beside their scores: how they were asked and what came back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annotations.analysis.analyse import KindResult
from annotations.analysis.g_score import PROTOCOL
from annotations.judge.frames import RunView
from annotations.reports.tables import Cell, Table
from annotations.values import JudgeStatus


def calls_table(runs: Sequence[RunView]) -> Table:
    """How the questions of each run ended, those about pairs among them."""
    words = [status.value for status in JudgeStatus]
    return Table(
        "judge-calls",
        "Judges: how their calls ended",
        ("Judge", "Run", "Protocol", "Version", "Model", "Samples", "Calls", *words),
        tuple(
            (
                run.rater,
                run.run,
                run.protocol,
                run.version,
                run.model,
                run.samples,
                sum(run.counts.values()),
                *(run.counts.get(status, 0) for status in JudgeStatus),
            )
            for run in runs
        ),
        "A row a run, over the whole study with planted replies; of a question asked again the last"
        " call counts. A pair is two calls, one an order. Only ok ones have scores or preferences.",
    )


def g_score_table(kind: KindResult) -> Table:
    """The official single-number G-score of each arm."""
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.judge, one.arm, one.score) for one in kind.g_scores
    )
    return Table(
        "judge-g-score",
        "Judges: official G-score, in percent",
        ("Judge", "Arm", "G-score"),
        rows,
        f"As NLPCC 2025 Task 8 defines it (protocol {PROTOCOL}): one number from 1 to 5 a reply,"
        " divided by 5, times 100, mean over replies. Replies without a readable number are left"
        " out, and so is a number off the scale, which the task's script would move onto it. It"
        " depends on the judge, so only figures of one judge can be compared.",
    )


def asked_text(runs: Sequence[RunView]) -> str:
    """How each judge was asked, for the methods paragraph."""
    return " ".join(_asked(runs))


def _asked(runs: Sequence[RunView]) -> Iterator[str]:
    for run in runs:
        asking = run.asking
        seed = asking.get("seed")
        sampled = f"{run.samples} sample{'s' if run.samples != 1 else ''} a question"
        references = "with" if run.with_reference else "without"
        heat = f"temperature {asking.get('temperature', 'unknown')}"
        yield (
            f"{run.model} (at {run.endpoint}) was asked with protocol {run.protocol} version"
            f" {run.version} at {heat}, {sampled},"
            f" {f'seed {seed}' if seed is not None else 'no seed'}, at most"
            f" {asking.get('max_tokens', 'unknown')} tokens an answer, {references} the data's own"
            f" reply as a reference; {_ended(run)}."
        )


def _ended(run: RunView) -> str:
    """How many of its calls gave an answer that can be read."""
    good, calls = run.counts.get(JudgeStatus.OK, 0), sum(run.counts.values())
    rest = ", ".join(
        f"{count} {status.value}"
        for status, count in run.counts.items()
        if count and status is not JudgeStatus.OK
    )
    return f"{good} of {calls} calls gave an answer" + (f" ({rest})" if rest else "")
