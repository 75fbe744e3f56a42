"""The only reader of the environment: every setting is `ESC_<NAME>` or a line in `.env`."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from esc_demo.errors import ConfigError

ExpandedPath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which `~` means the home folder."""

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Everything that may differ between a laptop, a Space and a server."""

    model_config = SettingsConfigDict(
        env_prefix="ESC_", env_file=".env", extra="ignore", validate_default=True
    )

    cache_dir: ExpandedPath = Field(Path("~/.cache/esc-demo"), description="Weights and assets")
    database_url: str = Field("sqlite:///data/esc.db", description="SQLAlchemy URL")
    models_file: Path = Field(
        Path(__file__).parent / "models" / "models.yaml", description="Which models are offered"
    )
    host: str = Field("127.0.0.1", description="Address the page listens on")
    port: int = Field(7860, ge=1, le=65535, description="Port the page listens on")
    hub: bool = Field(True, description="Try the Hugging Face hub before the pinned wheels")
    threads: int = Field(0, ge=0, description="CPU threads of the models; 0 = all cores")
    scripted: bool = Field(
        False, description="Scripted replies instead of models, for recordings and tests"
    )
    max_panes: int = Field(4, ge=1, le=4, description="Most panes side by side")
    max_rows: int = Field(12, ge=1, description="Most replies written at once; others wait")
    seed: int | None = Field(None, ge=0, description="Fixed first seed of new conversations")
    region: str = Field("international", description="Region whose crisis resources come first")
    train_tab: bool = Field(
        default_factory=lambda: "SPACE_ID" not in os.environ,
        description="Whether the page can train; off by default on a Hugging Face Space",
    )
    study_secret: SecretStr | None = Field(
        None, description="Key that hides the names recruiting sites give to participants"
    )
    admin_password: SecretStr | None = Field(
        None, description="Opens the Admin tab, which stays closed without it"
    )
    openai_base_url: str = Field(
        "https://api.openai.com/v1", description="OpenAI-compatible endpoint of openai:NAME models"
    )
    openai_api_key: SecretStr | None = Field(None, description="Key of that endpoint")


def handed_on(**changes: str) -> dict[str, str]:
    """The environment for a program we start: as it is, unread, with `changes` in it."""
    return {**os.environ, **changes}


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the environment once.

    Raises:
        ConfigError: a setting has an unusable value; the text names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"ESC_{'_'.join(map(str, item['loc'])).upper()} = {item['input']!r}: {item['msg']}"
            for item in error.errors()
        ]
        raise ConfigError("Unusable setting. " + "; ".join(lines)) from error
