"""The one training loop: transformers' Trainer with loss on replies only, and its arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import EarlyStoppingCallback, ProgressCallback, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from finetune.batches import Collator, Row
from finetune.callbacks import MarkWhole, Meter, Progress, StopCleanly, StopRequest
from finetune.encoding import IGNORED, Sample
from finetune.evaluate import reply_loss, supervised_loss
from finetune.faults import diverged
from finetune.recipes import Precision, Recipe
from finetune.runs import RunFolder

_SCHEDULES = {"constant": "constant_with_warmup"}
"""Names of the Trainer that differ from a recipe's; its "constant" would ignore the warm-up."""


class ReplyTrainer(Trainer):
    """Trainer whose loss is the mean over supervised tokens of the whole optimizer step."""

    def __init__(self, *, meter: Meter, validation: Sequence[Sample], **arguments: Any) -> None:
        """`validation` is what `evaluate` measures."""
        super().__init__(eval_dataset=list(validation) or None, **arguments)
        self._meter = meter
        self._validation = validation
        # The Trainer then counts the supervised tokens of all accumulated batches for us.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Summed loss over the supervised tokens of the optimizer step.

        Raises:
            ModelError: the loss is not a number; the text names the dialogues of the batch.
        """
        inputs = dict(inputs)
        self._meter.dialogues = dialogues = inputs.pop("dialogues")
        labels = inputs["labels"]
        loss = supervised_loss(model, inputs)
        if not torch.isfinite(loss):
            raise diverged("loss", loss.item(), self.state.global_step + 1, dialogues)
        attended = inputs.get("attention_mask")
        self._meter.tokens += int(labels.numel() if attended is None else attended.sum())
        self._meter.supervised += int((labels != IGNORED).sum())
        return loss * (self.accelerator.num_processes / num_items_in_batch)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Validation loss as a mean over tokens; each process measures all of it."""
        spread = self.is_fsdp_enabled or self.is_deepspeed_enabled
        model = self.model_wrapped if spread else self.model
        with self.compute_loss_context_manager():
            measured = reply_loss(model, self._validation)
        if not math.isfinite(measured.nats):
            raise diverged("validation loss", measured.nats, self.state.global_step, [])
        metrics = {f"{metric_key_prefix}_loss": measured.nats}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def make_trainer(
    model: Any,
    recipe: Recipe,
    settings: TrainingArguments,
    rows: list[Row],
    validation: Sequence[Sample],
    run: RunFolder,
    *,
    pad: int,
    meter: Meter,
    stop: StopRequest,
    quiet: bool = False,
) -> ReplyTrainer:
    """The trainer of a run; nothing is trained yet.

    `validation` is watched; whether it also decides is said in `settings`, of `arguments`.
    """
    callbacks: list[Any] = [StopCleanly(stop), MarkWhole(), Progress(run, meter, quiet=quiet)]
    if recipe.patience and settings.load_best_model_at_end:
        callbacks.append(EarlyStoppingCallback(recipe.patience))
    trainer = ReplyTrainer(
        meter=meter,
        validation=validation,
        model=model,
        args=settings,
        train_dataset=rows,
        data_collator=Collator(pad),
        callbacks=callbacks,
    )
    for builtin in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(builtin)
    return trainer


def arguments(
    recipe: Recipe, run: RunFolder, *, watched: bool, selecting: bool
) -> TrainingArguments:
    """The recipe in the Trainer's words; `watched` runs are evaluated after each pass.

    A checkpoint is kept of the newest and, where the watched loss is `selecting`, of the best
    pass. Make these before the model is loaded: DeepSpeed's way of loading depends on them.
    """
    settings = TrainingArguments(
        output_dir=str(run.trainer),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=_SCHEDULES.get(recipe.schedule, recipe.schedule),
        warmup_steps=recipe.warmup_ratio,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        activation_checkpointing=recipe.gradient_checkpointing,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.precision is Precision.BF16,
        fp16=recipe.precision is Precision.FP16,
        eval_strategy="epoch" if watched else "no",
        save_strategy="epoch",
        save_total_limit=2,  # with 1, the Trainer's end would delete what a stop has just saved
        load_best_model_at_end=selecting,
        metric_for_best_model="eval_loss" if selecting else None,
        greater_is_better=False if selecting else None,
        restore_callback_states_from_checkpoint=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=recipe.seed,
    )
    if settings.n_gpu > 1:  # several GPUs want a launcher; DataParallel would split packed rows
        settings._n_gpu = 1
    return settings
