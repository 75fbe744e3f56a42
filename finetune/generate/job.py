"""One run of `generate`, from names and options to a finished file."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from esc_demo.contexts import ContextKind
from esc_demo.contexts.keypos import warm_up
from esc_demo.engine import PaneConfig
from esc_demo.models import GenerationParams
from esc_demo.settings import get_settings
from finetune.data import load
from finetune.generate.header import header
from finetune.generate.items import Mode, items_of
from finetune.generate.models import EndpointOptions, ModelNames, Named
from finetune.generate.plan import Plan
from finetune.generate.run import Tally, generate
from finetune.generate.sample import Sample
from finetune.generate.store import Output, held


@dataclass(frozen=True)
class Job:
    """A run as it was asked for."""

    model: str
    data: Path
    mode: Mode
    pane: PaneConfig
    params: GenerationParams
    profile: bool
    sample: Sample
    concurrency: int
    quiet: bool


def run_job(
    job: Job,
    out: Path,
    options: EndpointOptions,
    *,
    resume: bool,
    say: Callable[[str], None],
    names: ModelNames | None = None,
) -> dict[str, Any]:
    """Write the replies of `job` to `out`; returns a summary. What is cheap is checked first.

    Several jobs of one process share `names`, so that a model is loaded once.

    Raises:
        EscError: a wrong name, wrong data, a file that is there or begun with other settings, or
            a model that cannot answer here.
        KeyboardInterrupt: a person stopped it; what was written is kept.
    """
    names = names or ModelNames(get_settings())
    names.check(job.model)
    whole = load(job.data, allow_empty_replies=True)
    data = replace(whole, dialogues=job.sample.cut(whole.dialogues))
    items = job.sample.items(items_of(data.dialogues, job.mode), job.mode)
    sampled = job.sample.protocol(len(whole.dialogues))
    with held(out, resume=resume):
        named = names.load(job.model, options)
        model = named.model
        if job.pane.context.kind is ContextKind.KEYPOS:
            warm_up()  # says now, and not at every reply, that the tagger is missing
        plan = Plan(items, job.mode, job.pane, job.params, job.profile, job.concurrency, sampled)
        notes: list[str] = []
        head = header(named, plan, data)
        output = Output(out, head, notes)
        for note in notes:
            say(note)
        if any(not output.done(item.key) for item in items):
            output.note_times(_circumstances(named, plan))
        tally = generate(plan, model, output, quiet=job.quiet)
    return _summary(out, head, output, plan, tally)


def _circumstances(named: Named, plan: Plan) -> dict[str, Any]:
    """What seconds depend on and replies do not: a line before those of this process."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": named.model.spec.id,
        "concurrency": plan.concurrency,
        "cores": os.cpu_count(),
    }


def _summary(
    out: Path, head: dict[str, Any], output: Output, plan: Plan, tally: Tally
) -> dict[str, Any]:
    """What the file holds and what this process added."""
    statuses: dict[str, int] = {}
    for item in plan.items:
        status = output.saved[item.key].status.value
        statuses[status] = statuses.get(status, 0) + 1
    return {
        "out": str(out),
        "run_hash": head["run_hash"],
        "protocol_hash": head["protocol_hash"],
        "replies": len(plan.items),
        "statuses": statuses,
        "written_now": sum(tally.statuses.values()),
        "seconds": round(tally.seconds, 2),
        "tokens_per_second": round(tally.tokens / tally.seconds, 1) if tally.seconds else None,
    }
