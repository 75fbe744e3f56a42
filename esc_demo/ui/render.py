"""The HTML of a pane's conversation. What people and models wrote is always shown as text."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from esc_demo.engine import Done, Failed, HistoryPolicy, Stopped
from esc_demo.models import FinishReason, ModelSpec
from esc_demo.models.registry import LoadPhase, LoadState
from esc_demo.models.specs import ModelCatalogue
from esc_demo.ui.session import PANE_NAMES, ChatSession, Exchange, PaneReply, ReplyState


@dataclass(frozen=True)
class PaneScene:
    """What a pane's log is drawn from, apart from the conversation."""

    pane: int
    spec: ModelSpec
    load: LoadState
    policy: HistoryPolicy
    catalogue: ModelCatalogue


def past_html(chat: ChatSession, scene: PaneScene) -> str:
    """All exchanges but the newest; changes only between rounds."""
    return "".join(_exchange(exchange, scene, newest=False) for exchange in chat.exchanges[:-1])


def live_html(chat: ChatSession, scene: PaneScene) -> str:
    """The newest exchange, or the empty pane's welcome."""
    if chat.last is None:
        return _welcome(scene)
    return _exchange(chat.last, scene, newest=True) + _coming(chat, scene)


def _coming(chat: ChatSession, scene: PaneScene) -> str:
    """Where the model stands that was picked for the next message."""
    reply = chat.last.latest(scene.pane) if chat.last else None
    tried = reply is not None and reply.request.pane.model == scene.spec.id
    if tried or chat.pane_is_writing(scene.pane):  # then the reply itself says it
        return ""
    match scene.load.phase:
        case LoadPhase.LOADING:
            return _warming(scene)
        case LoadPhase.FAILED:
            return _failed_load(scene)
        case _:
            return ""


def _failed_load(scene: PaneScene) -> str:
    return f'<div class="esc-error" role="alert">{escape(scene.load.note)}</div>'


def _exchange(exchange: Exchange, scene: PaneScene, *, newest: bool) -> str:
    parts = [_message("seeker", "You", exchange.seeker_text)]
    own = exchange.latest(scene.pane)
    shared = scene.policy is HistoryPolicy.SHARED
    foreign = shared and exchange.chosen is not None and exchange.chosen != scene.pane
    if own is not None:
        parts.append(_reply(own, scene, _mark(exchange, scene, newest), foreign and not newest))
    elif not foreign:
        parts.append('<p class="esc-hint">This pane was not open for this message.</p>')
    if foreign and not newest and (chosen := exchange.remembered(scene.pane, scene.policy)):
        mark = f"Reply of pane {PANE_NAMES[chosen.pane]}, remembered by every pane"
        parts.append(_reply(chosen, scene, mark, faded=False))
    return f'<div class="esc-exchange">{"".join(parts)}</div>'


def _mark(exchange: Exchange, scene: PaneScene, newest: bool) -> str:
    """The note on a reply about the shared history."""
    if scene.policy is not HistoryPolicy.SHARED or exchange.chosen is None:
        return ""
    if exchange.chosen == scene.pane:
        return "The conversation continues with this reply" if newest else "Remembered by all"
    return "" if newest else "Not remembered"


def _message(kind: str, who: str, text: str, extra: str = "", state: str = "") -> str:
    return (
        f'<article class="esc-msg esc-{kind} {state}"><div class="esc-who">{escape(who)}</div>'
        f'<div class="esc-text" dir="auto">{escape(text)}</div>{extra}</article>'
    )


def _reply(reply: PaneReply, scene: PaneScene, mark: str, faded: bool) -> str:
    """One attempt with its state."""
    config = reply.request.pane
    spec = scene.catalogue.specs.get(config.model)
    told = "" if config.prompt.enabled else " · no prompt"
    who = f"{spec.label if spec else config.model} · {config.context.label()}{told}"
    extra = f'<div class="esc-mark">{escape(mark)}</div>' if mark else ""
    text = reply.text
    match reply.state:
        case ReplyState.WAITING:
            return (
                f'<article class="esc-msg esc-supporter is-waiting">'
                f'<div class="esc-who">{escape(who)}</div>{_waiting(scene)}</article>'
            )
        case ReplyState.WRITING:
            return (
                '<article class="esc-msg esc-supporter is-writing">'
                f'<div class="esc-who">{escape(who)}</div><div class="esc-text" dir="auto">'
                f'{escape(text.lstrip())}<span class="esc-caret" aria-hidden="true"></span></div>'
                "</article>"
            )
        case ReplyState.FAILED:
            error = reply.outcome.error if isinstance(reply.outcome, Failed) else "Unknown error."
            extra = (
                '<div class="esc-error" role="alert"><strong>This reply failed.</strong> '
                f"{escape(error)}</div>{extra}"
            )
        case ReplyState.STOPPED:
            extra = f"{_meta(reply, 'stopped')}{extra}"
        case ReplyState.DONE:
            if not text:
                extra = f'<p class="esc-hint">The model ended without a word.</p>{extra}'
            extra = f"{_meta(reply)}{extra}"
    state = f"is-{reply.state}{' is-faded' if faded else ''}"
    return _message("supporter", who, text, extra, state)


def _meta(reply: PaneReply, note: str = "") -> str:
    """Tokens, seconds, seed and saving, small, under a reply."""
    bits: list[str] = []
    outcome = reply.outcome
    if note:
        bits.append(f'<span class="esc-flag">{escape(note)}</span>')
    if isinstance(outcome, Done | Stopped) and outcome.finish is not None:
        bits.append(f"{outcome.finish.new_tokens} tokens")
        if outcome.finish.reason is FinishReason.LENGTH:
            bits.append('<span class="esc-flag">cut at the length limit</span>')
    if outcome is not None:
        bits.append(f"{outcome.seconds:.1f} s")
    bits.append(f"seed {reply.request.params.seed}")
    if reply.seen is not None and (saved := reply.seen.tokens_saved):
        word = "saved" if saved > 0 else "added"
        bits.append(f"{word} {abs(saved):,} tokens")
    if reply.seen is not None and reply.seen.mismatch:
        bits.append("not asked as in training")
    if reply.seen is not None and reply.seen.dropped:
        bits.append(f"{reply.seen.dropped} oldest turns did not fit")
    if reply.attempt:
        bits.append(f"attempt {reply.attempt + 1}")
    return f'<div class="esc-meta">{" · ".join(bits)}</div>'


def _dots() -> str:
    return '<span class="esc-dots" aria-hidden="true"><i></i><i></i><i></i></span>'


def _waiting(scene: PaneScene) -> str:
    if scene.load.phase is LoadPhase.LOADING:
        return _warming(scene)
    return f'<p class="esc-hint">{_dots()} Reading what you wrote</p>'


def _warming(scene: PaneScene) -> str:
    note = f" {escape(scene.load.note)}" if scene.load.note else ""
    return (
        '<p class="esc-hint esc-warming"><span class="esc-spin" aria-hidden="true"></span>'
        f"<span>Warming up {escape(scene.spec.label)}.{note}</span></p>"
    )


def _welcome(scene: PaneScene) -> str:
    """The empty pane: what to try, and where its model stands."""
    match scene.load.phase:
        case LoadPhase.LOADING:
            status = _warming(scene)
        case LoadPhase.FAILED:
            status = _failed_load(scene)
        case LoadPhase.READY:
            note = scene.load.note or "Ready to listen."
            status = (
                '<p class="esc-hint"><span class="esc-ready" aria-hidden="true"></span>'
                f"{escape(note)}</p>"
            )
        case _:
            status = '<p class="esc-hint">The model loads with the first message.</p>'
    return (
        '<div class="esc-empty"><p class="esc-empty-title">What is on your mind?</p>'
        "<p>Pick a scenario or write in your own words; this pane answers in its own way.</p>"
        f"{status}</div>"
    )
