"""Fixtures for every test: isolated settings, scripted models, and what may be skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from annotations.database import open_database
from annotations.studies.bench.postgres import why_not
from esc_demo.assets import missing
from esc_demo.models import load_specs
from esc_demo.models.registry import ModelRegistry
from esc_demo.models.scripted import ScriptedModel
from esc_demo.settings import Settings, get_settings
from tests.postgres import Cluster, cluster


@pytest.fixture(scope="session", autouse=True)
def _isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No ESC_* variable or .env of the developer counts, except where the weights are.

    The database lies in a temporary folder and the model hub is never asked.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ESC_")]:
            if name != "ESC_CACHE_DIR":
                patch.delenv(name)
        patch.setitem(Settings.model_config, "env_file", None)
        database = tmp_path_factory.mktemp("database") / "esc.db"
        patch.setenv("ESC_DATABASE_URL", f"sqlite:///{database}")
        patch.setenv("ESC_HUB", "0")
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_settings(_isolated_environment: None) -> Iterator[None]:
    """A test that changes the environment leaves no settings behind."""
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with an empty cache and no hub."""
    return Settings(cache_dir=tmp_path / "cache", hub=False)


@pytest.fixture
def scripted_registry() -> ModelRegistry:
    """The shipped model list, answered from a script."""
    catalogue = load_specs(get_settings().models_file)
    return ModelRegistry(catalogue, lambda spec, progress: ScriptedModel(spec))


@pytest.fixture(scope="session")
def weights(_isolated_environment: None) -> Path:
    """The cache with the default weights and the tagger."""
    get_settings.cache_clear()
    if absent := missing():
        names = ", ".join(asset.title for asset in absent)
        _unavailable(f"{names} not set up; run `python -m esc_demo setup`")
    return get_settings().cache_dir


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    _unavailable("no Chromium on the PATH; run scripts/ensure_chromium.sh")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL server of this run's own."""
    if reason := why_not():
        _unavailable(reason)
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def _postgresql_template(postgresql: Cluster) -> str:
    """A database with the newest tables, to be copied."""
    name = postgresql.new_database()
    open_database(postgresql.url(name)).dispose()
    return name


@pytest.fixture
def postgresql_url(postgresql: Cluster, _postgresql_template: str) -> Iterator[str]:
    """The address of a new database with the newest tables."""
    name = postgresql.new_database(_postgresql_template)
    yield postgresql.url(name)
    postgresql.drop(name)


def _unavailable(reason: str) -> NoReturn:
    """Skip on a bare laptop, fail in CI."""
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked `weights` asks for them even when it only needs them to be there."""
    for item in items:
        if item.get_closest_marker("weights") and isinstance(item, pytest.Function):
            names = item.fixturenames
            if "weights" not in names:
                names.insert(0, "weights")
