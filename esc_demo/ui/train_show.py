"""What the Train tab says of runs: values in, text and HTML out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from finetune.job import Run
from finetune.plan import Plan
from finetune.runs import RunFolder, RunState, Step

MOST_POINTS = 400
"""Points of the training curve; longer ones are thinned."""

_RECENT = 20
"""Steps over which the speed is taken for the time left."""

_WORDS = {
    RunState.PREPARING: "preparing",
    RunState.RUNNING: "training",
    RunState.INTERRUPTED: "interrupted",
    RunState.FAILED: "failed",
    RunState.FINISHED: "finished",
}

_NO_RUNS = """<div class="esc-run-empty"><p class="esc-empty-title">No runs yet</p>
<p>Pick a recipe and press Start training. Its curve appears here, and its result can be opened
in a pane of the Compare tab.</p></div>"""


def state_html(run: Run | None, steps: Sequence[Step], log: str, *, stopping: bool) -> str:
    """How a run stands, with reason and last lines where it failed."""
    if run is None:
        return _NO_RUNS
    state = run.status.state
    word = "stopping" if stopping else _WORDS[state]
    head = f'<h3>{escape(run.name)}</h3><span class="esc-state is-{state.value}">{word}</span>'
    parts = [f'<div class="esc-run-head">{head}</div>']
    if state is RunState.FINISHED:  # its process may take some seconds more to end
        parts.append(_figures_html(metrics_of(run.folder)))
    elif run.active:
        parts.append(_going_html(run, steps))
    else:
        parts.append(_ended_html(run, steps, log))
    return f'<div class="esc-run">{"".join(parts)}</div>'


def _going_html(run: Run, steps: Sequence[Step]) -> str:
    """The bar and the line under it."""
    if not steps:
        return (
            '<p class="esc-run-line esc-warming"><span class="esc-spin"></span>Reading data and'
            " weights, then measuring the base on the held-out part. The first step follows.</p>"
        )
    last = steps[-1]
    return (
        f'<div class="esc-bar" role="progressbar" aria-label="Steps done" aria-valuemin="0"'
        f' aria-valuemax="{last.of}" aria-valuenow="{last.step}">'
        f'<span style="width: {100 * last.step / max(1, last.of):.1f}%"></span></div>'
        f'<p class="esc-run-line">{escape(progress_line(steps))}</p>'
    )


def _ended_html(run: Run, steps: Sequence[Step], log: str) -> str:
    """Why an interrupted or failed run ended."""
    failed = run.status.state is RunState.FAILED
    where = f" after step {steps[-1].step} of {steps[-1].of}" if steps else " before its first step"
    note = escape(run.status.note or "No reason was recorded.")
    text = f'<p class="esc-run-line">{_WORDS[run.status.state].capitalize()}{where}.</p>'
    text += f'<div class="esc-error">{note}</div>' if failed else f'<p class="esc-hint">{note}</p>'
    if log not in ("", f"error: {run.status.note}") and (failed or not steps):
        text += (
            '<details class="esc-log-lines" open><summary>Last lines of the log</summary>'
            f'<pre class="esc-prompt" tabindex="0">{escape(log)}</pre></details>'
        )
    return text


def _figures_html(metrics: dict[str, Any]) -> str:
    """What came out."""
    before, after = (
        _number(metrics, "heldout_perplexity_base"),
        _number(metrics, "heldout_perplexity"),
    )
    seconds = metrics.get("train_seconds")
    figures = [
        ("Held-out perplexity before", before),
        ("and after", after),
        ("Training took", duration(seconds) if isinstance(seconds, int | float) else "unknown"),
    ]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
    return f'<dl class="esc-figures">{cells}</dl>'


def table_html(runs: Sequence[Run]) -> str:
    """All runs, the newest first."""
    if not runs:
        return '<p class="esc-hint">Runs are listed here once there are any.</p>'
    names = ("Run", "State", "Method", "Steps", "Perplexity before", "after")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _row(run))}</tr>" for run in runs)
    return (
        '<div class="esc-table" tabindex="0" role="region" aria-label="All runs"><table><thead>'
        f"<tr>{head}</tr></thead><tbody>{body}</tbody></table></div><p class='esc-hint'>Perplexity"
        " a reply token on the recipe's held-out dialogues; lower is better.</p>"
    )


def _row(run: Run) -> tuple[str, ...]:
    """The cells of a run."""
    metrics = metrics_of(run.folder)
    steps = [] if metrics else run.folder.steps()
    done = f"{steps[-1].step} of {steps[-1].of}" if steps else str(metrics.get("steps", "-"))
    state = run.status.state
    return (
        escape(run.name),
        f'<span class="esc-state is-{state.value}">{_WORDS[state]}</span>',
        escape(str(metrics.get("method", "-")) if metrics else _method(run.folder)),
        escape(done),
        _number(metrics, "heldout_perplexity_base"),
        _number(metrics, "heldout_perplexity"),
    )


def _method(folder: RunFolder) -> str:
    """The method of a run that has no figures yet."""
    try:
        return folder.recipe().method.value
    except ValueError:
        return "-"


def metrics_of(folder: RunFolder) -> dict[str, Any]:
    """The figures of a run; empty where there are none."""
    try:
        return folder.metrics() if folder.finished else {}
    except (OSError, ValueError):
        return {}


def _number(metrics: dict[str, Any], key: str) -> str:
    """A figure with two decimals."""
    value = metrics.get(key)
    return f"{value:,.2f}" if isinstance(value, int | float) else "-"


def progress_line(steps: Sequence[Step]) -> str:
    """Such as "step 12 of 96 · loss 2.81 · 143 tokens/s · about 14 min left"."""
    last = steps[-1]
    parts = [f"step {last.step} of {last.of}"]
    losses = [step.loss for step in steps if step.loss is not None]
    if losses:
        parts.append(f"loss {losses[-1]:.2f}")
    if last.seconds > 0:
        parts.append(f"{last.tokens / last.seconds:.0f} tokens/s")
    left = seconds_left(steps)
    if last.step >= last.of:
        parts.append("measuring and saving")
    elif left is not None:
        parts.append(f"{duration(left)} left")
    return " · ".join(parts)


def seconds_left(steps: Sequence[Step]) -> float | None:
    """Time to the last step at the recent speed; None while nothing can be said.

    A resumed run counts its seconds from the resumption on, so that only lines since then count.
    """
    recent = [steps[-1]]
    for step in reversed(steps[:-1]):
        if step.seconds > recent[-1].seconds or recent[0].step - step.step > _RECENT:
            break
        recent.append(step)
    first, last = recent[-1], recent[0]
    if last.step > first.step:
        pace = (last.seconds - first.seconds) / (last.step - first.step)
    elif len(recent) == len(steps) and last.step > 0:  # the first line of a run never resumed
        pace = last.seconds / last.step
    else:
        return None
    return pace * (last.of - last.step)


def duration(seconds: float) -> str:
    """Such as "about 14 min"."""
    minutes = round(seconds / 60)
    if seconds < 50:
        return "less than a minute"
    if minutes < 90:
        return f"about {max(1, minutes)} min"
    return f"about {minutes // 60} h {minutes % 60} min"


def curve_data(steps: Sequence[Step]) -> dict[str, Any]:
    """The curve as gradio's plots take it, without the detour over pandas.

    Both parts are in it from the start, if only by a point without a value: a plot on the page
    keeps the parts it had when it was first drawn.
    """
    training = [(step.step, step.loss) for step in steps if step.loss is not None]
    every = -(-len(training) // MOST_POINTS) or 1
    thinned = training[::-1][::every][::-1]  # the newest point always stays
    rows: list[list[Any]] = [[step, round(loss, 4), "training"] for step, loss in thinned]
    rows += [
        [step.step, round(step.eval_loss, 4), "validation"]
        for step in steps
        if step.eval_loss is not None
    ]
    if not any(row[2] == "validation" for row in rows):
        rows.append([steps[-1].step if steps else 0, None, "validation"])
    return {
        "columns": ["step", "loss", "part"],
        "data": rows,
        "datatypes": {"step": "quantitative", "loss": "quantitative", "part": "nominal"},
        "mark": "line",
    }


def curve_html(steps: Sequence[Step]) -> str:
    """The curve in words."""
    losses = [step.loss for step in steps if step.loss is not None]
    watched = [step.eval_loss for step in steps if step.eval_loss is not None]
    if len(losses) < 2:
        return ""
    text = f"Training loss from {losses[0]:.2f} to {losses[-1]:.2f}."
    if watched:
        text += f" Validation loss {watched[-1]:.2f}, at its lowest {min(watched):.2f}."
    return f'<p class="esc-hint">{text}</p>'


def plan_html(plan: Plan) -> str:
    """The verdict at a glance; each use of memory behind it."""
    trained = plan.trainable_parameters / plan.total_parameters
    steps = f"{plan.steps:,} steps" if plan.steps else "as many steps as the data give,"
    text = (
        f"{plan.total_parameters / 1e6:,.0f} million parameters, {trained:.1%} of them trained;"
        f" {steps} of up to {plan.tokens_per_step:,} tokens."
    )
    rows = "".join(
        f"<tr><td>{escape(part.name)}</td><td>{part.size / 1e9:.2f}</td>"
        f"<td>{escape(part.what)}</td><td>{escape(part.lower)}</td></tr>"
        for part in plan.parts
    )
    head = "".join(f"<th>{name}</th>" for name in ("Part", "GB", "What it is", "Lowered by"))
    return (
        f'<div class="esc-plan"><h3>The plan</h3><p>{escape(plan.verdict)}</p><p>{text}</p>'
        '<details class="esc-log-lines"><summary>Memory, part by part</summary><div'
        ' class="esc-table" tabindex="0" role="region" aria-label="Memory, part by part"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}<tr><td>total</td>"
        f"<td>{plan.total_bytes / 1e9:.2f}</td><td></td><td></td></tr></tbody></table></div>"
        "</details></div>"
    )


def report_html(title: str, text: str) -> str:
    """Lines of a report, as they are."""
    return (
        f'<details class="esc-log-lines" open><summary>{escape(title)}</summary>'
        f'<pre class="esc-prompt" tabindex="0">{escape(text)}</pre></details>'
    )
