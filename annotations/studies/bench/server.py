"""The app as its users start it, in a process of its own on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from esc_demo.errors import StorageError
from esc_demo.settings import PROJECT_ROOT, handed_on

HOST = "127.0.0.1"
_START_S = 180
_TAIL = 1500


class AppServer:
    """`python app.py` with scripted models, on a database."""

    def __init__(self, database_url: str, folder: Path) -> None:
        """Nothing runs yet; its output will be in `folder`/app.log."""
        self.port = free_port()
        self._log = folder / "app.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = {
            "ESC_DATABASE_URL": database_url,
            "ESC_HOST": HOST,
            "ESC_PORT": str(self.port),
            "ESC_SCRIPTED": "1",
            "ESC_TRAIN_TAB": "0",
            "ESC_HUB": "0",
        }

    def start(self, path: str) -> float:
        """Start, and wait until `path` is answered; returns the seconds that took.

        Raises:
            StorageError: it ends or does not answer; the text has the end of its output.
        """
        begun = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(PROJECT_ROOT / "app.py")],
                cwd=PROJECT_ROOT,
                env=handed_on(**self._settings),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not answers(f"http://{HOST}:{self.port}{path}"):
            if self._process.poll() is not None or time.monotonic() - begun > _START_S:
                raise StorageError(f"The app did not start. It said: {self._said()}")
            time.sleep(0.1)
        return time.monotonic() - begun

    def kill(self) -> None:
        """End it as a power cut would: no chance to finish anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it as a service manager would; a program in the background may ignore Ctrl+C."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")[-_TAIL:]


def free_port() -> int:
    """A port of the loopback address that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether `url` is served."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
