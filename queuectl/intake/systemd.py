"""What a service and systemd say to each other: sd_notify(3), and a unit of the user's own."""

from __future__ import annotations

import os
import socket
import time

from queuectl.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNIT = """\
[Unit]
Description=queuectl: jobs, and ways in for them

[Service]
Type=notify
# a store that others share has a small process above the one that speaks
NotifyAccess=all
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
{environment}Restart=on-failure
# what it cannot understand now it will not understand later
RestartPreventExitStatus=2
WatchdogSec=60
# running jobs may take a while to finish; after that they are stopped and run again later
TimeoutStopSec=15min
KillMode=mixed
OOMPolicy=continue

[Install]
WantedBy=default.target
"""
#: what the unit takes with it of the environment it was written in
_KEPT = ("QUEUECTL_STATE_DIR", "QUEUECTL_STORE", "QUEUECTL_SCHEMA", "QUEUECTL_SOCKET", "XDG_STATE_HOME",
         "TASKSPOOL_SOCKET", "TASKSPOOL_TEMP_DIR", "TASKSPOOL_LOG_DIR", "PYTHONPATH", "PATH", "LANG")  # fmt: skip


class Notifier:
    """Tells the service manager how it goes; without one nothing is told."""

    def __init__(self, environ: Mapping[str, str], main_pid: int) -> None:
        """`main_pid` is the process that the manager started, this one or the front above it."""
        self._main_pid = main_pid
        address = environ.get("NOTIFY_SOCKET", "")
        #: a name that begins with @ is in the abstract name space (unix(7))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        #: seconds between two signs of life, None when nobody waits for them
        self.every: float | None = None
        limit = environ.get("WATCHDOG_USEC", "")
        for_us = environ.get("WATCHDOG_PID", str(main_pid)) == str(main_pid)
        if self._address and for_us and limit.isascii() and limit.isdigit() and int(limit):
            # half of what is allowed, as sd_watchdog_enabled(3) advises
            self.every = int(limit) / 2e6

    def ready(self, status: str) -> None:
        """Say that everything is there."""
        self._tell(f"READY=1\nSTATUS={status}\nMAINPID={self._main_pid}")

    def reloading(self) -> None:
        """Say that settings are being read again; `ready` ends it."""
        self._tell(
            f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        )

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self._tell(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(text.encode(), self._address)
        except OSError:
            # it is not there, or does not listen: the service goes on
            pass


def unit_path(environ: Mapping[str, str]) -> str:
    """Return where the user's unit is (XDG Base Directory Specification)."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".config"
    )
    return os.path.join(base, "systemd", "user", "queuectl.service")


def write_unit(environ: Mapping[str, str], argv: Sequence[str], *, force: bool) -> str:
    """Write a unit that runs `argv`; return its path. Atomic.

    Raises Refused when another one is there (unless `force`), or a secret would stand in it.
    """
    path = unit_path(environ)
    secret = environ.get("QUEUECTL_STORE", "")
    if "@" in secret and ":" in secret.partition("://")[2].rpartition("@")[0]:
        raise Refused(
            "serve --install-unit: the password in QUEUECTL_STORE would stand in the unit: put it"
            " into ~/.pgpass"
        )
    kept = [
        f"Environment={_quoted(f'{name}={environ[name]}', dollar='$')}\n"
        for name in _KEPT if environ.get(name)
    ]  # fmt: skip
    text = _UNIT.format(command=" ".join(map(_quoted, argv)), environment="".join(kept))
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            if file.read() != text and not force:
                raise Refused(f"{path} is there already and different; to replace it: --force")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    draft = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(draft, path)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    return path


def _quoted(word: str, dollar: str = "$$") -> str:
    """Return a word as systemd.service(5) and systemd.syntax(7) want it written."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    text = text.replace("\n", "\\n").replace("\t", "\\t")
    return f'"{text}"'
