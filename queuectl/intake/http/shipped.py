"""Output that hosts behind HTTP ship, kept in this machine's output files; and reading them.

The form is that of queuectl.process.recorder, as if the attempt had run here. A store that keeps pieces
itself (it has a lease) does so.
"""

from __future__ import annotations

import os

from queuectl.host.shipping import Place, next_piece
from queuectl.paths import make_private, output_path
from queuectl.process.output import STDOUT
from queuectl.process.recorder import MARK, MARKS_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from queuectl.store.base import Store

#: bytes of one answer, about
_MOST = 4 * 1024 * 1024


def ship(store: Store, *, given: dict[str, Any]) -> bool:
    """Keep a piece of a running attempt's output. False: the token is no longer the current one."""
    if store.lease is not None:
        return store.ship(**given)
    job_id, run, offset = given["job_id"], given["run"], given["offset"]
    job = store.get(job_id)
    # a claim has its number before its start is known
    if job is None or job.token != given["token"] or run not in (job.runs, job.runs + 1):
        return False
    path = output_path(store.local_directory, job_id, run)
    make_private(os.path.dirname(path))
    try:
        size = os.path.getsize(path)
    except FileNotFoundError:
        size = 0
    if offset == size:
        _append(path, given["data"])
        _append(path + MARKS_SUFFIX, given["marks"])
    # a piece that is there already is left, and one behind a gap comes again
    return True


def _append(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "ab") as file:
        file.write(data)


def shipped(store: Store, job_id: int, run: int, offset: int) -> list[tuple[int, bytes, bytes]]:
    """Return pieces of an output that begin at `offset`: of what ran here, or was shipped."""
    if store.lease is not None:
        return store.shipped(job_id, run, offset)
    if min(job_id, run, offset) < 0:
        return []
    path = output_path(store.local_directory, job_id, run)
    found: list[tuple[int, bytes, bytes]] = []
    try:
        place = Place(offset, _first_mark_behind(path + MARKS_SUFFIX, offset))
        while place.offset - offset < _MOST:
            data, marks, after = next_piece(path, place, _MOST)
            if not data:
                break
            found.append((place.offset, data, marks))
            place = after
    except FileNotFoundError:
        return found
    return found or _unmarked(store, job_id, run, path, offset)


def _first_mark_behind(path: str, offset: int) -> int:
    """Return the number of the first mark that ends behind an offset."""
    try:
        with open(path, "rb") as file:
            low, high = 0, os.fstat(file.fileno()).st_size // MARK.size
            while low < high:
                middle = (low + high) // 2
                file.seek(middle * MARK.size)
                if MARK.unpack(file.read(MARK.size))[0] > offset:
                    high = middle
                else:
                    low = middle + 1
            return low
    except FileNotFoundError:
        return 0


def _unmarked(
    store: Store, job_id: int, run: int, path: str, offset: int
) -> list[tuple[int, bytes, bytes]]:
    """Return what an attempt that has ended left without marks, as its standard output."""
    attempt = next((one for one in store.attempts(job_id) if one.run == run), None)
    if attempt is None or attempt.finished_at is None:
        return []
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(_MOST)
    except FileNotFoundError:
        # it has written nothing, or what it wrote has been pruned
        return []
    return [(offset, data, MARK.pack(offset + len(data), STDOUT))] if data else []
