"""Processes that are not ours: looking at them, waiting for their ends, leaving none behind."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: seconds after which what has not happened will not happen
PATIENCE = 20.0


def gone(pid: int, seconds: float = PATIENCE) -> bool:
    """Wait for the end of any process; False: it lives after so many seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ready, _, _ = select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
    return bool(ready)


def stat(pid: int) -> tuple[str, int, int, int]:
    """Return state, parent, group and session of a process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    return words[0], int(words[1]), int(words[2]), int(words[3])


def wait_until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait for what has no event to wait for: the state of a process that is not ours."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def living_in(directory: Path) -> list[int]:
    """Return the processes that have to do with a directory: they stand in it, or name it."""
    found = []
    name = os.fsencode(directory)
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            where = os.fsencode(os.readlink(f"/proc/{entry}/cwd"))
            with open(f"/proc/{entry}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue
        if where == name or where.startswith(name + b"/") or name in environment:
            found.append(int(entry))
    return found


def sweep(directory: Path) -> None:
    """Kill whatever a test has left."""
    for _ in range(3):
        for pid in living_in(directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            gone(pid, 2)
