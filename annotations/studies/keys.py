"""Codes that participants hold, and the hashes that are kept of them.

A resume code has 60 random bits, so a plain hash does not give it away. Names given by a
recruiting site have few, so they are hashed with a secret that is not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine

from esc_demo.errors import ConfigError, StorageError
from esc_demo.settings import get_settings

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 signs that nobody takes for one another."""

_OTHER = re.compile(r"[^A-Z0-9]")


def new_code(signs: int = 12) -> str:
    """A random code in groups of four: `ABCD-EFGH-JKLM`."""
    return _grouped("".join(secrets.choice(_ALPHABET) for _ in range(signs)))


def derived_code(key: str, *names: str, signs: int = 12) -> str:
    """A code that follows from a secret key and names, and that tells neither."""
    digest = _mac(key, *names)
    return _grouped("".join(_ALPHABET[byte % 32] for byte in digest[:signs]))


def keyed_hash(key: str, *names: str) -> str:
    """A hash that only the holder of the key can compute: 64 hex digits."""
    return _mac(key, *names).hex()


def code_hash(code: str) -> str:
    """What is kept of a code; case and hyphens do not matter."""
    return hashlib.sha256(_OTHER.sub("", code.upper()).encode()).hexdigest()


def _mac(key: str, *names: str) -> bytes:
    return hmac.digest(key.encode(), "\x1f".join(names).encode(), "sha256")


def _grouped(signs: str) -> str:
    return "-".join(signs[start : start + 4] for start in range(0, len(signs), 4))


def outside_secret(engine: Engine) -> str:
    """The secret for names given by a recruiting site.

    `ESC_STUDY_SECRET`, or for SQLite a file beside the database, made when it is first needed.

    Raises:
        ConfigError: PostgreSQL without the setting.
        StorageError: the file cannot be made or read.
    """
    given = get_settings().study_secret
    if given is not None:
        return given.get_secret_value()
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name.startswith("file:"):
        raise ConfigError(
            "Participants of a recruiting site are kept apart by a keyed hash, and there is no key:"
            " set ESC_STUDY_SECRET to a long random text, and keep it as long as the study."
        )
    return _secret_file(Path(f"{name}.secret"))


def _secret_file(path: Path) -> str:
    """The text of the file; of two that make it at once, the first one wins."""
    try:
        with suppress(FileNotFoundError):
            return path.read_text("ascii")
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        draft.touch(0o600)
        draft.write_text(secrets.token_hex(32), "ascii")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"The key for participants of recruiting sites, {path}, cannot be used: {error}."
            " Make its folder writable, or set ESC_STUDY_SECRET."
        ) from error
