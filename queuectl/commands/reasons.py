"""Why a job is not running, and what would change that: decided in one place for all who ask.

`surroundings` reads once what the decision needs; `reasons_for` is pure. `why`, `status ID` and the
REASON column of `list` all show what it returns.
"""

from __future__ import annotations

from queuectl.commands.result import plural
from queuectl.job import FAILED, FINAL, PROCESSING
from queuectl.record import Record
from queuectl.store.base import Filter
from queuectl.timespec import HOUR, describe_duration, format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from queuectl.job import Job
    from queuectl.store.base import HostInfo, QueueInfo, Store

#: running jobs that are named when a limit is reached
NAMED = 5
#: jobs ahead that are counted
COUNTED = 1000
#: a host that has not been seen for so long (ms) is not counted on
SILENT = 120_000


class Surroundings(Record):
    """What decides, apart from a job itself, why it does not run."""

    now: int
    #: hosts with workers that have been seen lately
    hosts: tuple[HostInfo, ...]
    queues: Mapping[str, QueueInfo]
    #: some of the running jobs of each queue that is at its limit
    holders: Mapping[str, tuple[int, ...]]


class Reason(Record):
    """One thing that keeps a job from running, or what it does instead."""

    #: for scripts; never changes its meaning
    kind: str
    #: for a column; empty when it says no more than the state
    short: str
    #: what comes behind `job 3`
    sentence: str
    #: what would change it, as a sentence of its own; empty when nothing needs to
    remedy: str = ""

    @property
    def whole(self) -> str:
        """The sentence with its remedy."""
        return f"{self.sentence}; {self.remedy}" if self.remedy else self.sentence


def surroundings(store: Store) -> Surroundings:
    """Read what `reasons_for` needs, once for any number of jobs."""
    now = store.now()
    queues = {queue.name: queue for queue in store.queues()}
    hosts = tuple(host for host in store.hosts() if host.workers and now - host.seen_at < SILENT)
    full = tuple(queue.name for queue in queues.values() if _is_full(queue))
    holders: dict[str, tuple[int, ...]] = {}
    if full:
        for job in store.jobs(Filter((PROCESSING,), full), limit=NAMED * len(full)):
            known = holders.get(job.queue, ())
            holders[job.queue] = known if len(known) == NAMED else (*known, job.id)
    return Surroundings(now, hosts, queues, holders)


def reasons_for(job: Job, around: Surroundings, ahead: int | None = None) -> tuple[Reason, ...]:
    """Return why a job is not running, what must change first on top; never empty.

    `ahead` is how many jobs would be claimed before it, None when nobody counted.
    """
    settled = _settled(job, around.now)
    if settled is not None:
        return (settled,)
    obstacles = tuple(_obstacles(job, around))
    return obstacles or (_its_turn(job, around, ahead),)


def sentence(reasons: tuple[Reason, ...]) -> str:
    """Return what comes behind `job 3`: the first reason, and what else would stop it then."""
    first, *others = reasons
    also = [f"; then it {other.whole}" for other in others]
    return first.whole + "".join(also)


def _settled(job: Job, now: int) -> Reason | None:
    """Return what a job does instead of waiting: it has ended, it runs, it is about to."""
    if job.state in FINAL:
        how = job.reason if job.reason != job.state else None
        because = f" ({how})" if how else ""
        return Reason(
            job.state, how or "", f"is {job.state}{because}", f"`retry {job.id}` runs it again"
        )
    if job.cancel_requested:
        return Reason("cancelling", "", "is being cancelled and has a moment to end",
                      f"`cancel {job.id} --now` kills it")  # fmt: skip
    if job.state == PROCESSING and job.paused:
        return Reason(
            "stopped", "paused", "is paused where it was", f"`resume {job.id}` lets it go on"
        )
    if job.state == PROCESSING:
        since = "" if job.started_at is None else f" for {describe_duration(now - job.started_at)}"
        return Reason("running", "", f"is running{since}")
    if job.host is not None:
        return Reason("claimed", "about to start", "is claimed and about to start")
    return None


def _obstacles(job: Job, around: Surroundings) -> Iterator[Reason]:
    if job.paused:
        yield Reason("paused", "paused", "is paused", f"`resume {job.id}` lets it start")
    if job.due_at > around.now:
        yield _later(job, around.now)
    queue = around.queues.get(job.queue)
    if queue is not None and queue.paused:
        yield Reason("queue-paused", f"queue {queue.name} is paused",
                     f"waits in queue {queue.name}, which is paused",
                     f"`queue resume {queue.name}` opens it")  # fmt: skip
    if not around.hosts:
        yield Reason("no-workers", "no workers", "waits for a worker, and there are none anywhere",
                     "`worker start` starts one")  # fmt: skip
    elif not _takers(job.queue, around):
        yield Reason("no-worker-for-queue", f"no worker for queue {job.queue}",
                     f"waits for a worker that takes from queue {job.queue}, and there is none",
                     f"`worker start --queue {job.queue}` starts one")  # fmt: skip
    if queue is not None and _is_full(queue):
        yield _no_room(queue, around)


def _later(job: Job, now: int) -> Reason:
    left = job.due_at - now
    when = f"at {format_time(job.due_at, now)}" if left > HOUR else f"in {describe_duration(left)}"
    if job.state == FAILED:
        return Reason("retry", f"retries {when}", f"failed ({job.reason}) and is tried again {when}",
                      f"`retry {job.id}` does so now")  # fmt: skip
    return Reason("later", f"starts {when}", f"is not to start before its time, {when}",
                  f"`edit {job.id} --delay 0` lets it start now")  # fmt: skip


def _no_room(queue: QueueInfo, around: Surroundings) -> Reason:
    limit, running = queue.limit, queue.counts.get(PROCESSING, 0)
    holders = around.holders.get(queue.name, ())
    names = [f"#{holder}" for holder in holders] + (["others"] if running > len(holders) else [])
    by = " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
    return Reason("queue-full", f"queue {queue.name} is full ({running}/{limit})",
                  f"waits for room in queue {queue.name}, whose limit is used up: {running}/{limit} by {by}",
                  "it starts when one of them has ended")  # fmt: skip


def _its_turn(job: Job, around: Surroundings, ahead: int | None) -> Reason:
    """Return the reason of a job that nothing holds: others are before it, or all are busy."""
    takers = _takers(job.queue, around)
    workers = plural(sum(host.workers for host in takers), "worker")
    busy = _are_busy(takers, around)
    short = "workers busy" if busy else ""
    if ahead:
        least = "at least " if ahead >= COUNTED else ""
        all_busy = f", and {workers}, all busy" if busy else f", and {workers}"
        return Reason("turn", short, f"has {least}{plural(ahead, 'job')} ahead of it{all_busy}",
                      f"`move {job.id} --first` puts it in front")  # fmt: skip
    if busy:
        return Reason("turn", short, f"is next: it waits for one of {workers}, all busy"
                      if workers != "1 worker" else "is next: it waits for the only worker, which is busy",
                      "`worker start` adds one")  # fmt: skip
    return Reason("turn", short, "is next: a worker is about to take it")


def _takers(queue: str, around: Surroundings) -> list[HostInfo]:
    return [host for host in around.hosts if not host.queues or queue in host.queues]


def _are_busy(takers: list[HostInfo], around: Surroundings) -> bool:
    """Whether as many jobs run in the queues these hosts take from as they have workers."""
    every = any(not host.queues for host in takers)
    taken = {queue for host in takers for queue in host.queues}
    running = sum(
        queue.counts.get(PROCESSING, 0)
        for queue in around.queues.values()
        if every or queue.name in taken
    )
    return running >= sum(host.workers for host in takers)


def _is_full(queue: QueueInfo) -> bool:
    return queue.limit is not None and queue.counts.get(PROCESSING, 0) >= queue.limit
