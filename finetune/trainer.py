"""The one training loop: transformers' Trainer with loss on replies only, and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import EarlyStoppingCallback, ProgressCallback, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from esc_demo.errors import ModelError
from finetune.batches import Collator, Row
from finetune.callbacks import Meter, Progress, StopCleanly, StopRequest
from finetune.encoding import IGNORED, Sample
from finetune.evaluate import reply_loss, supervised_loss
from finetune.recipes import Batching, Precision, Recipe
from finetune.runs import RunFolder


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
        dialogues = inputs.pop("dialogues")
        labels = inputs["labels"]
        loss = supervised_loss(model, inputs)
        if not torch.isfinite(loss):
            raise ModelError(
                f"The loss became {loss.item()} at step {self.state.global_step + 1}, in the"
                f" dialogues {', '.join(dict.fromkeys(dialogues))}. Nothing of this step was kept."
                " Lower learning_rate or max_grad_norm, use float32 or bf16 instead of fp16, and"
                " look at these dialogues."
            )
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
        metrics = {f"{metric_key_prefix}_loss": measured.nats}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def make_trainer(
    model: Any,
    recipe: Recipe,
    rows: list[Row],
    validation: Sequence[Sample],
    run: RunFolder,
    *,
    pad: int,
    meter: Meter,
    stop: StopRequest,
    quiet: bool = False,
) -> ReplyTrainer:
    """The trainer of a run; nothing is trained yet."""
    callbacks: list[Any] = [StopCleanly(stop), Progress(run, meter, quiet=quiet)]
    if recipe.patience and validation:
        callbacks.append(EarlyStoppingCallback(recipe.patience))
    trainer = ReplyTrainer(
        meter=meter,
        validation=validation,
        model=model,
        args=arguments(recipe, run, watched=bool(validation)),
        train_dataset=rows,
        data_collator=Collator(pad),
        callbacks=callbacks,
    )
    for builtin in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(builtin)
    return trainer


def arguments(recipe: Recipe, run: RunFolder, *, watched: bool) -> TrainingArguments:
    """The recipe in the Trainer's words; `watched` runs are evaluated after each pass.

    A checkpoint is kept of the newest and, where watched, of the best pass.
    """
    return TrainingArguments(
        output_dir=str(run.trainer),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_ratio,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        activation_checkpointing=recipe.gradient_checkpointing,
        train_sampling_strategy=(
            "group_by_length" if recipe.batching is Batching.GROUPED else "random"
        ),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.precision is Precision.BF16,
        fp16=recipe.precision is Precision.FP16,
        eval_strategy="epoch" if watched else "no",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=watched,
        metric_for_best_model="eval_loss" if watched else None,
        greater_is_better=False if watched else None,
        restore_callback_states_from_checkpoint=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=recipe.seed,
    )
