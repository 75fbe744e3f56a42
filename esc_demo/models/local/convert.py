"""GGUF to safetensors, once, at set-up.

A model loaded from GGUF refuses `save_pretrained`, so its weights are copied into a fresh
model of the same configuration, which is saved in bfloat16.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from esc_demo.errors import AssetError


def convert_gguf(gguf: Path, target: Path, progress: Callable[[str], None]) -> None:
    """Write `gguf` as config, bfloat16 safetensors and tokenizer into the folder `target`.

    Raises:
        AssetError: the file is damaged or of an architecture transformers cannot read.
    """
    progress("reading the GGUF file")
    try:
        source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
        tokenizer = AutoTokenizer.from_pretrained(**source)
        loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    except (ValueError, KeyError, IndexError, RuntimeError, EOFError) as error:
        raise AssetError(
            f"The weights {gguf} cannot be read ({error}). Delete the file and run"
            " `python -m esc_demo setup` again."
        ) from error
    progress("writing safetensors")
    fresh = AutoModelForCausalLM.from_config(loaded.config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    _forget_gguf(target / "config.json")
    for path in target.iterdir():
        path.chmod(0o644)  # save_pretrained leaves weights readable by their owner only


def _forget_gguf(config: Path) -> None:
    """Drop the note that these weights came out of a GGUF file; loading would look for it."""
    content = json.loads(config.read_text("utf-8"))
    content.pop("quantization_config", None)
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
