"""`python -m annotations judge`: let a language model rate the replies of a study."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from annotations.judge.job import Prepared
    from annotations.judge.progress import State, Summary
    from annotations.judge.values import Control

Dollars = Annotated[float | None, typer.Option(min=0, help="US dollars per million tokens")]


def judge(
    study: Annotated[str, typer.Option(help="The study's slug")],
    protocol: Annotated[str, typer.Option(help="Name of a shipped protocol, or a YAML file")],
    model: Annotated[str, typer.Option(help="Name of the model at the endpoint")],
    base_url: Annotated[str, typer.Option(help="Endpoint [ESC_OPENAI_BASE_URL]")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Answers to each question")] = 1,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 is greedy")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the first sample; then one more each")] = 0,
    no_seed: Annotated[bool, typer.Option("--no-seed", help="Send none")] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens")] = 400,
    controls: Annotated[
        str, typer.Option(help="Planted replies: gold,random,generic,off_topic,unsafe, or all")
    ] = "",
    without_reference: Annotated[
        bool, typer.Option("--without-reference", help="Do not show the data's own reply")
    ] = False,
    cap: Annotated[float | None, typer.Option(min=0, help="Spend no more, in US dollars")] = None,
    price_in: Dollars = None,
    price_out: Dollars = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, help="Most requests at once; changes no answer")
    ] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N items")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest silence, s")] = 120.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show prompts; send nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar")] = False,
) -> None:
    """Ask a model to rate or compare a study's replies; its answers go beside people's.

    Exit codes: 0 all is answered, 1 some calls failed, 3 the cap was reached, 130 interrupted.
    After each of them the same command goes on and asks only what is missing.
    """
    from annotations.judge import telling  # noqa: PLC0415 (keeps --help quick)
    from annotations.judge.job import Job, prepare  # noqa: PLC0415
    from annotations.judge.prices import given_price  # noqa: PLC0415
    from annotations.judge.values import Asking  # noqa: PLC0415
    from annotations.store import Store  # noqa: PLC0415
    from esc_demo.settings import get_settings  # noqa: PLC0415

    job = Job(
        study=study,
        protocol=protocol,
        model=model,
        base_url=base_url,
        asking=Asking(temperature, max_tokens, None if no_seed else seed),
        samples=samples,
        controls=_kinds(controls),
        with_reference=not without_reference,
        price=given_price(price_in, price_out),
        cap=cap,
        concurrency=concurrency,
        limit=limit,
        timeout_s=timeout,
    )
    settings = get_settings()
    with Store(settings.database_url) as store:
        prepared = prepare(job, settings, store)
        for line in telling.forecast_lines(prepared):
            typer.echo(line)
        if dry_run:
            for line in telling.prompt_lines(prepared.plan):
                typer.echo(line)
            return
        if prepared.plan.usage.cost and not yes:
            typer.confirm("Ask now?", abort=True)
        done = _carried_out(prepared, quiet)
    for line in telling.summary_lines(done, cap):
        typer.echo(line)
    if code := telling.exit_code(done):
        raise typer.Exit(code)


def _carried_out(prepared: Prepared, quiet: bool) -> Summary:
    """The run, watched by a person who may break it off."""
    from tqdm import tqdm  # noqa: PLC0415

    from annotations.judge.job import carry_out  # noqa: PLC0415
    from annotations.judge.telling import progress_text  # noqa: PLC0415
    from esc_demo.models.endpoint import EndpointError  # noqa: PLC0415

    plan, cap = prepared.plan, prepared.job.cap
    with (
        _signals() as (stop, cut),
        tqdm(total=plan.total, initial=plan.answered, unit="answer", disable=quiet) as bar,
    ):

        def watch(state: State) -> None:
            bar.set_postfix_str(progress_text(state, cap), refresh=False)
            bar.update(state.done - bar.n)

        try:
            return carry_out(prepared, stop=stop, cut=cut, watch=watch, say=_say)
        except EndpointError:
            _say("What was answered is stored; the same command goes on when that is mended.")
            raise


@contextmanager
def _signals() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Ctrl-C or TERM: ask nothing more, and the second time leave at once."""
    stop, cut = threading.Event(), threading.Event()

    def heard(*_: object) -> None:
        if stop.is_set():
            cut.set()
        else:
            stop.set()
            _say("Stopping: what is under way may end. Once more to leave at once.")

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, heard) for number in signals}
    try:
        yield stop, cut
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kinds(words: str) -> tuple[Control, ...]:
    """The controls named, in their own order.

    Raises:
        BadInput: one is unknown.
    """
    from annotations.judge.values import Control  # noqa: PLC0415
    from esc_demo.errors import BadInput  # noqa: PLC0415

    named = {word.strip() for word in words.split(",") if word.strip()}
    if named == {"all"}:
        return tuple(Control)
    if unknown := sorted(named - set(Control)):
        raise BadInput(f"--controls has {unknown[0]!r}; known are {', '.join(Control)}, or all.")
    return tuple(kind for kind in Control if kind in named)


def _say(note: str) -> None:
    """A remark beside the progress."""
    typer.echo(note, err=True)
