"""`why`: one sentence on why a job is not running, and what would change that."""

from __future__ import annotations

from queuectl.commands import picking
from queuectl.commands.result import Result, Text, plural
from queuectl.job import FAILED, PROCESSING
from queuectl.selection import LAST
from queuectl.store.base import Filter
from queuectl.timespec import HOUR, describe_duration, format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.job import Job
    from queuectl.store.base import Store
    from queuectl.table import Args

#: running jobs that are named when a limit is reached
_NAMED = 5
#: jobs ahead that are counted
_COUNTED = 1000


def why(ctx: Context, args: Args) -> Result:
    """Run the command; the last job without a selection."""
    chosen = picking.selection_of(ctx, args)
    if chosen.empty:
        chosen = chosen._replace(single=(LAST,))
    jobs = picking.jobs_of(ctx, chosen)
    answers = [{"id": job.id, "state": job.state, "why": explain(ctx.store, job)} for job in jobs]
    if not answers:
        return Result([], notes=(picking.where_they_are(ctx.store, chosen.states),))
    lines = "\n".join(f"job {answer['id']} {answer['why']}" for answer in answers)
    single = chosen.only_single and len(answers) == 1
    return Result(answers[0] if single else answers, (Text(lines),))


def explain(store: Store, job: Job) -> str:
    """Return what comes behind `job 3` in the sentence."""
    return next(_reasons(store, job))


def _reasons(store: Store, job: Job) -> Iterator[str]:
    """Yield the reasons that hold, the one that must change first on top."""
    if job.is_final:
        because = f" ({job.reason})" if job.reason and job.reason != job.state else ""
        yield f"is {job.state}{because}; `retry {job.id}` runs it again"
    now = store.now()
    if job.state == PROCESSING:
        since = f" for {describe_duration(now - job.started_at)}" if job.started_at else ""
        yield f"is paused; `resume {job.id}` lets it go on" if job.paused else f"is running{since}"
    if job.paused:
        yield f"is paused; `resume {job.id}` lets it start"
    if job.host is not None:
        yield "is about to start"
    if job.due_at > now:
        yield _later(job, now)
    yield from _about_queue(store, job)
    yield from _about_workers(store, job)
    yield _about_others(store, job)


def _later(job: Job, now: int) -> str:
    left = job.due_at - now
    when = f"at {format_time(job.due_at, now)}" if left > HOUR else f"in {describe_duration(left)}"
    if job.state == FAILED:
        return f"failed ({job.reason}) and is tried again {when}; `retry {job.id}` does so now"
    return f"is not to start before its time, {when}"


def _about_queue(store: Store, job: Job) -> Iterator[str]:
    queue = next((queue for queue in store.queues() if queue.name == job.queue), None)
    if queue is None:
        return
    if queue.paused:
        yield f"waits in queue {queue.name}, which is paused; `queue resume {queue.name}` opens it"
    running = queue.counts.get(PROCESSING, 0)
    if queue.limit is not None and running >= queue.limit:
        there = store.jobs(Filter((PROCESSING,), (queue.name,)), limit=_NAMED)
        named = ", ".join(str(one.id) for one in there)
        yield f"waits for queue {queue.name}, which runs {running} of at most {queue.limit}: {named}"


def _about_workers(store: Store, job: Job) -> Iterator[str]:
    hosts = [host for host in store.hosts() if host.workers]
    if not hosts:
        yield "waits for a worker, and there are none anywhere; `worker start` starts one"
    elif not any(not host.queues or job.queue in host.queues for host in hosts):
        yield f"waits for a worker that takes from queue {job.queue}; `worker start --queue {job.queue}`"


def _about_others(store: Store, job: Job) -> str:
    ahead = store.ahead_of(job.id, _COUNTED)
    if not ahead:
        return "is next: it waits for a worker to be free"
    least = "at least " if ahead >= _COUNTED else ""
    return f"has {least}{plural(ahead, 'job')} ahead of it"
