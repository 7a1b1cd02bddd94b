"""Queues merged by the best ready job of each, read from the store only as far as needed. Pure."""

from __future__ import annotations

import heapq

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    #: what jobs are claimed in the order of: minus the priority, when it became due, id
    Key = tuple[int, int, int]


class Head(Record):
    """Where a queue stands: nothing ready in it comes before `key`."""

    key: Key
    queue: str
    #: running jobs at the most; None is no limit
    limit: int | None


def key_of(priority: int, due_at: int, job_id: int) -> Key:
    """Return what a job is ordered by."""
    return (-priority, due_at, job_id)


class Heads:
    """Hands out heads, best first; a queue that has had its turn is put back where it stands then.

    `rows` are (queue, limit, priority, due, id) in order. They may be a cursor on a table that is
    written meanwhile: a queue that comes a second time is passed over, what was put back counts.
    """

    def __init__(self, rows: Iterator[Sequence[Any]], queues: Sequence[str]) -> None:
        """Only `queues` are handed out, all if there are none."""
        self._rows = rows
        self._queues = frozenset(queues)
        self._seen: set[str] = set()
        #: what was put back, and the next row: what comes behind it cannot be better
        self._heap: list[Head] = []
        self._next: str | None = None
        self._read()

    def _read(self) -> None:
        """Take the next row in, if there is one."""
        for queue, limit, *job in self._rows:
            if queue not in self._seen and (not self._queues or queue in self._queues):
                self._seen.add(queue)
                self._next = queue
                heapq.heappush(self._heap, Head(key_of(*job), queue, limit))
                return

    def pop(self) -> Head | None:
        """Return the best head and take it out; None when there is none left."""
        if not self._heap:
            return None
        best = heapq.heappop(self._heap)
        if best.queue == self._next:
            self._read()
        return best

    def next_key(self) -> Key | None:
        """Return the key of the head that `pop` would return."""
        return self._heap[0].key if self._heap else None

    def put_back(self, head: Head) -> None:
        """Let a queue that was taken out have another turn, where it stands now."""
        heapq.heappush(self._heap, head)
