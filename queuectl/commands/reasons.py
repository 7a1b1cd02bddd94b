"""Why a job is not running, and what would change that: decided in one place for all who ask.

`surroundings` reads once what the decision needs; what only some jobs ask for is read when the
first of them does (`Facts`); the rest of `reasons_for` is pure. `why`, `status ID` and the
REASON column of `list` all show what it returns.
"""

from __future__ import annotations

from queuectl.commands.result import plural
from queuectl.demands import PULLED
from queuectl.host.life import dead_among
from queuectl.job import (
    FAILED,
    FINAL,
    PROCESSING,
    SLOTS,
    WHEN_COMPLETED,
    WHEN_ENDED,
    WHEN_FAILED,
)
from queuectl.record import Record
from queuectl.store.base import Filter
from queuectl.timespec import HOUR, describe_duration, format_duration, format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from queuectl.commands.turns import Kind, Rivals
    from queuectl.job import Job
    from queuectl.store.base import HostInfo, QueueInfo, Store

#: how a job that another waits for has to end
TO = {WHEN_COMPLETED: "complete", WHEN_ENDED: "end", WHEN_FAILED: "die"}
#: running jobs that are named when a limit is reached
NAMED = 5
#: jobs ahead that are counted
COUNTED = 1000
#: jobs by which kinds of them are found that have become due just now
KINDS = 100


class Wait(Record):
    """What a job waits for, and how that stands."""

    on: int
    when: str
    #: False: not yet; None: never
    met: bool | None
    #: of the other job; None: it is gone
    state: str | None


class Facts:
    """What decides about some jobs only: read when first asked for, and once."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        self._running: list[Job] | None = None
        self._line: list[Kind] | None = None
        #: of the job that was asked about last: its cells ask several times
        self._waits: tuple[int, tuple[Wait, ...]] = (0, ())
        self._arrays: dict[int, tuple[int, ...]] = {}

    def waits(self, job: Job) -> tuple[Wait, ...]:
        """Return what a job still waits for, what can never be on top."""
        if not job.unmet:
            return ()
        if self._waits[0] == job.id:
            return self._waits[1]
        found = []
        for one in self._store.dependencies(job.id):
            if not one.met:
                other = self._store.get(one.on)
                found.append(Wait(one.on, one.when, one.met, other and other.shown_state))
        waits = tuple(sorted(found, key=lambda wait: wait.met is not None))
        self._waits = job.id, waits
        return waits

    def running(self) -> list[Job]:
        """Return the running jobs, a thousand at the most."""
        if self._running is None:
            self._running = list(self._store.jobs(Filter((PROCESSING,)), limit=COUNTED))
        return self._running

    def line(self) -> list[Kind]:
        """Return the kinds of jobs that are ready, in the order of claims."""
        if self._line is None:
            from queuectl.commands.turns import kinds

            self._line = kinds(self._store, self._store.line(None, KINDS))
        return self._line

    def running_in(self, array: int, most: int) -> tuple[int, ...]:
        """Return running jobs of an array, up to so many."""
        if array not in self._arrays:
            jobs = self._store.jobs(Filter((PROCESSING,), array=array), limit=most)
            self._arrays[array] = tuple(job.id for job in jobs)
        return self._arrays[array]


class Surroundings(Record):
    """What decides, apart from a job itself, why it does not run."""

    now: int
    #: hosts with workers that live and have been seen lately
    hosts: tuple[HostInfo, ...]
    queues: Mapping[str, QueueInfo]
    #: some of the running jobs of each queue that is at its limit
    holders: Mapping[str, tuple[int, ...]]
    facts: Facts | None = None
    #: ids of hosts that are known to be dead
    dead: frozenset[str] = frozenset()


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
    everyone = store.hosts()
    dead = dead_among(store, everyone)
    hosts = tuple(
        host for host in everyone
        if host.workers and host.id not in dead and not host.is_silent(now)
    )  # fmt: skip
    full = tuple(queue.name for queue in queues.values() if _is_full(queue))
    holders: dict[str, tuple[int, ...]] = {}
    if full:
        for job in store.jobs(Filter((PROCESSING,), full), limit=NAMED * len(full)):
            known = holders.get(job.queue, ())
            holders[job.queue] = known if len(known) == NAMED else (*known, job.id)
    return Surroundings(now, hosts, queues, holders, Facts(store), dead)


def reasons_for(job: Job, around: Surroundings, before: Rivals | None = None) -> tuple[Reason, ...]:
    """Return why a job is not running, what must change first on top; never empty.

    `before` is what would be claimed before it, None when nobody counted.
    """
    settled = _settled(job, around)
    if settled is not None:
        return (settled,)
    obstacles = tuple(_obstacles(job, around))
    if obstacles:
        return obstacles
    from queuectl.commands.turns import its_turn, reserved

    return (reserved(job, around) or its_turn(job, around, before),)


def sentence(reasons: tuple[Reason, ...]) -> str:
    """Return what comes behind `job 3`: the first reason, and what else would stop it then."""
    first, *others = reasons
    also = [f"; then it {other.whole}" for other in others]
    return first.whole + "".join(also)


def _settled(job: Job, around: Surroundings) -> Reason | None:
    """Return what a job does instead of waiting: it has ended, it runs, it is about to."""
    if job.state in FINAL:
        how = job.reason if job.reason != job.state else None
        because = f" ({how})" if how else ""
        return Reason(
            job.state, how or "", f"is {job.state}{because}", f"`retry {job.id}` runs it again"
        )
    if job.host is not None and job.host in around.dead:
        return _lost(job, around)
    if job.cancel_requested:
        return Reason("cancelling", "", "is being cancelled and has a moment to end",
                      f"`cancel {job.id} --now` kills it")  # fmt: skip
    if job.state == PROCESSING and job.paused:
        return Reason(
            "stopped", "paused", "is paused where it was", f"`resume {job.id}` lets it go on"
        )
    if job.state == PROCESSING:
        since = (
            ""
            if job.started_at is None
            else f" for {describe_duration(around.now - job.started_at)}"
        )
        return Reason("running", "", f"is running{since}")
    if job.host is not None:
        return Reason("claimed", "about to start", "is claimed and about to start")
    return None


def _lost(job: Job, around: Surroundings) -> Reason:
    """Return the reason of a job whose host is dead, and who takes it back."""
    how = "is being cancelled, but" if job.cancel_requested else "is lost:"
    taken = "a living host" if around.hosts else "`worker start`"
    return Reason("lost", "its host is dead", f"{how} its host is dead", f"{taken} takes it back")


def _obstacles(job: Job, around: Surroundings) -> Iterator[Reason]:
    if job.paused:
        yield Reason("paused", "paused", "is paused", f"`resume {job.id}` lets it start")
    if job.unmet:
        yield from _dependency(job, around)
    if job.due_at > around.now:
        yield _later(job, around.now)
    queue = around.queues.get(job.queue)
    if queue is not None and queue.paused:
        itself = "paused itself" if queue.paused_why else "is paused"
        how = f"{itself}: {queue.paused_why}" if queue.paused_why else itself
        yield Reason("queue-paused", f"queue {queue.name} {itself}",
                     f"waits in queue {queue.name}, which {how}",
                     f"`queue resume {queue.name}` opens it")  # fmt: skip
    yield from _workers(job, around)
    if job.array_id is not None and job.array_limit is not None:
        yield from _array(job.array_id, job.array_limit, around)
    if queue is not None and _is_full(queue):
        yield _no_room(queue, around)
    elif queue is not None and queue.open_at is not None and queue.open_at > around.now:
        yield _rated(queue, around.now)


def _workers(job: Job, around: Surroundings) -> Iterator[Reason]:
    """Yield what is missing of workers that take from the queue, and of what their hosts have."""
    able = takers(job.queue, around)
    queue = around.queues.get(job.queue)
    if able and job.needs:
        from queuectl.commands.shortage import shortage

        yield from shortage(job, able, around.facts)
    elif able:
        return
    elif queue is not None and queue.pull:
        yield Reason("pull", f"queue {queue.name} gives only to whoever asks",
                     f"waits in queue {queue.name}, which gives its jobs only to whoever asks for it by name, and no worker does",
                     "a program can claim it" if job.command == PULLED
                     else f"a client can take it, or `worker start --queue {queue.name}`")  # fmt: skip
    elif not around.hosts:
        yield _nobody(job)
    else:
        yield Reason("no-worker-for-queue", f"no worker for queue {job.queue}",
                     f"waits for a worker that takes from queue {job.queue}, and there is none",
                     f"`worker start --queue {job.queue}` starts one")  # fmt: skip


def takers(queue: str, around: Surroundings) -> list[HostInfo]:
    """Return the living hosts with workers that take from a queue."""
    return takers_among(around.hosts, queue, around.queues.get(queue))


def takers_among(hosts: Iterable[HostInfo], queue: str, info: QueueInfo | None) -> list[HostInfo]:
    """Return those of some hosts that take from a queue."""
    anyone = info is None or not info.pull
    return [host for host in hosts if queue in host.queues or (anyone and not host.queues)]


def _nobody(job: Job) -> Reason:
    """Return the reason of a job while nobody works; its remedy starts what would do for it."""
    what, start, starts = "a worker", "worker start", "one"
    if job.needs:
        from queuectl.resources import describe, format_needs

        slots = job.needs.get(SLOTS, 1)
        others = {name: amount for name, amount in job.needs.items() if name != SLOTS}
        if slots > 1:
            what, start, starts = f"{slots} workers of one host", f"{start} {slots}", "them"
        if others:
            what, start = (
                f"{what} with {describe(others)}",
                f"{start} --resource {format_needs(others)}",
            )
    return Reason("no-workers", "no workers", f"waits for {what}, and there are none anywhere",
                  f"`{start}` starts {starts}")  # fmt: skip


def _dependency(job: Job, around: Surroundings) -> Iterator[Reason]:
    waits = around.facts.waits(job) if around.facts is not None else ()
    never = [wait for wait in waits if wait.met is None]
    if never:
        first = never[0]
        how = "is gone" if first.state is None else f"is {first.state}"
        again = "" if first.state is None else f"`retry {first.on}` runs that again, "
        yield Reason("never-met", f"job {first.on} {how}",
                     f"waits for job {first.on} to {TO[first.when]}, which {how}, so that this can never be",
                     f"{again}`cancel {job.id}` gives it up")  # fmt: skip
    elif waits:
        ids = ", ".join(f"#{wait.on}" for wait in waits[:NAMED])
        more = max(0, len(waits) - NAMED)
        yield Reason("dependency", f"after {ids}" + (f" and {more} more" if more else ""),
                     f"waits for {_others(waits[:NAMED], more)}")  # fmt: skip
    else:
        yield Reason("dependency", "after others", "waits for other jobs")


def _others(waits: Sequence[Wait], more: int) -> str:
    """Return `job 3 (processing) to complete`, or what several jobs have to do."""
    by_when: dict[str, list[Wait]] = {}
    for wait in waits:
        by_when.setdefault(wait.when, []).append(wait)
    parts = []
    for when, alike in by_when.items():
        jobs = "job" if len(alike) == 1 else "jobs"
        parts.append(
            f"{jobs} {joined([f'{wait.on} ({wait.state})' for wait in alike])} to {TO[when]}"
        )
    return joined(parts + ([f"{plural(more, 'other')}"] if more else []))


def _array(array: int, limit: int, around: Surroundings) -> Iterator[Reason]:
    running = around.facts.running_in(array, limit) if around.facts is not None else ()
    if len(running) >= limit:
        yield Reason("array-full", f"array {array} is full ({limit}/{limit})",
                     f"waits for room in array {array}, of which {limit} may run at once: {limit}/{limit}"
                     f" by {named(running, limit)}",
                     "it starts when one of them has ended")  # fmt: skip


def _rated(queue: QueueInfo, now: int) -> Reason:
    left = describe_duration((queue.open_at or now) - now)
    rate = queue.rate
    said = f", {rate.starts} in {format_duration(rate.period)}" if rate else ""
    return Reason("rate", f"queue {queue.name} starts one in {left}",
                  f"waits for the rate of queue {queue.name}{said}: its next start is in {left}",
                  f"`queue set {queue.name} --rate none` lifts it")  # fmt: skip


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
    by = named(holders, running)
    return Reason("queue-full", f"queue {queue.name} is full ({running}/{limit})",
                  f"waits for room in queue {queue.name}, whose limit is used up: {running}/{limit} by {by}",
                  "it starts when one of them has ended")  # fmt: skip


def named(ids: Sequence[int], count: int) -> str:
    """Return `#1, #2 and others` for some of so many running jobs."""
    return joined(
        [f"#{one}" for one in ids[:NAMED]] + (["others"] if count > len(ids[:NAMED]) else [])
    )


def joined(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _is_full(queue: QueueInfo) -> bool:
    return queue.limit is not None and queue.counts.get(PROCESSING, 0) >= queue.limit
