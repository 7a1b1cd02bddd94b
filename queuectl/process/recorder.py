"""Recording what an attempt writes: in memory while it is little, else in a file.

Format. `PATH` holds the bytes of both streams as they arrived, nothing else. `PATH.marks` says
which is which: records of 16 bytes, little-endian, `end offset in PATH` and `milliseconds since
1970 << 2 | stream` (1 stdout, 2 stderr). Offsets are absolute, so a reader can bisect. Data is
written before its mark: after a crash a torn last record is ignored, and bytes without a mark are
shown as stdout. Small outputs have the same two parts in `Output.data` and `Output.marks`.
"""

from __future__ import annotations

import os
from struct import Struct

from queuectl.job import Output
from queuectl.paths import make_private
from queuectl.record import Record

STDOUT, STDERR = 1, 2
#: an output of at most so many bytes can stay in memory, and so in the store
INLINE_LIMIT = 64 * 1024
#: seconds that a byte may be held in memory only: what a kill -9 of the host can lose
HOLD = 0.05
MARKS_SUFFIX = ".marks"
#: end offset; milliseconds << 2 | stream
MARK = Struct("<QQ")
_NOTHING = Output()
# macOS has no fdatasync
_sync = getattr(os, "fdatasync", os.fsync)


class Piece(Record):
    """Bytes of one stream that arrived together."""

    stream: int
    #: milliseconds since 1970; 0 when unknown
    at: int
    data: bytes


class Recorder:
    """Keeps what one attempt writes: in memory while it is little and young, else in a file.

    Owned by one thread. Never raises: a file that cannot be written makes the output incomplete.
    """

    __slots__ = (
        "_complete", "_data_fd", "_held", "_held_bytes", "_kept", "_limit", "_marks_fd", "_path",
        "_totals", "_written", "due", "over",
    )  # fmt: skip

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._held: list[Piece] = []
        self._held_bytes = 0
        self._kept = 0
        self._written = 0
        self._totals = [0, 0, 0]
        self._data_fd = -1
        self._marks_fd = -1
        self._complete = True
        #: when `flush` is to be called, on the clock that `add` is given; None: nothing is held
        self.due: float | None = None
        #: whether more was written than the limit lets be kept
        self.over = False

    def add(self, stream: int, data: bytes, at: int, now: float) -> None:
        """Take bytes that arrived at `at` (wall ms); `now` is a monotonic clock in seconds."""
        self._totals[stream] += len(data)
        room = self._limit - self._kept
        if len(data) > room:
            self._complete = False
            # not when a file could not be written: that is no fault of the job
            self.over = self.over or self._limit >= 0
            if room <= 0:
                return
            data = data[:room]
        self._kept += len(data)
        self._held_bytes += len(data)
        self._held.append(Piece(stream, at, data))
        if self.due is None:
            self.due = now + HOLD
        if self._held_bytes > INLINE_LIMIT:
            self.flush()

    def flush(self) -> None:
        """Append what is held in memory to the file, where other processes can read it."""
        self.due = None
        if not self._held:
            return
        data, marks = _pack(self._held, self._written)
        if not self._open():
            self._give_up()
            return
        done = _append(self._data_fd, data)
        if done < len(data):
            self._cut(done)
            return
        self._written += done
        self._release()
        self._mark(marks)

    def finish(self) -> Output:
        """Return the output. A file has been synced and closed: it survives a power loss."""
        if self._written:
            self.flush()
        if not self._written:
            data, marks = _pack(self._held, 0)
            self._close()
            return self._output(data, marks, None) if any(self._totals) else _NOTHING
        self._sync()
        self._close()
        return self._output(b"", b"", self._path)

    def _output(self, data: bytes, marks: bytes, path: str | None) -> Output:
        return Output(
            data,
            marks,
            path,
            self._totals[STDOUT],
            self._totals[STDERR],
            self._complete,
        )

    def _open(self) -> bool:
        if self._data_fd < 0:
            self._data_fd = _create(self._path)
        return self._data_fd >= 0

    def _mark(self, marks: bytes) -> None:
        # made only after data could be written: a full disk leaves no stray file
        if self._marks_fd == -1:
            self._marks_fd = _create(self._path + MARKS_SUFFIX)
        if self._marks_fd < 0 or _append(self._marks_fd, marks) < len(marks):
            self._give_up()

    def _cut(self, done: int) -> None:
        """Keep the first `done` bytes of what is held, which are in the file, and no more."""
        if self._written + done == 0:
            self._give_up()
            return
        kept, left = [], done
        for piece in self._held:
            if left > 0:
                kept.append(piece._replace(data=piece.data[:left]))
                left -= len(piece.data)
        _, marks = _pack(kept, self._written)
        self._written += done
        self._release()
        self._give_up()
        self._mark(marks)

    def _give_up(self) -> None:
        """Take no more bytes. Those still in memory stay there, as far as a store takes them."""
        self._complete = False
        self._limit = -1
        self.due = None
        if self._held_bytes > INLINE_LIMIT:
            data, kept = INLINE_LIMIT, []
            for piece in self._held:
                kept.append(piece._replace(data=piece.data[:data]))
                data = max(0, data - len(piece.data))
            self._held = [piece for piece in kept if piece.data]
            self._held_bytes = INLINE_LIMIT

    def _release(self) -> None:
        self._held.clear()
        self._held_bytes = 0

    def _sync(self) -> None:
        for fd in (self._data_fd, self._marks_fd):
            if fd >= 0:
                try:
                    _sync(fd)
                except OSError:
                    self._complete = False

    def _close(self) -> None:
        for fd in (self._data_fd, self._marks_fd):
            if fd >= 0:
                try:
                    os.close(fd)
                except OSError:
                    self._complete = False
        if self._data_fd >= 0 and not self._written:
            _remove_empty(self._path)


def _pack(held: list[Piece], base: int) -> tuple[bytes, bytes]:
    """Return the bytes and the marks of `held`, which begin at offset `base`.

    Neighbours of one stream share a mark, else a job that writes single bytes has more marks
    than output.
    """
    if not held:
        return b"", b""
    marks = []
    end, stream, at = base, held[0].stream, held[0].at
    for piece in held:
        if piece.stream != stream:
            marks.append(MARK.pack(end, at << 2 | stream))
            stream, at = piece.stream, piece.at
        end += len(piece.data)
    marks.append(MARK.pack(end, at << 2 | stream))
    return b"".join([piece.data for piece in held]), b"".join(marks)


def _create(path: str) -> int:
    """Open a new file for appending, its directory with it; -2 if that cannot be."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            make_private(os.path.dirname(path))
            return os.open(path, flags, 0o600)
    except OSError:
        return -2


def _append(fd: int, data: bytes) -> int:
    """Write all of `data`; return how much was written before an error, if there was one."""
    done = 0
    view = memoryview(data)
    try:
        while done < len(data):
            done += os.write(fd, view[done:])
    except OSError:
        pass
    return done


def _remove_empty(path: str) -> None:
    try:
        # never a device or what somebody else put there
        if os.path.isfile(path) and not os.path.getsize(path):
            os.unlink(path)
    except OSError:
        pass
