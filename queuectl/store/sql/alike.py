"""Jobs by id with those of an array that look the same as one: few reads, however many they are.

A page of jobs is read whole and put together here. Where the last of them may go on, the database
is asked for the first job behind them that is not like them, which costs it some 0.3 us a job
and nobody else anything.
"""

from __future__ import annotations

from queuectl.job import PROCESSING
from queuectl.store.base import PAGE, Alike
from queuectl.store.records import beyond
from queuectl.store.sql.queries import conditions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from queuectl.job import Job
    from queuectl.store.base import Filter
    from queuectl.store.sql.reads import Reads

#: jobs that are read whole at once, unless many more are wanted
_FEW = 25
#: more than there are
_EVERY = 2**40


def alike(store: Reads, where: Filter, limit: int, *, newest: bool, most: int) -> list[Alike]:
    """Return what `Store.alike` says."""
    found: list[Alike] = []
    now = store.now()
    most = min(most, _EVERY)
    rest: Filter | None = where
    while rest is not None and len(found) < limit and most > 0:
        left = limit - len(found)
        size = min(left, max(_FEW, left // 2), most, PAGE)
        page = list(store.jobs(rest, limit=size, newest=newest))
        if not page:
            break
        groups = _together(page, now)
        most -= len(page)
        near, end = groups[-1]
        far = end.id
        if len(page) == size and _look(end, now) is not None:
            far = _furthest(store, rest, end, now, most, newest=newest)
            most -= abs(far - end.id)
            last = end if far == end.id else store.get(far)
            groups[-1] = near, last or end
        found += [Alike(b, a) if newest else Alike(a, b) for a, b in groups]
        rest = beyond(rest, far, newest=newest)
        if len(page) < size:
            break
    return found


def _together(jobs: Sequence[Job], now: int) -> list[tuple[Job, Job]]:
    """Return the ends of what is alike among neighbours, in the given order."""
    groups: list[tuple[Job, Job]] = []
    before = None
    for job in jobs:
        look = _look(job, now)
        if look is not None and look == before and abs(job.id - groups[-1][1].id) == 1:
            groups[-1] = groups[-1][0], job
        else:
            groups.append((job, job))
        before = look
    return groups


def _look(job: Job, now: int) -> tuple[object, ...] | None:
    """Return what must be the same of jobs that are one; None for a job that stands alone."""
    if job.array_id is None or job.host is not None or job.state == PROCESSING:
        return None
    own = _own_name(job)
    if job.message is not None or (job.name is not None and own is None):
        return None
    due = None if job.is_final else max(job.due_at, now)
    return (
        job.array_id, own, job.state, job.queue, job.array_limit, job.needs, job.priority, job.paused,
        job.unmet, job.attempts, job.max_retries, job.reason, job.command, due,
    )  # fmt: skip


def _own_name(job: Job) -> str | None:
    """Return what a job of an array is called but for its index, `sim` of sim-3; None if it is not so."""
    name, ending = job.name, f"-{job.array_index}"
    return name.removesuffix(ending) if name is not None and name.endswith(ending) else None


def _same(store: Reads, job: Job, now: int) -> tuple[list[str], list[Any]]:
    """Return the conditions that a job has the `_look` of this one, and their values."""
    # a track is queue, need and limited array in one
    tests = ["array_id = ?", "state = ?", "track = (SELECT track FROM job WHERE id = ?)"]
    values: list[Any] = [job.array_id, job.state, job.id]
    tests += ["host IS NULL", "message IS NULL"]
    own = _own_name(job)
    if own is None:
        tests.append("name IS NULL")
    else:
        tests.append("name = CAST(? AS TEXT) || '-' || CAST(array_index AS TEXT)")
        values.append(own)
    for column, value in (
        ("priority", job.priority),
        ("paused", int(job.paused)),
        ("unmet", job.unmet),
        ("attempts", job.attempts),
        ("max_retries", job.max_retries),
        ("command", store.to_column(job.command)),
        ("reason", job.reason),
    ):
        tests.append(f"{column} IS NULL" if value is None else f"{column} = ?")
        values += [] if value is None else [value]
    if not job.is_final:
        tests.append("due_at <= ?" if job.due_at <= now else "due_at = ?")
        values.append(max(job.due_at, now))
    return tests, values


def _furthest(store: Reads, where: Filter, job: Job, now: int, most: int, *, newest: bool) -> int:
    """Return the id of the furthest job of those beside one, at most `most` away, that are as it is."""
    low, high = (job.id - most, job.id - 1) if newest else (job.id + 1, job.id + most)
    order = "DESC" if newest else "ASC"
    tests, values = conditions(where, store.glob_test)
    same, same_values = _same(store, job, now)
    other = store.rows(
        f"SELECT id FROM job WHERE id BETWEEN ? AND ? AND ({' AND '.join(same + tests)}) IS NOT TRUE"
        f" ORDER BY id {order} LIMIT 1",
        [low, high, *same_values, *values],
    )
    if other:
        low, high = (other[0][0] + 1, high) if newest else (low, other[0][0] - 1)
    count, least, greatest = store.rows(
        "SELECT count(*), min(id), max(id) FROM job WHERE id BETWEEN ? AND ?", (low, high)
    )[0]
    if not count:
        return job.id
    far = int(least if newest else greatest)
    if count == abs(far - job.id):
        return far
    # one has been removed in between: as far as that
    step = -1 if newest else 1
    hole = store.rows(
        f"SELECT id FROM job WHERE id BETWEEN ? AND ? AND NOT EXISTS"
        f" (SELECT 1 FROM job AS beside WHERE beside.id = job.id + ?) ORDER BY id {order} LIMIT 1",
        (min(far, job.id), max(far, job.id), step),
    )
    return int(hole[0][0]) if hole else job.id
