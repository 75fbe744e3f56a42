"""The app as its users start it: a process of its own, on a free loopback port."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from annotations.studies.bench.server import answers, free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A running app."""

    url: str
    database: Path
    ready_s: float


def start(folder, port, cwd=ROOT, **environment):
    """The app's process, working in `cwd`; its output goes to `folder`/app.log."""
    values = {
        "ESC_PORT": str(port),
        "ESC_DATABASE_URL": f"sqlite:///{folder}/esc.db",
        "ESC_SEED": "7",
        **environment,
    }
    with (folder / "app.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")],
            cwd=cwd,
            env={**os.environ, **values},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def run_server(folder, cwd=ROOT, **environment):
    """Start, wait for HTTP 200, yield a Server, and end the process."""
    port = free_port()
    started = time.monotonic()
    process = start(folder, port, cwd, **environment)
    url = f"http://127.0.0.1:{port}/"
    try:
        while not answers(url):
            said = (folder / "app.log").read_text()
            assert process.poll() is None, f"the app ended: {said}"
            assert time.monotonic() - started < 60, f"no answer within 60 s: {said}"
            time.sleep(0.1)
        yield Server(url, folder / "esc.db", time.monotonic() - started)
    finally:
        process.terminate()  # not Ctrl+C, which programs in the background may ignore
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
