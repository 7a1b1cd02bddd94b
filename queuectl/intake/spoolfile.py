"""One spool file, read from where it was left, whatever is done to it meanwhile.

A place is an offset in a file of a certain inode, with a hash of what stands before it: a file that
was cut short, written anew or is another one of the same number is read from its beginning.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time

from queuectl.errors import Refused
from queuectl.record import Record

#: bytes before the offset that a place remembers
REMEMBERED = 4096
#: bytes read at once
CHUNK = 256 * 1024


class Place(Record):
    """How far a file has been read."""

    inode: int
    offset: int = 0
    #: hash of the bytes before the offset, REMEMBERED of them at the most
    before: str = ""


class Lines(Record):
    """Whole lines, and the place behind them."""

    lines: tuple[bytes, ...]
    place: Place
    #: bytes of a line that was too long and is passed over
    skipped: int = 0


class SpoolFile:
    """An open file. One thread's."""

    def __init__(self, fd: int, place: Place) -> None:
        self._fd = fd
        self.place = place
        #: when there was something new in it
        self.moved_at = time.monotonic()
        self._size = -1

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    @property
    def inode(self) -> int:
        """The number of the file."""
        return self.place.inode

    @property
    def deleted(self) -> bool:
        """Whether it has no name any more."""
        return not os.fstat(self._fd).st_nlink

    def check(self) -> bool:
        """Look whether what was read is there still; False: it is read from its beginning now."""
        size = os.fstat(self._fd).st_size
        if size != self._size:
            self._size = size
            self.moved_at = time.monotonic()
        place = self.place
        if size >= place.offset and (
            not place.offset or _hash_before(self._fd, place.offset) == place.before
        ):
            return True
        self.place = Place(self.inode)
        return False

    def read(self, longest: int) -> Lines | None:
        """Return the whole lines that follow, some at a time; None: there is none yet.

        A line of more than `longest` bytes is passed over. Raises OSError.
        """
        offset = self.place.offset
        data = os.pread(self._fd, CHUNK, offset)
        end = data.rfind(b"\n") + 1
        if end:
            return Lines(tuple(data[: end - 1].split(b"\n")), self._place_at(offset + end))
        if len(data) <= longest:
            return None
        # its end may be far away, or not written yet
        return self._pass_over(offset)

    def _pass_over(self, offset: int) -> Lines | None:
        position = offset
        while data := os.pread(self._fd, CHUNK, position):
            end = data.find(b"\n") + 1
            if end:
                after = position + end
                return Lines((), self._place_at(after), after - offset)
            position += len(data)
        return None

    def end(self) -> Place:
        """Return the place at its end."""
        return self._place_at(os.fstat(self._fd).st_size)

    def left(self) -> int:
        """Return how many bytes have not been read."""
        return max(0, os.fstat(self._fd).st_size - self.place.offset)

    def _place_at(self, offset: int) -> Place:
        return Place(self.inode, offset, _hash_before(self._fd, offset))


def open_file(path: str) -> int:
    """Return a descriptor of a spool file. Raises Refused for what is none of ours, OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        refuse_foreign(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def refuse_foreign(found: os.stat_result, path: str) -> None:
    """Raise Refused for what is no regular file, or is another user's."""
    if stat.S_ISLNK(found.st_mode):
        raise Refused(f"{path} is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no regular file")
    if found.st_uid not in (os.geteuid(), 0):
        raise Refused(f"{path} is another user's (uid {found.st_uid})")


def _hash_before(fd: int, offset: int) -> str:
    length = min(REMEMBERED, offset)
    data = os.pread(fd, length, offset - length)
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pack(places: list[Place]) -> bytes:
    """Return places as a note."""
    import json

    return json.dumps([[place.inode, place.offset, place.before] for place in places]).encode()


def unpack(note: bytes | None) -> list[Place]:
    """Return the places of a note, none when there is no note that can be read."""
    import json

    try:
        return [Place(int(inode), int(offset), str(before))
                for inode, offset, before in json.loads(note or b"[]")]  # fmt: skip
    except (ValueError, TypeError):
        return []
