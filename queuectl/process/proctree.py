"""Finding and ending every process of an attempt, also those that left its group.

A process is known by its number and its start time, because numbers are used again; where the
system has pidfds (Linux) it is held by one, which can never mean another process.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOKEN_VARIABLE = "QUEUECTL_TOKEN"  # noqa: S105  (a name)
#: seconds to wait for processes that were sent SIGKILL: one in an uninterruptible sleep may stay
KILL_WAIT = 5.0
#: seconds between two looks at processes that cannot be polled (no pidfd)
LOOK_EVERY = 0.02
ON_LINUX = sys.platform == "linux"


class Process(Record):
    """One process as a snapshot saw it."""

    pid: int
    parent: int
    group: int
    session: int
    #: see `pid_start`
    start: int
    zombie: bool


def pid_start(pid: int) -> int:
    """Return when a process started, in units of this system since its boot; 0 if it is gone.

    Good for one thing: to tell whether a number still means the same process.
    """
    if ON_LINUX:
        process = read_stat(pid)
        return process.start if process else 0
    import psutil

    try:
        return round(psutil.Process(pid).create_time() * 1000)
    except psutil.Error:
        return 0


def snapshot() -> dict[int, Process]:
    """Return all processes that can be seen, by number."""
    if not ON_LINUX:
        return _snapshot_psutil()
    found: dict[int, Process] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        # out of descriptors: who looks for victims must go on with those it has
        return found
    for name in names:
        if name.isdigit():
            process = read_stat(int(name))
            if process is not None:
                found[process.pid] = process
    return found


def read_stat(pid: int) -> Process | None:
    """Return what /proc/PID/stat says (proc_pid_stat(5)), None if there is no such process. Linux."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    # the name, in parentheses, may hold anything
    words = text[text.rfind(b")") + 2 :].split()
    if len(words) < 20:
        return None
    return Process(
        pid,
        int(words[1]),
        int(words[2]),
        int(words[3]),
        int(words[19]),
        words[0] in b"ZXx",
    )


def _snapshot_psutil() -> dict[int, Process]:
    import psutil

    found = {}
    for item in psutil.process_iter():
        try:
            with item.oneshot():
                found[item.pid] = Process(
                    item.pid, item.ppid(), os.getpgid(item.pid), os.getsid(item.pid),
                    round(item.create_time() * 1000), item.status() == psutil.STATUS_ZOMBIE,
                )  # fmt: skip
        except (psutil.Error, OSError):
            continue
    return found


def token_of(pid: int) -> str | None:
    """Return the QUEUECTL_TOKEN that a process was started with, None if there is none to be seen."""
    if ON_LINUX:
        try:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
                environment = b"\0" + file.read()
        except OSError:
            return None
        _, found, rest = environment.partition(f"\0{TOKEN_VARIABLE}=".encode())
        return rest.partition(b"\0")[0].decode(errors="replace") if found else None
    import psutil

    try:
        return psutil.Process(pid).environ().get(TOKEN_VARIABLE)
    except (psutil.Error, OSError):
        return None


def holds_token(pid: int, token: str) -> bool:
    """Whether a process was started with this QUEUECTL_TOKEN; False if that cannot be read."""
    return token_of(pid) == token


def find_tree(processes: dict[int, Process], leader: int, since: int, token: str) -> set[int]:
    """Return the living processes of an attempt, without its leader and without ourselves.

    These are the leader's session and group, whoever holds the token, and the descendants of all
    these. `since` is the leader's start: what is older cannot belong to it. The caller answers for
    `leader` still meaning the same session.
    """
    roots = {
        process.pid
        for process in processes.values()
        if process.start >= since
        and (
            leader in (process.pid, process.session, process.group)
            or (token and holds_token(process.pid, token))
        )
    }
    tree = with_descendants(processes, roots | {leader}) - {leader}
    return {pid for pid in tree if pid in processes and not processes[pid].zombie}


def with_descendants(processes: dict[int, Process], roots: set[int]) -> set[int]:
    """Return `roots` and all that they started, as far as the parents between are alive.

    Without ourselves and what we started: who recovers may be a job's own descendant.
    """
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    me = os.getpid()
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found and pid != me:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


class Victims:
    """Processes to be ended, each held so that no other can be hit. Owned by one thread."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, processes: Iterable[Process]) -> list[Process]:
        """Hold these too; return those that were not known and are alive."""
        new = []
        for process in processes:
            key = process.pid, process.start
            if key not in self._held and (fd := _hold(process)) is not None:
                self._held[key] = fd
                new.append(process)
        return new

    @property
    def fds(self) -> list[int]:
        """Descriptors that become readable when a process ends."""
        return [fd for fd in self._held.values() if fd >= 0]

    @property
    def pollable(self) -> bool:
        """Whether `fds` stand for all of them; if not, look again every LOOK_EVERY seconds."""
        return all(fd >= 0 for fd in self._held.values())

    def signal(self, number: int, among: Iterable[Process] | None = None) -> None:
        """Send a signal to all, or to those of them that are in `among`."""
        keys = list(self._held) if among is None else [(p.pid, p.start) for p in among]
        for key in keys:
            if key in self._held:
                _send(key, self._held[key], number)

    def drop_ended(self) -> int:
        """Forget those that have ended, reaping the ones we have adopted; return their number."""
        import select

        ended = []
        poll = select.poll()
        for fd in self.fds:
            poll.register(fd, select.POLLIN)
        readable = {fd for fd, _ in poll.poll(0)} if self._held else set()
        for key, fd in self._held.items():
            if fd in readable if fd >= 0 else not _is_alive(key):
                ended.append(key)
        for key in ended:
            fd = self._held.pop(key)
            if fd >= 0:
                os.close(fd)
            reap(key[0])
        return len(ended)

    def close(self) -> None:
        """Let go of all."""
        for fd in self._held.values():
            if fd >= 0:
                os.close(fd)
        self._held.clear()


def _hold(process: Process) -> int | None:
    """Return a pidfd of the process, -1 where there are none, None if it is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    except (AttributeError, OSError):
        fd = -1
    # the number may have changed hands between the snapshot and here
    if pid_start(process.pid) == process.start:
        return fd
    if fd >= 0:
        os.close(fd)
    return None


def _send(key: tuple[int, int], fd: int, number: int) -> None:
    try:
        if fd >= 0:
            signal.pidfd_send_signal(fd, number)
        elif pid_start(key[0]) == key[1]:
            os.kill(key[0], number)
    except OSError:
        # gone, or another user's: nothing more can be done from here
        pass


def _is_alive(key: tuple[int, int]) -> bool:
    if ON_LINUX:
        process = read_stat(key[0])
        return process is not None and process.start == key[1] and not process.zombie
    process = _snapshot_psutil().get(key[0])
    return process is not None and process.start == key[1] and not process.zombie


def reap(pid: int) -> None:
    """Reap a child that has ended; no error if it is nobody or not ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except OSError:
        pass


def group_is_left(group: int) -> bool:
    """Whether a group whose first process has just been reaped has members that live.

    Two system calls when it has none. Members that have ended and are ours now are reaped.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # BSD says this of a group of zombies
        return ON_LINUX
    try:
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        # a first process of this number would be a new group's, and another worker's to reap
        while (info := os.waitid(os.P_PGID, group, look)) is not None and info.si_pid != group:
            reap(info.si_pid)
        os.killpg(group, 0)
    except ChildProcessError:
        # adopted by somebody else, or all reaped
        return _group_exists(group)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):
        pass
    return True


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def end_survivors(token: str, pid: int, start: int, grace_ms: int) -> int:
    """End what is left of an attempt whose host is gone: SIGTERM, SIGCONT, grace, SIGKILL.

    `pid` and `start` (see `pid_start`) are its first process; `token` finds those that outlived
    it. A number that now belongs to another process is left alone. Returns how many processes were
    ended; blocks for the grace at the most, then some seconds for the kernel.
    """
    return end_all(lambda: _survivors(token, pid, start), grace_ms)


def end_all(find: Callable[[], list[Process]], grace_ms: int) -> int:
    """End all processes that `find` returns, as often as it is asked: as `end_survivors` does."""
    victims = Victims()
    try:
        new = victims.add(find())
        ended = len(new)
        if grace_ms > 0:
            victims.signal(signal.SIGTERM)
            victims.signal(signal.SIGCONT)
            _await(victims, grace_ms / 1000)
        deadline = time.monotonic() + KILL_WAIT
        # what they forked meanwhile is found by the next round
        while time.monotonic() < deadline:
            ended += len(victims.add(find()))
            if not victims:
                break
            victims.signal(signal.SIGKILL)
            _await(victims, deadline - time.monotonic())
        return ended
    finally:
        victims.close()


def _survivors(token: str, pid: int, start: int) -> list[Process]:
    processes = snapshot()
    leader = processes.get(pid)
    same = leader is not None and leader.start == start
    holders = {
        process.pid
        for process in processes.values()
        if process.start >= start and token and holds_token(process.pid, token)
    }
    # without its leader a session is believed only if somebody in it holds the token
    known = same or (
        leader is None
        and pid > 1
        and any(pid in (processes[p].session, processes[p].group) for p in holders)
    )
    roots = set(holders)
    if known:
        roots |= {p.pid for p in processes.values() if pid in (p.pid, p.session, p.group)}
    tree = with_descendants(processes, roots)
    return [processes[p] for p in tree if p in processes and not processes[p].zombie]


def _await(victims: Victims, seconds: float) -> None:
    """Return when all victims have ended, or after so many seconds."""
    import select

    deadline = time.monotonic() + seconds
    victims.drop_ended()
    while len(victims) and (left := deadline - time.monotonic()) > 0:
        poll = select.poll()
        for fd in victims.fds:
            poll.register(fd, select.POLLIN)
        poll.poll(1000 * (left if victims.pollable else min(left, LOOK_EVERY)) + 1)
        victims.drop_ended()
