"""The Study tab: what blinded rating is, which studies there are, and how to make one."""

from __future__ import annotations

from html import escape

import gradio as gr

from annotations import Store
from annotations.studies.values import StudyMode, StudyStatus, StudyView
from esc_demo.errors import EscError
from esc_demo.ui.frames import notice_html
from esc_demo.ui.html import plain_html

STATUS_WORDS = {
    StudyStatus.DRAFT: "not open yet",
    StudyStatus.OPEN: "open",
    StudyStatus.PAUSED: "paused",
    StudyStatus.CLOSED: "closed",
}
_COLOURS = {
    StudyStatus.DRAFT: "is-preparing",
    StudyStatus.OPEN: "is-finished",
    StudyStatus.PAUSED: "is-interrupted",
    StudyStatus.CLOSED: "",
}
_MODES = {
    StudyMode.PAIRS: "two replies to one conversation, side by side",
    StudyMode.SINGLE: "one reply at a time",
    StudyMode.LIVE: "a chat with two partners at once",
}

_INTRO = """<section><h2>Blinded rating</h2>
<p>People read a conversation and judge the replies to it without knowing which model wrote them.
Neither the page nor anything it loads tells; sides and order are balanced by design, and names
are linked to answers only in the analysis.</p>
<ul><li><b>Consent, practice, rating.</b> First the consent text, then practice with feedback, then
one item a screen, by mouse or with the keys 0 to 5.</li>
<li><b>At your own pace.</b> Everything is saved as you go. Close the page at any time and come
back to the same item, on another device with the resume code.</li>
<li><b>Always your choice.</b> Any item can be skipped, and at any point you can withdraw your
answers. Some conversations are sad; sources of help stay in reach.</li></ul></section>"""

_MAKE = """<section><h2>Make a study</h2>
<p>A study is one YAML file: versions to compare, conversations, questions, consent text and the
plan of the analysis. Opening freezes it.</p>
<pre class="esc-prompt" tabindex="0">cp -r annotations/studies/examples my-study
python -m annotations study check  my-study/pairs.yaml
python -m annotations study power  my-study/pairs.yaml
python -m annotations study create my-study/pairs.yaml
python -m annotations study open   my-study/pairs.yaml</pre>
<p class="esc-hint">Whoever runs the page follows it on the Admin tab, or with
<code>python -m annotations study status</code>.</p></section>"""

_EMPTY = """<div class="esc-run-empty"><p class="esc-empty-title">No study is running here</p>
<p>Once one is stored in this page's database, it appears here with the link to take part.</p></div>
"""

_LOOKING = '<p class="esc-hint" role="status">Looking for studies…</p>'


def build_studies(tab: gr.Tab, store: Store) -> None:
    """Lay out and wire the tab in the present block; studies are listed when it is opened."""
    with gr.Column(elem_classes="esc-about"):
        plain_html(_INTRO)
        plain_html("<h2>Studies</h2>")
        listed = plain_html(_LOOKING, elem_id="studies")
        plain_html(_MAKE)
    tab.select(
        lambda: studies_html(store),
        None,
        listed,
        show_progress="hidden",
        api_visibility="private",
    )


def studies_html(store: Store) -> str:
    """All studies, those that need people first."""
    try:
        found = store.desk().studies()
    except EscError as error:
        return notice_html(str(error))
    order = [StudyStatus.OPEN, StudyStatus.PAUSED, StudyStatus.DRAFT, StudyStatus.CLOSED]
    return "".join(map(_card, sorted(found, key=lambda one: order.index(one.status)))) or _EMPTY


def state_badge(status: StudyStatus) -> str:
    """The status in a word; the colour only repeats it."""
    return f'<span class="esc-state {_COLOURS[status]}">{STATUS_WORDS[status]}</span>'


def _card(view: StudyView) -> str:
    """One study with its link."""
    share = min(view.submitted / view.needed, 1.0) if view.needed else 0.0
    return (
        '<article class="esc-study"><div class="esc-run-head">'
        f"<h3>{escape(view.title)}</h3>{state_badge(view.status)}</div>"
        f'<p class="esc-meta">{escape(view.slug)} · {_MODES[view.mode]} ·'
        f" {view.submitted:,} of {view.needed:,} answers</p>"
        f'<div class="esc-bar" role="img" aria-label="{share:.0%} of the answers are there">'
        f'<span style="width:{share:.1%}"></span></div>{_way_in(view)}</article>'
    )


def _way_in(view: StudyView) -> str:
    """The link to take part; where there is none, why."""
    link = f"study/{escape(view.slug)}"
    if view.status is StudyStatus.OPEN:
        return (
            f'<p><a class="esc-take-part" href="{link}" target="_blank" rel="noopener">Take part'
            "</a></p>"
        )
    if view.status is StudyStatus.PAUSED:
        return (
            '<p class="esc-hint">Nothing new is given out for now. Whoever has begun may'
            f' <a href="{link}" target="_blank" rel="noopener">go on to their page</a>.</p>'
        )
    if view.status is StudyStatus.DRAFT:
        return '<p class="esc-hint">Its link works once it has been opened.</p>'
    return (
        '<p class="esc-hint">No more answers are taken. Thank you to everybody who took part.</p>'
    )
