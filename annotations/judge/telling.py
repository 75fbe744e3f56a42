"""The sentences of `python -m annotations judge`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from annotations.judge.forecast import Forecast
from annotations.judge.job import Prepared
from annotations.judge.ledger import RunSpec
from annotations.judge.progress import Ending, State, Summary, dollars, owed_text
from annotations.judge.values import Control
from annotations.values import JudgeStatus

_SHOWN_PROMPTS = 2

_GO_ON = "The same command goes on and asks only what is missing."

EXIT_CODES = {Ending.COMPLETE: 0, Ending.GAVE_UP: 1, Ending.CAP: 3, Ending.STOPPED: 130}


def forecast_lines(prepared: Prepared) -> list[str]:
    """What will be asked, and what it costs at most."""
    plan, price, spec = prepared.plan, prepared.price, prepared.spec
    max_tokens, cap = prepared.job.asking.max_tokens, prepared.job.cap
    asked = len(plan.jobs)
    lines = [
        f"Study {spec.slug}, protocol {spec.protocol.name} version {spec.protocol.version}, model"
        f" {spec.model} at {spec.endpoint}.",
        f"{plan.total:,} questions: {plan.answered:,} are answered in this run, {plan.cached:,} are"
        f" known from equal ones, {asked:,} to ask.",
    ]
    if remark := _of_planted(spec):
        lines.append(remark)
    if plan.owed:
        lines.append(owed_text(plan.owed))
    if not asked:
        return lines
    lines.append(
        f"At most {plan.usage.prompt_tokens:,} tokens in and {plan.usage.completion_tokens:,} out"
        f" ({max_tokens:,} for each answer)."
    )
    of = f" ({price.source})" if price.source else ""
    if not plan.usage.cost:
        return [*lines, f"Cost: nothing{of}."]
    lines += [
        f"Price: ${price.per_million_in:g} in, ${price.per_million_out:g} out per million tokens"
        f"{of}.",
        f"Cost: at most {dollars(plan.usage.cost)}; {dollars(plan.worst)} if every answer has to"
        " be asked for twice because it cannot be read.",
    ]
    if cap is not None:
        spent = plan.spent + plan.owed.cost
        enough = "" if spent + plan.worst <= cap else " It may end the run before its end."
        lines.append(f"Cap: {dollars(cap)}, of which {dollars(spent)} is spent.{enough}")
    return lines


def _of_planted(spec: RunSpec) -> str:
    """Whether the reference is shown beside planted replies, where it is shown at all."""
    if not spec.controls or not spec.with_reference or spec.protocol.reference == "none":
        return ""
    if spec.protocol.reference == "optional":
        return (
            "Beside planted replies no reference is shown, since the gold one is that reference;"
            " beside the arms' replies it is."
        )
    if Control.GOLD not in spec.controls:
        return ""
    return (
        "This protocol needs a reference, and the planted gold reply is that reference: that a"
        " judge prefers it says little, since it need only compare the words."
    )


def prompt_lines(plan: Forecast) -> Iterator[str]:
    """The first prompts, as they would be sent."""
    for number, job in enumerate(plan.jobs[:_SHOWN_PROMPTS], 1):
        yield f"--- prompt {number} of {len(plan.jobs):,} ---"
        for message in job.messages:
            yield f"[{message.role}]\n{message.content}"


def progress_text(state: State, cap: float | None) -> str:
    """Beside the bar."""
    of = "" if cap is None else f" of {dollars(cap)}"
    spent = f"{dollars(state.spent)}{of}"
    return f"{counts_text(state.counts) or 'no answer yet'}; {spent}; {state.allowed} at once"


def counts_text(counts: Mapping[JudgeStatus, int]) -> str:
    """How many calls ended in which way; what never happened is left out."""
    return ", ".join(f"{name.value} {counts[name]:,}" for name in JudgeStatus if counts.get(name))


def summary_lines(done: Summary, cap: float | None) -> Iterator[str]:
    """What was done, and how to go on."""
    state, usage = done.state, done.usage
    yield (
        f"{state.done:,} of {state.total:,} questions are answered. Calls of the whole run:"
        f" {counts_text(state.counts) or 'none so far'}."
    )
    yield (
        f"Asked {done.asked:,} now, with {done.requests:,} requests, and took {done.cached:,} from"
        f" equal ones; {usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out,"
        f" {dollars(usage.cost)}; {dollars(state.spent)} for the whole run."
    )
    if done.owed.cost:
        yield (
            f"Of that, {dollars(done.owed.cost)} may not have been charged: the end of"
            f" {done.owed.requests:,} requests was never heard of."
        )
    if done.ending is Ending.CAP:
        yield (
            f"Stopped at the cap of {dollars(cap or 0.0)}: the next question might have passed it."
            " The same command with a higher --cap goes on and asks only what is missing."
        )
    elif done.ending is Ending.STOPPED:
        yield f"Interrupted. {_GO_ON}"
    elif done.ending is Ending.GAVE_UP:
        yield f"Gave up: call after call failed; the last said: {done.error} {_GO_ON}"
    elif state.left:
        yield f"{state.left:,} calls failed; the last said: {done.error} {_GO_ON}"


def exit_code(done: Summary) -> int:
    """0 when all is answered, 1 when calls failed, 3 at the cap, 130 when interrupted."""
    if done.ending is Ending.COMPLETE and done.state.left:
        return 1
    return EXIT_CODES[done.ending]
