"""Where things lie on this machine: the state directory, and what stands beside a database."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def state_directory(environ: Mapping[str, str]) -> str:
    """Return the directory of the default store (XDG Base Directory Specification).

    QUEUECTL_STATE_DIR, else TASKSPOOL_TEMP_DIR (where taskspooler keeps what jobs write), else
    $XDG_STATE_HOME/queuectl, else ~/.local/state/queuectl, or on macOS
    ~/Library/Application Support/queuectl.
    """
    given = environ.get("QUEUECTL_STATE_DIR") or environ.get("TASKSPOOL_TEMP_DIR")
    if given:
        return os.path.abspath(given)
    base = environ.get("XDG_STATE_HOME")
    if base and os.path.isabs(base):
        return os.path.join(base, "queuectl")
    home = environ.get("HOME") or os.path.expanduser("~")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "queuectl")
    return os.path.join(home, ".local", "state", "queuectl")


def default_url(environ: Mapping[str, str]) -> str:
    """Return the URL of the store that is used when none is named."""
    return "sqlite://" + os.path.join(state_directory(environ), "queue.db")


def socket_path(environ: Mapping[str, str]) -> str:
    """Return where `serve` listens: QUEUECTL_SOCKET, TASKSPOOL_SOCKET, or in the state directory."""
    given = environ.get("QUEUECTL_SOCKET") or environ.get("TASKSPOOL_SOCKET")
    return os.path.abspath(given) if given else os.path.join(state_directory(environ), "socket")


def spool_directory(environ: Mapping[str, str]) -> str:
    """Return where spool files are when no directory is named: QUEUECTL_SPOOL, or as above."""
    given = environ.get("QUEUECTL_SPOOL")
    return os.path.abspath(given) if given else os.path.join(state_directory(environ), "spool")


def logs_directory(local: str, environ: Mapping[str, str]) -> str:
    """Return where hosts without a terminal write logs: QUEUECTL_LOG_DIR, TASKSPOOL_LOG_DIR."""
    given = environ.get("QUEUECTL_LOG_DIR") or environ.get("TASKSPOOL_LOG_DIR")
    return os.path.abspath(given) if given else local + "/logs"


def hosts_directory(local: str) -> str:
    """Return where the hosts of a store keep their files and wake-up pipes on this machine."""
    return local + "/hosts"


def output_path(local: str, job_id: int, run: int) -> str:
    """Return the output file of one attempt: a directory per thousand jobs keeps them small."""
    return f"{local}/output/{job_id // 1000}/{job_id}-{run}"


def make_private(directory: str) -> None:
    """Make a directory and those above it that are missing, all for their owner only."""
    above = os.path.dirname(directory)
    if above and not os.path.isdir(above):
        make_private(above)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass


def sync_directory(directory: str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wake_path(hosts: str, host_id: str) -> str:
    """Return the named pipe that wakes a host."""
    return f"{hosts}/{host_id}.wake"


def host_path(hosts: str, host_id: str) -> str:
    """Return the file in which a host keeps its lock, heartbeat and slots."""
    return f"{hosts}/{host_id}.host"


def wake_hosts(hosts: str, except_for: str | None = None) -> None:
    """Poke every host of a database through its pipe. Never blocks, never fails.

    A full pipe means that the host has been poked already; no reader, that it is gone.
    """
    try:
        names = os.listdir(hosts)
    except OSError:
        return
    own = f"{except_for}.wake"
    for name in names:
        if not name.endswith(".wake") or name == own:
            continue
        try:
            pipe = os.open(f"{hosts}/{name}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.write(pipe, b"w")
        except OSError:
            pass
        finally:
            os.close(pipe)
