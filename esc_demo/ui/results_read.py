"""Reading replies: the list of what every run answered, and one of them side by side.

What people and models wrote is always shown as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any

from esc_demo.ui.results_table import direction

if TYPE_CHECKING:  # the scorer is imported when a table is first asked for
    from esc_demo.ui.results_score import Item, Scored

PAGE = 10
"""Items on a page of the list."""

DEFAULT_METRIC = "ROUGE-L"
"""What is sorted by where the chosen metric says nothing of a single reply."""

_EXCERPT = 110
_WHO = {"system": "Prompt", "user": "Seeker", "assistant": "Supporter"}
_ENDED = {
    "failed": "This reply failed.",
    "refused": "The model declined.",
    "content_filtered": "The endpoint withheld it, or a part of it.",
    "too_long": "The prompt did not fit the model's window.",
}

PICK_JS = """
const rows = () => [...element.querySelectorAll('tr[data-item]')];
element.addEventListener('click', (event) => {
  const row = event.target.closest('tr[data-item]');
  if (!row) return;
  for (const other of rows()) other.removeAttribute('aria-current');
  row.setAttribute('aria-current', 'true');
  row.querySelector('button').focus({ preventScroll: true });
  trigger('click', { item: Number(row.dataset.item) });
});
element.addEventListener('keydown', (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = event.target.closest('tr[data-item]');
  const next = step && row && rows()[rows().indexOf(row) + step];
  if (!next) return;
  event.preventDefault();
  next.querySelector('button').focus();
});
"""
"""Tells the server which row was clicked; the arrow keys go from row to row."""


class Order(StrEnum):
    """How the list is sorted, in the words of the page."""

    DATA = "As in the data"
    WORST = "Worst first"
    BEST = "Best first"
    APART = "Runs differ most"


@dataclass(frozen=True)
class Listed:
    """A page of the list."""

    html: str
    page: int
    """From 0, moved into range."""
    pages: int


def sort_metric(scored: Scored, metric: str) -> str:
    """The metric a list can be sorted by: the chosen one, or the default."""
    return metric if all(metric in values for values in scored.each.values()) else DEFAULT_METRIC


def chosen_items(scored: Scored, find: str, order: str, metric: str) -> list[int]:
    """Numbers of the items whose dialogue's id holds `find`, sorted."""
    wanted = find.strip().casefold()
    found = [
        number
        for number, item in enumerate(scored.items)
        if not wanted or wanted in item.key.dialogue.casefold()
    ]
    if order == Order.DATA:
        return found
    by = sort_metric(scored, metric)
    values = [scored.each[run.label][by] for run in scored.runs]
    if order == Order.APART:
        return sorted(found, key=lambda at: min(v[at] for v in values) - max(v[at] for v in values))
    sense = (direction(by) or 1) * (1 if order == Order.WORST else -1)
    return sorted(found, key=lambda at: sense * sum(v[at] for v in values))


def list_html(
    scored: Scored, find: str, order: str, metric: str, page: int, current: int | None
) -> Listed:
    """The page of the list that was asked for, or the nearest there is."""
    found = chosen_items(scored, find, order, metric)
    pages = max(1, -(-len(found) // PAGE))
    page = min(max(0, page), pages - 1)
    by = sort_metric(scored, metric)
    if not found:
        said = f"No dialogue's id contains “{escape(find.strip())}”."
        return Listed(f'<p class="esc-hint" role="status">{said}</p>', 0, 1)
    head = "".join(f'<th scope="col">{escape(run.label)}</th>' for run in scored.runs)
    body = "".join(
        _row(scored, at, by, current=at == current) for at in found[page * PAGE : (page + 1) * PAGE]
    )
    of = f" of {len(scored.items):,}" if len(found) < len(scored.items) else ""
    return Listed(
        f'<p class="esc-hint">{len(found):,}{of} replies, page {page + 1:,} of {pages:,}. Figures:'
        f" {escape(by)} of the single reply. Choose one to read it.</p>"
        '<div class="esc-table esc-scores esc-items" role="region" aria-label="Replies"><table>'
        f'<thead><tr><th scope="col">Reply</th>{head}<th scope="col">Reference</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>",
        page,
        pages,
    )


def _row(scored: Scored, at: int, by: str, *, current: bool) -> str:
    """A line of the list; its button is what the keyboard finds."""
    item = scored.items[at]
    cells = "".join(f"<td>{scored.each[run.label][by][at]:.1f}</td>" for run in scored.runs)
    text = " ".join(item.reference.split())
    excerpt = text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"
    mark = ' aria-current="true"' if current else ""
    return (
        f'<tr data-item="{at}"{mark}><th scope="row"><button type="button">'
        f"<b>{escape(item.key.dialogue)}</b><small>{_place(item)}</small></button></th>{cells}"
        f'<td class="esc-excerpt" dir="auto">{escape(excerpt)}</td></tr>'
    )


def _place(item: Item) -> str:
    """Such as "reply 2 of 7"."""
    return f"reply {item.key.number + 1} of {item.of}"


def read_html(scored: Scored, at: int, metric: str) -> str:
    """History, reference and the reply of every run.

    Raises:
        BadInput: a file has changed since it was scored.
    """
    item = scored.items[at]
    records = [run.read(item.key) for run in scored.runs]
    by = sort_metric(scored, metric)
    cards = [_reference(item, records[0])]
    for run, record in zip(scored.runs, records, strict=True):
        figure = f"{by} {scored.each[run.label][by][at]:.2f}"
        cards.append(_card(run.label, record, figure))
    return (
        f'<section class="esc-reader" aria-label="Replies side by side"><h3>'
        f"{escape(item.key.dialogue)}, {_place(item)}</h3>{_history(scored, records)}"
        f'<div class="esc-replies">{"".join(cards)}</div></section>'
    )


def _history(scored: Scored, records: Sequence[dict[str, Any]]) -> str:
    """What was said before: as a run with the whole text was shown it, where there is one."""
    shown = [
        (run, record)
        for run, record in zip(scored.runs, records, strict=True)
        if record.get("messages")
    ]
    if not shown:
        return '<p class="esc-hint">No run was shown a history here.</p>'
    run, record = min(shown, key=lambda pair: not pair[0].context.startswith("Raw"))
    said = [one for one in record["messages"] if one["role"] != "system"]
    note = f"as {escape(run.label)} was shown it"
    *earlier, last = said or [{"role": "user", "content": ""}]
    before = (
        f'<details class="esc-log-lines" open><summary>{len(earlier)} earlier messages, {note}'
        f'</summary><div class="esc-behind" tabindex="0" role="region" aria-label="History">'
        f"{_messages(earlier)}</div></details>"
        if earlier
        else f'<p class="esc-hint">The dialogue begins here ({note}).</p>'
    )
    return before + _messages([last])


def _messages(messages: Sequence[dict[str, Any]]) -> str:
    """Messages of a conversation."""
    return "".join(
        f'<article class="esc-msg esc-{"seeker" if one["role"] == "user" else "supporter"}">'
        f'<div class="esc-who">{escape(_WHO.get(one["role"], str(one["role"])))}</div>'
        f'<div class="esc-text" dir="auto">{escape(str(one["content"]))}</div></article>'
        for one in messages
    )


def _reference(item: Item, record: dict[str, Any]) -> str:
    """What a person answered."""
    labels = (record.get("strategy"), record.get("emotion"), record.get("problem"))
    told = " · ".join(str(label) for label in labels if label)
    return (
        '<article class="esc-answer is-reference"><h4>Reference</h4>'
        f'<div class="esc-text" dir="auto">{escape(item.reference)}</div>'
        f'<p class="esc-meta">{escape(told or "no labels")}</p></article>'
    )


def _card(label: str, record: dict[str, Any], figure: str) -> str:
    """The reply of a run, with its figures and what the run was shown."""
    text, status = str(record["hypothesis"]), str(record["status"])
    if status == "ok":
        problem = "" if text.strip() else '<p class="esc-hint">The model ended without a word.</p>'
    else:
        why = escape(str(record.get("error") or ""))
        problem = f'<div class="esc-error"><b>{_ENDED.get(status, escape(status))}</b> {why}</div>'
    bits = [figure]
    if record.get("new_tokens") is not None:
        bits.append(f"{record['new_tokens']} tokens")
    if record.get("prompt_tokens") is not None:
        bits.append(f"prompt {record['prompt_tokens']:,} of {record['prompt_tokens_raw']:,} tokens")
    if record.get("dropped_turns"):
        bits.append(f"{record['dropped_turns']} oldest turns did not fit")
    seen = "\n\n".join(
        f"{_WHO.get(one['role'], one['role'])}: {one['content']}"
        for one in record.get("messages") or ()
    )
    shown = (
        '<details class="esc-log-lines"><summary>What it was shown</summary>'
        f'<pre class="esc-prompt" tabindex="0" dir="auto">{escape(seen)}</pre></details>'
        if seen
        else ""
    )
    return (
        f'<article class="esc-answer"><h4>{escape(label)}</h4>'
        f'<div class="esc-text" dir="auto">{escape(text)}</div>{problem}'
        f'<p class="esc-meta">{escape(" · ".join(bits))}</p>{shown}</article>'
    )
