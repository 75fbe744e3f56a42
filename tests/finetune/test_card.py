"""The card says what was measured, validates on its own, and the picture shows what was logged."""

import json
import struct

import numpy as np
import pytest
from huggingface_hub import ModelCard

from esc_demo.errors import BadInput
from finetune.card import ExportKind, card_text, write_card
from finetune.curve import draw_curve, smoothed
from finetune.data import DataFormat
from finetune.recipes import load_recipe, recipe_text
from finetune.runs import RunFolder

METRICS = {
    "base_sha256": "7ef915c9",
    "corpus_hash": "c7ac75ed37d6",
    "data_hash": "0123456789ab",
    "prompt_hash": "cf95a492240f",
    "context": "raw",
    "template_fingerprint": "29623f984520",
    "fingerprint": "aa11bb22cc33",
    "train_dialogues": 128,
    "train_tokens": 101388,
    "supervised_tokens": 35119,
    "validation_dialogues": 16,
    "heldout_dialogues": 10,
    "heldout_reply_tokens": 2850,
    "heldout_perplexity_base": 55.3835,
    "heldout_perplexity": 38.0065,
    "heldout_bits_per_byte_base": 1.31245,
    "heldout_bits_per_byte": 1.18912,
    "train_loss": 3.683,
    "validation_loss": None,
    "steps": 24,
    "epochs_run": 3.0,
    "stopped_early": True,
    "train_seconds": 1108.8,
    "tokens_per_second": 112.0,
    "supervised_tokens_per_second": 40.5,
    "peak_memory_bytes": 3 * 2**30,
    "peak_memory_of": "process",
    "versions": {"torch": "2.13.0", "peft": "0.21.2"},
    "date": "2026-11-21",
}


@pytest.fixture
def run(tmp_path):
    """A run's folder with a recipe; `lines` become its progress."""

    def make(lines=(), metrics=METRICS, recipe="esc-smollm2-lora"):
        folder = RunFolder(tmp_path)
        folder.recipe_file.write_text(recipe_text(load_recipe(recipe)))
        folder.progress_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        if metrics is not None:
            folder.metrics_file.write_text(json.dumps(metrics))
        return folder

    return make


def cells(card, name):
    """The cells of the first table row that begins with `name`."""
    line = next(line for line in card.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_head_is_what_the_hub_reads(run):
    folder = run()
    write_card(folder)
    data = ModelCard.load(folder.path / "README.md").data
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data.library_name, data.pipeline_tag) == ("peft", "text-generation")
    assert (data.license, data.language) == ("apache-2.0", "en")
    assert data.get("base_model_relation") == "adapter"
    assert data.datasets is None
    assert "lora" in data.tags


def test_the_body_says_what_was_measured(run):
    folder = run()
    write_card(folder)
    card = (folder.path / "README.md").read_text()
    assert cells(card, "perplexity per reply token") == ["55.38", "38.01"]
    assert cells(card, "bits per byte") == ["1.312", "1.189"]
    assert "Held-out dialogues: 10; reply tokens: 2,850" in card
    assert cells(card, "peak memory") == ["3.00 GiB (whole process)"]
    assert cells(card, "steps, epochs") == ["24, 3.00, stopped early"]
    assert cells(card, "training, validation loss") == ["3.683, not recorded"]
    for told in ("not therapy", "cc-by-4.0", "0123456789ab", "aa11bb22cc33", "torch 2.13.0"):
        assert told in card
    assert "loss.png" not in card  # there is none


@pytest.mark.parametrize("absent", sorted(METRICS))
def test_a_missing_figure_is_named_as_such(absent):
    metrics = {key: value for key, value in METRICS.items() if key != absent}
    whole = card_text(load_recipe("esc-smollm2-full"), METRICS, ExportKind.MERGED)
    card = card_text(load_recipe("esc-smollm2-full"), metrics, ExportKind.MERGED)
    told_otherwise = {"context", "stopped_early", "peak_memory_of", "validation_loss"}
    more = card.count("not recorded") - whole.count("not recorded")
    assert more == (0 if absent in told_otherwise else 1)
    assert "None" not in card


def test_figures_that_are_no_numbers_are_said_to_be_none():
    metrics = METRICS | {"heldout_perplexity": float("nan"), "train_loss": float("inf")}
    card = card_text(load_recipe("esc-smollm2-lora"), metrics, ExportKind.ADAPTER)
    assert cells(card, "perplexity per reply token") == ["55.38", "not a number"]
    assert "beyond all bounds" in card


def test_an_unfinished_run_has_no_card(run):
    with pytest.raises(BadInput, match="not a finished run"):
        write_card(run(metrics=None))


@pytest.mark.parametrize(
    ("licence", "head"),
    [
        ("Apache-2.0", ("apache-2.0", None)),
        ("llama2", ("llama2", None)),
        ("Qwen Licence", ("other", "qwen-licence")),
        ("", (None, None)),
    ],
)
def test_licences_go_in_as_the_hub_spells_them(licence, head):
    recipe = load_recipe("esc-smollm2-lora").model_copy(update={"base_licence": licence})
    data = ModelCard(card_text(recipe, METRICS, ExportKind.ADAPTER)).data
    assert (data.license, data.license_name) == head


def test_nobodys_folders_are_named_in_head_or_data(tmp_path):
    recipe = load_recipe("esc-smollm2-lora")
    files = recipe.data.model_copy(update={"train": "/home/somebody/secret/mine.jsonl"})
    recipe = recipe.model_copy(update={"base": str(tmp_path), "data": files})
    card = card_text(recipe, METRICS, ExportKind.ADAPTER)
    assert ModelCard(card).data.base_model is None
    assert "somebody" not in card
    assert "`mine.jsonl`" in card


def test_esconv_is_named_as_a_data_set_of_the_hub():
    recipe = load_recipe("esc-smollm2-lora")
    data = recipe.data.model_copy(update={"format": DataFormat.ESCONV})
    card = ModelCard(
        card_text(recipe.model_copy(update={"data": data}), METRICS, ExportKind.ADAPTER)
    )
    assert card.data.datasets == ["thu-coai/esconv"]


def test_a_delta_shows_what_is_rebuilt_from_it():
    metrics = METRICS | {"heldout_perplexity_rebuilt": 38.5}
    card = card_text(load_recipe("esc-smollm2-full"), metrics, ExportKind.DELTA)
    assert cells(card, "perplexity per reply token") == ["55.38", "38.01", "38.50"]
    assert ModelCard(card).data.library_name is None


def line(step, loss=None, eval_loss=None):
    return {"step": step, "of": 40, "epoch": step / 10, "loss": loss, "eval_loss": eval_loss}


def picture(folder):
    """The curve's pixels as a set of colours, after a look at its size."""
    from matplotlib.image import imread

    data = folder.curve.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (800, 500)
    pixels = (imread(folder.curve)[..., :3] * 255).round().astype(int)
    return set(np.unique(pixels @ (1 << 16, 1 << 8, 1)).tolist())


VALIDATION, STRONG, THIN, WHITE = 0xC2410C, 0x1F4E8C, 0x9DB7D5, 0xFFFFFF


def test_a_long_run_is_smoothed_and_validation_is_shown(run):
    folder = run(
        [line(step, 4 - step / 20) for step in range(1, 41)]
        + [line(10, None, 3), line(20, None, 2.5)]
    )
    draw_curve(folder)
    assert {VALIDATION, STRONG} <= picture(folder)
    assert [path.name for path in folder.path.glob(".loss*")] == []


@pytest.mark.parametrize(
    "lines",
    [[line(1, 4.0)], [line(1, 4.0), line(2, float("nan")), line(3, float("inf")), line(4, 3.0)]],
    ids=["one step", "not a number"],
)
def test_few_steps_are_points_without_validation(run, lines):
    folder = run(lines)
    draw_curve(folder)
    shown = picture(folder)
    assert STRONG in shown
    assert not {VALIDATION, THIN} & shown


@pytest.mark.parametrize("lines", [[], [line(1, float("nan"))]], ids=["none", "only NaN"])
def test_a_run_without_a_number_still_has_a_picture(run, lines):
    folder = run(lines)
    draw_curve(folder)
    assert WHITE in picture(folder)


def test_smoothing_leaves_a_constant_alone_and_skips_what_is_no_number():
    nan = float("nan")
    assert smoothed([2.0] * 9, 5) == [2.0] * 9
    assert smoothed([1.0, nan, 3.0], 3) == [1.0, 2.0, 3.0]
    assert smoothed([0.0, 3.0, 6.0, 9.0], 3) == [1.5, 3.0, 6.0, 7.5]
    assert np.isnan(smoothed([nan, nan], 3)).all()
