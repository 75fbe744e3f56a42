"""`ChatModel` on weights of this machine, and the loader that shares them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from esc_demo.dialogue import Message
from esc_demo.errors import EscError, ModelError
from esc_demo.models.local.encode import encode_prompt, encode_text, special_texts
from esc_demo.models.local.folders import (
    artefact_folder,
    base_folder,
    file_sha256,
    template_fingerprint,
    weights_sha256,
)
from esc_demo.models.local.rebuild import rebuilt_folder
from esc_demo.models.local.record import TrainingRecord, read_record
from esc_demo.models.local.weights import WeightKey, WeightSet, load_weights, pick_device
from esc_demo.models.local.worker import Job, Worker
from esc_demo.models.protocol import (
    Chunk,
    Finish,
    FinishReason,
    GenerationParams,
    Rendered,
    StopSignal,
)
from esc_demo.models.specs import ModelSpec, Variant
from esc_demo.settings import Settings

_log = logging.getLogger(__name__)

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class LocalModel:
    """One variant: a weight set and, for LoRA, the name of its adapter."""

    def __init__(
        self,
        spec: ModelSpec,
        weights: WeightSet,
        worker: Worker,
        revision: str,
        record: TrainingRecord | None,
    ) -> None:
        """Bind a spec to weights that are already loaded, and to how they were trained."""
        self.spec = spec
        self.revision = revision
        self.trained = record.trained if record else None
        self.template_hash = template_fingerprint(weights.tokenizer)
        self.notice = record.notice(self.template_hash) if record else ""
        self._weights = weights
        self._worker = worker
        self._tokenizer = weights.tokenizer
        ids = self._tokenizer.convert_tokens_to_ids(list(special_texts(self._tokenizer)))
        # Any special token ends the reply: a model must not open a role by itself either.
        self._ends = frozenset(ids)

    def render(self, messages: Sequence[Message]) -> Rendered:
        """The prompt as it is sent."""
        prompt = encode_prompt(self._tokenizer, messages)
        return Rendered(prompt.text, len(prompt.ids))

    def count_tokens(self, text: str) -> int:
        """Number of tokens of plain text."""
        return len(encode_text(self._tokenizer, text))

    def stream(
        self, messages: Sequence[Message], params: GenerationParams, stop: StopSignal
    ) -> Iterator[Chunk]:
        """Write a reply; see `ChatModel.stream`.

        Raises:
            ModelError: the template refuses the messages, or the step failed.
        """
        job = Job(
            self._weights,
            self.spec.id if self.spec.variant is Variant.LORA else None,
            encode_prompt(self._tokenizer, messages).ids,
            params,
            stop,
            self._ends,
        )
        self._worker.submit(job)
        tokens: list[int] = []
        shown = 0
        try:
            while True:
                event = job.events.get()
                if isinstance(event, FinishReason):
                    text = self._tokenizer.decode(tokens, skip_special_tokens=True)
                    yield Chunk(text[shown:], _finish(job, event))
                    return
                if isinstance(event, Exception):
                    raise _explained(event, self.spec)
                tokens.append(event)
                text = self._tokenizer.decode(tokens, skip_special_tokens=True)
                if not text.endswith(_REPLACEMENT) and len(text) > shown:
                    yield Chunk(text[shown:])
                    shown = len(text)
        finally:
            job.abandoned = True


def _finish(job: Job, reason: FinishReason) -> Finish:
    """The measurements of an ended job."""
    first = job.first_token or job.ended
    return Finish(
        reason,
        job.written,
        queued_s=job.started - job.submitted,
        prefill_s=first - job.started,
        decode_s=job.ended - first,
    )


def _explained(error: Exception, spec: ModelSpec) -> Exception:
    """An error a person can act on, where the kind is known."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return ModelError(
            f"{spec.label} ran out of memory. Lower max new tokens, use fewer panes, or try again"
            " when fewer people are chatting."
        )
    return error


class LocalModels:
    """Loads models and lets those with the same base share weights."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the worker; nothing is loaded yet."""
        self._worker = Worker(settings.max_rows)
        self._sets: dict[WeightKey, WeightSet] = {}
        self._tokenizers: dict[Path, PreTrainedTokenizerBase] = {}
        torch.set_num_threads(settings.threads or os.cpu_count() or 1)

    def load(self, spec: ModelSpec, progress: Callable[[str], None]) -> LocalModel:
        """Make `spec` ready.

        Raises:
            EscError: it cannot be loaded here; the text says why and what to do.
        """
        device = pick_device(spec.device, spec.label)
        progress("looking for the weights")
        base = base_folder(spec.base)
        folder = base
        parts = [f"base {spec.base} {weights_sha256(base)}", spec.quantisation.value, device]
        artefact: Path | None = None
        if spec.weights is not None:
            folder, delta = rebuilt_folder(spec.weights, base, progress)
            artefact = delta or folder  # whole weights carry their own record
            parts.append(f"full {weights_sha256(folder)}")
        if spec.adapter is not None:
            artefact = artefact_folder(spec.adapter, "adapter_config.json")
            parts.append(f"lora {file_sha256(artefact / 'adapter_model.safetensors')}")
        key = WeightKey(folder, spec.quantisation, device)
        if key not in self._sets:
            progress("reading the weights")
            self._sets[key] = load_weights(key, self._tokenizer(base), spec.label)
        weights = self._sets[key]
        if spec.context_length > weights.positions:
            raise ModelError(
                f"{spec.label}: context_length is {spec.context_length:,}, but the model reads at"
                f" most {weights.positions:,} tokens. Lower it in models.yaml."
            )
        if artefact is not None and spec.variant is Variant.LORA:
            progress("adding the adapter")
            weights.add_adapter(spec.id, artefact, spec.base)
        revision = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
        record = read_record(artefact, weights_sha256(base)) if artefact else None
        model = LocalModel(spec, weights, self._worker, revision, record)
        if model.notice:
            _log.warning("%s: %s", spec.id, model.notice)
        return model

    def _tokenizer(self, folder: Path) -> PreTrainedTokenizerBase:
        """The tokenizer of a base, read once.

        Raises:
            ModelError: it is damaged or has no chat template.
        """
        if folder not in self._tokenizers:
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder)
            except EscError:
                raise
            except Exception as error:  # json and tokenizers each raise their own kinds
                raise ModelError(
                    f"The tokenizer in {folder} is damaged ({error}). Delete that folder and run"
                    " `python -m esc_demo setup`."
                ) from error
            if not tokenizer.chat_template:
                raise ModelError(f"The tokenizer in {folder} has no chat template.")
            self._tokenizers[folder] = tokenizer
        return self._tokenizers[folder]
