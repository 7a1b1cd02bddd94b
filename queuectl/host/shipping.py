"""What a job writes, for readers on other machines: the host's end and the reader's.

A host of a shared store ships what an attempt writes while somebody follows it, which they say
with a wish that lasts for some seconds; and when an attempt has ended, the beginning of what is in
its file, up to `ship-limit`, so that it can be read when the host is gone. Pieces are fenced by the
claim's token. A small file goes into the settlement instead. The format is that of
queuectl.process.recorder; a piece that ends within a mark has one made for it.
"""

from __future__ import annotations

import os
import threading
import time

from queuectl.errors import QueuectlError
from queuectl.process.output import INLINE_LIMIT, remove
from queuectl.process.recorder import MARK, MARKS_SUFFIX
from queuectl.record import Record
from queuectl.settings import value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.job import Claim, Outcome, Output
    from queuectl.store.base import Store

#: bytes of a piece at the most, and marks read for one
PIECE = 256 * 1024
_MARKS = 4096
#: seconds that a wish to follow lasts, and between its repetitions
FOLLOWED, ASK_AGAIN = 10.0, 3.0
#: seconds between looks at what followed jobs have written
QUICK = 0.2


class Place(Record):
    """How far an output has been shipped."""

    offset: int = 0
    #: number of the first mark that ends behind it
    mark: int = 0


def next_piece(path: str, place: Place, most: int) -> tuple[bytes, bytes, Place]:
    """Return data and marks of what follows a place in an output file, and the place behind it.

    Nothing is returned that has no mark yet. Raises OSError.
    """
    try:
        with open(path + MARKS_SUFFIX, "rb") as file:
            file.seek(place.mark * MARK.size)
            records = file.read(_MARKS * MARK.size)
    except FileNotFoundError:
        return b"", b"", place
    whole = len(records) // MARK.size
    if not whole or most <= 0:
        return b"", b"", place
    last: int = MARK.unpack_from(records, (whole - 1) * MARK.size)[0]
    with open(path, "rb") as file:
        file.seek(place.offset)
        data = file.read(max(0, min(most, PIECE, last - place.offset)))
    end = place.offset + len(data)
    used = 0
    while used < whole and MARK.unpack_from(records, used * MARK.size)[0] <= end:
        used += 1
    marks = records[: used * MARK.size]
    behind = MARK.unpack_from(marks, len(marks) - MARK.size)[0] if marks else place.offset
    if behind < end and used < whole:
        marks += MARK.pack(end, MARK.unpack_from(records, used * MARK.size)[1])
    return data, marks, Place(end, place.mark + used)


class Shipper:
    """Ships for one host. Methods may be called from any thread."""

    def __init__(
        self,
        store: Store,
        running: Callable[[], list[Claim]],
        path_of: Callable[[Claim], str],
        failed: Callable[[Exception], None],
    ) -> None:
        """`running` tells what runs, `path_of` where it writes; `failed` hears of errors."""
        self._store = store
        self._running = running
        self._path_of = path_of
        self._failed = failed
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        #: until when somebody follows, by token; monotonic seconds
        self._followed: dict[str, float] = {}
        self._places: dict[str, Place] = {}
        #: attempts of which a piece is being shipped, so that nobody else does
        self._busy: set[str] = set()
        #: files whose bytes are in a settlement, by token: they go when that is in the store
        self._spare: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._ended = False
        #: set at the end, so that the thread does not sleep on
        self._over = threading.Event()

    def follow(self, token: str) -> None:
        """Ship what this claim's attempt writes for a while: somebody follows it."""
        with self._lock:
            self._followed[token] = time.monotonic() + FOLLOWED
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._work, name="shipper", daemon=True)
                self._thread.start()
            self._idle.notify_all()

    def stop(self) -> None:
        """Ship nothing more of what runs."""
        with self._lock:
            self._ended = True
            self._over.set()
            self._idle.notify_all()

    def finish(self, claim: Claim, outcome: Outcome) -> Outcome:
        """Return an outcome with what can be read elsewhere; ship the rest of its file, if any.

        What cannot be shipped stays in the file. Raises nothing.
        """
        output = outcome.output
        if output is None or output.path is None:
            self._forget(claim.token)
            return outcome
        try:
            if os.path.getsize(output.path) <= INLINE_LIMIT:
                small = _inline(output)
                with self._lock:
                    self._spare[claim.token] = output.path
                return outcome._replace(output=small)
            self._ship(claim, output.path)
        except (OSError, QueuectlError):
            # whoever looks for it on the host finds it
            pass
        except Exception as error:  # noqa: BLE001 - the outcome matters more
            self._failed(error)
        finally:
            self._forget(claim.token)
        return outcome

    def settled(self, token: str) -> None:
        """Delete the file of an attempt whose bytes are in the store by now."""
        with self._lock:
            path = self._spare.pop(token, None)
        if path is not None:
            try:
                remove(path)
            except OSError as error:
                self._failed(error)

    def _forget(self, token: str) -> None:
        with self._lock:
            self._places.pop(token, None)
            self._followed.pop(token, None)

    def _ship(self, claim: Claim, path: str) -> bool:
        """Ship what an attempt has written up to now; True if that was anything."""
        with self._lock:
            while claim.token in self._busy:
                self._idle.wait()
            self._busy.add(claim.token)
            place = self._places.get(claim.token, Place())
        moved = False
        try:
            limit = int(value_of("ship-limit", claim.policy))
            while True:
                data, marks, after = next_piece(path, place, limit - place.offset)
                if not data or not self._store.ship(
                    claim.job_id, claim.run, claim.token, place.offset, data, marks
                ):
                    return moved
                place, moved = after, True
        finally:
            with self._lock:
                self._places[claim.token] = place
                self._busy.discard(claim.token)
                self._idle.notify_all()

    # ---- the thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        while (tokens := self._wanted()) is not None:
            for claim in self._running():
                if claim.token in tokens:
                    self._try(claim)
            self._over.wait(QUICK)

    def _wanted(self) -> set[str] | None:
        """Return the claims that somebody follows; wait for one. None: it is over."""
        with self._lock:
            while True:
                now = time.monotonic()
                for token in [one for one, until in self._followed.items() if until < now]:
                    del self._followed[token]
                if self._ended:
                    return None
                if self._followed:
                    return set(self._followed)
                self._idle.wait()

    def _try(self, claim: Claim) -> None:
        try:
            self._ship(claim, self._path_of(claim))
        except (OSError, QueuectlError):
            # nothing written yet, or no store: the next look tries again
            pass
        except Exception as error:  # noqa: BLE001 - others are followed too
            self._failed(error)


def _inline(output: Output) -> Output:
    """Return a small output with its bytes instead of its file. Raises OSError."""
    path = output.path or ""
    with open(path, "rb") as file:
        data = file.read()
    marks = b""
    try:
        with open(path + MARKS_SUFFIX, "rb") as file:
            marks = file.read()
    except FileNotFoundError:
        pass
    whole = len(marks) - len(marks) % MARK.size
    return output._replace(data=data, marks=marks[:whole], path=None)


def sweep(store: Store, wait: Callable[[], bool]) -> int:
    """Delete output files on this machine whose jobs are gone; return how many jobs they were of.

    Who prunes a job of a shared store cannot reach the files of other machines. `wait` is called
    between directories and returns True to stop. Raises OSError, StoreUnavailable.
    """
    from queuectl.store.base import Filter

    top = store.local_directory + "/output"
    swept = 0
    for part in os.listdir(top) if os.path.isdir(top) else ():
        files: dict[int, list[str]] = {}
        for name in os.listdir(f"{top}/{part}"):
            number = name.partition("-")[0]
            if number.isdecimal():
                files.setdefault(int(number), []).append(f"{top}/{part}/{name}")
        if files:
            # asked after the files were listed: a job is there before its file
            where = Filter(ranges=((min(files), max(files)),))
            gone = files.keys() - {job.id for job in store.jobs(where)}
            for path in (path for job_id in gone for path in files[job_id]):
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    # the pump, or another host of this machine, was faster
                    pass
            swept += len(gone)
        if wait():
            break
    return swept


# ---- the reader's end ---------------------------------------------------------------------------


def ships(store: Store) -> bool:
    """Whether hosts of this store may be on other machines, and ship what their jobs write."""
    return store.lease is not None


def shipped(store: Store, job_id: int, run: int, offset: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield data and marks of what has been shipped of an attempt from `offset` on, without gaps.

    `offset` is where a piece begins.
    """
    while True:
        found = store.shipped(job_id, run, offset)
        begun = offset
        for at, data, marks in found:
            if at != offset:
                return
            offset += len(data)
            yield data, marks
        if offset == begun:
            return


class Mirror:
    """A copy of a running attempt's output, as far as its host has shipped it. One thread."""

    def __init__(self, store: Store, job_id: int, run: int, ask: Callable[[], object]) -> None:
        """Make an empty one; `ask` tells the host that somebody follows. Raises OSError."""
        import tempfile

        self._store = store
        self._job_id = job_id
        self._run = run
        self._ask = ask
        self._asked = self._fetched = -ASK_AGAIN
        self._size = 0
        self._directory = tempfile.mkdtemp(prefix="queuectl-")
        #: an output file, with its marks beside it
        self.path = self._directory + "/output"

    def fetch(self) -> bool:
        """Get what has come since, at most some times a second; True if there was something."""
        now = time.monotonic()
        if now - self._asked >= ASK_AGAIN:
            self._asked = now
            try:
                self._ask()
            except QueuectlError:
                # who may only read sees what others have asked for
                pass
        if now - self._fetched < QUICK:
            return False
        self._fetched = now
        before = self._size
        for data, marks in shipped(self._store, self._job_id, self._run, self._size):
            # data comes before its marks, as in any output file
            _append(self.path, data)
            _append(self.path + MARKS_SUFFIX, marks)
            self._size += len(data)
        return self._size > before

    def close(self) -> None:
        """Delete it."""
        import shutil

        shutil.rmtree(self._directory, ignore_errors=True)


def _append(path: str, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)
