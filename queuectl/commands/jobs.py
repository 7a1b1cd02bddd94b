"""`enqueue`: one job from a line, an argv or JSON. Many at once have modules of their own."""

from __future__ import annotations

from queuectl.commands.context import SCRIPT
from queuectl.commands.drafts import Maker
from queuectl.commands.result import Result, Text, plural
from queuectl.errors import UsageError
from queuectl.record import Record
from queuectl.store.base import Existing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import NewJob
    from queuectl.store.base import QueueInfo

NO_WORKERS = "no workers anywhere: it waits; start one with `worker start`"
_BULK, _ARRAY, _PATTERN = "bulk", "arrays", "parallel"
#: in a context's memo: the remarks that stand, by text, each with the queue it is about
_SAID = "said"


class Prepared(Record):
    """A job that is ready to be added, and what there is to say about it."""

    new: NewJob
    notes: tuple[str, ...]
    quiet: bool


def enqueue(ctx: Context, args: Args) -> Result:
    """Run the command."""
    many = _way_of_many(args)
    if many:
        module = __import__(f"queuectl.commands.{many}", fromlist=["enqueue_many"])
        answer: Result = module.enqueue_many(ctx, args)
        return answer
    prepared = prepare(ctx, args)
    if prepared is None:
        from queuectl.commands.tally import dry_run

        new = one_job(ctx, args)
        return dry_run(ctx, (new,), tuple(remarks_about(ctx, args, new)))
    (job_id,) = ctx.write(lambda store: store.add((prepared.new,)))
    return reply(ctx, prepared, job_id)


def prepare(ctx: Context, args: Args) -> Prepared | None:
    """Return the job that is asked for without adding it; None when it is none, or many.

    So that whoever has several in a row can add them in one transaction.
    """
    if args.dry_run or _way_of_many(args):
        return None
    new = one_job(ctx, args)
    if args.quiet:
        return Prepared(new, (), quiet=True)
    return Prepared(new, tuple(remarks_about(ctx, args, new)), quiet=False)


def remarks_about(ctx: Context, args: Args, new: NewJob) -> Iterator[str]:
    """Yield what there is to say about a job, and about how its command was typed."""
    from queuectl.commands.hints import about_session_flags, remarks

    yield from remarks(new, ctx.environ, ctx.memo)
    tail = args.job
    if not tail.verbatim:
        yield from about_session_flags(new)
    elif " ::: " in (tail.text or " ".join(tail.words)):
        yield "behind -- ::: is the job's: leave -- out to have a job for each argument"
    if new.due_at is not None and args.delay is None:
        from queuectl.commands.drafts import about_past

        yield from about_past(ctx, new.due_at)


def one_job(ctx: Context, args: Args) -> NewJob:
    """Return the job of the tail. Raises UsageError."""
    if not args.job:
        raise UsageError("enqueue what? for example: enqueue echo hello")
    if args.keep_going:
        raise UsageError("enqueue: --keep-going is for many lines: enqueue --from FILE")
    return Maker(ctx, args).from_tail(args.job)


def looks_back(args: Args) -> bool:
    """Whether a job may name others that were enqueued before it."""
    text = args.job.text or ""
    return bool(
        args.after or args.after_any or args.after_failed or ('"after' in text and text[0] == "{")
    )


def _way_of_many(args: Args) -> str:
    """Return the module that enqueues what is asked for, empty when that is one job."""
    tail = args.job
    if getattr(args, "from") is not None or (tail.text == "-" and not tail.verbatim):
        return _BULK
    # seldom: what has to be looked at closely is looked at there
    if tail and not tail.verbatim and ":::" in (tail.text or "\n".join(tail.words)):
        from queuectl.commands.parallel import pattern_of

        if pattern_of(tail):
            return _PATTERN
    return "" if args.array is None else _ARRAY


def reply(ctx: Context, prepared: Prepared, job_id: int) -> Result:
    """Return the answer for a job that has been added, or was there already."""
    new = prepared.new
    data: dict[str, object] = {"id": int(job_id), "name": new.name, "queue": new.queue}
    if isinstance(job_id, Existing):
        data["existing"] = True
        text = f"job {job_id} is the same and not finished: nothing enqueued"
        return Result(data, (Text(str(int(job_id)) if prepared.quiet else text),))
    ctx.last_id = job_id
    if prepared.quiet:
        return Result(data, (Text(str(job_id)),))
    notes = (*prepared.notes, *no_workers(ctx, new.queue, new.needs))
    waiting = ""
    if new.after:
        waiting, cancelled = _before_it(ctx, job_id)
        notes = (*cancelled, *notes)
        data["after"] = [dependency._asdict() for dependency in ctx.store.dependencies(job_id)]
    return Result(data, (Text(f"job {job_id} enqueued: {understood(ctx, new, waiting)}"),), notes)


def _before_it(ctx: Context, job_id: int) -> tuple[str, tuple[str, ...]]:
    """Return what a new job waits for, and a remark if it can never run."""
    from queuectl.commands.demands import waits_for

    job = ctx.store.get(job_id)
    if job is not None and job.is_final:
        return "", (f"job {job_id} is {job.state}: {job.reason}",)
    return waits_for(ctx.store, job_id), ()


def no_workers(ctx: Context, queue: str, needs: Mapping[str, int] | None = None) -> Iterator[str]:
    """Yield a remark when a job of that queue will not be started: it is paused, or nobody works.

    Or no host has in all what it needs. Said once until that changes, or something is done about
    it here.
    """
    key = ("workers", queue, *sorted((needs or {}).items()))
    if ctx.mode == SCRIPT and key in ctx.memo:
        return
    ctx.memo[key] = True
    remark = _not_started(ctx, queue, needs or {})
    about = "" if remark == NO_WORKERS else queue
    before: dict[str, str] = ctx.memo.get(_SAID, {})  # type: ignore[assignment]
    ended = (queue,) if remark == NO_WORKERS else (queue, "")
    said = {text: of for text, of in before.items() if text == remark or of not in ended}
    ctx.memo[_SAID] = said if remark is None else {**said, remark: about}
    if remark is not None and remark not in before:
        yield remark


def forget_remarks(ctx: Context) -> None:
    """Say again what has been said about workers and paused queues: something was done about them."""
    ctx.memo.pop(_SAID, None)


def _not_started(ctx: Context, queue: str, needs: Mapping[str, int]) -> str | None:
    info = next((info for info in ctx.store.queues() if info.name == queue), None)
    if info is not None and info.paused:
        return paused_note(info)
    own = ctx.running_host
    works_here = own is not None and own.workers and not needs
    if works_here or (info is not None and info.pull):
        return None
    hosts = [host for host in ctx.store.hosts() if host.workers]
    if hosts:
        from queuectl.host.life import living

        hosts = living(ctx.store, hosts)
    if not hosts:
        return NO_WORKERS
    takers = [host for host in hosts if not host.queues or queue in host.queues]
    if takers and needs:
        from queuectl.commands.shortage import nobody_has

        return nobody_has(needs, takers)
    if takers:
        return None
    return f"no worker takes from queue {queue}: start one with `worker start --queue {queue}`"


def paused_note(info: QueueInfo) -> str:
    """Return the remark about a queue that is paused."""
    why = f" ({info.paused_why})" if info.paused_why else ""
    return f"queue {info.name} is paused{why}: it waits until `queue resume {info.name}`"


def understood(ctx: Context, new: NewJob, waiting: str = "") -> str:
    """Return a job as it was understood, in one line."""
    return with_remarks(ctx, new.words, new, waiting)


def with_remarks(ctx: Context, command: str, new: NewJob, waiting: str = "") -> str:
    """Return a command with what else was understood about its job, or its jobs."""
    parts = [*_place(new), *_time_and_input(ctx, new)]
    if waiting:
        parts.append(waiting)
    return f"{command}  ({', '.join(parts)})" if parts else command


def _place(new: NewJob) -> Iterator[str]:
    if not new.in_shell:
        yield "no shell"
    if new.name is not None:
        yield f"name {new.name}"
    if new.queue != "default":
        yield f"queue {new.queue}"
    if new.priority:
        yield f"priority {new.priority}"
    if new.needs:
        from queuectl.resources import format_needs

        yield f"needs {format_needs(new.needs)}"
    yield from (f"{name} {value}" for name, value in new.policy.items())


def _time_and_input(ctx: Context, new: NewJob) -> Iterator[str]:
    if new.due_at is not None:
        from queuectl.timespec import format_time

        yield f"not before {format_time(new.due_at, ctx.store.now())}"
    if new.paused:
        yield "paused"
    if new.stdin_path is not None:
        yield f"standard input from {new.stdin_path}"
    if new.stdin is not None:
        yield f"{plural(len(new.stdin), 'byte')} on standard input"
