"""`python -m esc_demo`: set the lab up, ask for replies, run benchmarks. The page's own engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from esc_demo.assets import missing
from esc_demo.contexts import ContextKind, ContextSpec, Scope
from esc_demo.dialogue import Role, Turn, clean_message
from esc_demo.engine import Done, Failed, PaneConfig, Request, Seen, Stopped, side_by_side
from esc_demo.errors import AssetError, BadInput, EscError
from esc_demo.history import load_history
from esc_demo.models import GenerationParams, ModelSpec, StopSignal
from esc_demo.models.registry import ModelRegistry
from esc_demo.prompts import PromptTemplate
from esc_demo.settings import Settings, get_settings
from esc_demo.startup import make_registry, set_up

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
bench_app = typer.Typer(no_args_is_help=True, help="Measure what the documentation claims.")
app.add_typer(bench_app, name="bench")

_PARAMS = GenerationParams()


@app.command()
def setup() -> None:
    """Fetch weights and language data into the cache; quick when everything is there."""
    settings = get_settings()
    set_up(settings, _say)
    typer.echo(f"Ready: weights and language data are in {settings.cache_dir}.")


@app.command()
def reply(
    text: Annotated[str, typer.Argument(help="The seeker's message")],
    variants: Annotated[
        str | None, typer.Option(help="Ids of models.yaml, comma-separated, e.g. base,lora,full")
    ] = None,
    context: Annotated[
        ContextKind, typer.Option(help="How the conversation is remembered")
    ] = ContextKind.RAW,
    keep_negation: Annotated[
        bool, typer.Option("--keep-negation", help="KeyPOS and NoStopwords: keep not, no, never")
    ] = False,
    scope: Annotated[
        Scope, typer.Option(help="Transform earlier turns only, or TEXT too")
    ] = Scope.EARLIER,
    last_k: Annotated[
        int | None, typer.Option(help="Send only the newest K utterances, TEXT included")
    ] = None,
    prompt: Annotated[
        bool, typer.Option("--prompt/--no-prompt", help="Send the structured prompt")
    ] = True,
    seed: Annotated[int, typer.Option(help="Same seed, messages, parameters: same reply")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy")] = _PARAMS.temperature,
    top_p: Annotated[float, typer.Option(help="Nucleus; 1 is off")] = _PARAMS.top_p,
    top_k: Annotated[int, typer.Option(help="Candidates; 0 is off")] = _PARAMS.top_k,
    max_new_tokens: Annotated[
        int, typer.Option(help="Longest reply, in tokens")
    ] = _PARAMS.max_new_tokens,
    history: Annotated[
        Path | None, typer.Option(help="JSON array of earlier turns (own schema or ExTES)")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each variant")
    ] = False,
) -> None:
    """Answer TEXT with several variants side by side; exit code 1 when one of them failed."""
    settings = get_settings()
    models = make_registry(settings)
    pane_ids = _pane_ids(variants, models, settings)
    turns = (*(load_history(history) if history else ()), Turn(Role.SEEKER, clean_message(text)))
    spec = ContextSpec(context, keep_negation, scope, last_k)
    template = PromptTemplate() if prompt else PromptTemplate.off()
    params = GenerationParams(temperature, top_p, top_k, max_new_tokens, seed)
    requests = [
        Request(PaneConfig(name, spec, template), turns, params=params) for name in pane_ids
    ]
    failed = False
    for record in _records(requests, models):
        failed |= record["status"] == "failed"
        typer.echo(json.dumps(record, ensure_ascii=False) if as_json else _readable(record))
    if failed:
        raise typer.Exit(1)


@bench_app.command()
def panes() -> None:
    """Three panes at once against the same three in plain float32, one after another.

    Exit code 1 when the ratio is below 2 or a neighbour changed a reply.
    """
    from esc_demo import bench  # noqa: PLC0415 (only this command needs it)

    settings = get_settings()
    models = make_registry(settings)
    _require_weights([models.catalogue[name] for name in bench.PANES], settings)
    result = bench.panes(models)
    typer.echo(json.dumps(bench.report(result), indent=2))
    if not bench.holds(result):
        raise typer.Exit(1)


def _say(note: str) -> None:
    """Progress of a long step."""
    typer.echo(note, err=True)


def _pane_ids(variants: str | None, models: ModelRegistry, settings: Settings) -> tuple[str, ...]:
    """The models asked for, checked.

    Raises:
        BadInput: none, or more than fit side by side.
        ConfigError: one is unknown.
        AssetError: their weights are not set up.
    """
    if variants is None:
        names = models.catalogue.default_panes
    else:
        names = tuple(name.strip() for name in variants.split(",") if name.strip())
    if not 1 <= len(names) <= settings.max_panes:
        raise BadInput(f"--variants names {len(names)} models; 1 to {settings.max_panes} can run.")
    _require_weights([models.catalogue[name] for name in names], settings)
    return names


def _require_weights(specs: Sequence[ModelSpec], settings: Settings) -> None:
    """Say at once, and once, that the set-up is still to do.

    Raises:
        AssetError: a base of `specs` is an asset that is not in the cache.
    """
    bases = {spec.base for spec in specs}
    absent = [asset.title for asset in missing(settings) if asset.hub in bases]
    if absent and not settings.scripted:
        raise AssetError(
            f"The {' and the '.join(absent)} are not in {settings.cache_dir}. Run"
            " `python -m esc_demo setup` first."
        )


def _records(requests: Sequence[Request], models: ModelRegistry) -> Iterator[dict[str, Any]]:
    """Run the requests side by side; one record each, in the order asked for."""
    seen: dict[int, Seen] = {}
    outcomes: dict[int, Done | Stopped | Failed] = {}
    for index, event in side_by_side(requests, models, [StopSignal() for _ in requests]):
        if isinstance(event, Seen):
            seen[index] = event
        elif isinstance(event, (Done, Stopped, Failed)):
            outcomes[index] = event
    for index, request in enumerate(requests):
        spec = models.catalogue[request.pane.model]
        yield _record(spec, request, seen.get(index), outcomes[index])


def _record(
    spec: ModelSpec, request: Request, seen: Seen | None, outcome: Done | Stopped | Failed
) -> dict[str, Any]:
    """Everything about one reply, as a JSON object; only `seconds` differs between two runs."""
    finish = None if isinstance(outcome, Failed) else outcome.finish
    return {
        "variant": spec.variant,
        "model": spec.id,
        "reply": outcome.text,
        "status": type(outcome).__name__.lower(),
        "error": outcome.error if isinstance(outcome, Failed) else None,
        "finish": finish.reason if finish else None,
        "messages": [asdict(message) for message in seen.messages] if seen else None,
        "prompt_tokens_raw": seen.tokens_raw if seen else None,
        "prompt_tokens": seen.prompt.tokens if seen else None,
        "new_tokens": finish.new_tokens if finish else None,
        "seconds": round(outcome.seconds, 3),
        "seed": request.params.seed,
        "context": asdict(request.pane.context),
        "model_revision": seen.model_revision if seen else None,
        "template_hash": seen.template_hash if seen else None,
        "prompt_hash": seen.prompt_hash if seen else None,
        "dropped_turns": seen.dropped if seen else None,
        "unlike_training": list(seen.mismatch) if seen else None,
    }


def _readable(record: dict[str, Any]) -> str:
    """A record as a paragraph for people."""
    title = f"── {record['model']} ({record['variant']})"
    if record["status"] == "failed":
        return f"{title}: failed\n{record['error']}\n"
    saved = record["prompt_tokens_raw"] - record["prompt_tokens"]
    facts = (
        f"{record['prompt_tokens']} prompt tokens ({saved} fewer than raw),"
        f" {record['new_tokens']} new, {record['seconds']} s"
    )
    return f"{title}: {facts}\n{record['reply']}\n"


def main() -> None:
    """Run the command; errors fit for people are one line and exit code 2."""
    try:
        app(prog_name="python -m esc_demo")
    except EscError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
