"""A run from recipe to results: data, encoding, training, measurements, files."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoTokenizer, PreTrainedTokenizerBase, TrainerState, set_seed

from esc_demo.errors import BadInput
from esc_demo.models.local.folders import base_folder, weights_sha256
from esc_demo.models.local.record import RECORD_FILE
from esc_demo.settings import PROJECT_ROOT
from finetune.batches import make_rows
from finetune.callbacks import Meter, StopRequest
from finetune.card import write_card
from finetune.curve import draw_curve
from finetune.data import Parts, load_parts
from finetune.encoding import Encoded, Encoding, encode_all, samples_hash
from finetune.evaluate import ReplyLoss, reply_loss
from finetune.faults import explained
from finetune.measure import peak_memory
from finetune.plan import runs_here
from finetune.prepare import load_base, prepare
from finetune.recipes import Method, Recipe
from finetune.runs import RunFolder, RunState, opened, write_whole
from finetune.trainer import ReplyTrainer, arguments, make_trainer

_ENDED = "ended"
"""File that names the checkpoint with which the training ended by itself."""

_PACKAGES = ("torch", "transformers", "peft", "accelerate")


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; its checkpoint is saved."""


@dataclass(frozen=True)
class Material:
    """Everything that is fixed before the first step."""

    tokenizer: PreTrainedTokenizerBase
    base: Path
    encoding: Encoding
    parts: Parts
    train: Encoded
    validation: Encoded | None
    heldout: Encoded | None


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    stop: StopRequest | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train as `recipe` says, in `folder`; returns the figures, also left in `metrics.json`.

    LoRA and QLoRA leave `adapter/`, full runs `weights/` (float32 safetensors). Asked to stop,
    by `stop` or by Ctrl-C, the run finishes its step, saves a checkpoint and can be resumed.

    Raises:
        Interrupted: it was asked to stop.
        BadInput: wrong data, a folder in use, a recipe that cannot run here.
        AssetError: the base weights are missing.
        ModelError: the loss is not a number, or memory ran out.
        StorageError: the disk is full.
    """
    if problem := runs_here(recipe, torch.cuda.is_available(), torch.cuda.device_count()):
        raise BadInput(problem)
    stop = stop or StopRequest()
    if not PartialState().is_main_process:  # one of several keeps the folder's books
        return _train(recipe, RunFolder(folder), resume=resume, stop=stop, quiet=True)
    with opened(folder, recipe, resume=resume) as run:
        try:
            run.set_status(RunState.PREPARING)
            metrics = _train(recipe, run, resume=resume, stop=stop, quiet=quiet)
        except Interrupted:
            run.set_status(RunState.INTERRUPTED, "Stopped; its checkpoint is saved.")
            raise
        except KeyboardInterrupt:
            run.set_status(RunState.INTERRUPTED, "Stopped between checkpoints.")
            raise
        except Exception as error:
            known = explained(error, recipe, folder)
            with suppress(OSError):  # on a full disk, the reason below matters more
                run.set_status(RunState.FAILED, str(known or error))
            if known is None or known is error:
                raise
            raise known from error
        run.set_status(RunState.FINISHED)
    return metrics


def _train(
    recipe: Recipe, run: RunFolder, *, resume: bool, stop: StopRequest, quiet: bool
) -> dict[str, Any]:
    """The run itself; the folder is ours."""
    set_seed(recipe.seed)
    material = gather(recipe, quiet=quiet)
    if PartialState().is_main_process:
        _record_data(run, material, resume=resume)
    watched = material.validation or (material.heldout if recipe.watch_heldout else None)
    settings = arguments(
        recipe, run, watched=watched is not None, selecting=material.validation is not None
    )
    model = load_base(recipe, material.base)
    before = _loss(_placed(model, recipe), material.heldout, "held-out part, base", quiet)
    set_seed(recipe.seed)  # fresh adapters are the same, whatever was measured before
    meter = Meter()
    trainer = make_trainer(
        prepare(model, recipe),
        recipe,
        settings,
        make_rows(material.train.samples, recipe),
        watched.samples if watched else (),
        run,
        pad=int(material.tokenizer.pad_token_id or 0),
        meter=meter,
        stop=stop,
        quiet=quiet,
    )
    _fit(trainer, run, stop, resume=resume)
    after = _loss(trainer.model, material.heldout, "held-out part, trained", quiet)
    metrics = {
        **_identity(recipe, material),
        **_sizes(material),
        **_heldout(before, after),
        **_course(trainer, run, meter),
        **peak_memory(),
        "versions": {name: version(name) for name in _PACKAGES},
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    _save_model(trainer, recipe, run, material.tokenizer)
    if trainer.is_world_process_zero():
        _save_figures(run, metrics)
    return metrics


def _fit(trainer: ReplyTrainer, run: RunFolder, stop: StopRequest, *, resume: bool) -> None:
    """Train to the end, or resume there; the model is then the best pass's.

    A run whose training had ended when its process died is not trained further.

    Raises:
        Interrupted: it was asked to stop, and did.
    """
    ended = run.trainer / _ENDED
    if resume and ended.exists():
        chosen = Path(ended.read_text("utf-8"))
        newest = run.last_checkpoint() or chosen  # knows how far the run went
        trainer.state = TrainerState.load_from_json(str(newest / "trainer_state.json"))
        trainer._load_from_checkpoint(str(chosen))
        return
    checkpoint = run.last_checkpoint() if resume else None
    with stop.on_signals():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stop.honoured:
        raise Interrupted
    chosen_now = trainer.state.best_model_checkpoint or run.last_checkpoint()
    if trainer.is_world_process_zero() and chosen_now is not None:
        write_whole(ended, str(chosen_now))


def gather(recipe: Recipe, *, quiet: bool = True) -> Material:
    """Load and encode what `recipe` names.

    Raises:
        BadInput: a data file is wrong, or nothing in it can be learned.
        AssetError: the base weights are missing.
    """
    base = base_folder(recipe.base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoding = Encoding.of(recipe)
    parts = load_parts(recipe.data, PROJECT_ROOT)

    def encoded(dialogues: Any, title: str) -> Encoded | None:
        shown = "" if quiet else f"encoding {title}"
        return encode_all(tokenizer, dialogues, encoding, title=shown) if dialogues else None

    train = encode_all(tokenizer, parts.train, encoding, title="" if quiet else "encoding")
    return Material(
        tokenizer,
        base,
        encoding,
        parts,
        train,
        encoded(parts.validation, "validation"),
        encoded(parts.heldout, "held-out"),
    )


def _record_data(run: RunFolder, material: Material, *, resume: bool) -> None:
    """Hashes of data and encoding into the folder; a resumed run must find the same.

    Raises:
        BadInput: data, prompt, tokenizer or base weights have changed since the run began.
    """
    now = {
        "data_hash": material.parts.content_hash,
        "samples_hash": samples_hash(material.train.samples),
        "base_sha256": weights_sha256(material.base),
        "parts": {
            name: [dialogue.id for dialogue in getattr(material.parts, name)]
            for name in ("train", "validation", "heldout")
        },
    }
    if resume and run.data_file.exists():  # absent if it was stopped before its first step
        was = json.loads(run.data_file.read_text("utf-8"))
        changed = [key for key, value in now.items() if was.get(key) != value]
        if changed:
            raise BadInput(
                f"The run in {run.path} cannot go on: {', '.join(changed)} changed since it"
                " began (data, prompt texts, tokenizer or base weights). Restore them, or start"
                " anew in another folder."
            )
        return
    write_whole(run.data_file, json.dumps(now, indent=1) + "\n")


def _placed(model: Any, recipe: Recipe) -> Any:
    """`model` where it will be trained, as far as one process decides that."""
    if torch.cuda.is_available() and not _distributed() and recipe.method is not Method.QLORA:
        return model.to("cuda")
    return model


def _distributed() -> bool:
    """Whether several processes train together (`accelerate launch` and torchrun say so)."""
    return PartialState().num_processes > 1


def _loss(model: Any, part: Encoded | None, title: str, quiet: bool) -> ReplyLoss | None:
    """The loss on the held-out part, where there is one.

    Left to `python -m finetune evaluate` where a model is spread over several processes.
    """
    if part is None or _distributed():
        return None
    return reply_loss(model, part.samples, title="" if quiet else title)


def _course(trainer: ReplyTrainer, run: RunFolder, meter: Meter) -> dict[str, Any]:
    """How the training went, over all sessions of the run."""
    own = torch.tensor([[meter.tokens, meter.supervised]], device=trainer.args.device)
    tokens, supervised = trainer.accelerator.gather(own).sum(dim=0).tolist()
    steps = run.steps()
    if not meter.seconds and steps:  # nothing was left to train when it was resumed
        last = steps[-1]
        meter.seconds, tokens, supervised = last.seconds, last.tokens, last.supervised
    losses = [step.loss for step in steps if step.loss is not None]
    state = trainer.state
    return {
        "train_loss": round(sum(losses) / len(losses), 6) if losses else None,
        "final_step_loss": losses[-1] if losses else None,
        "validation_loss": state.best_metric,
        "steps": state.global_step,
        "epochs_run": round(state.epoch or 0.0, 3),
        "stopped_early": state.global_step < state.max_steps,
        "train_seconds": round(meter.seconds, 1),
        "tokens_per_second": round(tokens / max(meter.seconds, 1e-9), 1),
        "supervised_tokens_per_second": round(supervised / max(meter.seconds, 1e-9), 1),
    }


def _identity(recipe: Recipe, material: Material) -> dict[str, Any]:
    """What was trained on what, and how it was asked."""
    trained = material.encoding.trained_on(material.tokenizer)
    return {
        "name": recipe.name,
        "base": recipe.base,
        "base_sha256": weights_sha256(material.base),
        "method": recipe.method.value,
        "corpus_hash": samples_hash(material.train.samples),
        "data_hash": material.parts.content_hash,
        "prompt_hash": trained.prompt_hash,
        "context": trained.context,
        "template_fingerprint": trained.template,
        "system_role": trained.system_role,
        "fingerprint": trained.fingerprint,
    }


def _sizes(material: Material) -> dict[str, Any]:
    """How much there was to learn from."""
    return {
        "train_dialogues": len(material.parts.train),
        "train_tokens": material.train.tokens,
        "supervised_tokens": material.train.supervised,
        "replies_left_out": material.train.left_out,
        "validation_dialogues": len(material.parts.validation),
        "heldout_dialogues": len(material.parts.heldout),
        "heldout_reply_tokens": material.heldout.supervised if material.heldout else 0,
    }


def _heldout(before: ReplyLoss | None, after: ReplyLoss | None) -> dict[str, Any]:
    """Perplexity and bits per byte before and after."""
    if before is None or after is None:
        return {}
    return {
        "heldout_perplexity_base": round(before.perplexity, 4),
        "heldout_perplexity": round(after.perplexity, 4),
        "heldout_bits_per_byte_base": round(before.bits_per_byte, 5),
        "heldout_bits_per_byte": round(after.bits_per_byte, 5),
    }


def _save_model(
    trainer: ReplyTrainer, recipe: Recipe, run: RunFolder, tokenizer: PreTrainedTokenizerBase
) -> None:
    """The adapter in half precision, or the full weights; every process takes part."""
    target = run.weights if recipe.method is Method.FULL else run.adapter
    if _distributed():
        trainer.save_model(str(target))  # gathers what is spread over the processes
    elif recipe.method is Method.FULL:
        trainer.model.save_pretrained(target)
    else:
        for name, parameter in trainer.model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.half()
        trainer.model.save_pretrained(target, save_embedding_layers=False)
    if recipe.method is Method.FULL and trainer.is_world_process_zero():
        tokenizer.save_pretrained(target)


def _save_figures(run: RunFolder, metrics: dict[str, Any]) -> None:
    """Picture, figures and card; a folder with `metrics.json` holds everything else."""
    text = json.dumps(metrics, indent=2) + "\n"
    target = run.weights if run.weights.exists() else run.adapter
    (target / RECORD_FILE).write_text(text, "utf-8")
    draw_curve(run)
    write_whole(run.metrics_file, text)
    write_card(run)
    shutil.rmtree(run.trainer, ignore_errors=True)  # gigabytes that nothing needs any more
