"""The cache folder under work: its lock, what interrupted work left, and a full disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from esc_demo.errors import EscError, StorageError

NO_SPACE = "No space left on device"
_LOCK = ".setup.lock"


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` is a full disk; libraries wrap that in kinds of their own."""
    text = str(error)
    return (
        (isinstance(error, OSError) and error.errno == errno.ENOSPC)
        or NO_SPACE in text
        or "PytorchStreamWriter" in text  # torch.save says no more when a write is cut short
        or "inline_container" in text
        or "os error 28" in text
    )


def disk_full(where: Path) -> StorageError:
    """The error for a full disk."""
    return StorageError(
        f"The disk is full: {where} cannot be written. Free about 1 GB, or set ESC_CACHE_DIR to"
        " a folder on another disk, then run `python -m esc_demo setup` again."
    )


@contextmanager
def cache_lock(cache: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache's lock, saying so when another set-up has it; never nest it."""
    lock = FileLock(cache / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("Another set-up is running; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def clear_storage_errors(cache: Path) -> Iterator[None]:
    """Turn errors of the file system into one clear line.

    Raises:
        StorageError: the disk is full, or the cache cannot be used.
    """
    try:
        yield
    except EscError:
        raise
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(cache) from error
        where = error.filename or cache
        raise StorageError(
            f"The cache folder {cache} cannot be used ({where}: {error.strerror or error}). Make"
            " it readable and writable for you, or set ESC_CACHE_DIR to another folder."
        ) from error


def remove(path: Path) -> None:
    """Delete a folder or file if it is there; what cannot go now goes next time."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
