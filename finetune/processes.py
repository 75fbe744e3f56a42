"""What the operating system is asked about a training process, and told."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

NICENESS = 10
"""Of a run, so that replies on the page come first."""


def open_file(handle: Path) -> Path | None:
    """What an open file of a process is; None when it was closed meanwhile."""
    try:
        return Path(os.readlink(handle))
    except OSError:
        return None


def end_hard(pid: int) -> None:
    """End a process, with its group if it leads one."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def give_way(pid: int) -> None:
    """Let a new process give way to the page; the threads that it starts later inherit this.

    Linux may share the CPU among sessions first, whatever the niceness within them; a session's
    own niceness is then set through /proc/PID/autogroup (see sched(7)).
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{NICENESS}\n")
