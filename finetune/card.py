"""The model card of a run, in the hub's format: what it is, how it was made, how it measured."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from esc_demo.contexts import render_context
from esc_demo.dialogue import Role, Turn, UserProfile
from esc_demo.prompts import build_messages
from finetune.data.formats import DataFormat
from finetune.data.splits import SplitKind
from finetune.recipes import Batching, DataRecipe, Method, Recipe
from finetune.runs import RunFolder, write_whole

CARD_FILE = "README.md"
CURVE_FILE = "loss.png"

_UNKNOWN = "not recorded"

_HUB_LICENCE = re.compile(r"apache-2\.0|mit|cc-by(-nc)?(-sa)?-4\.0|llama(2|3|3\.[123])|gemma")
"""Identifiers of the hub that bases bear; any other licence goes in by its own name."""

_ESCONV_ON_HUB = "thu-coai/esconv"


class ExportKind(StrEnum):
    """The form in which a run's result is given away.

    `adapter`: the LoRA matrices. `merged`: whole weights in half precision. `delta`: two bits
    a weight beside the base, for full fine-tunes.
    """

    ADAPTER = "adapter"
    MERGED = "merged"
    DELTA = "delta"


def write_card(run: RunFolder) -> None:
    """Write `README.md` into the folder of a finished run; its curve is shown if it is there.

    Raises:
        BadInput: the run is not finished.
        ConfigError: the folder holds no readable recipe.
    """
    recipe = run.recipe()
    full = recipe.method is Method.FULL
    text = card_text(
        recipe,
        run.metrics(),
        ExportKind.MERGED if full else ExportKind.ADAPTER,
        folder=run.weights.name if full else run.adapter.name,
        curve=run.curve.exists(),
    )
    write_whole(run.path / CARD_FILE, text)


def card_text(
    recipe: Recipe,
    metrics: Mapping[str, Any],
    kind: ExportKind,
    *,
    folder: str = ".",
    curve: bool = True,
) -> str:
    """The card: a YAML head and a Markdown body.

    `folder` is where the weights lie, seen from the card; `curve` says whether the picture
    lies beside it. Figures that `metrics` lacks are named as not recorded.
    """
    sections = [
        _what(recipe, kind),
        _measured(metrics, kind),
        _trained(recipe, metrics, curve),
        _prompt(recipe, metrics),
        _data(recipe, metrics),
        _licence(recipe),
        _load(recipe, kind, folder),
        _limits(recipe, kind),
        _made_with(metrics),
    ]
    head = _head(recipe, kind).to_yaml()
    return str(ModelCard(f"---\n{head}\n---\n\n" + "\n\n".join(sections) + "\n"))


def _head(recipe: Recipe, kind: ExportKind) -> ModelCardData:
    """What the hub reads."""
    adapter = kind is ExportKind.ADAPTER
    # A delta is read by this project only: naming a library would promise a loader.
    licence, licence_name = _hub_licence(recipe.base_licence)
    library = {ExportKind.ADAPTER: "peft", ExportKind.MERGED: "transformers"}.get(kind)
    return ModelCardData(
        library_name=library,
        base_model=recipe.base if _on_hub(recipe.base) else None,
        base_model_relation="adapter" if adapter else "finetune",
        license=licence,
        license_name=licence_name,
        language="en",
        datasets=[_ESCONV_ON_HUB] if _is_esconv(recipe.data) else None,
        metrics=["perplexity"],
        tags=["emotional-support", "conversational", recipe.method.value, *_tags(kind)],
        pipeline_tag="text-generation",
    )


def _tags(kind: ExportKind) -> list[str]:
    """Tags of the form."""
    return ["delta"] if kind is ExportKind.DELTA else []


def _on_hub(base: str) -> bool:
    """Whether `base` is a hub id and not a folder of somebody's machine."""
    return bool(re.fullmatch(r"\w[\w.-]*/[\w.-]+", base)) and not Path(base).exists()


def _is_esconv(data: DataRecipe) -> bool:
    """Whether the dialogues are those of ESConv, which the hub has."""
    return data.split is SplitKind.ESCONV or data.format is DataFormat.ESCONV


def _hub_licence(licence: str) -> tuple[str | None, str | None]:
    """The licence as the hub spells it, and its own name where the hub has none for it."""
    known = licence.strip().lower()
    if not known:
        return None, None
    if _HUB_LICENCE.fullmatch(known):
        return known, None
    return "other", re.sub(r"[^a-z0-9.]+", "-", known).strip("-")


def _what(recipe: Recipe, kind: ExportKind) -> str:
    """What it is, and what it is not."""
    form = {
        ExportKind.ADAPTER: "A LoRA adapter for",
        ExportKind.MERGED: "A fine-tune, as whole weights, of",
        ExportKind.DELTA: "A full fine-tune, as a compact difference to its base, of",
    }[kind]
    about = f"\n\n{recipe.about}" if recipe.about else ""
    return (
        f"# {recipe.name}\n\n{form} `{recipe.base}`, trained on emotional support"
        " conversations. It was made for comparing ways of training side by side."
        f"{about}\n\n**This is not therapy.** It is a language model for research and teaching:"
        " no counsellor, no medical device, no crisis service. It must not be left alone with a"
        " person in danger; show crisis resources beside it, and have people watch over its use."
    )


def _measured(metrics: Mapping[str, Any], kind: ExportKind) -> str:
    """The held-out table."""
    rebuilt = kind is ExportKind.DELTA and "heldout_perplexity_rebuilt" in metrics
    header = ["", "base", "trained", *(["rebuilt from the delta"] if rebuilt else [])]
    rows = [
        [
            "perplexity per reply token",
            _figure(metrics.get("heldout_perplexity_base"), 2),
            _figure(metrics.get("heldout_perplexity"), 2),
            *([_figure(metrics["heldout_perplexity_rebuilt"], 2)] if rebuilt else []),
        ],
        [
            "bits per byte",
            _figure(metrics.get("heldout_bits_per_byte_base"), 3),
            _figure(metrics.get("heldout_bits_per_byte"), 3),
            *(["not measured"] if rebuilt else []),
        ],
    ]
    dialogues = _figure(metrics.get("heldout_dialogues"))
    tokens = _figure(metrics.get("heldout_reply_tokens"))
    return (
        f"## Held-out figures\n\n{_table(header, rows)}\n\n"
        f"Lower is better. Held-out dialogues: {dialogues}; reply tokens: {tokens}, each reply's"
        " end token included. Only the supporter's replies count. Perplexities compare within"
        " one tokenizer; bits per byte compare across tokenizers."
    )


def _trained(recipe: Recipe, metrics: Mapping[str, Any], curve: bool) -> str:
    """The recipe and what came of it."""
    picture = f"\n\n![Training and validation loss by epoch]({CURVE_FILE})" if curve else ""
    rows = [*_settings(recipe), *_course(metrics)]
    return (
        "## Training\n\nThe loss is on the supporter's replies only, each of them once; prompt"
        f" and seeker's turns are read but not learned.\n\n{_table(['', ''], rows)}{picture}"
    )


def _settings(recipe: Recipe) -> Iterable[list[str]]:
    """Rows for what was asked for."""
    yield ["method", recipe.method.value]
    if recipe.lora is not None:
        lora = recipe.lora
        yield ["rank, alpha, dropout", f"{lora.r}, {lora.alpha}, {lora.dropout:g}"]
        yield ["adapted layers", ", ".join(lora.target_modules)]
    rate = f"{recipe.learning_rate:g}, {recipe.schedule}, warm-up {recipe.warmup_ratio:.0%}"
    yield ["learning rate", rate]
    if recipe.max_steps:
        length = f"{recipe.max_steps:,} steps"
    else:
        length = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs:g} epochs"
    patience = f", fewer when the validation loss rises (patience {recipe.patience})"
    yield [
        "length",
        f"at most {length}{patience if recipe.patience and length != '1 epoch' else ''}",
    ]
    if recipe.batching is Batching.PACKED:
        rows = f"rows of at most {recipe.pack_tokens:,} tokens, packed without shared attention"
    else:
        rows = f"{recipe.batch_size} sequences, {recipe.batching.value}"
    yield ["batch", f"{rows}; {recipe.accumulation} to a step"]
    yield ["longest sequence", f"{recipe.max_tokens:,} tokens"]
    decay = f"AdamW, decay {recipe.weight_decay:g}, clipped at {recipe.max_grad_norm:g}"
    yield ["optimizer", decay]
    yield ["arithmetic", recipe.precision.value]
    yield ["seed", str(recipe.seed)]


def _course(metrics: Mapping[str, Any]) -> Iterable[list[str]]:
    """Rows for what happened."""
    early = ", stopped early" if metrics.get("stopped_early") is True else ""
    steps, epochs = _figure(metrics.get("steps")), _figure(metrics.get("epochs_run"), 2)
    yield ["steps, epochs", f"{steps}, {epochs}{early}"]
    losses = (_figure(metrics.get(key), 3) for key in ("train_loss", "validation_loss"))
    yield ["training, validation loss", ", ".join(losses)]
    yield ["training time", _figure(metrics.get("train_seconds"), unit=" s")]
    speeds = ("tokens_per_second", "supervised_tokens_per_second")
    yield ["tokens/s, of these supervised", ", ".join(_figure(metrics.get(k)) for k in speeds)]
    peak = metrics.get("peak_memory_bytes")
    of = {"cuda": "GPU", "process": "whole process"}.get(metrics.get("peak_memory_of", ""), "")
    memory = _figure(peak / 2**30, 2, " GiB") if isinstance(peak, int | float) else _UNKNOWN
    yield ["peak memory", f"{memory} ({of})" if of and memory != _UNKNOWN else memory]


def _prompt(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    """How it was asked in training, which is how it should be asked."""
    context = metrics.get("context") or recipe.context.spec().label()
    if not recipe.prompt:
        told = "No structured prompt was sent."
    else:
        told = (
            "The structured prompt was sent, as in the messages under *Loading it*; for"
            f" {recipe.profile_share:.0%} of the dialogues it told the seeker's profile too."
        )
    return (
        f"## Prompt and context\n\n{told} Context: {context}. Ask it the same way: with another"
        " prompt or context the figures above do not hold.\n\n"
        f"- prompt: `{metrics.get('prompt_hash', _UNKNOWN)}`\n"
        f"- chat template and vocabulary: `{metrics.get('template_fingerprint', _UNKNOWN)}`\n"
        f"- all of it (prompt, context, template): `{metrics.get('fingerprint', _UNKNOWN)}`"
    )


def _data(recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    """Which dialogues."""
    data = recipe.data
    split = "files of their own" if data.split is SplitKind.FILES else f"split {data.split.value}"
    tokens = (_figure(metrics.get(key)) for key in ("train_tokens", "supervised_tokens"))
    rows = [
        ["training file", f"`{_shown_path(data.train)}`"],
        ["parts", split + (", trained on validation too" if data.train_on_validation else "")],
        ["training dialogues", _figure(metrics.get("train_dialogues"))],
        ["tokens, of these supervised", ", ".join(tokens)],
        ["validation dialogues", _figure(metrics.get("validation_dialogues"))],
        ["licence", data.licence or "not stated in the recipe"],
        ["hash of data and split", f"`{metrics.get('data_hash', _UNKNOWN)}`"],
        ["hash of token ids and labels", f"`{metrics.get('corpus_hash', _UNKNOWN)}`"],
    ]
    return (
        "## Data\n\n"
        f"{_table(['', ''], rows)}\n\nNo dialogue is in two parts: the data is divided by whole"
        " dialogues."
    )


def _licence(recipe: Recipe) -> str:
    """Both licences; whoever passes the weights on is bound by them."""
    return (
        f"## Licence\n\nBase weights: {recipe.base_licence or 'not stated in the recipe'}."
        f" Training data: {recipe.data.licence or 'not stated in the recipe'}. These weights"
        " derive from both; keep to both when you use them or pass them on."
    )


def _load(recipe: Recipe, kind: ExportKind, folder: str) -> str:
    """Lines that run as they stand, with the example asked as in training."""
    lines = {
        ExportKind.ADAPTER: _LOAD_ADAPTER,
        ExportKind.MERGED: _LOAD_MERGED,
        ExportKind.DELTA: _LOAD_DELTA,
    }[kind].format(folder=json.dumps(folder), base=json.dumps(recipe.base))
    if recipe.method is Method.QLORA:  # the adapter was learned on the base in 4 bits
        lines = lines.replace("AutoTokenizer\n", "AutoTokenizer, BitsAndBytesConfig\n", 1)
        lines = lines.replace("model = Auto", _FOUR_BITS + "model = Auto", 1)
        lines = lines.replace("dtype=torch.float32", "quantization_config=four_bits")
    view = render_context((Turn(Role.SEEKER, "I failed my exam."),), recipe.context.spec())
    messages = build_messages(
        view.turns, recipe.template, UserProfile(), system_role=recipe.system_role
    )
    told = [{"role": message.role, "content": message.content} for message in messages]
    example = json.dumps(told, indent=4, ensure_ascii=False)
    where = " inside this project (the rebuilding is its own)" if kind is ExportKind.DELTA else ""
    return f"## Loading it{where}\n\n```python\n{lines}\nmessages = {example}\n{_REPLY}```"


_LOAD_ADAPTER = """\
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {folder}  # this folder, or the name of this repository on the hub
base = {base}
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
model = PeftModel.from_pretrained(model, folder).eval()
"""

_FOUR_BITS = """\
four_bits = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)
"""

_LOAD_MERGED = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {folder}  # this folder, or the name of this repository on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
"""

_LOAD_DELTA = """\
import torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
from esc_demo.models.local.folders import base_folder
from esc_demo.models.local.rebuild import rebuilt_folder

folder = str(Path({folder}).resolve())  # this folder
base = base_folder({base})
weights, _ = rebuilt_folder(folder, base, print)
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32).eval()
"""

_REPLY = """\
prompt = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
reply = model.generate(**prompt, max_new_tokens=80, do_sample=True, temperature=0.7)
print(tokenizer.decode(reply[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def _limits(recipe: Recipe, kind: ExportKind) -> str:
    """What a reader must not expect."""
    lines = [
        "It can be wrong, shallow, repetitive or hurtful, and it can invent facts and services.",
        "Recognising a crisis is no part of the weights: an application needs its own detection.",
        "English only. What people of other cultures and ages need may be missing from the data.",
        "The figures say how probable held-out replies are. They say nothing of whether a reply"
        " helps; only people can judge that.",
        "It keeps the biases of its base and of the dialogues.",
    ]
    if recipe.method is Method.QLORA:
        lines.append("It was trained on a base in 4 bits and fits that one best.")
    if kind is ExportKind.DELTA:
        lines.append("Two bits a weight: what is rebuilt is close to the training's result only.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _made_with(metrics: Mapping[str, Any]) -> str:
    """Versions, date, and the base by its checksum."""
    versions = metrics.get("versions")
    named = ", ".join(f"{k} {v}" for k, v in versions.items()) if versions else _UNKNOWN
    return (
        f"## Made with\n\n- versions: {named}\n- date: {metrics.get('date', _UNKNOWN)}\n"
        f"- SHA-256 of the base weights: `{metrics.get('base_sha256', _UNKNOWN)}`\n"
        "- recipe: `recipe.yaml`; all figures: `metrics.json`"
    )


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _figure(value: Any, digits: int = 0, unit: str = "") -> str:
    """A number for people; what is missing or no number says so."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return _UNKNOWN
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "beyond all bounds"
    return f"{value:.3g}{unit}" if abs(value) >= 1e12 else f"{value:,.{digits}f}{unit}"


def _shown_path(path: str) -> str:
    """A path of the project as it is; of one elsewhere only the name, which is nobody's home."""
    return Path(path).name if Path(path).is_absolute() or path.startswith("~") else path
