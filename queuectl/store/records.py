"""The nouns of the store contract: what its methods take and return. Pure.

Every record is immutable; times are integers of milliseconds since 1970, UTC.
"""

from __future__ import annotations

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queuectl.job import Attempt, Job, Outcome, Output, State

#: ms without a sign of life after which a host is not counted on
SILENT = 120_000
#: a page of `jobs()` when nothing else is asked
PAGE = 1000
#: jobs that `alike()` looks at when nothing else is asked: some milliseconds
LOOKED_AT = 10_000


class Filter(Record):
    """Which jobs; what is empty or None does not restrict."""

    states: tuple[State, ...] = ()
    queues: tuple[str, ...] = ()
    #: ranges of ids, both ends included; None is open
    ranges: tuple[tuple[int, int | None], ...] = ()
    #: glob over names
    name: str | None = None
    #: enqueued at or after, ms
    since: int | None = None
    #: how the last attempt that has ended did so: (kind, exit status or signal), of a signal also
    #: (kind, None) for any; see queuectl.endings
    endings: tuple[tuple[str, int | None], ...] = ()
    #: held jobs only (True), or jobs that are not held (False)
    paused: bool | None = None
    #: jobs of the array with this id
    array: int | None = None
    schedule: str | None = None
    unique: str | None = None


def beyond(where: Filter, last: int, *, newest: bool) -> Filter | None:
    """Return the filter of what comes after job `last` in a listing; None: nothing can."""
    spans: Sequence[tuple[int, int | None]] = where.ranges or ((0, None),)
    if newest:
        cut = [(low, last - 1 if high is None else min(high, last - 1)) for low, high in spans]
    else:
        cut = [(max(low, last + 1), high) for low, high in spans]  # type: ignore[misc]
    left = tuple((low, high) for low, high in cut if high is None or low <= high)
    return where._replace(ranges=left) if left else None


class Ended(Record):
    """How many jobs of a queue have completed or died lately."""

    queue: str
    #: since the earlier of two times, and of these since the later one
    jobs: int
    recent: int
    #: of `jobs` the dead ones, and those that took more than one attempt to complete
    dead: int
    retried: int


class Alike(Record):
    """A job alone (`first` is `last`), or jobs of an array that look the same, by their ends.

    Between the two is no id that is not of such a job: as a range they are these and no other.
    """

    first: Job
    last: Job

    @property
    def jobs(self) -> int:
        """How many they are."""
        return self.last.id - self.first.id + 1


class Start(Record):
    """A claimed job's process is running."""

    job_id: int
    token: str
    run: int
    started_at: int


class Settlement(Record):
    """A claimed attempt has ended."""

    job_id: int
    token: str
    run: int
    outcome: Outcome


class Settled(Record):
    """What became of a settlement. `state` is None when it was refused."""

    job_id: int
    state: State | None
    next_run_at: int | None = None


class Held(Record):
    """A claim that a host holds, as recovery sees it."""

    job_id: int
    token: str
    #: the run its start would have, or has
    run: int
    #: None while the store has not heard of a start
    started_at: int | None


class Rate(Record):
    """At most `starts` jobs of a queue are claimed in any `period` ms: claims are spaced evenly.

    A start follows its claim by some milliseconds, so starts can stand a little closer together.
    """

    starts: int
    period: int


class QueueInfo(Record):
    """A queue and what is in it."""

    name: str
    paused: bool
    #: running jobs at the most; None is no limit
    limit: int | None
    counts: Mapping[State, int]
    rate: Rate | None = None
    #: its jobs are claimed only by who asks for this queue by name (clients of the API)
    pull: bool = False
    #: why it was paused, if it paused itself (setting halt-on)
    paused_why: str | None = None
    #: jobs that died since it was made or resumed
    deaths: int = 0
    #: when it starts its next job at the earliest, by its rate; None: at once
    open_at: int | None = None


class Room(Record):
    """What a host has for jobs that need more than one worker.

    A job that needs more than is free, yet no more than the host has in all, keeps what it needs
    from those behind it, so that it is not overtaken for ever; one that needs more than the host
    has in all is passed over.
    """

    #: amounts that nothing uses now, by resource
    free: Mapping[str, int] = {}
    #: amounts in all
    total: Mapping[str, int] = {}
    #: workers in all; those idle are the `want` of a claim
    slots: int = 1
    #: a claim adds here what it kept of each resource for jobs that wait for it (not over HTTP)
    kept: dict[str, int] | None = None


class Existing(int):
    """In what `add` returns: the id of a job that was there already with the same unique key."""


class Dependency(Record):
    """What one job waits for, or waited for."""

    on: int
    when: str
    #: True: met; False: not yet; None: can never be met
    met: bool | None


class Schedule(Record):
    """Jobs that are enqueued again and again."""

    name: str
    #: five fields of cron, or `every 10m`
    spec: str
    #: name of a time zone, or "" for the one of the host
    zone: str
    #: while the last one is not final: `skip` this time, or `queue` one more
    overlap: str
    #: what is made up for after nobody was there: none, one, all
    missed: str
    #: the job, as queuectl.schedule packs it
    job: bytes
    #: when it fires next, ms
    next_at: int | None
    paused: bool = False
    last_at: int | None = None
    #: the id of the newest job it made
    last_job: int | None = None
    #: what became of the last fire when it made no job: `skipped: job 7 was still running`
    note: str | None = None


class Saved(Record):
    """A job with all its history, as export writes it and import reads it."""

    job: Job
    attempts: tuple[Attempt, ...] = ()
    #: number of the attempt and what it wrote, the bytes themselves
    outputs: tuple[tuple[int, Output], ...] = ()
    after: tuple[Dependency, ...] = ()
    stdin: bytes | None = None
    stdin_path: str | None = None


class Check(Record):
    """One line of what `doctor` finds."""

    topic: str
    ok: bool
    text: str


class HostInfo(Record):
    """A process with workers."""

    id: str
    #: machine name
    hostname: str
    user: str
    pid: int
    version: str
    workers: int
    #: queues its workers take from; empty: all
    queues: tuple[str, ...]
    started_at: int
    seen_at: int
    #: set when somebody asked it to stop: drain or now
    stop_requested: str | None = None
    #: how many of its workers should stop; None all
    stop_workers: int | None = None
    #: what it has of resources that jobs need, in all (see queuectl.resources)
    resources: Mapping[str, int] = {}
    #: ms within which it must renew, else it counts as `expired`: of hosts that no file on the
    #: store's machine tells of (behind HTTP, clients of the Python API); None: as the store does
    lease: int | None = None

    def is_silent(self, now: int) -> bool:
        """Whether it has given no sign of life for so long that nobody should count on it."""
        return now - self.seen_at >= SILENT


class Wish(Record):
    """Something a running job's host is asked to do, in order of asking."""

    id: int
    job_id: int
    token: str
    #: cancel, cancel-now, signal, pause, resume, send; ship: send its output on for a while
    kind: str
    payload: bytes = b""


class Changed(Record):
    """What came of asking to change one job. `done` False: nothing changed, `why` says so."""

    job_id: int
    done: bool
    why: str = ""
    state: State | None = None
    #: of one that is not retried as it waits for what can never be: the job it waits for
    waits_for: int | None = None
    #: what else changed with it that was not asked for in so many words: `its priority is 5 now`
    note: str = ""
