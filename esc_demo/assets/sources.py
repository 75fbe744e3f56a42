"""Where assets come from: the model hub, or a pinned wheel used as a container."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from esc_demo.assets.catalogue import Asset
from esc_demo.errors import AssetError
from esc_demo.settings import handed_on
from esc_demo.storage import NO_SPACE, disk_full, is_disk_full

Progress = Callable[[str], None]
"""Called with a short sentence on what is being done."""

HUB_SECONDS = 5.0
"""How long the hub may take to answer at all before it counts as unreachable."""

_HUB_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
]
_PIP = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-input"]
_log = logging.getLogger(__name__)


class Unobtainable(AssetError):
    """An asset cannot be had right now; another source, or another day, may help."""


def hub_revision(hub_id: str, seconds: float = HUB_SECONDS) -> str | None:
    """The commit the hub serves for `hub_id`, or None when it does not answer in time.

    The question is asked from a thread, because a lookup of a name can hang for longer than
    any timeout of the client.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 (slow import, only needed at set-up)

    answer: list[str] = []

    def ask() -> None:
        try:
            answer.append(HfApi().model_info(hub_id, timeout=seconds).sha or "")
        except Exception as error:  # the hub raises a dozen kinds; all mean: not from there
            _log.info("hub: %s", error)

    thread = threading.Thread(target=ask, name="hub-probe", daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else None


def download_from_hub(hub_id: str, revision: str, target: Path) -> None:
    """Copy the files of a model into the folder `target`.

    Raises:
        Unobtainable: the download broke off or lacks files.
        StorageError: the disk is full.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (slow import)

    try:
        snapshot_download(
            hub_id,
            revision=revision or None,
            local_dir=target,
            allow_patterns=_HUB_FILES,
            etag_timeout=HUB_SECONDS,
        )
    except Exception as error:  # as above
        if is_disk_full(error):
            raise disk_full(target) from error
        raise Unobtainable(f"the download from the hub broke off ({error})") from error
    shutil.rmtree(target / ".cache", ignore_errors=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (target / name).is_file():
            raise Unobtainable(f"the hub's copy has no {name}")


def obtain_wheel(asset: Asset, given: Path, scratch: Path) -> Path:
    """The wheel of `asset`, checked: the copy a person put into `given`, else downloaded.

    Raises:
        Unobtainable: it cannot be downloaded.
        AssetError: its checksum is wrong.
        StorageError: the disk is full.
    """
    by_hand = given / asset.wheel.file
    wheel = by_hand if by_hand.is_file() else _pip_download(asset, scratch)
    _check(wheel, asset)
    return wheel


def _pip_download(asset: Asset, scratch: Path) -> Path:
    """Download a wheel with pip into `scratch`, which also holds pip's own temporary files."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / "pip.log"
    command = [sys.executable, *_PIP, "--retries=1", "-d", str(scratch), asset.wheel.requirement]
    # pip needs its proxy and index settings, and TMPDIR keeps its half files inside the folder
    # that the next set-up clears away.
    environment = handed_on(TMPDIR=str(scratch))
    bar = tqdm(total=asset.wheel.size, unit="B", unit_scale=True, desc=asset.name, disable=None)
    with bar, log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=errors, stderr=errors)
        try:
            while process.poll() is None:
                _show(bar, scratch)
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        _show(bar, scratch)
    wheel = scratch / asset.wheel.file
    if process.returncode == 0 and wheel.is_file():
        return wheel
    said = log.read_text("utf-8", errors="replace")
    if NO_SPACE in said:
        raise disk_full(scratch)
    reasons = [line for line in said.splitlines() if line.startswith("ERROR:")]
    reason = reasons[-1].removeprefix("ERROR: ") if reasons else "pip gave no reason"
    raise Unobtainable(f"{asset.wheel.requirement} cannot be downloaded ({reason})")


def _show(bar: tqdm[None], folder: Path) -> None:
    """Move the bar to the number of bytes below `folder`."""
    written = 0
    for path, _, names in os.walk(folder):  # unlike rglob it bears folders that pip removes
        for name in names:
            if name.endswith(".whl"):
                with suppress(OSError):  # pip has just moved it
                    written = max(written, os.path.getsize(os.path.join(path, name)))
    bar.update(max(0, min(written, bar.total) - bar.n))


def _check(path: Path, asset: Asset) -> None:
    """Compare a wheel's checksum with the pinned one.

    Raises:
        AssetError: they differ.
    """
    found = sha256_of(path)
    expected = asset.wheel.sha256
    if found != expected:
        raise AssetError(
            f"The file {path.name} for the {asset.title} is not the pinned one: its sha256 is"
            f" {found[:16]}…, expected {expected[:16]}…. Nothing of it was used. Delete {path}"
            " if it still exists, clear pip's cache with `pip cache purge`, and run"
            f" `{asset.command}` again."
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(wheel: Path, member: str, target: Path) -> None:
    """Unpack a file, or a folder when `member` ends with a slash, into the folder `target`.

    Raises:
        AssetError: not a zip file, the member is missing, or a path leads out of `target`.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            chosen = [
                info
                for info in archive.infolist()
                if not info.is_dir()
                and (info.filename == member or (member[-1] == "/" and _under(info, member)))
            ]
            if not chosen:
                raise AssetError(f"{wheel.name} holds no {member}. Restore esc_demo/assets.")
            start = len(member) if member[-1] == "/" else len(member.rpartition("/")[0]) + 1
            total = sum(info.file_size for info in chosen)
            bar = tqdm(total=total, unit="B", unit_scale=True, desc="unpacking", disable=None)
            with bar:
                for info in chosen:
                    _extract(archive, info, target, info.filename[start:], bar)
    except zipfile.BadZipFile as error:
        text = f"{wheel} is damaged ({error}). Delete it and run the set-up again."
        raise AssetError(text) from error


def _under(info: zipfile.ZipInfo, folder: str) -> bool:
    """Whether an entry lies in `folder`."""
    return info.filename.startswith(folder)


def _extract(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, name: str, bar: tqdm[None]
) -> None:
    """Write one entry as `name` below `target`, refusing links and paths that lead out."""
    parts = PurePosixPath(name).parts
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if is_link or not parts or "\\" in name or parts[0] == "/" or ".." in parts:
        raise AssetError(f"{archive.filename} holds the unsafe path {info.filename!r}; not used.")
    path = target.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, path.open("wb") as sink:
        while block := source.read(1 << 20):
            sink.write(block)
            bar.update(len(block))
