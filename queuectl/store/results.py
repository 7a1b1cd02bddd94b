"""Keeps what a client hands in as the output of an attempt that it has claimed.

Little goes into the store with the settlement; more goes where that store's hosts put it: into a
file beside a SQLite database, in pieces to a store that ships. A file has its place only once the
claim is known to be the current one, in the transaction that settles it.
"""

from __future__ import annotations

import os
import uuid

from queuectl.errors import ClaimOver
from queuectl.job import Output
from queuectl.paths import make_private, output_path
from queuectl.process.recorder import INLINE_LIMIT, MARK, MARKS_SUFFIX, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from queuectl.store.base import Store

#: bytes of a piece that is shipped
_PIECE = 256 * 1024


class Draft:
    """A result that is being handed in. `add` and `finish`, `output` while settling, `discard`."""

    def __init__(self, store: Store, job_id: int, run: int) -> None:
        self._path = output_path(store.local_directory, job_id, run)
        self._draft = f"{self._path}.{uuid.uuid4().hex[:8]}.part"
        self._parts: list[bytes] = []
        self._file: BinaryIO | None = None
        self.size = 0

    def add(self, part: bytes) -> None:
        """Take what has come. Raises OSError."""
        self.size += len(part)
        if self._file is not None:
            self._file.write(part)
            return
        self._parts.append(part)
        if self.size > INLINE_LIMIT:
            make_private(os.path.dirname(self._path))
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._file = open(os.open(self._draft, flags, 0o600), "w+b")  # noqa: SIM115 (kept open)
            for kept in self._parts:
                self._file.write(kept)
            self._parts = []

    def finish(self) -> None:
        """Make it durable. Raises OSError."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def ship(self, store: Store, job_id: int, run: int, token: str) -> None:
        """Send what is too much for a settlement to a store that keeps pieces. Raises ClaimOver."""
        if self._file is None:
            return
        self._file.seek(0)
        offset, now = 0, store.now()
        while piece := self._file.read(_PIECE):
            mark = MARK.pack(offset + len(piece), now << 2 | STDOUT)
            if not store.ship(job_id, run, token, offset, piece, mark):
                raise ClaimOver(job=job_id)
            offset += len(piece)

    def output(self, *, shipped: bool = False) -> Output:
        """Return it as what the attempt wrote; a file has its place from now on.

        May be called again. Only in a transaction that has seen that the claim is the current one.
        """
        if self._file is None:
            return Output(b"".join(self._parts), stdout_bytes=self.size)
        if not shipped and os.path.exists(self._draft):
            os.replace(self._draft, self._path)
            try:
                # of an earlier claim with the same number
                os.unlink(self._path + MARKS_SUFFIX)
            except FileNotFoundError:
                pass
        return Output(path=self._path, stdout_bytes=self.size)

    def discard(self) -> None:
        """Delete what has not got its place. Idempotent."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                # what is left in memory has no room; the descriptor is closed all the same
                pass
            try:
                os.unlink(self._draft)
            except FileNotFoundError:
                pass
