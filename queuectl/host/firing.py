"""Who makes the jobs of schedules: the pump of any host, when their time has come.

A schedule is fired by compare-and-set in the store (`Store.fire`), so of several hosts that see
it due one does it. Without a running host nothing fires; what is then made up for is the
schedule's own choice (queuectl.schedule.decide).
"""

from __future__ import annotations

from queuectl.errors import QueuectlError, StoreUnavailable
from queuectl.schedule import SKIP, decide, unpack
from queuectl.store.base import Existing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.job import NewJob
    from queuectl.store.base import Schedule, Store

#: ms before a schedule that this host cannot read is looked at again
_LATER = 60_000


class Firing:
    """Fires what is due. Belongs to the one thread that writes to the store."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        self._stale = True
        #: when the next schedule fires, ms; None while there is none, or nobody has looked yet
        self.next_at: int | None = None

    def changed(self) -> None:
        """Hear that somebody wrote to the store: schedules are read again before the next fire."""
        self._stale = True

    def fire_due(self) -> int:
        """Enqueue the jobs of every schedule whose time has come; return how many jobs.

        Costs a comparison while nothing is due and nothing has changed. Each schedule is a
        transaction of its own. Raises StoreUnavailable; any other fault of one schedule is
        written into its note, and the others fire.
        """
        if not self._stale and (self.next_at is None or self._store.now() < self.next_at):
            return 0
        schedules = self._store.schedules()
        now = self._store.now()
        made = sum(
            _fire(self._store, schedule, now) for schedule in schedules if _due(schedule, now)
        )
        if any(_due(schedule, now) for schedule in schedules):
            schedules = self._store.schedules()
        times = [one.next_at for one in schedules if not one.paused and one.next_at is not None]
        self.next_at = min(times, default=None)
        self._stale = False
        return made


def _due(schedule: Schedule, now: int) -> bool:
    return not schedule.paused and schedule.next_at is not None and schedule.next_at <= now


def _fire(store: Store, schedule: Schedule, now: int) -> int:
    assert schedule.next_at is not None  # noqa: S101 (only those that are due come here)
    try:
        firing = decide(schedule, now)
    except (QueuectlError, ValueError, KeyError, OSError) as error:
        # this machine does not know its time zone, or a newer queuectl wrote it: perhaps another
        # host can do it
        return len(
            store.fire(
                schedule.name, schedule.next_at, now + _LATER, (), f"cannot be fired: {error}"
            )
            or ()
        )
    note = firing.note
    jobs: Sequence[NewJob] = ()
    if firing.times:
        note = _in_the_way(store, schedule)
        if note is None:
            try:
                jobs = _jobs(schedule, len(firing.times))
            except (ValueError, TypeError, KeyError) as error:
                note = f"its job cannot be read: {error}"
    try:
        ids = store.fire(schedule.name, schedule.next_at, firing.next_at, jobs, note)
    except StoreUnavailable:
        raise
    except QueuectlError as error:
        # a queue that is gone, a name that is taken: not now, and not again until the next time
        store.fire(schedule.name, schedule.next_at, firing.next_at, (), f"not enqueued: {error}")
        return 0
    return sum(1 for job_id in ids or () if not isinstance(job_id, Existing))


def _in_the_way(store: Store, schedule: Schedule) -> str | None:
    """Say which job keeps a schedule from making another, None if none does."""
    if schedule.overlap != SKIP or schedule.last_job is None:
        return None
    job = store.get(schedule.last_job)
    if job is None or job.is_final:
        return None
    return f"skipped: job {job.id} was still {job.shown_state}"


def _jobs(schedule: Schedule, times: int) -> list[NewJob]:
    """Return a job for each time; of those that exclude each other only one."""
    new = unpack(schedule.job, schedule.name)
    alone = new.name is not None or new.unique is not None
    return [new] * (1 if alone else times)
