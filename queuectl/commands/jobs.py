"""`enqueue`: one job from a line, an argv or JSON; many from a file or standard input."""

from __future__ import annotations

from queuectl.commands.drafts import Maker
from queuectl.commands.result import Result, Text, plural
from queuectl.errors import UsageError
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.job import NewJob
    from queuectl.table import Args

NO_WORKERS = "no workers anywhere: it waits; start one with `worker start`"


class Prepared(Record):
    """A job that is ready to be added, and what there is to say about it."""

    new: NewJob
    notes: tuple[str, ...]
    quiet: bool


def enqueue(ctx: Context, args: Args) -> Result:
    """Run the command."""
    prepared = prepare(ctx, args)
    if prepared is None:
        from queuectl.commands.bulk import enqueue_many

        return enqueue_many(ctx, args)
    (job_id,) = ctx.write(lambda store: store.add((prepared.new,)))
    return reply(ctx, prepared, job_id)


def prepare(ctx: Context, args: Args) -> Prepared | None:
    """Return the job that is asked for without adding it; None when many are asked for.

    So that whoever has several in a row can add them in one transaction.
    """
    source = getattr(args, "from")
    tail = args.job
    if source is not None and tail:
        raise UsageError("enqueue: give a command or --from FILE, not both")
    if source is not None or (tail.text == "-" and not tail.verbatim):
        return None
    if not tail:
        raise UsageError("enqueue what? for example: enqueue echo hello")
    if args.keep_going:
        raise UsageError("enqueue: --keep-going is for many lines: enqueue --from FILE")
    new = Maker(ctx, args).from_tail(tail)
    if args.quiet:
        return Prepared(new, (), quiet=True)
    from queuectl.commands.hints import remarks

    return Prepared(new, tuple(remarks(new, ctx.environ, ctx.memo)), quiet=False)


def reply(ctx: Context, prepared: Prepared, job_id: int) -> Result:
    """Return the answer for a job that has been added."""
    ctx.last_id = job_id
    new = prepared.new
    data = {"id": job_id, "name": new.name, "queue": new.queue}
    if prepared.quiet:
        return Result(data, (Text(str(job_id)),))
    notes = (*prepared.notes, *no_workers(ctx, new.queue))
    return Result(data, (Text(f"job {job_id} enqueued: {understood(ctx, new)}"),), notes)


def no_workers(ctx: Context, queue: str) -> Iterator[str]:
    """Yield a remark when nothing anywhere would run a job of that queue."""
    own = ctx.running_host
    if own is not None and own.workers:
        return
    if ctx.mode == "script" and ("workers", queue) in ctx.memo:
        return
    ctx.memo["workers", queue] = True
    hosts = [host for host in ctx.store.hosts() if host.workers]
    if not hosts:
        yield from ctx.once(NO_WORKERS)
    elif not any(not host.queues or queue in host.queues for host in hosts):
        remark = (
            f"no worker takes from queue {queue}: start one with `worker start --queue {queue}`"
        )
        yield from ctx.once(remark)


def understood(ctx: Context, new: NewJob) -> str:
    """Return a job as it was understood, in one line."""
    parts = []
    if new.args:
        import shlex

        command = shlex.join((new.command, *new.args))
    else:
        command = new.command
    if not (new.shell if new.shell is not None else not new.args):
        parts.append("no shell")
    if new.name is not None:
        parts.append(f"name {new.name}")
    if new.queue != "default":
        parts.append(f"queue {new.queue}")
    if new.priority:
        parts.append(f"priority {new.priority}")
    parts.extend(f"{name} {value}" for name, value in new.policy.items())
    if new.due_at is not None:
        from queuectl.timespec import format_time

        parts.append(f"not before {format_time(new.due_at, ctx.store.now())}")
    if new.paused:
        parts.append("paused")
    if new.stdin_path is not None:
        parts.append(f"standard input from {new.stdin_path}")
    if new.stdin is not None:
        parts.append(f"{plural(len(new.stdin), 'byte')} on standard input")
    return f"{command}  ({', '.join(parts)})" if parts else command
