"""Weights and language data: what is needed, where it lies, and fetching what is missing."""

from esc_demo.assets.catalogue import Asset, AssetKind, load_assets
from esc_demo.assets.fetch import (
    Converter,
    Manifest,
    asset_folder,
    ensure_assets,
    missing,
    read_manifest,
)

__all__ = [
    "Asset",
    "AssetKind",
    "Converter",
    "Manifest",
    "asset_folder",
    "ensure_assets",
    "load_assets",
    "missing",
    "read_manifest",
]
