"""A host's side of its front process: what it tells it, and how it lets go of its terminal.

The front (queuectl.front) is the parent of an interactive shell or of a detached host. Two pipes
join them; when either process is gone the other reads the end of a pipe.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: what a host tells its front, a line each: where its host file is; when its jobs must have ended
#: unless it says so again (ns since boot); the token of one that may go on even then; to stand
#: still until the shell above wants it to go on; to end because the host goes on alone, by choice
#: or after a hang-up
FILE, LEASE, SPARE = b"file ", b"lease ", b"spare "
STAND_STILL, ALONE, HUNG_UP = b"stand still", b"alone", b"hung up"
#: what a front tells its host, a byte each: that it is to stand still; that it goes on
STOPPING, GOING_ON = b"s", b"c"
#: logs of hosts that are kept
LOGS = 20
#: signals that ask something of a host; others may have a handler only so that they do nothing
ASKING = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
#: seconds within which the same signal, sent to a group, arrives a second time through the front
ECHO = 0.1


class Link:
    """The two pipes, at the host's end. `watch` before `suspend`."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        self._going = threading.Event()
        self._asked = False
        #: whether the front is there
        self.lives = True
        #: whether this process is to keep its streams and its terminal
        self.foreground = False

    def announce(self, path: str) -> None:
        """Say which file the front finds this host's running jobs in when this process is gone."""
        self._tell(FILE + os.fsencode(path))

    def lease(self, ends: int) -> None:
        """Say when this host's jobs must have ended, ns since boot, unless it is said again.

        Never blocks: a front that stands still does not read.
        """
        self._say(LEASE + b"%d" % ends)

    def spare(self, token: str) -> None:
        """Say that a job may go on even then. Never blocks."""
        self._say(SPARE + token.encode())

    def _say(self, line: bytes) -> None:
        poll = select.poll()
        poll.register(self._writer, select.POLLOUT)
        if poll.poll(0):
            self._tell(line)

    def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` once when the front is gone, on a thread of its own."""
        threading.Thread(target=self._watch, args=(gone,), name="front", daemon=True).start()

    def suspend(self) -> None:
        """Give the terminal back to the shell above until it says `fg`. The main thread only.

        The front stands still meanwhile; this process does not, else it would be taken for dead.
        """
        self._going.clear()
        self._asked = False
        self._tell(STAND_STILL)
        self._going.wait()

    @property
    def asked(self) -> bool:
        """Whether the front waits for `suspend`."""
        return self._asked

    def part(self, word: bytes) -> None:
        """Make the front end: ALONE or HUNG_UP."""
        self._tell(word)

    def _tell(self, line: bytes) -> None:
        try:
            os.write(self._writer, line + b"\n")
        except OSError:
            # it is gone: nobody to tell
            self.lives = False
            self._going.set()

    def _watch(self, gone: Callable[[], None]) -> None:
        while said := os.read(self._reader, 64):
            if STOPPING in said:
                self._asked = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTSTP)
            if GOING_ON in said:
                self._going.set()
        self.lives = False
        self._going.set()
        gone()


_link: Link | None = None
#: when this process had each signal last
_had: dict[int, float] = {}


def link() -> Link | None:
    """Return the link to this process's front, None when it has none."""
    return _link


def join(reader: int, writer: int, *, foreground: bool = False) -> None:
    """Remember the pipes to the front of this process; `foreground`: it keeps its streams."""
    global _link
    _link = Link(reader, writer)
    _link.foreground = foreground


def once(numbers: bytes) -> bytes:
    """Return those of some signals that ask something of this process, each when it comes first.

    What it has just had is left out: sent to its group, its front hands it on. So is job control: a
    host that is stopped at a terminal goes on.
    """
    numbers = bytes(number for number in numbers if number in ASKING)
    if _link is None:
        return numbers
    now = time.monotonic()
    fresh = bytes(
        number for number in dict.fromkeys(numbers) if now - _had.get(number, -ECHO) >= ECHO
    )
    _had.update(dict.fromkeys(fresh, now))
    return fresh


def end_with_front() -> None:
    """Have this process get SIGQUIT when the front is gone that it shares its streams with.

    Who kills the process that they started means this one.
    """
    if _link is not None and _link.foreground:
        _link.watch(lambda: os.kill(os.getpid(), signal.SIGQUIT))


def is_detached() -> bool:
    """Whether this process was started to go on without a terminal."""
    return _link is not None and not _link.foreground


def main_pid() -> int:
    """Return the process that who started this one knows: its front, where it has one."""
    return os.getppid() if _link is not None and _link.lives else os.getpid()


def go_headless(local: str, host_id: str, word: bytes = b"") -> str:
    """Leave session and terminal: stdin from nowhere, the rest to a log, whose path is returned.

    `word` is what the front is told: it ends then. This process stays the parent of its jobs and
    goes on. Put the terminal's modes right before. Raises nothing: without room for a log
    what is said goes nowhere.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        # handlers, unlike SIG_IGN, are not inherited by jobs
        signal.signal(number, _nothing)
    try:
        os.setsid()
    except OSError:
        # the first of a group: without a front, or detached and so in a session of its own
        pass
    path = log_path(local, host_id)
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    log = _open_log(path)
    log = nowhere if log is None else log
    for standard, descriptor in enumerate((nowhere, log, log)):
        os.dup2(descriptor, standard)
    for descriptor in {nowhere, log}:
        if descriptor > 2:
            os.close(descriptor)
    front = link()
    if front is not None and word:
        front.part(word)
    return path


def _nothing(*_: object) -> None:
    """Handle a signal by doing nothing."""


def log_path(local: str, host_id: str) -> str:
    """Return where a host without a terminal writes what it has to say."""
    from queuectl.paths import logs_directory

    return f"{logs_directory(local, os.environ)}/{host_id}.log"


def check_log(local: str) -> None:
    """Raise OSError where a host without a terminal could write no log; makes the directory."""
    path = log_path(local, f".{os.getpid()}")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.unlink(path)


def _open_log(path: str) -> int | None:
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _thin_out(directory)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _thin_out(directory: str) -> None:
    """Delete the oldest logs: nothing grows for ever."""
    logs = []
    for entry in os.scandir(directory):
        try:
            logs.append((entry.stat().st_mtime, entry.path))
        except OSError:
            continue
    for _, path in sorted(logs)[: -(LOGS - 1)]:
        try:
            os.unlink(path)
        except OSError:
            # another host was faster
            pass
