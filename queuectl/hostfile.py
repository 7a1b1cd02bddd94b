"""The file in which a host tells the machine that it lives and what it runs.

A host holds an exclusive flock on its file for as long as it lives; the kernel lets go of it
whatever happens. Inside are a header with a heartbeat and one record per claimed job, written with
`pwrite` into fixed places: no SQL, no fsync, a few microseconds. After `kill -9` of the host
another process reads from it what was running and which exits had been seen (docs/explanation/
guarantees). Only this machine's kernel can be believed about it, so the header names the boot and
the pid namespace.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

from queuectl.job import CANNOT_START, EXIT, LOST, SIGNAL, STOPPED, TIMEOUT, Outcome
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"qctlhst1"
#: magic, pid, pid's start, pid namespace, boot id, heartbeat in ns since boot
_HEADER = struct.Struct("<8sQQQ36sQ")
_HEARTBEAT = struct.Struct("<Q")
_HEARTBEAT_AT = _HEADER.size - _HEARTBEAT.size
#: phase, kind, code, run, job, pid, started ms, finished ms, token, detail
_RECORD = struct.Struct("<BBiQQQqq24s64s")
_SIZE = 160
_FIRST = 256
_KINDS = (EXIT, SIGNAL, TIMEOUT, CANNOT_START, LOST, STOPPED)

#: phases of a record
FREE, STARTING, RUNNING, EXITED = 0, 1, 2, 3


class Slot(Record):
    """What a host wrote about one claim."""

    phase: int
    job_id: int
    run: int
    token: str
    pid: int
    started_at: int
    #: how it ended, when phase is EXITED
    outcome: Outcome | None


class Header(Record):
    """Who wrote a host file, and when it last said that it lives (ns since boot)."""

    pid: int
    pid_start: int
    pid_namespace: int
    boot: str
    heartbeat: int


def boot_clock() -> int:
    """Return ns since boot, counting sleep (CLOCK_BOOTTIME; monotonic time where there is none)."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """Return what tells this boot of the machine from every other."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def pid_namespace() -> int:
    """Return the inode of this process's pid namespace, 0 where there are none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


class HostFile:
    """The host's own end: made at start, removed at a clean end.

    Writing is thread-safe as long as each record has one writer; `take` and `give`, which hand
    record numbers out and take them back, are called with the worker host's lock held.
    """

    def __init__(self, path: str, pid_start: int) -> None:
        """Make, lock and fill the file, then put it in its place. Raises OSError."""
        self.path = path
        temporary = f"{path}.new"
        self._file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = _HEADER.pack(
                _MAGIC, os.getpid(), pid_start, pid_namespace(), boot_id().encode(), boot_clock()
            )
            os.pwrite(self._file, header.ljust(_FIRST, b"\0"), 0)
            os.rename(temporary, path)
        except BaseException:
            os.close(self._file)
            os.unlink(temporary)
            raise
        self._free: list[int] = []
        self._slots = 0

    def beat(self) -> None:
        """Say that this host lives."""
        os.pwrite(self._file, _HEARTBEAT.pack(boot_clock()), _HEARTBEAT_AT)

    def take(self) -> int:
        """Return a free record's number. Caller's lock."""
        if self._free:
            return self._free.pop()
        self._slots += 1
        return self._slots - 1

    def give(self, slot: int) -> None:
        """Let a record that has been cleared be taken again. Caller's lock."""
        self._free.append(slot)

    def clear(self, slot: int) -> None:
        """Forget what a record says."""
        self._write(slot, bytes(_SIZE))

    def starting(self, slot: int, job_id: int, run: int, token: str) -> None:
        """Write that a job is about to be spawned."""
        self._write(slot, _pack(STARTING, job_id, run, token))

    def running(self, slot: int, job_id: int, run: int, token: str, pid: int, at: int) -> None:
        """Write that it was."""
        self._write(slot, _pack(RUNNING, job_id, run, token, pid, at))

    def exited(self, slot: int, job_id: int, run: int, token: str, outcome: Outcome) -> None:
        """Write how it ended; stays until the settle has committed."""
        self._write(slot, _pack(EXITED, job_id, run, token, 0, outcome.started_at or 0, outcome))

    def _write(self, slot: int, data: bytes) -> None:
        os.pwrite(self._file, data, _FIRST + slot * _SIZE)

    def close(self, *, keep: bool = False) -> None:
        """Remove the file and let go of the lock; `keep` leaves it for a recoverer."""
        if self._file < 0:
            return
        if not keep:
            try:
                os.unlink(self.path)
            except OSError:
                pass
        os.close(self._file)
        self._file = -1


def _pack(
    phase: int,
    job_id: int,
    run: int,
    token: str,
    pid: int = 0,
    started_at: int = 0,
    outcome: Outcome | None = None,
) -> bytes:
    kind, code, finished, detail = 0, 0, 0, b""
    if outcome is not None:
        kind, code = _KINDS.index(outcome.kind), outcome.code or 0
        finished, detail = outcome.finished_at or 0, outcome.detail.encode(errors="replace")[:64]
    return _RECORD.pack(
        phase, kind, code, run, job_id, pid, started_at, finished, token.encode(), detail
    ).ljust(_SIZE, b"\0")


class OtherHost:
    """Another host's file, opened to see whether the host lives."""

    def __init__(self, path: str) -> None:
        """Open it. Raises OSError when it is gone."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> OtherHost:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def seize(self) -> bool:
        """Take the lock of a dead host, and with it the right to recover it; False if it lives.

        Also False when another recoverer was faster: its file has gone.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except OSError:
            return False

    def header(self) -> Header | None:
        """Return who wrote it; None if it cannot be read as a host file."""
        data = os.pread(self._file, _HEADER.size, 0)
        if len(data) < _HEADER.size or not data.startswith(_MAGIC):
            return None
        _, pid, pid_start, namespace, boot, heartbeat = _HEADER.unpack(data)
        return Header(pid, pid_start, namespace, boot.decode(errors="replace"), heartbeat)

    def slots(self) -> Iterator[Slot]:
        """Yield the records in use."""
        offset = _FIRST
        while len(data := os.pread(self._file, _SIZE, offset)) == _SIZE:
            offset += _SIZE
            phase, kind, code, run, job_id, pid, started, finished, token, detail = (
                _RECORD.unpack_from(data)
            )
            if phase == FREE or kind >= len(_KINDS):
                continue
            outcome = None
            if phase == EXITED:
                outcome = Outcome(
                    _KINDS[kind],
                    code if _KINDS[kind] in (EXIT, SIGNAL) else None,
                    detail.rstrip(b"\0").decode(errors="replace"),
                    started or None,
                    finished or None,
                )
            yield Slot(
                phase, job_id, run, token.decode(errors="replace").rstrip("\0"), pid, started, outcome
            )

    def remove(self) -> None:
        """Delete the file of a host that has been recovered."""
        for path in (self.path, self.path.removesuffix(".host") + ".wake"):
            try:
                os.unlink(path)
            except OSError:
                pass
