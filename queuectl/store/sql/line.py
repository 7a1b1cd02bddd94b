"""What would be claimed before a job, by kinds of jobs that are alike to a claim (tracks): see `Store.line`."""

from __future__ import annotations

from queuectl.store.heads import key_of
from queuectl.store.sql.queries import fitting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.heads import Key
    from queuectl.store.sql.reads import Reads

#: tracks that are looked at: two steps through an index each
_TRACKS = 1000
#: comes behind every job
_LAST: Key = (2**62, 2**62, 2**62)
_KEY = "SELECT priority, due_at, id FROM job WHERE id = ?"
#: what has become due and no claim has made ready
_DUE = """\
SELECT job.track, job.priority, job.due_at, job.id FROM job JOIN queue ON queue.name = job.queue
WHERE job.lane = 1 AND job.due_at <= ? AND queue.paused = 0 ORDER BY job.due_at LIMIT ?"""


def line(store: Reads, before: int | None, most: int) -> list[tuple[int, int]]:
    """Return what `Store.line` says."""
    bound = _LAST
    if before is not None:
        rows = store.rows(_KEY, (fitting(before),))
        if not rows:
            return []
        bound = key_of(*rows[0])
    #: by track: the key of its first job, and how many it has
    found: dict[int, tuple[Key, int]] = {}
    for track, *first in store.rows(_DUE, (store.now(), most)):
        key = key_of(*first)
        if key < bound:
            best, jobs = found.get(track, (key, 0))
            found[track] = min(best, key), jobs + 1
    total = sum(jobs for _, jobs in found.values())
    for (track,) in store.rows(store.block("open_tracks"))[:_TRACKS]:
        if total >= most and before is not None:
            break
        head = store.rows(store.block("head_of"), (track,))
        if not head or (key := key_of(*head[0])) >= bound:
            continue
        best, jobs = found.get(track, (key, 0))
        ready = _ready(store, track, bound, most)
        total += ready
        found[track] = min(best, key), jobs + ready
    return [(key[-1], jobs) for key, jobs in sorted(found.values())]


def _ready(store: Reads, track: int, bound: Key, most: int) -> int:
    """Count the ready jobs of a track that come before a key, up to a number."""
    negative, due_at, job_id = bound
    values = (track, -negative, track, -negative, due_at, job_id, most)
    count: int = store.rows(store.block("ahead_of"), values)[0][0]
    return count
