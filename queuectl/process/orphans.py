"""Adopting the orphans of jobs, so that they can be found, and reaping them."""

from __future__ import annotations

import os

from queuectl.process.proctree import ON_LINUX, read_stat, reap, snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from queuectl.process.proctree import Process

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Make orphans among this process's descendants its children (prctl(2)); False if it cannot.

    Linux only. Whoever calls this has to call `reap_orphans` now and then.
    """
    if not ON_LINUX:
        return False
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


class Leaders:
    """The first processes of this process's running attempts. Thread-safe, without a lock.

    A spawn is announced before it is made, so that its child is nobody's orphan even when it has
    ended before its number is known.
    """

    def __init__(self) -> None:
        #: by ticket; 0 while the spawn is under way
        self._pids: dict[object, int] = {}
        self._doubtful: dict[tuple[int, int], set[object]] = {}

    def announce(self) -> object:
        """Say that a spawn begins; the ticket returned goes to `settle` and `remove`."""
        ticket = object()
        self._pids[ticket] = 0
        return ticket

    def settle(self, ticket: object, pid: int) -> None:
        """Say which process came of it."""
        self._pids[ticket] = pid

    def remove(self, ticket: object) -> None:
        """Say that none came of it, or that it has been reaped."""
        del self._pids[ticket]

    def strangers(self, zombies: Iterable[Process]) -> list[int]:
        """Return those that are certainly no leader, also not of a spawn that is under way.

        One seen while spawns were under way is certain once these have all settled.
        """
        now = self._pids.copy()
        known = set(now.values())
        under_way = {ticket for ticket, pid in now.items() if not pid}
        doubts = {}
        certain = []
        for process in zombies:
            if process.pid in known:
                continue
            key = process.pid, process.start
            doubt = self._doubtful.get(key, under_way) & under_way
            if doubt:
                doubts[key] = doubt
            else:
                certain.append(process.pid)
        self._doubtful = doubts
        return certain


leaders = Leaders()


def reap_orphans(others: set[int]) -> None:
    """Reap adopted processes that have ended.

    Spared are the first processes of running attempts, the children named in `others`, and those
    in our own session: whoever started these waits for them. Costs one system call when nothing
    has ended. One thread at a time.
    """
    try:
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
    except (AttributeError, OSError):
        # no children; or a system on which nothing is adopted
        return
    own = os.getsid(0)
    zombies = [
        process
        for pid in _children()
        if pid not in others
        and (process := read_stat(pid)) is not None
        and process.zombie
        and process.session != own
    ]
    for pid in leaders.strangers(zombies):
        reap(pid)


def _children() -> list[int]:
    """Return the numbers of our children, ended ones too."""
    found: list[int] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        # a thread ended while we looked, or a kernel without this list
        me = os.getpid()
        return [process.pid for process in snapshot().values() if process.parent == me]
    except OSError:
        pass
    return found
