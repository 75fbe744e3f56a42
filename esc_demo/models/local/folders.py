"""Where weights lie, and what identifies them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from esc_demo.errors import AssetError
from esc_demo.settings import PROJECT_ROOT, get_settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


DEFAULT_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The base that `setup` puts into the cache (assets/catalogue.yaml)."""


def base_folder(name: str) -> Path:
    """The folder of the base weights `name`, a hub id or a folder.

    Looks at the folder itself, the project, the cache of `setup`, and then the hub's cache or
    the hub.

    Raises:
        AssetError: not found anywhere; the text says how to get it.
    """
    candidates = [Path(name).expanduser(), PROJECT_ROOT / name]
    if name == DEFAULT_BASE:
        candidates.append(get_settings().cache_dir / name.rsplit("/", 1)[-1])
    for candidate in candidates:
        if (candidate / "config.json").exists():
            return candidate
    return _from_hub(name)


def artefact_folder(name: str, marker: str) -> Path:
    """The folder of an adapter or a delta; `marker` is a file it must hold.

    Raises:
        AssetError: not found; the text names the folder and the file.
    """
    for candidate in (Path(name).expanduser(), PROJECT_ROOT / name):
        if candidate.exists():
            if (candidate / marker).exists():
                return candidate
            raise AssetError(f"{candidate} holds no {marker}. Restore the folder, or train anew.")
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    """Fetch a snapshot from the hub, or from its local cache."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (slow import)

    if "/" in name and not name.startswith(("/", ".", "~")) and name.count("/") == 1:
        try:
            offline = not get_settings().hub
            return Path(snapshot_download(name, local_files_only=offline, etag_timeout=5))
        except Exception as error:  # the hub raises a dozen kinds; all mean the same here
            raise AssetError(
                f"The weights {name} are neither here nor reachable on the Hugging Face hub"
                f" ({type(error).__name__}). For the default model run `python -m esc_demo setup`;"
                " for others connect to the network, or put the folder's path into models.yaml."
            ) from error
    raise AssetError(f"The folder {name} does not exist. Check models.yaml.")


@lru_cache(maxsize=32)
def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex; kept for the life of the process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_sha256(folder: Path) -> str:
    """SHA-256 of the weights in `folder`: of the file, or over those of all shards by name."""
    if (folder / "model.safetensors").exists():
        return file_sha256(folder / "model.safetensors")
    shards = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256("".join(map(file_sha256, shards)).encode()).hexdigest()


def template_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """First 12 hex digits over chat template and vocabulary: equal means equal prompts."""
    digest = hashlib.sha256(str(tokenizer.chat_template).encode())
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        digest.update(f"{index}:{token}\n".encode())
    return digest.hexdigest()[:12]
