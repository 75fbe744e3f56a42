"""Weights in memory: one base shared by its LoRA adapters, full fine-tunes beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig
from peft.utils import load_peft_weights
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedTokenizerBase,
)

from esc_demo.errors import ModelError
from esc_demo.models.local.decoder import Int8Decoder
from esc_demo.models.local.layers import AdaptedLinear, BatchPlan, LowRank
from esc_demo.models.local.rows import ATTENTION, Row, RowCaches, register
from esc_demo.models.specs import Device, Quantisation

_log = logging.getLogger(__name__)

ARCHITECTURES = frozenset({"llama", "mistral", "qwen2"})
"""Model types whose attention reads its cache as `rows.attend_rows` expects."""


@dataclass(frozen=True)
class WeightKey:
    """What makes two models share weights."""

    folder: Path
    quantisation: Quantisation
    device: str


def pick_device(wanted: Device, label: str) -> str:
    """`cuda` or `cpu`.

    Raises:
        ModelError: CUDA is asked for and there is none.
    """
    if wanted is Device.CPU:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted is Device.CUDA:
        raise ModelError(
            f"{label} needs a GPU, and this machine has none that PyTorch can use. Choose one of"
            " the small models, or start the lab on a machine with CUDA."
        )
    return "cpu"


class WeightSet:
    """One set of weights that can advance several rows at once."""

    def __init__(
        self, model: Any, tokenizer: PreTrainedTokenizerBase, decoder: Int8Decoder | None = None
    ) -> None:
        """Take over a transformers model; it reads prompts, and `decoder` writes tokens.

        Without a decoder the model writes too, each row in a forward pass of its own, because
        only the decoder's rows are known not to depend on their batch.
        """
        register()
        self.tokenizer = tokenizer
        self._model = model
        self._decoder = decoder
        self._plan = BatchPlan()
        model.config._attn_implementation = ATTENTION
        config = model.config
        self._layers = config.num_hidden_layers
        self._kv_heads = config.num_key_value_heads
        self._head_size = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        self._like = torch.empty(0, dtype=model.dtype, device=model.device)

    @property
    def positions(self) -> int:
        """The most tokens a row may hold."""
        return int(self._model.config.max_position_embeddings)

    @property
    def batched(self) -> bool:
        """Whether `decode` may be given several rows."""
        return self._decoder is not None

    def new_row(self, capacity: int) -> Row:
        """An empty cache for one conversation of at most `capacity` tokens."""
        return Row(self._layers, self._kv_heads, self._head_size, capacity, self._like)

    def add_adapter(self, name: str, folder: Path, base: str) -> None:
        """Load a LoRA adapter made for `base` and wrap the layers it touches.

        Raises:
            ModelError: damaged, of a kind that is not supported, or made for another base.
        """
        config, tensors = _read_adapter(folder)
        _check_adapter(config, folder, base)
        pairs = _low_rank_pairs(tensors, folder)
        if self._decoder is not None:
            _check_decodable(pairs, folder)
        scale = config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)
        _check_rank(pairs, config.r, folder)
        for path, pair in pairs.items():
            layer = self._adapted(path, pair, folder)
            down, up = pair["A"].to(self._like), pair["B"].to(self._like)
            layer.updates[name] = LowRank(down, up * scale)
        if self._decoder is not None:
            self._decoder.add_adapter(name)

    def _adapted(self, path: str, pair: dict[str, torch.Tensor], folder: Path) -> AdaptedLinear:
        """The wrapped layer at `path`, after checking that the adapter fits it."""
        try:
            layer = self._model.get_submodule(path)
        except AttributeError as error:
            raise ModelError(
                f"The adapter in {folder} was made for another model: there is no layer {path}."
            ) from error
        inner = layer.inner if isinstance(layer, AdaptedLinear) else layer
        if not isinstance(inner, nn.Linear):
            raise ModelError(f"The adapter in {folder} changes {path}, which is no linear layer.")
        expected = (inner.out_features, inner.in_features)
        found = (pair["B"].shape[0], pair["A"].shape[1])
        if expected != found:
            raise ModelError(
                f"The adapter in {folder} was made for another model: {path} is {expected} here"
                f" and {found} in the adapter."
            )
        if isinstance(layer, AdaptedLinear):
            return layer
        wrapped = AdaptedLinear(layer, self._plan)
        parent, _, child = path.rpartition(".")
        setattr(self._model.get_submodule(parent), child, wrapped)
        return wrapped

    @torch.inference_mode()
    def read(self, row: Row, ids: Sequence[int], adapter: str | None, *, last: bool) -> Any:
        """Append prompt tokens `ids` to `row`.

        Returns:
            With `last`, the logits [vocabulary] after the final token, else None.
        """
        self._plan.adapters = (adapter,)
        tokens = torch.tensor([list(ids)], device=self._like.device)
        positions = torch.arange(row.length, row.length + len(ids), device=tokens.device)[None]
        arguments = self._arguments([row], positions)
        if last:
            logits = self._model(input_ids=tokens, logits_to_keep=1, **arguments).logits[0, -1]
        else:
            self._model.model(input_ids=tokens, **arguments)
            logits = None
        row.advance()
        return logits

    @torch.inference_mode()
    def decode(
        self, rows: Sequence[Row], tokens: Sequence[int], adapters: Sequence[str | None]
    ) -> torch.Tensor:
        """Append one token to each row (one row unless `batched`).

        Returns:
            The next logits [rows, vocabulary].
        """
        if self._decoder is not None:
            logits = self._decoder.step(rows, tokens, adapters)
        else:
            self._plan.adapters = tuple(adapters)
            device = self._like.device
            ids = torch.tensor([[token] for token in tokens], device=device)
            positions = torch.tensor([[row.length] for row in rows], device=device)
            logits = self._model(input_ids=ids, **self._arguments(rows, positions)).logits[:, -1]
        for row in rows:
            row.advance()
        return logits

    @staticmethod
    def _arguments(rows: Sequence[Row], positions: torch.Tensor) -> dict[str, Any]:
        """What every forward pass is given beside the tokens."""
        return {
            "position_ids": positions,
            "past_key_values": RowCaches(rows),
            "use_cache": True,
            "rows": rows,
        }


_DECODED = tuple(f"self_attn.{name}_proj" for name in "qkvo")


def _low_rank_pairs(
    tensors: dict[str, torch.Tensor], folder: Path
) -> dict[str, dict[str, torch.Tensor]]:
    """The matrices A and B of each layer, by the layer's path.

    Raises:
        ModelError: a tensor is none of these, or one of a pair is missing.
    """
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        path, _, kind = key.removeprefix("base_model.model.").rpartition(".lora_")
        pairs.setdefault(path, {})[kind.removesuffix(".weight")] = tensor
    odd = [path for path, pair in pairs.items() if not path or set(pair) != {"A", "B"}]
    if odd or not pairs:
        raise ModelError(
            f"The adapter in {folder} is incomplete or not plain LoRA"
            f" ({odd[0] if odd else 'no tensors'}). Restore it, or train it anew."
        )
    return pairs


def _check_rank(pairs: dict[str, dict[str, torch.Tensor]], rank: int, folder: Path) -> None:
    """Refuse matrices of another rank than the configuration says: their scale would be wrong.

    Raises:
        ModelError: the text names the layer and both ranks.
    """
    for path, pair in pairs.items():
        found = {pair["A"].shape[0], pair["B"].shape[1]}
        if found != {rank}:
            raise ModelError(
                f"The adapter in {folder} has rank {'/'.join(map(str, sorted(found)))} in {path},"
                f" but its adapter_config.json says r = {rank}. Restore the two files of one"
                " training, or train it anew."
            )


def _check_decodable(paths: Iterable[str], folder: Path) -> None:
    """Refuse an adapter of which the int8 step would apply only a part.

    Raises:
        ModelError: it changes more than the attention's projections.
    """
    for path in paths:
        if not path.endswith(_DECODED):
            raise ModelError(
                f"The adapter in {folder} changes {path}; int8 on a CPU supports adapters of"
                " q_proj, k_proj, v_proj and o_proj. Set `quantisation: none` in models.yaml."
            )


def load_weights(key: WeightKey, tokenizer: PreTrainedTokenizerBase, label: str) -> WeightSet:
    """Read a folder of weights into memory.

    Raises:
        ModelError: damaged weights, an unsupported architecture, or not enough memory.
    """
    try:
        kind = AutoConfig.from_pretrained(key.folder).model_type
        if kind not in ARCHITECTURES:
            raise ModelError(
                f"{label} has the architecture {kind!r}; the lab runs"
                f" {', '.join(sorted(ARCHITECTURES))}. Choose another model."
            )
        model = AutoModelForCausalLM.from_pretrained(key.folder, **_loading(key)).eval()
    except ModelError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(
            f"{label} does not fit into memory. Use `quantisation: 4bit` on a GPU, or a smaller"
            " model."
        ) from error
    except Exception as error:  # safetensors, json and torch each raise their own kinds
        _log.warning("loading %s: %s", key.folder, error)
        raise ModelError(
            f"The weights of {label} in {key.folder} are damaged ({error}). Delete that folder"
            " and run `python -m esc_demo setup`."
        ) from error
    fast = key.device == "cpu" and key.quantisation is Quantisation.INT8
    return WeightSet(model, tokenizer, Int8Decoder(model) if fast else None)


def _loading(key: WeightKey) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a device and a quantisation.

    Raises:
        ModelError: a combination that is not offered.
    """
    if key.device == "cpu":
        if key.quantisation is Quantisation.FOUR_BIT:
            raise ModelError(
                "4-bit weights need a GPU; on a CPU they are slower than float32. Use"
                " `quantisation: int8` in models.yaml."
            )
        return {"dtype": torch.float32}
    arguments: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": 0}}
    if key.quantisation is Quantisation.INT8:
        arguments["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif key.quantisation is Quantisation.FOUR_BIT:
        arguments["quantization_config"] = four_bit(torch.bfloat16)
    return arguments


def four_bit(arithmetic: torch.dtype) -> BitsAndBytesConfig:
    """nf4 with double quantisation (Dettmers et al., 2023), for serving and training alike."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=arithmetic,
    )


def _read_adapter(folder: Path) -> tuple[LoraConfig, dict[str, torch.Tensor]]:
    """Configuration and tensors of an adapter folder.

    Raises:
        ModelError: not readable, or no LoRA.
    """
    try:
        config = PeftConfig.from_pretrained(str(folder))
        tensors = load_peft_weights(str(folder), device="cpu")
    except Exception as error:  # json, safetensors and peft each raise their own kinds
        raise ModelError(
            f"The adapter in {folder} cannot be read ({error}). Restore it, or train it anew with"
            " `python -m finetune train esc-smollm2-lora`."
        ) from error
    if not isinstance(config, LoraConfig):
        raise ModelError(f"The adapter in {folder} is {config.peft_type}, not LoRA.")
    return config, tensors


def _check_adapter(config: LoraConfig, folder: Path, base: str) -> None:
    """Refuse what would be applied wrongly.

    Raises:
        ModelError: another base, or a LoRA with parts that are not supported.
    """
    made_for = config.base_model_name_or_path
    if made_for and made_for != base:
        raise ModelError(
            f"The adapter in {folder} was trained for {made_for}, not for {base}. Set the right"
            " `base` in models.yaml, or take another adapter."
        )
    unsupported = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias")
    found = [name for name in unsupported if getattr(config, name, None)]
    if config.bias != "none":
        found.append("bias")
    if found:
        raise ModelError(
            f"The adapter in {folder} uses {', '.join(found)}, which the lab does not support."
            " Merge it into full weights first."
        )
