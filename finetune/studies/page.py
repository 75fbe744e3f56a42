"""The page of a study, in Markdown; everything on it comes from the files of the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esc_demo.contexts import ContextSpec
from finetune.metrics.bootstrap import Interval
from finetune.metrics.tables import Row
from finetune.studies.effects import Estimate, Question
from finetune.studies.grid import Source
from finetune.studies.outcomes import OUTCOMES
from finetune.studies.reading import CANNOT, Finding, findings
from finetune.studies.results import Part, Results

COLUMNS = (
    ("PPL", "Perplexity", 1),
    ("Bits/byte", "Bits per byte", 3),
    ("B-2", "BLEU-2", 2),
    ("B-4", "BLEU-4", 2),
    ("R-L", "ROUGE-L", 2),
    ("METEOR", "METEOR", 2),
    ("D-2", "Distinct-2", 1),
    ("Reply tokens", "Length", 1),
    ("Tokens kept (%)", "Tokens kept", 1),
    ("Prompts whole (%)", "Fits window", 0),
)
"""Heading, metric and decimals of the main table."""

_ARROWS = {1: "better", -1: "worse", 0: ""}


@dataclass(frozen=True)
class About:
    """What made the page."""

    command: str
    date: str
    grid_file: str
    grid_hash: str


def page(results: Results, about: About) -> str:
    """The whole page."""
    parts = [_head(results, about)]
    parts += [_data_set(part) for part in results.parts]
    parts += [_missing(source) for source in results.missing]
    parts.append(_limits(results))
    return "\n\n".join(parts) + "\n"


def _head(results: Results, about: About) -> str:
    """What was run, and how to read it."""
    grid = results.grid
    contexts = ", ".join(entry.spec.label() for entry in grid.contexts)
    prompts = ", ".join("on" if on else "off" for on in grid.prompt)
    profile = "with" if grid.profile else "without"
    how = "greedy" if grid.greedy else f"sampled, seed {grid.seed}"
    lines = [
        "# Results: prompt, fine-tuning and context, each with the others held equal",
        "",
        f"Made whole by `{about.command}` on {about.date}; do not edit by hand. Full precision is"
        " in `results.json` and `results.csv` beside the replies.",
        "",
        f"- Grid {grid.name} ({about.grid_file}, {about.grid_hash}): models"
        f" {', '.join(grid.models)}; structured prompt {prompts} ({profile} the seeker's profile);"
        f" contexts {contexts}: {_count(grid.models, grid.prompt, grid.contexts)} conditions.",
        f"- Each reply follows the data's own history; {how}; at most {grid.max_new_tokens} tokens."
        " Adjacent turns of one speaker are merged.",
        "- Perplexity and bits per byte: the same references behind the very prompts that were"
        f" sent, end token included, {_arithmetic(results)}.",
        f"- Intervals are 95%, bootstrap over dialogues, seed {grid.seed}: percentiles of"
        f" {_replicates(results)} replicates in the columns of the main table that `score` has too,"
        f" elsewhere expanded percentiles of {grid.replicates:,} (Hesterberg, 2015), which make up"
        " for the small number of dialogues.",
        *_versions(results),
    ]
    return "\n".join(lines)


def _count(*lists: Sequence[object]) -> int:
    """How many combinations there are."""
    total = 1
    for found in lists:
        total *= len(found)
    return total


def _arithmetic(results: Results) -> str:
    """In what losses were measured."""
    found = {loss.arithmetic for part in results.parts for loss in part.losses if loss is not None}
    if not found:
        return "not measured, since these models tell no likelihoods"
    said = " and ".join(sorted(found))
    return f"weights in {said} (replies are written with the weights that are served)"


def _replicates(results: Results) -> str:
    """Of the main tables."""
    return f"{results.parts[0].table.header['intervals']['replicates']:,}"


def _versions(results: Results) -> list[str]:
    """Packages and models."""
    packages: dict[str, str] = {}
    models: dict[str, str] = {}
    for part in results.parts:
        packages |= part.table.header["versions"]
        for condition, run in zip(part.conditions, part.runs, strict=True):
            packages |= run.header["versions"]
            model = run.header["model"]
            models[condition.short_model] = f"{model['revision']} ({_weights(model)})"
    told = ", ".join(f"{name} {number}" for name, number in sorted(packages.items()))
    return [
        f"- Versions: {told}.",
        f"- Models, by revision: {'; '.join(f'{name} {said}' for name, said in models.items())}.",
    ]


def _weights(model: dict[str, object]) -> str:
    """What is known of a model's weights."""
    words = [str(model[key]) for key in ("base", "quantisation", "device", "url") if key in model]
    return ", ".join(words) or str(model["kind"])


def _data_set(part: Part) -> str:
    """Everything about one data set."""
    head = part.table.header
    protocol = head["protocol"]
    each = "1 reply" if part.entry.replies == 1 else f"{part.entry.replies} replies"
    flagged = sum(bool(run.header["condition"]["unlike_training"]) for run in part.runs)
    lines = [
        f"## {part.entry.title}",
        "",
        f"{head['pairs']} replies of {head['dialogues']} dialogues in every row:"
        f" {protocol['dialogues']} dialogues evenly spaced over the file's"
        f" {protocol.get('evenly_spaced_of', protocol['dialogues'])}, {each} of each."
        f" File {head['data']['name']}, SHA-256 {head['data']['file_sha256'][:12]};"
        f" protocol {head['protocol_hash']}. Baselines take their replies from"
        f" {head['baselines']['train']}.",
        "",
        f"### {part.entry.title}: every condition",
        "",
        _main(part),
        "",
        *_remarks(part, flagged),
        "",
        f"### {part.entry.title}: main effects",
        "",
        _effects_words(part),
        "",
        _effects(part),
        "",
        f"### {part.entry.title}: quality against tokens kept",
        "",
        "Means over the models. *Room*: how many utterances take the room of one in Raw.",
        "",
        _trades(part),
        "",
        f"### {part.entry.title}: reading",
        "",
        *_findings(findings(part)),
    ]
    return "\n".join(lines).rstrip()


def _main(part: Part) -> str:
    """The table of all conditions and the baselines."""
    heads = ["Model", "Context", "Prompt", *(head for head, _, _ in COLUMNS)]
    lines: list[list[str]] = []
    for place, (condition, row) in enumerate(zip(part.conditions, part.rows, strict=True)):
        start = [condition.short_model, condition.context.label(), condition.switch]
        lines.append([*start, *_cells(row, part.loss_intervals[place])])
    for row in part.baselines:
        lines.append([row.label, "", "", *_cells(row, {})])
    return markdown_table(heads, lines, texts=3)


def _cells(row: Row, losses: dict[str, Interval]) -> list[str]:
    """The figures of one row."""
    found: list[str] = []
    for _, metric, digits in COLUMNS:
        spoken = not (metric == "Distinct-2" and row.about.get("empty"))
        between = losses.get(metric) or row.intervals.get(metric)
        value = row.values.get(metric) if spoken else None
        found.append(number(value, between, digits))
    return found


def _remarks(part: Part, flagged: int) -> list[str]:
    """Why cells are empty, and what else a reader must know."""
    shown = {metric: head for head, metric, _ in COLUMNS}
    reasons: dict[str, list[str]] = {}
    for row in part.rows:
        for metric, why in row.missing.items():
            heads = reasons.setdefault(why, [])
            if metric in shown and shown[metric] not in heads:
                heads.append(shown[metric])
    said = [f"- {', '.join(heads)}: empty; {why}." for why, heads in reasons.items() if heads]
    if any(row.about.get("empty") for row in part.rows):
        said.append("- D-2 is left empty where a reply is: it compares at equal counts only.")
    # What differences to the first row the scorer left out is of no interest here.
    said += [f"- {note}" for note in part.table.notes if "not compared with" not in note]
    if flagged:
        said.append(
            f"- {flagged} of the {len(part.runs)} conditions ask a fine-tuned model otherwise than"
            " it was trained (another context, or no structured prompt)."
        )
    return said or ["- Nothing is missing."]


def _effects_words(part: Part) -> str:
    """What the table of effects holds."""
    names = ", ".join(one.name for one in OUTCOMES if one.name in part.measured.values)
    absent = [one.name for one in OUTCOMES if one.name not in part.measured.values]
    left = sum(part.measured.left_out.values())
    return (
        "Paired differences within each dialogue, averaged over the other factors; every dialogue"
        " counts once; p from flipping the signs of the dialogues' differences."
        f" Outcomes named beforehand: {names or 'none'}"
        + (f" ({', '.join(absent)} could not be had)" if absent else "")
        + f". p is corrected by Holm over the family of all {len(part.estimates)} comparisons of"
        " this data set. Of bits per byte less is better, of the others more."
        + (f" {left} dialogues lack a value somewhere and are left out." if left else "")
    )


def _effects(part: Part) -> str:
    """One line a comparison, in groups."""
    lines: list[list[str]] = []
    for question in Question:
        for one in part.estimates:
            if one.effect.question is question:
                lines.append([question.value, *_effect_cells(one)])
    heads = ["Question", "Comparison", "Outcome", "Difference", "p (Holm)", "Interval without 0"]
    return markdown_table(heads, lines, texts=3)


def _effect_cells(one: Estimate) -> list[str]:
    """The figures of a comparison."""
    digits = one.outcome.digits
    change = f"{one.value:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
    held = _ARROWS[one.direction]
    return [one.effect.label, one.outcome.name, change, f"{one.p_holm:.4f}", held]


def _trades(part: Part) -> str:
    """Contexts by what they cost and save."""
    outcomes = [one for one in OUTCOMES if one.name in part.measured.values]
    heads = ["Context", "Prompt", "Prompt tokens", "Tokens kept (%)", "Tokens an utterance"]
    heads += ["Room", *(one.name for one in outcomes)]
    lines = [
        [
            one.context.label(),
            "on" if one.prompt else "off",
            _interval(one.prompt_tokens, 0),
            _interval(one.kept, 1),
            _interval(one.utterance, 1),
            "1" if one.context == ContextSpec() else _interval(one.room, 2),
            *(_interval(one.quality.get(outcome.name), outcome.digits) for outcome in outcomes),
        ]
        for one in part.trades
    ]
    return markdown_table(heads, lines, texts=2)


def _findings(found: Sequence[Finding]) -> list[str]:
    """Claims with what speaks for and against them."""
    lines: list[str] = []
    for one in found:
        lines.append(f"- **{one.verdict}** · {one.claim}")
        lines += [f"  - {said}." for said in one.evidence]
    return lines


def _missing(source: Source) -> str:
    """How to add a data set that is not shipped."""
    entry = source.entry
    lines = [
        f"## {entry.title}",
        "",
        f"Left out: this data set is not shipped with the project. Get it ({entry.get or 'see its'}"
        f"{'' if entry.get else ' publisher'}) and name its file:"
        f" `python -m finetune study --data {entry.name}=PATH --resume`. What is written for the"
        " other data sets is kept.",
    ]
    return "\n".join(lines)


def _limits(results: Results) -> str:
    """Where no agreement can be looked for."""
    sizes = "; ".join(
        f"{part.table.header['pairs']} replies of {part.table.header['dialogues']} dialogues"
        f" ({part.entry.name})"
        for part in results.parts
    )
    lines = [
        "## What this study cannot say",
        "",
        f"- The samples are small: {sizes}. An interval that holds 0 says that nothing could be"
        " told, not that there is nothing.",
        *(f"- {said}" for said in CANNOT),
        "",
        "How the words of the readings are chosen: a comparison whose interval excludes 0, and"
        " whose p stays at .05 or below after Holm's correction, speaks for or against a claim by"
        " its sign. *agrees*: some for it, none against; *disagrees*: the"
        " reverse; *mixed*: both; *cannot tell*: neither.",
    ]
    return "\n".join(lines)


def number(value: float | None, between: Interval | None, digits: int) -> str:
    """A figure with its interval where there is one, or a dash."""
    if value is None:
        return "-"
    if between is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{between.low:.{digits}f}, {between.high:.{digits}f}]"


def _interval(found: Interval | None, digits: int) -> str:
    """The same of an interval."""
    return number(found.value if found else None, found, digits)


def markdown_table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, texts: int) -> str:
    """A table whose first `texts` columns are words."""
    aligned = [":--"] * texts + ["--:"] * (len(heads) - texts)
    rows = [heads, aligned, *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    )
