"""What an attempt wrote: recorded in order of arrival, read back, followed while it grows.

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
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

STDOUT, STDERR = 1, 2
#: an output of at most so many bytes can stay in memory, and so in the store
INLINE_LIMIT = 64 * 1024
#: seconds that a byte may be held in memory only: what a kill -9 of the host can lose
HOLD = 0.05
#: the largest piece a reader hands out
CHUNK = 64 * 1024
MARKS_SUFFIX = ".marks"
_MARK = Struct("<QQ")
_BATCH = 4096
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
        "_totals", "_written", "due",
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

    def add(self, stream: int, data: bytes, at: int, now: float) -> None:
        """Take bytes that arrived at `at` (wall ms); `now` is a monotonic clock in seconds."""
        self._totals[stream] += len(data)
        room = self._limit - self._kept
        if len(data) > room:
            self._complete = False
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
        self._limit = 0
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


def remove(path: str) -> None:
    """Delete an output file and its marks; missing ones are no error. Raises OSError."""
    for name in (path, path + MARKS_SUFFIX):
        try:
            os.unlink(name)
        except FileNotFoundError:
            continue


class Reader:
    """Reads one output from byte `start` on, whole or one stream; also while it grows.

    For a running attempt give `Output(path=…)` of its output file; the file need not exist yet.
    """

    def __init__(
        self, output: Output, *, start: int = 0, stream: int | None = None
    ) -> None:
        self._output = output
        self._stream = stream
        self._source: _Inline | _File | None = None
        #: bytes of the output passed so far, both streams counted; a later `start`
        self.offset = start
        self._next_mark = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def read_new(self, limit: int = 16 * CHUNK) -> list[Piece]:
        """Return what arrived since the last call, about `limit` bytes at the most; [] if nothing.

        Raises OSError when a file that exists cannot be read.
        """
        source = self._opened()
        if source is None:
            return []
        if self._next_mark < 0:
            self._next_mark = _first_mark_after(source, self.offset)
        found: list[Piece] = []
        size = source.size()
        while limit > 0:
            record = source.marks(self._next_mark, 1)
            if len(record) < _MARK.size:
                break
            end, stream, at = _read_mark(record)
            end = min(end, size)
            limit -= self._take(source, end, stream, at, limit, found)
            if self.offset < end:
                break
            self._next_mark += 1
        return found

    def read_rest(self, limit: int = 16 * CHUNK) -> list[Piece]:
        """Return bytes without a mark, as stdout: what a crash left. For ended attempts only."""
        source = self._opened()
        found: list[Piece] = []
        if source is not None:
            self._take(source, source.size(), STDOUT, 0, limit, found)
        return found

    def _take(
        self, source: _Inline | _File, end: int, stream: int, at: int, limit: int,
        found: list[Piece],
    ) -> int:  # fmt: skip
        """Move on to `end` or by `limit` bytes; add the pieces if they are of the wanted stream."""
        wanted = self._stream is None or self._stream == stream
        if not wanted:
            self.offset = max(self.offset, end)
            return 0
        begun = self.offset
        while self.offset < end and self.offset - begun < limit:
            data = source.read(self.offset, min(CHUNK, end - self.offset))
            if not data:
                break
            self.offset += len(data)
            found.append(Piece(stream, at, data))
        return max(0, self.offset - begun)

    def _opened(self) -> _Inline | _File | None:
        if self._source is None:
            try:
                self._source = _open(self._output)
            except FileNotFoundError:
                return None
        return self._source


def pieces(
    output: Output, *, start: int = 0, stream: int | None = None
) -> Iterator[Piece]:
    """Yield an output in order of arrival, from byte `start` on, in pieces of at most 64 KiB.

    `stream` 1 or 2 leaves out the other. Memory is bounded. Raises FileNotFoundError when its file
    is gone.
    """
    if output.path is not None:
        os.stat(output.path)
    with Reader(output, start=start, stream=stream) as reader:
        while found := reader.read_new():
            yield from found
        while found := reader.read_rest():
            yield from found


def read_tail(
    output: Output, lines: int, *, stream: int | None = None
) -> Iterator[Piece]:
    """Yield the last `lines` lines, of one stream or of both; reads from the end.

    Raises FileNotFoundError when its file is gone.
    """
    return pieces(
        output, start=tail_offset(output, lines, stream=stream), stream=stream
    )


def tail_offset(output: Output, lines: int, *, stream: int | None = None) -> int:
    """Return where the last `lines` lines begin. Raises FileNotFoundError when its file is gone."""
    source = _open(output)
    try:
        size = source.size()
        if lines <= 0:
            return size
        # the newline that ends the last line starts no other
        missing, last = lines, True
        for begin, end, of in _spans_backward(source, size):
            if stream is not None and of != stream:
                continue
            while end > begin:
                base = max(begin, end - CHUNK)
                data = source.read(base, end - base)
                at = len(data)
                if last and data:
                    last = False
                    at -= data.endswith(b"\n")
                while (at := data.rfind(b"\n", 0, at)) >= 0:
                    missing -= 1
                    if not missing:
                        return base + at + 1
                end = base
        return 0
    finally:
        source.close()


class _Inline:
    """The two parts of a small output, in memory."""

    def __init__(self, data: bytes, marks: bytes) -> None:
        self._data = data
        self._marks = marks

    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def mark_count(self) -> int:
        return len(self._marks) // _MARK.size

    def marks(self, first: int, count: int) -> bytes:
        return self._marks[first * _MARK.size : (first + count) * _MARK.size]

    def close(self) -> None:
        """Nothing to let go of."""


class _File:
    """An output file and its marks, both possibly growing; the marks may come later."""

    def __init__(self, path: str) -> None:
        self._data_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._marks_path = path + MARKS_SUFFIX
        self._marks_fd = -1

    def size(self) -> int:
        return os.fstat(self._data_fd).st_size

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._data_fd, count, offset)

    def mark_count(self) -> int:
        return (
            os.fstat(self._marks_fd).st_size // _MARK.size if self._has_marks() else 0
        )

    def marks(self, first: int, count: int) -> bytes:
        if not self._has_marks():
            return b""
        return os.pread(self._marks_fd, count * _MARK.size, first * _MARK.size)

    def close(self) -> None:
        for fd in (self._data_fd, self._marks_fd):
            if fd >= 0:
                os.close(fd)

    def _has_marks(self) -> bool:
        if self._marks_fd < 0:
            try:
                self._marks_fd = os.open(self._marks_path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True


def _open(output: Output) -> _Inline | _File:
    return (
        _Inline(output.data, output.marks)
        if output.path is None
        else _File(output.path)
    )


def _read_mark(record: bytes) -> tuple[int, int, int]:
    """Return end offset, stream and time of a mark; an unknown stream is stdout."""
    end, rest = _MARK.unpack(record)
    return end, STDERR if rest & 3 == STDERR else STDOUT, rest >> 2


def _first_mark_after(source: _Inline | _File, offset: int) -> int:
    """Return the number of the first mark that ends after `offset`."""
    low, high = 0, source.mark_count()
    while low < high:
        middle = (low + high) // 2
        if _read_mark(source.marks(middle, 1))[0] > offset:
            high = middle
        else:
            low = middle + 1
    return low


def _spans_backward(
    source: _Inline | _File, size: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (begin, end, stream) of every mark from the last to the first; unmarked bytes first."""
    count = source.mark_count()
    end, stream = size, STDOUT
    while count:
        first = max(0, count - _BATCH)
        records = source.marks(first, count - first)
        for at in range(len(records) - _MARK.size, -1, -_MARK.size):
            begin, of, _ = _read_mark(records[at : at + _MARK.size])
            yield min(begin, end), end, stream
            end, stream = min(begin, end), of
        count = first
    yield 0, end, stream


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
            marks.append(_MARK.pack(end, at << 2 | stream))
            stream, at = piece.stream, piece.at
        end += len(piece.data)
    marks.append(_MARK.pack(end, at << 2 | stream))
    return b"".join([piece.data for piece in held]), b"".join(marks)


def _create(path: str) -> int:
    """Open a new file for appending, its directory with it; -2 if that cannot be."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
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
