"""The About tab: what is compared here, on which data and papers, under which terms."""

from __future__ import annotations

from html import escape

from esc_demo import __version__
from esc_demo.models.specs import ModelCatalogue, ModelSpec
from esc_demo.ui.html import plain_html

_TEXT = f"""
<section><h2>What this is for</h2>
<p>Emotional-support models are usually compared on paper. Here the base model, its LoRA
adapter and its full fine-tune answer the same message at the same time, with the same prompt
and the same seed, and you decide live how much of the conversation each of them remembers.
People rate what they read; every reply is kept with all it takes to write it again.</p></section>

<section><h2>What a model remembers</h2>
<dl class="esc-terms">
<div><dt>Raw</dt><dd>The conversation as it was said.</dd></div>
<div><dt>KeyPOS</dt><dd>Only nouns, verbs, adjectives, adverbs, prepositions, proper nouns,
numerals, subordinating conjunctions and pronouns. The word "not" is none of these, so it goes
too, unless you keep negations.</dd></div>
<div><dt>NoStopwords</dt><dd>Words without NLTK's English stopwords, which also include no, nor
and not.</dd></div>
</dl>
<p>By default the message being answered is sent as typed and joins the shortened memory with
the next turn. Switching renders the whole history anew; what was said is never altered.</p>
</section>

<section><h2>Papers</h2><ul>
<li>S. Wang, R. Fang, Z. He, S. Song and Y. Li: <i>Emotional Support with LLM-based Empathetic
Dialogue Generation</i> (NLPCC 2025 Task 8). The structured prompt of role, objective, user
profile and guidelines.</li>
<li><i>Leveraging Large Language Models for Emotionally Supportive Chatbots</i> (anonymous ACL
submission). The context representations, the generation parameters and the four rated
dimensions.</li>
<li>S. Liu et al.: <i>Towards Emotional Support Dialog Systems</i> (ACL 2021). ESConv and the
terms seeker and supporter.</li></ul></section>

<section><h2>Data</h2>
<p>The LoRA adapter and the full fine-tune were trained on support dialogues written for this
project. ESConv (CC BY-NC 4.0), ExTES and the NLPCC 2025 data are not part of it; the
scenarios and the people in them are invented.</p></section>

<section><h2>What is stored</h2>
<p>Messages, replies (finished, stopped or failed), their settings, ratings and comments go to
the database of whoever runs this page. Raters get a random number for each visit and no name.
Clearing the page does not delete what was stored.</p></section>

<section><h2>Limits and licence</h2>
<p>The default model is very small so that it runs on any laptop; it will misread people. This
is a research instrument: not a therapist, not a crisis line. Each model keeps its own licence,
listed above. Version {__version__}.</p></section>
"""


def build_about(catalogue: ModelCatalogue) -> None:
    """Lay out the tab in the present block."""
    rows = "".join(map(_row, catalogue.specs.values()))
    plain_html(
        '<div class="esc-about"><section><h2>Models</h2><div class="esc-table" tabindex="0"'
        ' role="region" aria-label="Models"><table><thead><tr><th>Model</th><th>Made from</th>'
        "<th>Variant</th><th>Weights</th><th>Window</th><th>Licence</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>{_TEXT}</div>"
    )


def _row(spec: ModelSpec) -> str:
    where = " · needs a GPU" if spec.needs_gpu else ""
    cells = (
        f"{spec.label}{where}",
        spec.base,
        spec.variant.value,
        "full precision" if spec.quantisation == "none" else spec.quantisation.value,
        f"{spec.context_length:,}",
        spec.licence or "not stated",
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
