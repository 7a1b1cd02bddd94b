"""The file in which a host tells the machine that it lives and what it runs.

A host holds an exclusive flock on its file for as long as it lives; the kernel lets go of it
whatever happens. Inside are a header with a heartbeat and one record per claimed job, written with
`pwrite` into bytes that are there already: no SQL, no fsync, a few microseconds, and a full disk
does not matter. After `kill -9` of the host another process reads from it what was running and
which exits had been seen (docs/explanation/guarantees). Only this machine's kernel can be believed
about it, so the header names the boot and the pid namespace.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import threading
import weakref

from queuectl.clocks import boot_clock, start_clock
from queuectl.job import (
    CANNOT_START,
    EXIT,
    LOST,
    OUTPUT,
    SIGNAL,
    STOPPED,
    TIMEOUT,
    Outcome,
    Output,
)
from queuectl.paths import sync_directory
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from queuectl.job import Claim

_MAGIC = b"qctlhst2"
#: magic, pid, pid's start, pid namespace, boot id, heartbeat in ns since boot
_HEADER = struct.Struct("<8sQQQ36s4xQ")
_HEARTBEAT = struct.Struct("<Q")
_HEARTBEAT_AT = _HEADER.size - _HEARTBEAT.size
#: phase, kind, flags, code, run, job, pid, born by, started ms, finished ms, bytes of stdout and of
#: stderr, token, detail. The header takes as much room as a record, so that none lies across two
#: pages: a SIGKILL between two pages of one write would tear it
_RECORD = struct.Struct("<BBBxiQQQqqqQQ40s128s16x")
_SIZE = _RECORD.size
#: records by which the file grows
_CHUNK = 64
_KINDS = (EXIT, SIGNAL, TIMEOUT, CANNOT_START, LOST, STOPPED, OUTPUT)
_COMPLETE, _IN_FILE = 1, 2

#: phases of a record
FREE, STARTING, RUNNING, EXITED = 0, 1, 2, 3


class Slot(Record):
    """What a host wrote about one claim."""

    phase: int
    job_id: int
    run: int
    token: str
    #: its first process, 0 when that is not known
    pid: int
    #: that process started at or before this `start_clock`; one that started later is another
    born_by: int
    started_at: int
    #: how it ended, when phase is EXITED; of its output only where it was and how much
    outcome: Outcome | None = None
    #: whether the output was in its file, not in the host's memory
    in_file: bool = False


class Header(Record):
    """Who wrote a host file, and when it last said that it lives (ns since boot)."""

    pid: int
    pid_start: int
    pid_namespace: int
    boot: str
    heartbeat: int

    @property
    def same_boot(self) -> bool:
        """Whether the machine has not been started anew since."""
        return self.boot == boot_id()

    @property
    def judged_here(self) -> bool:
        """Whether its lock tells a process of here if it lives: not of another container."""
        return not self.same_boot or self.pid_namespace == pid_namespace()


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
    """The host's own end: made at start, removed at a clean end. Thread-safe.

    Every record in use has one writer at a time: the worker that took it, then who frees it.
    """

    def __init__(self, path: str, pid_start: int) -> None:
        """Make, lock, fill and sync the file, then put it in its place. Raises OSError.

        It is there after a power loss too, whatever its records say then.
        """
        self.path = path
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._slots = 0
        self._mapped = -1
        temporary = f"{path}.new"
        self._file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # a map keeps a copy of its descriptor, which a forked child would hold: not the locked one
            self._mapped = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
            header = _HEADER.pack(
                _MAGIC, os.getpid(), pid_start, pid_namespace(), boot_id().encode(), boot_clock()
            )
            os.pwrite(self._file, header.ljust(_SIZE, b"\0"), 0)
            self._grow()
            os.fsync(self._file)
            os.rename(temporary, path)
            sync_directory(os.path.dirname(path))
        except BaseException:
            self._remove(temporary)
            raise
        _open_files.add(self)

    def beat(self) -> None:
        """Say that this host lives."""
        os.pwrite(self._file, _HEARTBEAT.pack(boot_clock()), _HEARTBEAT_AT)

    def take(self) -> int:
        """Return a free record's number. Raises OSError when there is none and no room for more."""
        with self._lock:
            if not self._free:
                self._grow()
            return self._free.pop()

    def free(self, record: int) -> None:
        """Forget what a record says, and let it be taken again."""
        self._map[_SIZE * (1 + record)] = FREE
        with self._lock:
            self._free.append(record)

    def starting(self, record: int, claim: Claim) -> None:
        """Write that a job is about to be spawned."""
        self._write(record, _pack(STARTING, claim))

    def running(self, record: int, claim: Claim, pid: int, started_at: int) -> None:
        """Write that it was. Call while the process is not reaped."""
        self._write(record, _pack(RUNNING, claim, pid, start_clock(), started_at))

    def exited(self, record: int, claim: Claim, outcome: Outcome) -> None:
        """Write how it ended; stays until the settle has committed."""
        self._write(record, _pack_exit(claim, outcome))

    def _write(self, record: int, data: bytes) -> None:
        """Write a record through the map: no system call, so no turn at the GIL is given away.

        Its phase, the first byte, comes last: a kill in between leaves the phase before, and of it
        only what that phase does not need.
        """
        at = _SIZE * (1 + record)
        self._map[at + 1 : at + _SIZE] = data[1:]
        self._map[at] = data[0]

    def _grow(self) -> None:
        """Add free records; their bytes are written, so that the disk cannot be full later."""
        size = _CHUNK * _SIZE
        if os.pwrite(self._file, bytes(size), _SIZE * (1 + self._slots)) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        self._free.extend(reversed(range(self._slots, self._slots + _CHUNK)))
        self._slots += _CHUNK
        # the map before stays for those who write through it just now: both show the same pages
        self._map = mmap.mmap(self._mapped, _SIZE * (1 + self._slots))

    def close(self, *, keep: bool = False) -> None:
        """Remove the file and let go of the lock; `keep` leaves it for a recoverer. Idempotent."""
        if self._file < 0:
            return
        if keep:
            # not closed: somebody may be writing a record, and must not hit another file
            fcntl.flock(self._file, fcntl.LOCK_UN)
        else:
            self._remove(self.path)

    def _remove(self, path: str) -> None:
        _open_files.discard(self)
        try:
            os.unlink(path)
        except OSError:
            pass
        self._let_go()

    def _let_go(self) -> None:
        file, self._file = self._file, -1
        os.close(file)
        if self._mapped >= 0:
            mapped, self._mapped = self._mapped, -1
            os.close(mapped)


def _pack(phase: int, claim: Claim, pid: int = 0, born_by: int = 0, started_at: int = 0) -> bytes:
    token = claim.token.encode()
    return _RECORD.pack(
        phase, 0, 0, 0, claim.run, claim.job_id, pid, born_by, started_at, 0, 0, 0, token, b""
    )


def _pack_exit(claim: Claim, outcome: Outcome) -> bytes:
    flags, stdout, stderr = _COMPLETE, 0, 0
    output = outcome.output
    if output is not None:
        flags = _COMPLETE * output.complete | _IN_FILE * (output.path is not None)
        stdout, stderr = output.stdout_bytes, output.stderr_bytes
    detail = outcome.detail.encode(errors="replace")[:128] if outcome.detail else b""
    return _RECORD.pack(
        EXITED, _KINDS.index(outcome.kind), flags, outcome.code or 0, claim.run, claim.job_id, 0, 0,
        outcome.started_at or 0, outcome.finished_at or 0, stdout, stderr, claim.token.encode(), detail,
    )  # fmt: skip


_open_files: weakref.WeakSet[HostFile] = weakref.WeakSet()


def _forked() -> None:
    """Let go of what a forked child inherits: it would hold the lock of a parent that has died."""
    for file in list(_open_files):
        file._let_go()  # noqa: SLF001
    _open_files.clear()


os.register_at_fork(after_in_child=_forked)


class OtherHost:
    """Another host's file, opened to see whether the host lives."""

    def __init__(self, path: str) -> None:
        """Open it. Raises OSError when it is gone."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def __enter__(self) -> Self:
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
        return _header_of(self._file)

    def slots(self) -> Iterator[Slot]:
        """Yield the records in use; what is none is passed over."""
        offset = _SIZE
        while len(data := os.pread(self._file, _SIZE, offset)) == _SIZE:
            offset += _SIZE
            slot = _unpack(data)
            if slot is not None:
                yield slot

    def remove(self) -> None:
        """Delete the file of a host that has been recovered."""
        for path in (self.path, self.path.removesuffix(".host") + ".wake"):
            try:
                os.unlink(path)
            except OSError:
                pass


def _header_of(file: int) -> Header | None:
    data = os.pread(file, _HEADER.size, 0)
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return None
    _, pid, pid_start, namespace, boot, heartbeat = _HEADER.unpack(data)
    return Header(pid, pid_start, namespace, boot.decode(errors="replace"), heartbeat)


def speaks_here(file: int) -> bool:
    """Whether an open host file is one, and of this pid namespace or another boot: see `Header`."""
    header = _header_of(file)
    return header is not None and header.judged_here


def _unpack(data: bytes) -> Slot | None:
    """Return what a record says, None if it is free or makes no sense."""
    phase, kind, flags, code, run, job_id, pid, born_by, started, finished, stdout, stderr, token, detail = (
        _RECORD.unpack_from(data)
    )  # fmt: skip
    token = token.rstrip(b"\0")
    if phase not in (STARTING, RUNNING, EXITED) or kind >= len(_KINDS) or not token.isalnum():
        return None
    slot = Slot(phase, job_id, run, token.decode(), pid, born_by, started)
    if phase != EXITED:
        return slot
    outcome = Outcome(
        _KINDS[kind],
        code if _KINDS[kind] in (EXIT, SIGNAL) else None,
        detail.rstrip(b"\0").decode(errors="ignore"),
        started or None,
        finished or None,
        output=Output(stdout_bytes=stdout, stderr_bytes=stderr, complete=bool(flags & _COMPLETE)),
    )
    return slot._replace(outcome=outcome, in_file=bool(flags & _IN_FILE))
