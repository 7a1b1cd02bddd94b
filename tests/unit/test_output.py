"""Recording, reading, following and cutting of outputs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.job import Output
from queuectl.process import output as out
from queuectl.process import recorder as rec
from queuectl.process.output import (
    INLINE_LIMIT,
    STDERR,
    STDOUT,
    Piece,
    Reader,
    Recorder,
    pieces,
    read_tail,
    tail_offset,
)
from queuectl.process.recorder import MARKS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LIMIT = 1 << 30
MARK = 16


def record(path: Path | str, written: Iterable[tuple[int, bytes]], *, flush: bool) -> Output:
    """Record pieces that arrive a millisecond apart, each flushed to the file if asked."""
    recorder = Recorder(str(path), LIMIT)
    for at, (stream, data) in enumerate(written):
        recorder.add(stream, data, 1000 + at, at / 1000)
        if flush:
            recorder.flush()
    return recorder.finish()


def text(found: Iterable[Piece], stream: int | None = None) -> bytes:
    """Return the bytes of pieces, of one stream or of all."""
    return b"".join(piece.data for piece in found if stream in (None, piece.stream))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the output of one attempt goes."""
    return tmp_path / "out" / "1.1"


def test_nothing_written_makes_no_file(path: Path) -> None:
    """No output is the empty Output."""
    assert record(path, [], flush=True) == Output()
    assert not path.parent.exists()


def test_small_output_stays_in_memory(path: Path) -> None:
    """What is small and never flushed makes no file."""
    result = record(path, [(STDOUT, b"a\n"), (STDERR, b"b\n")], flush=False)
    assert (result.data, result.path) == (b"a\nb\n", None)
    assert (result.stdout_bytes, result.stderr_bytes, result.complete) == (2, 2, True)
    assert list(pieces(result)) == [Piece(1, 1000, b"a\n"), Piece(2, 1001, b"b\n")]


def test_large_output_goes_into_private_files(path: Path) -> None:
    """More than the inline limit is in a file at once, with mode 0600, under a 0700 directory."""
    recorder = Recorder(str(path), LIMIT)
    recorder.add(STDOUT, b"x" * (INLINE_LIMIT + 1), 5, 0)
    assert recorder.due is None
    assert path.stat().st_size == INLINE_LIMIT + 1
    result = recorder.finish()
    assert result.path == str(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.parent / ("1.1" + MARKS_SUFFIX)).stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_held_bytes_are_due_soon(path: Path) -> None:
    """Bytes are in memory only for HOLD seconds, counted from the first."""
    recorder = Recorder(str(path), LIMIT)
    recorder.add(STDOUT, b"a", 0, 10.0)
    recorder.add(STDOUT, b"b", 0, 10.03)
    assert recorder.due == 10.0 + rec.HOLD
    recorder.flush()
    assert recorder.due is None
    assert path.read_bytes() == b"ab"


def test_a_file_keeps_also_the_last_small_rest(path: Path) -> None:
    """Once there is a file everything is in it."""
    recorder = Recorder(str(path), LIMIT)
    recorder.add(STDOUT, b"a", 0, 0)
    recorder.flush()
    recorder.add(STDERR, b"b", 1, 0)
    result = recorder.finish()
    assert (result.data, result.path) == (b"", str(path))
    assert [tuple(piece) for piece in pieces(result)] == [(1, 0, b"a"), (2, 1, b"b")]


def test_neighbours_of_one_stream_share_a_mark(path: Path) -> None:
    """Single bytes do not cost a mark each."""
    result = record(path, [(STDOUT, b"x")] * 100, flush=False)
    assert len(result.marks) == MARK


@pytest.mark.parametrize("flush", [False, True])
def test_limit_drops_the_rest(path: Path, *, flush: bool) -> None:
    """Exactly the limit is kept, all is counted, and the output is incomplete."""
    recorder = Recorder(str(path), 5)
    for stream, data in ((STDOUT, b"abc"), (STDERR, b"def"), (STDOUT, b"ghi")):
        recorder.add(stream, data, 0, 0)
        if flush:
            recorder.flush()
    result = recorder.finish()
    assert text(pieces(result)) == b"abcde"
    assert text(pieces(result, stream=STDERR)) == b"de"
    assert (result.stdout_bytes, result.stderr_bytes, result.complete) == (6, 3, False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_keeps_the_beginning_in_memory() -> None:
    """Nothing could be written: what a store takes is kept, the rest dropped, nothing raised."""
    recorder = Recorder("/dev/full", LIMIT)
    recorder.add(STDOUT, b"a" * INLINE_LIMIT, 0, 0)
    recorder.add(STDERR, b"b" * INLINE_LIMIT, 0, 0)
    recorder.add(STDERR, b"c", 0, 0)
    assert recorder.due is None
    result = recorder.finish()
    assert (result.data, result.path, result.complete) == (b"a" * INLINE_LIMIT, None, False)
    assert os.path.exists("/dev/full")


def test_disk_that_fills_later_keeps_what_is_on_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that ends half-way leaves a readable file with the right marks."""
    recorder = Recorder(str(path), LIMIT)
    recorder.add(STDOUT, b"one", 1, 0)
    recorder.flush()
    real = rec._append
    monkeypatch.setattr(rec, "_append", lambda fd, data: real(fd, data[:4]))
    recorder.add(STDOUT, b"two", 2, 0)
    recorder.add(STDERR, b"three", 3, 0)
    recorder.flush()
    monkeypatch.setattr(rec, "_append", real)
    recorder.add(STDOUT, b"four", 4, 0)
    result = recorder.finish()
    assert path.read_bytes() == b"onetwot"
    assert not result.complete
    assert text(pieces(result)) == b"onetwot"


def test_unwritable_directory_is_no_error(tmp_path: Path) -> None:
    """A path that cannot be made leaves the output in memory, incomplete."""
    (tmp_path / "file").write_text("")
    result = record(tmp_path / "file" / "x", [(STDOUT, b"a")], flush=True)
    assert (result.data, result.complete) == (b"a", False)


def test_torn_mark_and_data_without_mark(path: Path) -> None:
    """After a crash a torn record is ignored and unmarked bytes are stdout."""
    record(path, [(STDERR, b"err"), (STDOUT, b"out")], flush=True)
    marks = path.with_name(path.name + MARKS_SUFFIX)
    os.truncate(marks, MARK + 7)
    with path.open("ab") as file:
        file.write(b"lost")
    assert list(pieces(Output(path=str(path)))) == [
        Piece(STDERR, 1000, b"err"),
        Piece(STDOUT, 0, b"outlost"),
    ]
    assert text(pieces(Output(path=str(path)), stream=STDERR)) == b"err"


def test_marks_beyond_the_data(path: Path) -> None:
    """Data lost by a power cut is not made up."""
    record(path, [(STDERR, b"err"), (STDOUT, b"out")], flush=True)
    os.truncate(path, 2)
    assert list(pieces(Output(path=str(path)))) == [Piece(STDERR, 1000, b"er")]
    assert tail_offset(Output(path=str(path)), 1) == 0


def test_no_marks_at_all(path: Path) -> None:
    """A file without marks is stdout."""
    record(path, [(STDERR, b"a\nb\n")], flush=True)
    path.with_name(path.name + MARKS_SUFFIX).unlink()
    assert list(pieces(Output(path=str(path)))) == [Piece(STDOUT, 0, b"a\nb\n")]
    assert text(read_tail(Output(path=str(path)), 1)) == b"b\n"


def test_output_of_a_dead_host(path: Path) -> None:
    """What a host left when it was killed is found and counted, and not taken for complete."""
    assert out.recovered(str(path)) is None
    recorder = Recorder(str(path), LIMIT)
    recorder.add(STDERR, b"err", 0, 0)
    recorder.add(STDOUT, b"outs", 0, 0)
    recorder.flush()
    recorder.add(STDOUT, b"in memory", 0, 0)
    assert out.recovered(str(path)) == Output(b"", b"", str(path), 4, 3, complete=False)
    recorder.finish()


def test_gone_file(path: Path) -> None:
    """Whoever asks for a pruned output is told."""
    with pytest.raises(FileNotFoundError):
        list(pieces(Output(path=str(path))))
    with pytest.raises(FileNotFoundError):
        read_tail(Output(path=str(path)), 1)


def test_remove(path: Path) -> None:
    """Both parts are deleted, and deleting again is no error."""
    record(path, [(STDOUT, b"a")], flush=True)
    out.remove(str(path))
    out.remove(str(path))
    assert not list(path.parent.iterdir())


def test_reader_follows_a_growing_file(path: Path) -> None:
    """A reader that was there before the file sees every byte once, with its stream."""
    recorder = Recorder(str(path), LIMIT)
    with Reader(Output(path=str(path))) as reader:
        assert reader.read_new() == []
        recorder.add(STDOUT, b"one\n", 1, 0)
        assert reader.read_new() == []
        recorder.flush()
        assert reader.read_new() == [Piece(STDOUT, 1, b"one\n")]
        assert reader.read_new() == []
        recorder.add(STDERR, b"two\n", 2, 0)
        recorder.add(STDOUT, b"three\n", 3, 0)
        recorder.flush()
        assert reader.read_new() == [Piece(STDERR, 2, b"two\n"), Piece(STDOUT, 3, b"three\n")]
        assert reader.offset == 14
        recorder.finish()
        assert reader.read_new() == reader.read_rest() == []


def test_reader_beside_a_writer_misses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while a reader looks, between any two of its calls, is read once."""
    recorder = Recorder(str(path), LIMIT)
    recorder.add(STDERR, b"0", 0, 0)
    recorder.flush()
    written = 1
    real = os.fstat

    def write_after(fd: int) -> os.stat_result:
        nonlocal written
        result = real(fd)
        recorder.add(STDOUT if written % 2 else STDERR, b"%d" % (written % 10), 0, 0)
        recorder.flush()
        written += 1
        return result

    with Reader(Output(path=str(path))) as reader:
        monkeypatch.setattr(os, "fstat", write_after)
        found = b"".join(text(reader.read_new(3)) for _ in range(10))
        monkeypatch.setattr(os, "fstat", real)
        found += text(reader.read_new())
    recorder.finish()
    assert found == b"".join(b"%d" % (number % 10) for number in range(written))


def test_reader_does_not_guess_bytes_that_wait_for_their_mark(path: Path) -> None:
    """Of a running attempt only marked bytes are shown."""
    record(path, [(STDOUT, b"one")], flush=True)
    with Reader(Output(path=str(path))) as reader:
        reader.read_new()
        with path.open("ab") as file:
            file.write(b"two")
        assert reader.read_new() == []
        assert reader.read_rest() == [Piece(STDOUT, 0, b"two")]


def test_reader_takes_a_limited_bite(path: Path) -> None:
    """A call returns about what was asked for, and the next goes on there."""
    data = os.urandom(5 * out.CHUNK)
    record(path, [(STDOUT, data)], flush=False)
    with Reader(Output(path=str(path))) as reader:
        first = reader.read_new(out.CHUNK)
        assert text(first) == data[: out.CHUNK]
        assert text(reader.read_new()) == data[out.CHUNK :]


def test_reader_of_one_stream(path: Path) -> None:
    """The other stream is passed over, also when nothing of ours comes."""
    record(path, [(STDOUT, b"a"), (STDERR, b"b"), (STDOUT, b"c"), (STDERR, b"d")], flush=True)
    with Reader(Output(path=str(path)), stream=STDERR) as reader:
        assert text(reader.read_new()) == b"bd"
        assert reader.offset == 4


WRITTEN = st.lists(
    st.tuples(
        st.sampled_from((STDOUT, STDERR)),
        st.text("ab\n", min_size=1, max_size=6).map(str.encode),
    ),
    max_size=12,
)


@given(WRITTEN, st.booleans(), st.integers(0, 30))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[int, bytes]],
    flush: bool,
    start: int,
) -> None:
    """Both streams, each stream and every start give the bytes that were written, in order."""
    path = tmp_path_factory.mktemp("out") / "x"
    result = record(path, written, flush=flush)
    whole = b"".join(data for _, data in written)
    origin = b"".join(bytes((stream,)) * len(data) for stream, data in written)
    assert text(pieces(result, start=start)) == whole[start:]
    for stream in (STDOUT, STDERR):
        expected = bytes(b for b, of in zip(whole, origin, strict=True) if of == stream)
        assert text(pieces(result), stream) == expected
        assert text(pieces(result, stream=stream)) == expected


@given(WRITTEN, st.booleans(), st.integers(0, 6), st.sampled_from((None, STDOUT, STDERR)))
def test_tail_is_the_end_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[int, bytes]],
    flush: bool,
    lines: int,
    stream: int | None,
) -> None:
    """The tail holds the last lines and no more."""
    result = record(tmp_path_factory.mktemp("out") / "x", written, flush=flush)
    whole = text(pieces(result, stream=stream)).splitlines(keepends=True)
    assert text(read_tail(result, lines, stream=stream)) == b"".join(
        whole[max(0, len(whole) - lines) :]
    )


def test_tail_of_a_large_file_reads_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines of a file of 1 GB are found without reading it."""
    path.parent.mkdir()
    size = 1 << 30
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast but one\nlast\n")
    read = 0
    real = os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        nonlocal read
        read += count
        return real(fd, count, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert tail_offset(Output(path=str(path)), 2) == size + 1
    assert read <= 2 * out.CHUNK
