"""`python -m finetune generate`: replies to every seeker's message of a data set, as JSONL."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esc_demo.contexts import ContextKind, ContextSpec, Scope
from esc_demo.engine import PaneConfig
from esc_demo.errors import BadInput
from esc_demo.models import GenerationParams
from esc_demo.prompts import PromptTemplate
from finetune.generate.items import Mode

if TYPE_CHECKING:
    from finetune.generate.job import Job

_PARAMS = GenerationParams()
_GENERATED = "generated"


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def generate_command(
    model: Annotated[str, typer.Option(help="Id of models.yaml, folder of a run, or openai:NAME")],
    data: Annotated[Path, typer.Option(help="Dialogue file, in any format that is read")],
    mode: Annotated[
        Mode, typer.Option(help="forced: the data's own history; auto: the model's earlier replies")
    ] = Mode.FORCED,
    context: Annotated[
        ContextKind, typer.Option(help="How the conversation is remembered")
    ] = ContextKind.RAW,
    keep_negation: Annotated[
        bool, typer.Option("--keep-negation", help="KeyPOS and NoStopwords: keep not, no, never")
    ] = False,
    scope: Annotated[
        Scope, typer.Option(help="Transform earlier turns only, or the message answered too")
    ] = Scope.EARLIER,
    last_k: Annotated[int | None, typer.Option(help="Send only the newest K utterances")] = None,
    prompt: Annotated[Switch, typer.Option(help="Send the structured prompt")] = Switch.ON,
    profile: Annotated[
        bool, typer.Option("--profile/--no-profile", help="Tell it what is known of the seeker")
    ] = True,
    greedy: Annotated[bool, typer.Option("--greedy", help="Most likely token, no chance")] = False,
    temperature: Annotated[
        float | None, typer.Option(help=f"0 is greedy [{_PARAMS.temperature}]")
    ] = None,
    top_p: Annotated[float | None, typer.Option(help=f"1 is off [{_PARAMS.top_p}]")] = None,
    top_k: Annotated[
        int | None, typer.Option(help=f"0 is off [{_PARAMS.top_k}; endpoints 0]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Each reply's own seed follows from it")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest reply, in tokens")] = 128,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N dialogues")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only N dialogues, evenly spaced over the file")
    ] = None,
    per_dialogue: Annotated[
        int | None, typer.Option(min=1, help="forced: only K replies a dialogue, evenly spaced")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write [runs/generated/NAME.jsonl]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file")] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, help="Replies at once; changes no reply")
    ] = 8,
    window: Annotated[
        int, typer.Option(min=256, help="openai: tokens of prompt and reply together")
    ] = 8192,
    timeout: Annotated[float, typer.Option(min=0.1, help="openai: longest silence, s")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar")] = False,
) -> None:
    """Write one reply for each supporter utterance of the data; prints a summary as JSON.

    Exit code 1: some replies failed (--resume asks for them again). Ctrl-C keeps what is
    written and exits with 130.
    """
    from finetune.generate.job import Job, run_job  # noqa: PLC0415 (keeps --help quick)
    from finetune.generate.models import ENDPOINT, EndpointOptions  # noqa: PLC0415
    from finetune.generate.sample import Sample  # noqa: PLC0415

    template = PromptTemplate() if prompt is Switch.ON else PromptTemplate.off()
    pane = PaneConfig(model, ContextSpec(context, keep_negation, scope, last_k), template)
    params = sampling(greedy, temperature, top_p, top_k, endpoint=model.startswith(ENDPOINT))
    params = replace(params, seed=seed, max_new_tokens=max_new_tokens)
    told = profile and prompt is Switch.ON  # the profile is a part of the structured prompt
    taken = Sample(limit, sample, per_dialogue)
    job = Job(model, data, mode, pane, params, told, taken, concurrency, quiet)
    target = out or default_out(job)
    options = EndpointOptions(window, timeout)
    try:
        found = run_job(job, target, options, resume=resume, say=_say)
    except KeyboardInterrupt:
        _say(f"Interrupted. What is written is kept in {target}; go on with --resume.")
        raise typer.Exit(130) from None
    typer.echo(json.dumps(found, indent=2))
    if found["statuses"].get("failed"):
        raise typer.Exit(1)


def _say(note: str) -> None:
    """A remark beside the result."""
    typer.echo(note, err=True)


def sampling(
    greedy: bool,
    temperature: float | None,
    top_p: float | None,
    top_k: int | None,
    *,
    endpoint: bool,
) -> GenerationParams:
    """The parameters asked for, with the defaults of what was not.

    Greedy is written in one way only, so that equal protocols have equal headers. Endpoints get
    no top-k unless it is asked for, since OpenAI's interface has none.

    Raises:
        BadInput: out of range, or greedy together with a sampling parameter.
    """
    given = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if greedy and named:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        raise BadInput(f"--greedy takes no {options}. Leave one of them out.")
    if greedy or temperature == 0:
        return GenerationParams(temperature=0, top_p=1, top_k=0)
    base = replace(_PARAMS, top_k=0) if endpoint else _PARAMS
    return replace(base, **named)


def default_out(job: Job) -> Path:
    """A name that tells runs of other settings apart at a glance."""
    from finetune.runs import RUNS  # noqa: PLC0415 (quick --help)

    parts = [
        job.model.rstrip("/").rsplit("/", 1)[-1],
        job.data.stem,
        job.pane.context.label(),
        "prompt" if job.pane.prompt.enabled else "no-prompt",
        job.mode.value,
        "greedy" if job.params.temperature == 0 else f"seed{job.params.seed}",
        *([f"first{job.sample.first}"] if job.sample.first else []),
        *([f"{job.sample.dialogues}dialogues"] if job.sample.dialogues else []),
        *([f"{job.sample.per_dialogue}each"] if job.sample.per_dialogue else []),
    ]
    name = "-".join(re.sub(r"[^a-z0-9._]+", "-", part.lower()).strip("-") for part in parts)
    return RUNS / _GENERATED / f"{name}.jsonl"
