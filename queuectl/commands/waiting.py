"""`wait`: until jobs have ended, telling of each change on the way."""

from __future__ import annotations

import time

from queuectl.commands import picking
from queuectl.commands.context import is_dumb
from queuectl.commands.jobs import NO_WORKERS
from queuectl.commands.progress import meter
from queuectl.commands.reasons import reasons_for, surroundings, takers
from queuectl.commands.result import Result, Stream, plural, say
from queuectl.commands.shortage import nobody_has
from queuectl.errors import EXIT_WAIT_FAILED
from queuectl.grammar.selection import Selection, resolve_single
from queuectl.host.life import living
from queuectl.job import CANCELLED, COMPLETED, FINAL, STATES
from queuectl.process.output import STDERR, STDOUT
from queuectl.store.base import Filter
from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job, State
    from queuectl.store.base import Store

#: jobs that are told of one by one; of more only the end is
_TOLD = 500
#: and that are named in a remark
_NAMED = 5
#: reasons of jobs that nothing moves but somebody who acts, and how to say so
_KEPT = {
    "paused": "paused",
    "stopped": "paused",
    "never-met": "never going to start",
    "lost": "lost, as its host is dead: `worker start` takes it back",
}
_CLOSED = {
    "queue-paused": "queue {0} is paused, `queue resume {0}` opens it",
    "no-worker-for-queue": "no worker takes from queue {0}, `worker start --queue {0}` starts one",
}
#: seconds between looks while things move, and while nothing does
_QUICK, _SLOW = 0.02, 0.5
#: takes the bar off the screen
_CLEAR = b"\r\x1b[K"
_LIVE = tuple(state for state in STATES if state not in FINAL)


def wait(ctx: Context, args: Args) -> Result:
    """Run the command; its exit status is 4 when a job ended otherwise than it was waited for."""
    wanted: tuple[State, ...] = getattr(args, "for") or (COMPLETED,)
    chosen = picking.selection_of(ctx, args)
    if chosen.empty:
        chosen = Selection(all=True)
    if not chosen.only_single and not chosen.states and not set(wanted) & set(_LIVE):
        chosen = chosen._replace(states=_LIVE)
    jobs = {
        job.id: job for job, _ in zip(picking.jobs_of(ctx, chosen), range(_TOLD + 1), strict=False)
    }
    if not jobs:
        return say("nothing to wait for", [])
    deadline = None if args.timeout is None else time.monotonic() + args.timeout / 1000
    waiting = any(job.state not in FINAL for job in jobs.values())
    nobody = waiting and not any(host.workers for host in living(ctx.store))
    notes = [NO_WORKERS] if nobody else []
    watch: _Watch | _Crowd
    if len(jobs) > _TOLD:
        watch = _Crowd(ctx, chosen, wanted, deadline)
        notes += watch.paused()
    else:
        watch = _Watch(ctx, jobs, wanted, deadline)
        notes += stuck(ctx.store, [jobs[job_id] for job_id in watch.waits_for], len(jobs))
    with_bar = ctx.screen.terminal and not args.json and not is_dumb(ctx.environ)
    shown = _with_bar(watch) if with_bar else _told(watch)
    return Result(None, (Stream(shown, live=True),), notes, then=watch.finish)


def _told(watch: _Watch | _Crowd) -> Iterator[tuple[int, bytes]]:
    return ((STDOUT, f"{line}\n".encode()) for line in watch.lines() if line is not None)


def _with_bar(watch: _Watch | _Crowd) -> Iterator[tuple[int, bytes]]:
    """Yield the lines, and below them how far it has come."""
    began, before, bar = time.monotonic(), watch.left(), ""
    for line in watch.lines():
        if line is not None:
            yield STDERR, _CLEAR
            yield STDOUT, f"{line}\n".encode()
            bar = ""
        now = bar_of(before, watch.left(), time.monotonic() - began)
        if now != bar:
            bar = now
            yield STDERR, _CLEAR + bar.encode()
    yield STDERR, _CLEAR


def bar_of(total: int, left: int, seconds: float) -> str:
    """Return `[######----] 12 of 20, about 1m left`."""
    done = max(0, total - left)
    text = f"{meter(done, total)} {done} of {total}"
    if done and left and seconds > 1:
        text += f", about {describe_duration(round(1000 * seconds * left / done))} left"
    return text


class _Pace:
    """Sleeps between looks: briefly after something moved, longer and longer while nothing does."""

    def __init__(self, ctx: Context, deadline: float | None) -> None:
        self._host = ctx.running_host
        self._deadline = deadline
        self._pause = _QUICK

    @property
    def over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def rest(self, *, moved: bool) -> None:
        self._pause = _QUICK if moved else min(_SLOW, self._pause * 1.3)
        pause = self._pause
        if self._deadline is not None:
            pause = max(0.0, min(pause, self._deadline - time.monotonic()))
        if self._host is not None:
            self._host.wait_activity(pause)
        else:
            time.sleep(pause)


class _Watch:
    """Some jobs, followed one by one."""

    def __init__(
        self, ctx: Context, jobs: dict[int, Job], wanted: tuple[State, ...], deadline: float | None
    ) -> None:
        self._store = ctx.store
        self._seen = jobs
        self._wanted = wanted
        self._open = [job.id for job in jobs.values() if not self._settled(job)]
        self._pace = _Pace(ctx, deadline)
        self._lines = self._follow()

    def lines(self) -> Iterator[str | None]:
        """Yield a line for each change, None now and then, until the end or the time is over."""
        return self._lines

    @property
    def waits_for(self) -> tuple[int, ...]:
        """The ids of those that have not got there."""
        return tuple(self._open)

    def left(self) -> int:
        """Return how many have not got there."""
        return len(self._open)

    def finish(self) -> Result:
        """Return how it ended, waiting for it first if nobody read the lines."""
        for _ in self._lines:
            pass
        data = [
            {
                "id": job.id,
                "state": job.state,
                "reason": job.reason,
                "exit_code": job.exit_code,
                "ending": job.ending,
                "signal": job.signal,
            }
            for job in self._seen.values()
        ]
        amiss = [job for job in self._seen.values() if job.state not in self._wanted]
        if not amiss:
            return Result(data)
        still = [job.id for job in amiss if not self._settled(job)]
        what = f"{_not_ended(len(still))}: {_some(list(map(str, still)))}" if still else ""
        ended = [f"{job.id} is {job.state}{_how(job)}" for job in amiss if self._settled(job)]
        other = (
            f"{plural(len(ended), 'job')} did not become {' or '.join(self._wanted)}: {_some(ended)}"
            if ended
            else ""
        )
        note = "; ".join(part for part in (other, what) if part)
        return Result(data, notes=(note,), exit_code=EXIT_WAIT_FAILED)

    def _settled(self, job: Job) -> bool:
        return job.state in self._wanted or job.is_final

    def _follow(self) -> Iterator[str | None]:
        while self._open and not self._pace.over:
            yield None
            moved = False
            for job_id in tuple(self._open):
                line = self._look(job_id)
                if line is not None:
                    moved = True
                    yield line
            if self._open:
                self._pace.rest(moved=moved)

    def _look(self, job_id: int) -> str | None:
        """See what a job is by now; return a line when that has changed."""
        before, job = self._seen[job_id], self._store.get(job_id)
        if job is None:
            self._open.remove(job_id)
            self._seen[job_id] = before._replace(state=CANCELLED, reason="removed")
            return f"job {job_id} was removed"
        self._seen[job_id] = job
        if self._settled(job):
            self._open.remove(job_id)
        if (job.shown_state, job.attempts) == (before.shown_state, before.attempts):
            return None
        return f"job {job.id}: {before.shown_state} → {job.shown_state}{_how(job)}"


def stuck(store: Store, jobs: Sequence[Job], of: int) -> list[str]:
    """Return a line for each thing that keeps some of these jobs waiting until somebody acts."""
    around = surroundings(store)
    kept: dict[str, list[str]] = {}
    queues: dict[str, list[str]] = {}
    for job in jobs:
        kinds = {reason.kind for reason in reasons_for(job, around)}
        how = next((_KEPT[kind] for kind in _KEPT if kind in kinds), None)
        if how is not None:
            kept.setdefault(how, []).append(str(job.id))
            continue
        what = next((_CLOSED[kind].format(job.queue) for kind in _CLOSED if kind in kinds), None)
        if "needs" in kinds:
            what = nobody_has(job.needs, takers(job.queue, around))
        if what is not None:
            queues.setdefault(what, []).append(str(job.id))
    lines = []
    for how, ids in kept.items():
        who = f"{len(ids)} of them {_are(ids)} {how}: {_some(ids)}"
        lines.append(f"job {ids[0]} is {how}" if of == 1 else who)
    for what, ids in queues.items():
        lines.append(f"{what}; there {'waits' if len(ids) == 1 else 'wait'} {_some(ids)}")
    return lines


def _are(ids: Sequence[str]) -> str:
    return "is" if len(ids) == 1 else "are"


def _some(words: Sequence[str]) -> str:
    """Return a list of words, a few of them when they are many."""
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _not_ended(left: int) -> str:
    return f"{plural(left, 'job')} {'has' if left == 1 else 'have'} not ended in time"


def _how(job: Job) -> str:
    """Return how a job ended and how long that took, in parentheses."""
    parts = []
    if job.reason and job.reason != job.state:
        parts.append(job.reason)
    if job.started_at is not None and job.finished_at is not None and job.state != CANCELLED:
        parts.append(describe_duration(job.finished_at - job.started_at))
    return f" ({', '.join(parts)})" if parts else ""


class _Crowd:
    """More jobs than one follows one by one: numbers only."""

    def __init__(
        self, ctx: Context, chosen: Selection, wanted: tuple[State, ...], deadline: float | None
    ) -> None:
        self._store = ctx.store
        ids = resolve_single(ctx.store, chosen, ctx.last_job)
        where = chosen.with_ranges(ids)._replace(states=()).filter() or Filter()
        self._open = where._replace(states=tuple(s for s in _LIVE if s not in wanted))
        self._amiss = where._replace(
            states=tuple(s for s in STATES if s in FINAL and s not in wanted)
        )
        #: those that had ended otherwise before, unless they were asked for by their ids
        self._before = 0 if where.ranges else self._store.count(self._amiss)
        self._pace = _Pace(ctx, deadline)
        self._lines = self._follow()

    def lines(self) -> Iterator[str | None]:
        """Yield None now and then until nothing is left or the time is over."""
        return self._lines

    def paused(self) -> list[str]:
        """Return a line when some of them are paused."""
        held = self._store.count(self._open._replace(paused=True))
        return [f"{held} of them {'is' if held == 1 else 'are'} paused"] if held else []

    def left(self) -> int:
        """Return how many have not got there."""
        return self._store.count(self._open)

    def finish(self) -> Result:
        """Return how it ended, waiting for it first if nobody did."""
        for _ in self._lines:
            pass
        left = self.left()
        amiss = max(0, self._store.count(self._amiss) - self._before)
        data = {"left": left, "not_completed": amiss}
        if not left and not amiss:
            return Result(data)
        other = f"{plural(amiss, 'job')} ended otherwise" if amiss else ""
        note = "; ".join(part for part in (other, _not_ended(left) if left else "") if part)
        return Result(data, notes=(note,), exit_code=EXIT_WAIT_FAILED)

    def _follow(self) -> Iterator[str | None]:
        known = -1
        while (left := self.left()) and not self._pace.over:
            yield None
            self._pace.rest(moved=left != known)
            known = left
