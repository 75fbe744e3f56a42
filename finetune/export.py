"""From a finished run to what is given away: an adapter, merged weights, or a compact delta."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from httpx2 import HTTPError  # what the hub's client speaks through
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from esc_demo.errors import BadInput, EscError, ModelError, StorageError
from esc_demo.models.local.delta import encode_delta
from esc_demo.models.local.folders import base_folder, weights_sha256
from esc_demo.models.local.rebuild import DELTA_FILE, rebuilt_folder
from esc_demo.models.local.record import RECORD_FILE
from esc_demo.settings import PROJECT_ROOT
from esc_demo.storage import is_disk_full, remove
from finetune.card import CARD_FILE, CURVE_FILE, ExportKind, card_text
from finetune.data import load_parts
from finetune.encoding import Encoding, encode_all
from finetune.evaluate import reply_loss
from finetune.recipes import Method, Recipe
from finetune.runs import RunFolder

__all__ = ["ADAPTER_FILES", "ExportKind", "export", "push"]

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_WEIGHTS = "model.safetensors"
_SETTINGS_LINK = "https://huggingface.co/settings/tokens"


def export(run: Path, out: Path, kind: ExportKind) -> dict[str, Any]:
    """Write the result of the finished `run` as `kind` into the new folder `out`.

    Beside the weights lie the model card, the recipe, the figures and the loss curve. For a
    delta the held-out perplexity of what is rebuilt from it is measured beside the true one's.
    `out` appears in one step: it is complete when it exists.

    Returns:
        The figures, as written to `out/metrics.json`.

    Raises:
        BadInput: the run is not finished, cannot be exported so, or was trained on other base
            weights than those here; or `out` is in use.
        AssetError: the base weights are missing.
        ModelError: the run's weights are damaged, or are not numbers in half precision.
        StorageError: the disk is full, or `out` cannot be written.
    """
    folder = RunFolder(run)
    metrics = folder.metrics()
    recipe = folder.recipe()
    _check_kind(recipe, kind)
    with _appearing(out) as stage:
        if kind is ExportKind.ADAPTER:
            _copy_adapter(folder, stage)
        elif kind is ExportKind.MERGED:
            _merge(folder, recipe, metrics, stage)
        else:
            metrics |= _pack(folder, recipe, metrics, stage)
        shutil.copyfile(folder.recipe_file, stage / folder.recipe_file.name)
        curve = folder.curve.exists()
        if curve:
            shutil.copyfile(folder.curve, stage / CURVE_FILE)
        (stage / CARD_FILE).write_text(card_text(recipe, metrics, kind, curve=curve), "utf-8")
        (stage / RECORD_FILE).write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
    return metrics


def _check_kind(recipe: Recipe, kind: ExportKind) -> None:
    """Refuse what this run cannot become.

    Raises:
        BadInput: with what to export instead.
    """
    full = recipe.method is Method.FULL
    if kind is ExportKind.ADAPTER and full:
        raise BadInput(
            f"{recipe.name} is a full fine-tune and has no adapter. Export it as merged (whole"
            " weights) or as delta (a compact difference to its base)."
        )
    if kind is ExportKind.DELTA and not full:
        raise BadInput(
            f"{recipe.name} trained an adapter; a delta is for full fine-tunes. Export the"
            " adapter; it is small already."
        )
    if kind is ExportKind.MERGED and recipe.method is Method.QLORA:
        raise BadInput(
            f"The adapter of {recipe.name} learned on a base in 4 bits; merged into the whole base"
            " it would reply differently from what was measured. Export it as adapter and load it"
            " on the base in 4 bits (quantisation: 4bit in models.yaml), or train with method lora"
            " and merge that."
        )


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder to fill beside `out`, which takes its place when the block ends well.

    Raises:
        BadInput: `out` is in use.
        StorageError: the disk is full, or the place cannot be written.
    """
    out = out.expanduser().resolve()
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file. Name a new or empty folder.")
    stage = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.exists() and any(out.iterdir()):
            raise BadInput(f"The folder {out} is not empty. Name a new or empty folder.")
        out.parent.mkdir(parents=True, exist_ok=True)
        remove(stage)
        stage.mkdir()
        yield stage
        for path in stage.iterdir():
            path.chmod(0o644)  # safetensors keeps its files from other users
        os.replace(stage, out)
    except EscError:
        raise
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk in its own way
        if is_disk_full(error):
            raise StorageError(
                f"The disk is full: {out} cannot be written, and nothing of it was kept. Free some"
                " space, or name a folder on another disk."
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{out} cannot be written ({reason}). Name a folder that you may write to."
        ) from error
    finally:
        remove(stage)


@contextmanager
def _reading(what: Path) -> Iterator[None]:
    """Turn what libraries raise about damaged weights into one sentence.

    Raises:
        ModelError: `what` cannot be read.
    """
    try:
        yield
    except EscError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, UserWarning) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ModelError(
            f"The weights in {what} cannot be read ({reason}). Restore them, or train anew."
        ) from error


def _same_base(recipe: Recipe, metrics: Mapping[str, Any]) -> Path:
    """The folder of the base weights that the run was trained on.

    Raises:
        BadInput: those here are others, or the run does not say which it had.
        AssetError: they are missing.
    """
    base = base_folder(recipe.base)
    here, then = weights_sha256(base), metrics.get("base_sha256")
    if here != then:
        raise BadInput(
            f"{recipe.name} was trained on other weights of {recipe.base} (SHA-256"
            f" {str(then or 'not recorded')[:12]}) than those in {base} ({here[:12]}). Put the"
            " former there, train anew on these, or export an adapter, which needs no base."
        )
    return base


def _copy_adapter(run: RunFolder, stage: Path) -> None:
    """The files of an adapter as peft wrote them."""
    _check_adapter(run)
    for name in ADAPTER_FILES:
        shutil.copyfile(run.adapter / name, stage / name)


def _check_adapter(run: RunFolder) -> None:
    """Refuse an adapter without all its files; peft would look for them on the hub.

    Raises:
        ModelError: a file is missing.
    """
    for name in ADAPTER_FILES:
        if not (run.adapter / name).exists():
            raise ModelError(f"{run.adapter} holds no {name}. Restore it, or train anew.")


def _adapted(model: PreTrainedModel, run: RunFolder) -> Any:
    """`model` with the run's adapter added to its weights."""
    _check_adapter(run)
    with _reading(run.adapter), warnings.catch_warnings():
        # peft merges what it finds and only warns of what is missing.
        warnings.filterwarnings("error", message=".*missing adapter keys")
        return PeftModel.from_pretrained(model, str(run.adapter)).merge_and_unload()


def _merge(run: RunFolder, recipe: Recipe, metrics: Mapping[str, Any], stage: Path) -> None:
    """Whole weights in float16, with their tokenizer.

    An adapter is added to its base in float32, so that only the end result is rounded.
    """
    if recipe.method is Method.FULL:
        source = run.weights
        model: Any = _model(source)
    else:
        source = _same_base(recipe, metrics)
        model = _adapted(_model(source), run)
    model.half()
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise ModelError(
                f"{name} of {recipe.name} holds values that are no numbers in half precision: the"
                " training diverged, or the weights are damaged. Train anew with a lower"
                " learning_rate."
            )
    tokenizer = _tokenizer(source)
    model.save_pretrained(stage)
    tokenizer.save_pretrained(stage)


def _pack(
    run: RunFolder, recipe: Recipe, metrics: Mapping[str, Any], stage: Path
) -> dict[str, Any]:
    """Write the delta and measure what set-up makes of it, beside the true fine-tune."""
    base = _same_base(recipe, metrics)
    for folder in (base, run.weights):
        if not (folder / _WEIGHTS).exists():
            raise BadInput(
                f"A delta needs the weights in one file, and {folder} has no {_WEIGHTS}. Export"
                " merged weights instead."
            )
    with _reading(run.weights):
        packed = encode_delta(load_file(base / _WEIGHTS), load_file(run.weights / _WEIGHTS))
    save_file(packed, stage / DELTA_FILE)
    size = {"delta_bytes": (stage / DELTA_FILE).stat().st_size}
    heldout = load_parts(recipe.data, PROJECT_ROOT).heldout
    if not heldout:
        return size
    tokenizer = _tokenizer(base)
    encoding = Encoding.of(recipe)
    whole = encode_all(tokenizer, heldout, encoding).samples
    first_two = encode_all(tokenizer, heldout[:2], encoding).samples
    true = _model(run.weights)
    true_two = reply_loss(true, first_two).perplexity
    true_all = reply_loss(true, whole, title="true fine-tune").perplexity
    del true  # two models at once are too many for a small machine
    rebuilt = reply_loss(_rebuilt(stage, base), whole, title="rebuilt fine-tune").perplexity
    return {
        "heldout_perplexity_true": round(true_all, 4),
        "heldout_first_two_true": round(true_two, 4),
        "heldout_perplexity_rebuilt": round(rebuilt, 4),
        "rebuilt_over_true": round(rebuilt / true_all, 5),
        **size,
    }


def _rebuilt(delta: Path, base: Path) -> PreTrainedModel:
    """What set-up rebuilds from the folder `delta`; its files are gone when this returns."""
    with tempfile.TemporaryDirectory(dir=delta.parent, prefix=f"{delta.name}-") as cache:
        try:
            folder, _ = rebuilt_folder(str(delta), base, lambda note: None, Path(cache))
        except StorageError as error:
            # Its words are about the set-up's cache; the caller has better ones.
            raise error.__cause__ or error from None
        return _model(folder)


def _model(folder: Path) -> PreTrainedModel:
    """The weights of `folder` in float32."""
    with _reading(folder):
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model


def _tokenizer(folder: Path) -> Any:
    """The tokenizer of `folder`."""
    with _reading(folder):
        return AutoTokenizer.from_pretrained(folder)


def push(folder: Path, repo: str, *, private: bool = True) -> str:
    """Upload an exported folder to the repository `repo` (`owner/name`) of the hub.

    The repository is made if it does not exist. Call this only where a person asked for it by
    name: nothing else of the project sends data away.

    Returns:
        The repository's address.

    Raises:
        BadInput: no export in `folder`, no token, no right to write there, an impossible name,
            or `private` and the repository is public already.
        EscError: the hub cannot be reached, or refuses for another reason.
    """
    for name in (CARD_FILE, RECORD_FILE):
        if not (folder / name).is_file():
            raise BadInput(f"{folder} is no export: it holds no {name}. Export a run first.")
    token = get_token()
    if not token:
        raise BadInput(
            "There is no token for the hub. Make one that may write at"
            f" {_SETTINGS_LINK}, then run `hf auth login` or set HF_TOKEN."
        )
    api = HfApi(token=token)
    try:
        address = api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.repo_info(address.repo_id).private:
            raise BadInput(
                f"{repo} exists on the hub and is public. Say --public to upload there, or name"
                " another repository."
            )
        api.upload_folder(
            repo_id=address.repo_id, folder_path=folder, commit_message="Upload an exported run"
        )
    except EscError:
        raise
    except Exception as error:  # the hub's client and its transport each raise their own kinds
        raise _explained(error, repo) from error
    return str(address)


def _explained(error: Exception, repo: str) -> EscError:
    """What went wrong on the way to the hub, in one sentence and what to do."""
    if isinstance(error, HFValidationError):
        return BadInput(f"{repo!r} is no name for a repository. Write it as owner/name.")
    if isinstance(error, OfflineModeIsEnabled):
        return EscError("HF_HUB_OFFLINE is set, so nothing is uploaded. Unset it and try again.")
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if status == 401:
        return BadInput(
            "The hub does not accept the token. Make a new one that may write at"
            f" {_SETTINGS_LINK}, then run `hf auth login` or set HF_TOKEN."
        )
    if status in (403, 404):
        return BadInput(
            f"The token may not write to {repo}. Check the owner's name, or give the token the"
            f" right to write there at {_SETTINGS_LINK}."
        )
    if status:
        return EscError(f"The hub refused the upload to {repo} (HTTP {status}). Try again later.")
    name = type(error).__name__
    if isinstance(error, (HTTPError, ConnectionError, TimeoutError)):
        return EscError(
            f"The upload to {repo} did not reach the hub ({name}). Check the network and run the"
            " command again; what has arrived is not sent twice."
        )
    return EscError(f"The upload to {repo} failed ({name}: {error}). Run the command again.")
