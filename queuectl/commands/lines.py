"""Output cut into whole lines, each with the time its first byte came."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from queuectl.process.output import Piece

#: a line that is longer is told in parts: memory stays flat whatever a job writes
LONGEST = 1024 * 1024


class Lines:
    """Joins what arrives in pieces. Each stream by itself."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[int, list[bytes], int]] = {}

    def feed(self, piece: Piece) -> Iterator[tuple[int, int, bytes]]:
        """Yield (stream, ms of the first byte, line with its newline) of what is whole by now."""
        *whole, rest = piece.data.split(b"\n")
        at, parts, size = self._begun.pop(piece.stream, (piece.at, [], 0))
        for line in whole:
            yield piece.stream, at, b"".join((*parts, line, b"\n"))
            at, parts, size = piece.at, [], 0
        if not rest:
            if parts:
                self._begun[piece.stream] = at, parts, size
            return
        parts.append(rest)
        size += len(rest)
        if size > LONGEST:
            yield piece.stream, at, b"".join((*parts, b"\n"))
        else:
            self._begun[piece.stream] = at, parts, size

    def end(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield what is left without a newline, with one."""
        begun, self._begun = self._begun, {}
        for stream, (at, parts, _) in begun.items():
            yield stream, at, b"".join((*parts, b"\n"))


def stamp(at: int) -> bytes:
    """Return a local time for the front of a line: `2026-11-21 18:30:05.123 `."""
    if not at:
        return b"---------- --:--:--.--- "
    seconds, rest = divmod(at, 1000)
    return time.strftime(f"%Y-%m-%d %H:%M:%S.{rest:03d} ", time.localtime(seconds)).encode()


def stamped(found: Iterable[Piece]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, line with its time in front); a last line without newline gets one."""
    lines = Lines()
    for piece in found:
        for stream, at, line in lines.feed(piece):
            yield stream, stamp(at) + line
    for stream, at, line in lines.end():
        yield stream, stamp(at) + line
