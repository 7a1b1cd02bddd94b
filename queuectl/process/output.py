"""Reading what an attempt wrote: whole, one stream, the tail, or while it grows.

The format is described in recorder.py. One reader serves outputs in memory and in files.
"""

from __future__ import annotations

import os

from queuectl.job import Output
from queuectl.process.recorder import (
    INLINE_LIMIT,
    MARK,
    MARKS_SUFFIX,
    STDERR,
    STDOUT,
    Piece,
    Recorder,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

__all__ = [
    "INLINE_LIMIT", "STDERR", "STDOUT", "Piece", "Reader", "Recorder", "pieces", "read_tail",
    "recovered", "remove", "tail_offset",
]  # fmt: skip

#: the largest piece a reader hands out
CHUNK = 64 * 1024
#: marks read at once
_BATCH = 4096


def remove(path: str) -> None:
    """Delete an output file and its marks; missing ones are no error. Raises OSError."""
    for name in (path, path + MARKS_SUFFIX):
        try:
            os.unlink(name)
        except FileNotFoundError:
            continue


def recovered(path: str) -> Output | None:
    """Return the output that an attempt left whose host is gone; None if there is no file.

    What it wrote last was in the host's memory, so it is not complete. Raises OSError.
    """
    try:
        source = _File(path)
    except FileNotFoundError:
        return None
    try:
        size = source.size()
        errors = sum(
            end - begin for begin, end, of in _spans_backward(source, size) if of == STDERR
        )
        return Output(b"", b"", path, size - errors, errors, complete=False)
    finally:
        source.close()


class Reader:
    """Reads one output from byte `start` on, whole or one stream; also while it grows.

    For a running attempt give `Output(path=…)` of its output file; the file need not exist yet.
    """

    def __init__(self, output: Output, *, start: int = 0, stream: int | None = None) -> None:
        self._output = output
        self._stream = stream
        self._source: _Inline | _File | None = None
        #: bytes of the output passed so far, both streams counted; a later `start`
        self.offset = start
        self._next_mark = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        found: list[Piece] = []
        if source is None:
            return found
        if self._next_mark < 0:
            self._next_mark = _first_mark_after(source, self.offset)
        size, until = source.size(), self.offset + limit
        while self.offset < until:
            record = source.marks(self._next_mark, 1)
            if len(record) < MARK.size:
                break
            end, stream, at = _read_mark(record)
            if end > size:
                # written since: data comes before its mark, so now it is all there
                size = source.size()
            if self._stream in (None, stream):
                found += self._take(source, Piece(stream, at, b""), min(end, size, until))
            else:
                self.offset = max(self.offset, min(end, size))
            if self.offset < end:
                break
            self._next_mark += 1
        return found

    def read_rest(self, limit: int = 16 * CHUNK) -> list[Piece]:
        """Return bytes without a mark, as stdout: what a crash left. For ended attempts only."""
        source = self._opened()
        if source is None or self._stream == STDERR:
            return []
        end = min(source.size(), self.offset + limit)
        return self._take(source, Piece(STDOUT, 0, b""), end)

    def _take(self, source: _Inline | _File, like: Piece, end: int) -> list[Piece]:
        """Move on to `end`; return what is passed."""
        found = []
        while self.offset < end:
            data = source.read(self.offset, min(CHUNK, end - self.offset))
            if not data:
                break
            self.offset += len(data)
            found.append(like._replace(data=data))
        return found

    def _opened(self) -> _Inline | _File | None:
        if self._source is None:
            try:
                self._source = _open(self._output)
            except FileNotFoundError:
                return None
        return self._source


def pieces(output: Output, *, start: int = 0, stream: int | None = None) -> Iterator[Piece]:
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


def read_tail(output: Output, lines: int, *, stream: int | None = None) -> Iterator[Piece]:
    """Yield the last `lines` lines, of one stream or of both; reads from the end.

    Raises FileNotFoundError when its file is gone.
    """
    return pieces(output, start=tail_offset(output, lines, stream=stream), stream=stream)


def tail_offset(output: Output, lines: int, *, stream: int | None = None) -> int:
    """Return where the last `lines` lines begin. Raises FileNotFoundError when its file is gone."""
    source = _open(output)
    try:
        size = source.size()
        # the newline that ends the last line starts no other
        missing, last = lines, True
        for base, end in _chunks_backward(source, size, stream) if lines > 0 else ():
            data = source.read(base, end - base)
            at = len(data) - (last and data.endswith(b"\n"))
            last = False
            while (at := data.rfind(b"\n", 0, at)) >= 0:
                missing -= 1
                if not missing:
                    return base + at + 1
        return 0 if lines > 0 else size
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
        return len(self._marks) // MARK.size

    def marks(self, first: int, count: int) -> bytes:
        return self._marks[first * MARK.size : (first + count) * MARK.size]

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
        return os.fstat(self._marks_fd).st_size // MARK.size if self._has_marks() else 0

    def marks(self, first: int, count: int) -> bytes:
        if not self._has_marks():
            return b""
        return os.pread(self._marks_fd, count * MARK.size, first * MARK.size)

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
    return _Inline(output.data, output.marks) if output.path is None else _File(output.path)


def _chunks_backward(
    source: _Inline | _File, size: int, stream: int | None
) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the bytes of a stream, or of all, from the last to the first."""
    for begin, end, of in _spans_backward(source, size):
        while end > begin and stream in (None, of):
            base = max(begin, end - CHUNK)
            yield base, end
            end = base  # noqa: PLW2901  (the rest of the span)


def _read_mark(record: bytes) -> tuple[int, int, int]:
    """Return end offset, stream and time of a mark; an unknown stream is stdout."""
    end, rest = MARK.unpack(record)
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


def _spans_backward(source: _Inline | _File, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (begin, end, stream) of every mark from the last to the first; unmarked bytes first."""
    count = source.mark_count()
    end, stream = size, STDOUT
    while count:
        first = max(0, count - _BATCH)
        records = source.marks(first, count - first)
        for at in range(len(records) - MARK.size, -1, -MARK.size):
            begin, of, _ = _read_mark(records[at : at + MARK.size])
            yield min(begin, end), end, stream
            end, stream = min(begin, end), of
        count = first
    yield 0, end, stream
