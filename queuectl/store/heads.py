"""Tracks merged by the best ready job of each, read from the store only as far as needed. Pure."""

from __future__ import annotations

import heapq

from queuectl.record import Record
from queuectl.store.room import Lane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    #: what jobs are claimed in the order of: minus the priority, when it became due, id
    Key = tuple[int, int, int]


class Head(Record):
    """Where a track stands: nothing ready in it comes before `key`."""

    key: Key
    lane: Lane


def key_of(priority: int, due_at: int, job_id: int) -> Key:
    """Return what a job is ordered by."""
    return (-priority, due_at, job_id)


class Heads:
    """Hands out heads, best first; a track that has had its turn is put back where it stands then.

    `rows` are (priority, due, id, then the fields of a Lane) in order. They may be a cursor on a
    table that is written meanwhile: a track that comes a second time is passed over, what was put
    back counts.
    """

    def __init__(
        self,
        rows: Iterator[Sequence[Any]],
        queues: Sequence[str],
        needs: Callable[[Any], Mapping[str, int]],
    ) -> None:
        """Only tracks of `queues` are handed out, all if there are none; `needs` unpacks them."""
        self._rows = rows
        self._queues = frozenset(queues)
        self._needs = needs
        self._seen: set[int] = set()
        #: what was put back, and the next row: what comes behind it cannot be better
        self._heap: list[Head] = []
        self._next: int | None = None
        self._read()

    def _read(self) -> None:
        """Take the next row in, if there is one."""
        for priority, due_at, job_id, track, queue, *rest, needs in self._rows:
            if track not in self._seen and (not self._queues or queue in self._queues):
                self._seen.add(track)
                self._next = track
                lane = Lane._make((track, queue, *rest, self._needs(needs)))
                heapq.heappush(self._heap, Head(key_of(priority, due_at, job_id), lane))
                return

    def pop(self) -> Head | None:
        """Return the best head and take it out; None when there is none left."""
        if not self._heap:
            return None
        best = heapq.heappop(self._heap)
        if best.lane.track == self._next:
            self._read()
        return best

    def next_key(self) -> Key | None:
        """Return the key of the head that `pop` would return."""
        return self._heap[0].key if self._heap else None

    def put_back(self, head: Head) -> None:
        """Let a track that was taken out have another turn, where it stands now."""
        heapq.heappush(self._heap, head)
