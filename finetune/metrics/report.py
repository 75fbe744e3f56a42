"""Scores as JSON and as text: header first, then every column with its interval or its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esc_demo.errors import BadInput
from finetune.metrics.bootstrap import Interval, intervals
from finetune.metrics.crosscheck import CrossCheck
from finetune.metrics.pairs import SkippedLine
from finetune.metrics.profiles import ProfileName
from finetune.metrics.scores import Header, Scores
from finetune.metrics.total import TOLERANCE, CheckedRow

NOT_MEASURED_HERE = {
    "Perplexity": "needs the model: python -m finetune evaluate --ppl",
    "Bits per byte": "needs the model: python -m finetune evaluate --ppl",
}


@dataclass(frozen=True)
class ScoreReport:
    """What `score` shows."""

    header: Header
    columns: dict[str, float]
    intervals: dict[str, Interval]
    """Empty where there is one dialogue only."""
    no_intervals: str
    """Why there are none."""
    missing: dict[str, str]
    skipped: tuple[SkippedLine, ...]
    cross_checks: tuple[CrossCheck, ...]

    def record(self) -> dict[str, Any]:
        """As a JSON object, every value at full precision."""
        metrics: dict[str, Any] = {}
        for name, value in self.columns.items():
            metrics[name] = {"value": value}
            if name in self.intervals:
                found = self.intervals[name]
                metrics[name] |= {"low": found.low, "high": found.high, "level": found.level}
        for name, why in self.missing.items():
            metrics[name] = {"value": None, "reason": why}
        return {
            "header": self.header.record() | {"skipped_lines": len(self.skipped)},
            "intervals": self.no_intervals or "percentile bootstrap over dialogues",
            "metrics": metrics,
            "skipped": [{"line": line.number, "why": line.why} for line in self.skipped],
            "cross_checks": [one.__dict__ for one in self.cross_checks],
        }

    def text(self) -> str:
        """As lines for a terminal."""
        head = self.header
        versions = ", ".join(f"{name} {number}" for name, number in head.versions.items())
        lines = [
            f"profile {head.profile}: {head.tokenizer}; {head.smoothing}; case: {head.case}",
            f"{head.pairs} pairs of {head.dialogues} dialogues, {head.empty} empty hypotheses,"
            f" {len(self.skipped)} lines skipped; {versions}",
            *(f"  line {line.number} skipped: {line.why}" for line in self.skipped),
            "",
        ]
        for name, value in self.columns.items():
            found = self.intervals.get(name)
            between = f"  [{found.low:.2f}, {found.high:.2f}]" if found else ""
            lines.append(f"{name:28}{value:9.2f}{between}")
        lines += [f"{name:28}{'-':>9}  {why}" for name, why in self.missing.items()]
        lines += ["", self.no_intervals or "[95% bootstrap interval over dialogues]"]
        lines += [f"{c.name}: {c.value:.2f}  ({c.signature})" for c in self.cross_checks]
        return "\n".join(lines)


def make_report(
    scores: Scores,
    *,
    skipped: tuple[SkippedLine, ...] = (),
    cross_checks: tuple[CrossCheck, ...] = (),
    more: dict[str, float] | None = None,
    more_missing: dict[str, str] | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> ScoreReport:
    """Put together what is shown; `more` are columns without interval, such as BERTScore."""
    found: dict[str, Interval] = {}
    why = ""
    try:
        found = intervals(scores, replicates=replicates, seed=seed)
    except BadInput as error:
        if len(scores.units) > 1:
            raise
        why = f"no intervals: {error}"
    missing = {**scores.missing, **(more_missing or {})}
    if scores.profile.name is ProfileName.ESCONV:
        missing |= NOT_MEASURED_HERE
    return ScoreReport(
        scores.header, {**scores.values, **(more or {})}, found, why, missing, skipped, cross_checks
    )


def selftest_text(rows: tuple[CheckedRow, ...]) -> str:
    """Paper A's totals, printed and recomputed."""
    lines = [f"{'paper A':26}{'printed':>9}{'computed':>10}{'':4}"]
    lines += [
        f"{row.name:26}{row.printed:9.2f}{row.computed:10.3f}    {'ok' if row.fits else 'WRONG'}"
        for row in rows
    ]
    wrong = sum(not row.fits for row in rows)
    verdict = f"{wrong} differ" if wrong else "all agree"
    return "\n".join([*lines, f"{len(rows)} totals, {verdict} within {TOLERANCE}"])
