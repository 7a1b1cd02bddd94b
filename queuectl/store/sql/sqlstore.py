"""What the parts of a SQL store stand on: the little that an engine brings to the shared SQL.

Shared SQL is portable: `?` for parameters and nothing that only one engine knows. What needs the
engine's own words (a forced index, a lock, a returned row) is a named block of its .sql file, or
one of the small methods below. The hot path, from a claim to its end, is each engine's own.
"""

from __future__ import annotations

import os
from abc import abstractmethod

from queuectl.errors import NoSuchQueue, did_you_mean
from queuectl.job import SLOTS
from queuectl.record import Record
from queuectl.store.base import Store
from queuectl.store.rules import pack_pairs, unpack_pairs
from queuectl.timespec import DAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Protocol

    from queuectl.job import State
    from queuectl.store.rules import Facts

    class Ran(Protocol):
        """What came of a statement."""

        @property
        def rowcount(self) -> int:
            """How many rows were written."""

        def fetchone(self) -> Any:
            """Return the next row, or None."""

        def fetchall(self) -> list[Any]:
            """Return the rows that are left."""


#: a job that needs nothing but one worker
NO_NEEDS: Mapping[str, int] = {}


class TrackInfo(Record):
    """What all jobs of a track have in common. Never changes."""

    queue: str
    #: the array whose limit holds for it; 0 is none
    array_id: int
    array_limit: int | None
    needs: Mapping[str, int]


_NO_TRACK = TrackInfo("", 0, None, NO_NEEDS)
#: rows that are kept in memory of each kind of thing that never changes
_KEPT = 1000


class SqlStore(Store):
    """A store whose shared parts talk to it through these primitives. Not a store by itself.

    Methods that change something are called within `transaction()`.
    """

    #: the transaction made something that hosts want to know: they are woken after its commit
    work_made: bool
    #: called in order after the outermost commit, and forgotten with a rollback
    after_commit: list[Callable[[], None]]

    def __init__(self) -> None:
        #: with the day on which they were taken up last
        self._interned: dict[tuple[str, bytes], tuple[int, int]] = {}
        self._pairs: dict[tuple[str, int], Mapping[str, str]] = {}
        self._tracks: dict[int, TrackInfo] = {}
        #: by how many the counter of a queue and state has changed in this transaction
        self.counter_changes: dict[tuple[str, str], int] = {}

    # ---- what an engine brings ----------------------------------------------------------------

    @abstractmethod
    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Return all rows of a read. Any thread; the one with a transaction sees what that did."""

    @abstractmethod
    def run(self, statement: str, values: Sequence[object] = ()) -> Ran:
        """Run a statement within the present transaction."""

    @abstractmethod
    def run_many(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        """Run a statement within the present transaction once for each row of values."""

    @abstractmethod
    def block(self, name: str) -> str:
        """Return the engine's own SQL of that name."""

    @abstractmethod
    def to_column(self, text: str) -> object:
        """Return what a column keeps of a text that may hold bytes that are not UTF-8."""

    @abstractmethod
    def from_column(self, value: Any) -> str:
        """Return the text that such a column keeps."""

    @abstractmethod
    def glob_test(self, column: str, pattern: str) -> tuple[str, str]:
        """Return the condition that a column matches a glob of the shell, and its one value."""

    @abstractmethod
    def among(self, column: str, ids: Sequence[int]) -> tuple[str, object]:
        """Return the condition that a column is one of these ids, and its one value."""

    @abstractmethod
    def write_jobs(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, final: bool = False
    ) -> None:
        """Write these columns of jobs that are locked, `final` or not; a row ends with its job's id.

        What is not final stays so.
        """

    @abstractmethod
    def facts(self, job_id: int) -> Facts | None:
        """Return what is known of a job within a transaction, which nobody else can change then."""

    @abstractmethod
    def facts_of(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Return `facts` of those jobs that are there, locked in order of id, read at once."""

    @abstractmethod
    def lock(self, ids: Sequence[int]) -> None:
        """Keep others from changing these jobs till the transaction ends, without a deadlock."""

    def lock_graph(self) -> None:
        """Keep others from changing what waits for what till the transaction ends. First of all."""

    def moved(self, queue: str, before: State | None, after: State | None, jobs: int = 1) -> None:
        """Count jobs of a queue from one state into another; None is outside the store.

        The engine writes `counter_changes` before the transaction's end.
        """
        if before == after:
            return
        changes = self.counter_changes
        if before is not None:
            changes[queue, before] = changes.get((queue, before), 0) - jobs
        if after is not None:
            changes[queue, after] = changes.get((queue, after), 0) + jobs

    @abstractmethod
    def counter_rows(self) -> list[Any]:
        """Return queue, state and number of jobs; within a transaction with what it changed."""

    @abstractmethod
    def became_ready(self, track: int, priority: int, due_at: int, job_id: int) -> None:
        """Hear that a job stands in the ready lane now: a head may move, hosts are woken."""

    @abstractmethod
    def new_ids(self, count: int) -> Iterable[int]:
        """Return that many ids for jobs, ascending, each above all there have been."""

    @abstractmethod
    def used_ids(self, last: int) -> None:
        """Hear up to which id the new ones, or restored ones, are in use."""

    @abstractmethod
    def end_of_line(self, queue: str, *, first: bool) -> tuple[int, int, int] | None:
        """Return priority, due time and id of a queue's first, or last, ready or due job."""

    # ---- what is stored once ------------------------------------------------------------------

    def intern(self, table: str, pairs: Mapping[str, str]) -> int:
        """Return the id of a set of pairs in `environment` or `policy`, storing it if it is new.

        It stays for as long as a job has it, and some days more: it is marked with the day. One of
        an older version, without a mark, stays for ever: hosts of that version may remember it.
        """
        packed = pack_pairs(pairs)
        today = self.now() // DAY
        found, day = self._interned.get((table, packed), (0, -1))
        if day != today:
            found = self._take_up(table, packed, today)
            if len(self._interned) > _KEPT:
                self._interned.clear()
            self._interned[(table, packed)] = found, today
        return found

    def _take_up(self, table: str, packed: bytes, today: int) -> int:
        """Return the id of a row that has been marked as taken up today, made if it is not there."""
        read = f"SELECT id, used_day FROM {table} WHERE pairs = ?"
        make = f"INSERT INTO {table} (pairs, used_day) VALUES (?, ?) ON CONFLICT DO NOTHING"
        mark = f"UPDATE {table} SET used_day = ? WHERE id = ?"
        while True:
            row = self.run(read, (packed,)).fetchone()
            if row is None:
                self.run(make, (packed, today))
            elif not row[1] or row[1] >= today or self.run(mark, (today, row[0])).rowcount:
                return int(row[0])

    def pairs(self, table: str, row_id: int) -> Mapping[str, str]:
        """Return what `intern` stored. Rows never change, so they are kept."""
        key = (table, row_id)
        found = self._pairs.get(key)
        if found is None:
            rows = self.rows(f"SELECT pairs FROM {table} WHERE id = ?", (row_id,))
            found = unpack_pairs(rows[0][0]) if rows else {}
            if len(self._pairs) > _KEPT:
                self._pairs.clear()
            self._pairs[key] = found
        return found

    def track_of(self, queue: str, array_id: int, limit: int | None, needs: bytes) -> int:
        """Return the id of the track of jobs that are alike in this, made if it is not there."""
        key = (queue, array_id, needs)
        read = "SELECT id FROM track WHERE queue = ? AND array_id = ? AND needs = ?"
        row = self.run(read, key).fetchone()
        if row is None:
            self.run(
                "INSERT INTO track (queue, array_id, needs, array_limit, paused)"
                " SELECT name, ?, ?, ?, paused FROM queue WHERE name = ? ON CONFLICT DO NOTHING",
                (array_id, needs, limit, queue),
            )
            row = self.run(read, key).fetchone()
        return int(row[0])

    def track(self, track_id: int) -> TrackInfo:
        """Return what a track's jobs have in common. It never changes, so it is kept."""
        found = self._tracks.get(track_id)
        if found is None:
            rows = self.rows(
                "SELECT queue, array_id, array_limit, needs FROM track WHERE id = ?", (track_id,)
            )
            if not rows:
                return _NO_TRACK
            found = TrackInfo._make((*rows[0][:3], unpack_needs(rows[0][3])))
            if len(self._tracks) > _KEPT:
                self._tracks.clear()
            self._tracks[track_id] = found
        return found

    def forget_kept(self) -> None:
        """Drop ids that a rolled-back transaction may have given out, and what they stood for."""
        self._interned.clear()
        self._pairs.clear()
        self._tracks.clear()

    def keep_payload(self, job_id: int, stdin: bytes | None, path: str | None) -> None:
        """Store a job's standard input, or where it is."""
        data = stdin if path is None else os.fsencode(path)
        self.run("INSERT INTO payload (job_id, data) VALUES (?, ?)", (job_id, data))

    # ---- what several parts need --------------------------------------------------------------

    def known_queue(self, name: str) -> str:
        """Return the name of a queue that is there. Raises NoSuchQueue with the nearest."""
        if not self.rows("SELECT 1 FROM queue WHERE name = ?", (name,)):
            known = [row[0] for row in self.rows("SELECT name FROM queue")]
            raise NoSuchQueue(queue=name, hint=did_you_mean(name, known))
        return name


def pack_needs(needs: Mapping[str, int]) -> bytes:
    """Return needs as a track keeps them; what everybody needs, one worker, is left out."""
    return pack_pairs(
        {name: str(amount) for name, amount in needs.items()
         if amount > (1 if name == SLOTS else 0)}
    )  # fmt: skip


def unpack_needs(data: bytes) -> Mapping[str, int]:
    """Return what pack_needs packed."""
    if not data:
        return NO_NEEDS
    return {name: int(amount) for name, amount in unpack_pairs(bytes(data)).items()}


def readable(text: str) -> str:
    """Return a text for reading that a TEXT column takes: NUL, and what is not UTF-8, is escaped."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def random_share() -> float:
    """Return a random number in [0, 1), without the import of `random`."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
