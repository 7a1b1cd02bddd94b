"""`follow` and `output -f`: jobs shown while they write, until they have ended.

Looks at files at most ten times a second while something runs, and at the store only when
somebody has committed to it.
"""

from __future__ import annotations

import time

from queuectl.commands import picking
from queuectl.commands.jobs import NO_WORKERS
from queuectl.commands.lines import Lines, stamp
from queuectl.commands.outputs import asking
from queuectl.commands.result import Result, Stream, plural
from queuectl.commands.tailing import ALL, RUNNING, Began, Ended, JobTail
from queuectl.errors import EXIT_WAIT_FAILED, UsageError
from queuectl.grammar.selection import LAST, Selection, resolve_single
from queuectl.host.life import living
from queuectl.job import COMPLETED, EXIT, FINAL, PROCESSING, STATES
from queuectl.process.output import STDERR, STDOUT
from queuectl.store.base import Filter
from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job, State
    from queuectl.process.output import Piece
    from queuectl.store.base import Store

    Pieces = Iterator[tuple[int, bytes]]
    Event = Piece | Began | Ended

#: seconds between looks: while something runs, and at the most
_QUICK, _SLOW = 0.1, 0.5
#: a look at the store is followed by a rest so many times as long
_IDLE_SHARE = 4
#: jobs that can be followed at once
MOST = 10_000
#: more ranges of ids than this make a statement that SQLite does not take
_RANGES = 200
_NAMED = 20
_LIVE: tuple[State, ...] = tuple(state for state in STATES if state not in FINAL)
#: colours of prefixes, by id
_COLOURS = (36, 33, 32, 35, 34, 31)


def follow(ctx: Context, args: Args) -> Result:
    """Run `follow`: one job as it writes; many with the id in front of each line."""
    if args.json:
        raise UsageError("follow: --json cannot be followed; use `output --json`")
    chosen = picking.selection_of(ctx, args)
    if chosen.empty:
        chosen = _by_itself(ctx)
    ids, later = _chosen(ctx, chosen)
    if not ids and later is None:
        return Result(
            notes=(
                f"nothing to follow: {picking.none_of(ctx.store, chosen, () if chosen.states else _LIVE)}",
            )
        )
    if len(ids) == 1 and later is None:
        tails = [JobTail(ctx.store, ids[0], lines=args.tail, ask=asking(ctx, ids[0]))]
        follower = Follower(ctx, tails)
        shown = alone(follower, timestamps=args.timestamps)
    else:
        tails = [
            JobTail(ctx.store, one, lines=args.tail, since=RUNNING, ask=asking(ctx, one))
            for one in ids
        ]
        follower = Follower(ctx, tails, later)
        shown = _Crowd(ctx, timestamps=args.timestamps).shown(follower)
    waiting = not any(host.workers for host in living(ctx.store)) and any(
        job is not None and not job.is_final for job in map(ctx.store.get, ids[:_NAMED])
    )
    notes = (NO_WORKERS,) if waiting else ()
    return Result(None, (Stream(shown, live=True),), notes, then=follower.finish)


def _by_itself(ctx: Context) -> Selection:
    """Return what is followed when nothing is said: what runs, else the last job."""
    running = [job.id for job in ctx.store.jobs(Filter((PROCESSING,)), limit=MOST)]
    return Selection(single=tuple(running) or (LAST,))


def _chosen(ctx: Context, chosen: Selection) -> tuple[list[int], Filter | None]:
    """Return the jobs to begin with, and which later ones join them."""
    ids = list(resolve_single(ctx.store, chosen, ctx.last_job))
    if chosen.only_single and not chosen.filtered:
        return ids, None
    picking.check_queues(ctx.store, chosen.queues)
    where = chosen.with_ranges(ids).filter(() if chosen.states else _LIVE)
    if where is None:
        return [], None
    found = [job.id for job in ctx.store.jobs(where, limit=MOST + 1)]
    if len(found) > MOST:
        raise UsageError(
            f"follow: more than {MOST} jobs; choose fewer, such as `follow processing`"
        )
    # those with a state are there already; what is enqueued from now on has none yet
    closed = bool(chosen.states) or chosen.only_single
    return found, None if closed else where._replace(states=())


class Follower:
    """Goes from job to job until all have ended."""

    def __init__(self, ctx: Context, tails: Iterable[JobTail], later: Filter | None = None) -> None:
        """Follow `tails`, and jobs enqueued from now on that fit `later`."""
        self._ctx = ctx
        self._store: Store = ctx.store
        self._tails = {tail.job_id: tail for tail in tails}
        self._later = later
        self._highest = max((0, *self._tails, self._store.newest_id() or 0))
        self._seen: dict[int, Job] = {}
        #: what there is to say about jobs that ended otherwise than completed
        self._amiss: list[str] = []
        self._pause = _QUICK

    def events(self) -> Iterator[tuple[JobTail, Event | None]]:
        """Yield what is new, job by job; None when a job has ended."""
        try:
            yield from self._events()
        finally:
            for tail in self._tails.values():
                tail.close()

    def _events(self) -> Iterator[tuple[JobTail, Event | None]]:
        version: object = self
        took = 0.0
        while self._tails:
            newest = self._store.version()
            if newest != version:
                version, began = newest, time.monotonic()
                self._look()
                took = time.monotonic() - began
            more = False
            for tail in tuple(self._tails.values()):
                for event in tail.new():
                    more = True
                    yield tail, event
                if tail.ended:
                    self._drop(tail)
                    yield tail, None
            if self._tails and not any(tail.more for tail in self._tails.values()):
                self._rest(max(_QUICK, took * _IDLE_SHARE), moved=more)

    def finish(self) -> Result:
        """Return the answer of the end: success is that of every job followed."""
        if not self._amiss:
            return Result()
        named = self._amiss[:_NAMED]
        if len(self._amiss) > _NAMED:
            named.append(f"{plural(len(self._amiss) - _NAMED, 'more job')} did not complete")
        return Result(notes=named, exit_code=EXIT_WAIT_FAILED)

    def _drop(self, tail: JobTail) -> None:
        del self._tails[tail.job_id]
        self._seen.pop(tail.job_id, None)
        tail.close()
        trouble = _trouble(tail)
        if trouble:
            self._amiss.append(f"job {tail.job_id} {trouble}")

    def _look(self) -> None:
        """Tell the tails of all jobs that have changed since the last look."""
        if self._later is not None:
            self._join(self._later)
        found = {job.id: job for job in self._store.jobs(Filter(ranges=_ranges(self._tails)))}
        for job_id, tail in self._tails.items():
            job = found.get(job_id)
            if job is None or self._seen.get(job_id) != job:
                tail.changed(job)
            if job is not None:
                self._seen[job_id] = job

    def _join(self, later: Filter) -> None:
        first = self._highest + 1
        spans = later.ranges or ((first, None),)
        ranges = tuple(
            (max(low, first), high) for low, high in spans if high is None or high >= first
        )
        if not ranges:
            return
        for job in self._store.jobs(later._replace(ranges=ranges)):
            ask = asking(self._ctx, job.id)
            self._tails[job.id] = JobTail(self._store, job.id, since=ALL, ask=ask)
            self._highest = max(self._highest, job.id)

    def _rest(self, least: float, *, moved: bool) -> None:
        running = any(tail.running for tail in self._tails.values())
        self._pause = least if moved or running else min(max(_SLOW, least), self._pause * 1.3)
        host = self._ctx.running_host
        if host is not None:
            host.wait_activity(self._pause)
        time.sleep(_QUICK if host is not None else self._pause)


def _trouble(tail: JobTail) -> str:
    """Return how a job ended, or the one attempt that was asked for; empty when it was well."""
    if tail.only is not None:
        attempt = tail.last
        well = attempt is not None and (attempt.kind, attempt.code) == (EXIT, 0)
        how = "is gone" if attempt is None else f"ended: {attempt.reason}"
        return "" if well else f"attempt {tail.only} {how}"
    job = tail.job
    if job is None:
        return "was removed"
    why = f" ({job.reason})" if job.reason and job.reason != job.state else ""
    return "" if job.state == COMPLETED else f"is {job.state}{why}"


def _ranges(ids: Iterable[int]) -> tuple[tuple[int, int | None], ...]:
    """Return ranges that hold all these ids, few of them even if that takes in others."""
    ranges = Selection().with_ranges(tuple(ids)).ranges
    if len(ranges) > _RANGES:
        return ((ranges[0][0], ranges[-1][1]),)
    return ranges


def alone(follower: Follower, *, timestamps: bool) -> Pieces:
    """Yield what one job writes, each stream to its own; byte for byte unless it is stamped."""
    lines = Lines()
    for tail, event in follower.events():
        if isinstance(event, Ended):
            yield from ((stream, stamp(at) + line) for stream, at, line in lines.end())
            if event.trouble:
                yield STDERR, f"job {tail.job_id}: {event.trouble}\n".encode()
        elif event is None or isinstance(event, Began):
            continue
        elif timestamps:
            yield from ((stream, stamp(at) + line) for stream, at, line in lines.feed(event))
        else:
            yield event.stream, event.data


class _Crowd:
    """Many jobs: whole lines, each with its job in front, and how they come and go on stderr."""

    def __init__(self, ctx: Context, *, timestamps: bool) -> None:
        environ = ctx.environ
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self._coloured = ctx.screen.terminal and not plain
        self._timestamps = timestamps

    def shown(self, follower: Follower) -> Pieces:
        """Yield (stream, whole lines)."""
        lines: dict[int, Lines] = {}
        for tail, event in follower.events():
            mark = self._prefix(tail.job_id)
            if event is None:
                lines.pop(tail.job_id, None)
                yield STDERR, mark + _farewell(tail).encode() + b"\n"
            elif isinstance(event, Began):
                again = f" (attempt {event.run})" if event.run > 1 else ""
                yield STDERR, mark + f"started{again}\n".encode()
            elif isinstance(event, Ended):
                yield from self._marked(mark, lines.pop(tail.job_id, Lines()).end())
                yield from self._after(mark, tail, event)
            else:
                yield from self._marked(mark, lines.setdefault(tail.job_id, Lines()).feed(event))

    def _marked(self, mark: bytes, found: Iterable[tuple[int, int, bytes]]) -> Pieces:
        # one piece for all lines of a stream in a row: a write each would be slow
        stream = STDOUT
        together: list[bytes] = []
        for to, at, line in found:
            if to != stream and together:
                yield stream, b"".join(together)
                together = []
            stream = to
            together.append(mark + stamp(at) + line if self._timestamps else mark + line)
        if together:
            yield stream, b"".join(together)

    def _after(self, mark: bytes, tail: JobTail, event: Ended) -> Pieces:
        if event.trouble:
            yield STDERR, mark + event.trouble.encode() + b"\n"
        job, attempt = tail.job, event.attempt
        # what the last one came to is told of the job
        if job is not None and (not job.is_final or job.runs > attempt.run):
            yield STDERR, mark + f"attempt {attempt.run}: {attempt.reason}\n".encode()

    def _prefix(self, job_id: int) -> bytes:
        if not self._coloured:
            return b"%d | " % job_id
        return b"\x1b[%dm%d |\x1b[0m " % (_COLOURS[job_id % len(_COLOURS)], job_id)


def _farewell(tail: JobTail) -> str:
    """Return what a job has become."""
    job = tail.job
    if job is None:
        return "removed"
    parts = [job.reason] if job.reason and job.reason != job.state else []
    if job.started_at is not None and job.finished_at is not None and job.state == COMPLETED:
        parts.append(describe_duration(job.finished_at - job.started_at))
    return job.state + (f" ({', '.join(parts)})" if parts else "")


def follow_output(
    ctx: Context,
    job: Job,
    *,
    attempt: int | None,
    stream: int | None,
    tail: int | None,
    timestamps: bool,
) -> tuple[Pieces, Follower]:
    """Return what `output -f` shows, and who says at the end how it went."""
    ask = asking(ctx, job.id)
    follower = Follower(
        ctx, [JobTail(ctx.store, job.id, only=attempt, stream=stream, lines=tail, ask=ask)]
    )
    return alone(follower, timestamps=timestamps), follower
