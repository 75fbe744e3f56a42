"""The drawer "What the model saw": figures, the words left out, and the exact prompt."""

from __future__ import annotations

from html import escape

from esc_demo.contexts import DiffOp, DiffRun, diff_words
from esc_demo.dialogue import Role, ViewedTurn
from esc_demo.engine import Seen
from esc_demo.ui.session import PaneReply

EMPTY = (
    '<p class="esc-hint">Nothing was sent yet. After the next message, the exact prompt, every'
    " word that was left out and the token count appear here.</p>"
)

_TAGS = {DiffOp.KEPT: "span", DiffOp.DROPPED: "del", DiffOp.ADDED: "ins"}


def seen_html(reply: PaneReply | None) -> str:
    """The contents of the drawer for a pane's newest reply."""
    if reply is None or reply.seen is None:
        return EMPTY
    seen = reply.seen
    return (
        f'<div class="esc-seen">{_figures(seen)}{_notes(seen)}'
        f"<h4>Word by word</h4>{_legend()}{''.join(map(_turn, seen.view.turns))}"
        "<h4>The exact prompt</h4>"
        f'<pre class="esc-prompt" tabindex="0" dir="auto">{escape(seen.prompt.text)}</pre>'
        f'<p class="esc-meta">prompt {escape(seen.prompt_hash)} · template'
        f" {escape(seen.template_hash[:12])} · model {escape(seen.model_revision[:24])}</p></div>"
    )


def _figures(seen: Seen) -> str:
    """Tokens raw, sent and saved, and the share of the window as a bar."""
    saved = seen.tokens_saved
    share = 100 * seen.prompt.tokens / seen.window
    percent = f" ({100 * saved / seen.tokens_raw:.0f}%)" if saved and seen.tokens_raw else ""
    return (
        '<dl class="esc-figures">'
        f"<div><dt>Raw</dt><dd>{seen.tokens_raw:,}</dd></div>"
        f"<div><dt>Sent</dt><dd>{seen.prompt.tokens:,}</dd></div>"
        f"<div><dt>Saved</dt><dd>{saved:,}{percent}</dd></div></dl>"
        f'<div class="esc-bar" role="img" aria-label="{share:.0f}% of the context window used">'
        f'<span style="width:{min(share, 100):.1f}%"></span></div>'
        f'<p class="esc-meta">tokens · {share:.0f}% of the {seen.window:,}-token window</p>'
    )


def _notes(seen: Seen) -> str:
    """What was left out as a whole."""
    notes: list[str] = []
    if seen.dropped:
        notes.append(f"{seen.dropped} oldest turns did not fit the window and were dropped.")
    if seen.view.outside_window:
        notes.append(f"{seen.view.outside_window} older turns were left out by last-k.")
    if seen.mismatch:
        notes.append(
            f"Not asked as in its training: this reply had {escape(' and '.join(seen.mismatch))}."
        )
    return "".join(f'<p class="esc-note">{note}</p>' for note in notes)


def _legend() -> str:
    return '<p class="esc-legend"><span>kept</span> <del>left out</del> <ins>added</ins></p>'


def _turn(turn: ViewedTurn) -> str:
    who = "You" if turn.raw.role is Role.SEEKER else "Reply"
    if not turn.changed:
        words = f'<span dir="auto">{escape(turn.text)}</span> <em class="esc-same">as said</em>'
    else:
        runs = " ".join(map(_run, diff_words(turn.raw.text, turn.text)))
        words = f'<span dir="auto">{runs}</span>'
    return f'<div class="esc-diff"><b>{who}</b> {words}</div>'


def _run(run: DiffRun) -> str:
    tag = _TAGS[run.op]
    return f"<{tag}>{escape(run.text)}</{tag}>"
