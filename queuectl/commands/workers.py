"""`worker`: start, stop and list what runs jobs."""

from __future__ import annotations

import os
import time

from queuectl.commands.context import ONE_SHOT, user_name
from queuectl.commands.lost import about_dead
from queuectl.commands.result import Column, Result, Table, jobs_named, plural, say, short_id
from queuectl.errors import NotFound, QueuectlError, Refused, UsageError
from queuectl.host.handover import is_detached
from queuectl.host.life import dead_among
from queuectl.resources import describe, format_amount, parse_resources
from queuectl.timespec import describe_duration, format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.commands.foreground import Foreground
    from queuectl.grammar.table import Args
    from queuectl.host.worker import WorkerHost
    from queuectl.store.base import HostInfo

#: threads of one host at the most, so that a slip of the finger does not fill the memory
MOST_WORKERS = 1000
#: seconds between looks at a host that was asked to stop, and for its process to end after that
_QUICK, _SLOW, _PROCESS_END = 0.02, 0.5, 5.0
#: and how long a host without workers may take to leave the registry, if it is not a shell
_LEAVING = 1.0
#: characters of a host's id that are enough to mean it
_SHORTEST_ID = 4
_COLUMNS = (
    Column("HOST"), Column("MACHINE"), Column("USER", optional=True), Column("PID", right=True),
    Column("WORKERS", right=True), Column("QUEUES", optional=True), Column("RUNNING", elastic=True, optional=True),
    Column("RESOURCES", optional=True), Column("SINCE"), Column("SEEN", optional=True, telling=True), Column("STATE", styles={"stopping": "yellow", "here": "green", "dead": "red"}, optional=True),
)  # fmt: skip


def start(ctx: Context, args: Args) -> Result:
    """Run `worker start`: threads of this process; on the command line it stays until they end."""
    from queuectl.commands.jobs import forget_remarks
    from queuectl.commands.picking import check_queues

    forget_remarks(ctx)
    queues = tuple(dict.fromkeys(args.queue))
    check_queues(ctx.store, queues)
    resources = parse_resources(args.resource, ctx.environ)
    if args.detach and (args.workers or 1) <= MOST_WORKERS:
        from queuectl.commands.detach import start_detached

        return start_detached(
            ctx, args.workers or 1, queues, until_empty=args.until_empty, resources=args.resource
        )
    if args.until_empty and ctx.mode != ONE_SHOT:
        raise UsageError(
            "worker start --until-empty is for the command line; here: wait for the jobs"
        )
    asked = args.workers or 1
    if asked > MOST_WORKERS:
        raise UsageError(f"worker start: {asked} is more than the {MOST_WORKERS} one host may have")
    host = ctx.host()
    # before the workers start: a signal may come with their first job
    foreground = _foreground(ctx, args, host, queues) if ctx.mode == ONE_SHOT else None
    before = host.workers
    try:
        now = host.start(asked, queues, resources)
    except QueuectlError:
        if foreground is not None:
            foreground.let_go()
        raise
    result = say(*_started(host, asked, now, before, queues), notes=tuple(_advice(now)))
    if foreground is None:
        return result
    foreground.watch()
    return result._replace(then=foreground.stay_detached if is_detached() else foreground.stay)


def _advice(workers: int) -> Iterator[str]:
    """Yield a remark when there are more workers than a machine of this size has use for, as a rule."""
    processors = os.cpu_count() or 1
    if workers > 4 * processors + 16:
        yield (
            f"{workers} workers on {plural(processors, 'processor')}: as many jobs run at once;"
            " `worker stop N` takes some away"
        )


def _foreground(ctx: Context, args: Args, host: WorkerHost, queues: tuple[str, ...]) -> Foreground:
    from queuectl.commands.foreground import Foreground
    from queuectl.commands.telling import Telling

    each = os.isatty(2) and not (args.quiet or args.json)
    telling = Telling(ctx.store, ctx.screen.width, each=each)
    host.on_settled = telling.settled
    return Foreground(ctx, host, queues, telling, until_empty=args.until_empty)


def _started(
    host: WorkerHost, asked: int, now: int, before: int, queues: tuple[str, ...]
) -> tuple[str, dict[str, object]]:
    """Return what `worker start` answers, for people and for machines."""
    only = f" for {', '.join(queues)}" if queues else ""
    more = f" ({asked} more than before)" if before else ""
    total = host.queue.resources()[1]
    has = f"; this host has {describe(total)}" if total else ""
    facts = {"workers": now, "started": asked, "queues": list(queues), "resources": total}
    return f"{plural(now, 'worker')}{only}{more}{has}", {
        **facts,
        "host": host.id,
        "pid": os.getpid(),
    }


def stop(ctx: Context, args: Args) -> Result:
    """Run `worker stop`: this process's workers, else those of the only host of this user here."""
    from queuectl.commands.jobs import forget_remarks

    forget_remarks(ctx)
    host = ctx.running_host
    if args.host is None and host is not None and host.workers:
        before = host.workers
        running = host.stop(args.workers, now=args.now)
        ids = sorted(claim.job_id for claim in running)
        stopped = min(args.workers or before, before)
        return say(f"{plural(stopped, 'worker')} stopping{_waiting_for(ids, now=args.now)}",
                   {"stopping": stopped, "running": ids})  # fmt: skip
    hosts = _asked_hosts(ctx, args.host)
    if not hosts:
        return say("no workers are running", {"stopping": 0, "running": []})
    how = "now" if args.now else "drain"
    lines, ids, stopped = [], [], 0
    asked = {}
    for info in hosts:
        held = [held.job_id for held in ctx.store.held_by(info.id) if held.started_at is not None]
        if not ctx.write(lambda store, info=info: store.ask_stop(info.id, how, args.workers)):  # type: ignore[misc]
            continue
        number = min(args.workers or info.workers, info.workers)
        stopped += number
        asked[info.id] = info._replace(workers=info.workers - number)
        ids.extend(held)
        what = f"{plural(number, 'worker')} stopping" if number else "stopping"
        lines.append(f"host {short_id(info.id)}: {what}{_waiting_for(held, now=args.now)}")
    if not lines:
        return say("no workers are running", {"stopping": 0, "running": []})
    return say("\n".join(lines), {"stopping": stopped, "running": ids})._replace(
        then=lambda: _await(ctx, asked)
    )


def _await(ctx: Context, asked: dict[str, HostInfo]) -> Result:
    """Wait until the workers that were asked to stop have done so; those of a shell leave a host.

    `asked` has each host as it was, with the number of workers that are to stay.
    """
    ended: list[str] = []
    pause = _QUICK
    idle: dict[str, float] = {}
    while asked:
        version = ctx.store.version()
        rows = {host.id: host for host in ctx.store.hosts()}
        for host in list(asked.values()):
            if _has_stopped(ctx, host, rows.get(host.id)):
                now = time.monotonic()
                if (
                    host.id in rows
                    and not host.workers
                    and now < idle.setdefault(host.id, now + _LEAVING)
                ):
                    # one that is no shell is just about to leave
                    continue
                del asked[host.id]
                ended.append(f"host {short_id(host.id)}: stopped")
                if host.id not in rows:
                    _await_process(host)
        if asked and ctx.store.version() == version:
            time.sleep(pause)
            pause = min(_SLOW, pause * 1.5)
    return Result(None, (), ended)


def _has_stopped(ctx: Context, asked: HostInfo, row: HostInfo | None) -> bool:
    if row is None:
        return True
    if asked.hostname == os.uname().nodename and not _exists(asked.pid):
        if all(host.id != asked.id for host in ctx.store.hosts()):
            # it has left since its row was read
            return True
        raise Refused(
            f"host {short_id(asked.id)} has died; the next worker to start takes care of its jobs"
        )
    if row.stop_requested or row.workers > asked.workers:
        return False
    return asked.workers > 0 or not ctx.store.held_by(asked.id)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _await_process(host: HostInfo) -> None:
    """Wait for the process of a host that has left the registry, some seconds at the most."""
    deadline = time.monotonic() + _PROCESS_END
    here = host.hostname == os.uname().nodename
    while here and _exists(host.pid) and time.monotonic() < deadline:
        time.sleep(_QUICK)


def _waiting_for(ids: list[int], *, now: bool) -> str:
    if not ids:
        return ""
    have = "has" if len(ids) == 1 else "have"
    end = "are ended and handed back" if len(ids) > 1 else "is ended and handed back"
    return f"; {jobs_named(ids)} {end}" if now else f" when {jobs_named(ids)} {have} ended"


def _asked_hosts(ctx: Context, word: str | None) -> list[HostInfo]:
    """Return the hosts that `worker stop` is about. Raises UsageError when that is not clear."""
    # one that drains has no workers any more, and may be asked to end what it runs
    hosts = [host for host in ctx.store.hosts() if host.workers or _runs_something(ctx, host)]
    if word == "all":
        return hosts
    if word is not None:
        found = [host for host in hosts if host.id == word] or [
            host for host in hosts if host.hostname == word
        ]
        if (
            not found
            and len(word) < _SHORTEST_ID
            and any(host.id.startswith(word) for host in hosts)
        ):
            raise UsageError(
                f"worker stop: {word!r} is too little of an id: give {_SHORTEST_ID} characters or more"
            )
        found = found or [host for host in hosts if host.id.startswith(word)]
        if not found:
            raise NotFound(f"no host {word!r} with workers; `worker list` shows them")
        if len(found) > 1:
            raise UsageError(f"{word!r} can be {plural(len(found), 'host')}; give the id of one")
        return found
    machine, user = os.uname().nodename, user_name()
    own = [host for host in hosts if host.hostname == machine and host.user == user]
    if len(own) > 1:
        names = ", ".join(f"{short_id(host.id)} (pid {host.pid})" for host in own)
        raise UsageError(f"worker stop: which of {names}? add --host ID, or --host all")
    if not own and hosts:
        raise UsageError("worker stop: only other users or machines have workers; add --host ID")
    return own


def _runs_something(ctx: Context, host: HostInfo) -> bool:
    return any(held.started_at is not None for held in ctx.store.held_by(host.id))


def list_workers(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `worker list`."""
    now = ctx.store.now()
    own = ctx.running_host
    rows, data = [], []
    hosts = ctx.store.hosts()
    dead = dead_among(ctx.store, hosts)
    for host in hosts:
        running = [
            held.job_id for held in ctx.store.held_by(host.id) if held.started_at is not None
        ]
        state = "here" if own is not None and own.id == host.id else None
        # one that has heard has no workers any more, and still runs what they had
        if host.stop_requested or (running and not host.workers):
            state = "stopping"
        if host.id in dead:
            state = "dead"
        used = _used(ctx, host, running)
        rows.append((
            short_id(host.id), host.hostname, host.user, str(host.pid), str(host.workers),
            " ".join(host.queues), " ".join(map(str, running)), _resources(host, used),
            format_time(host.started_at, now),
            f"{describe_duration(now - host.seen_at)} ago" if host.is_silent(now) else None, state,
        ))  # fmt: skip
        data.append({
            "host": host.id, "machine": host.hostname, "user": host.user, "pid": host.pid,
            "version": host.version, "workers": host.workers, "queues": list(host.queues),
            "running": running, "seen_ms_ago": max(0, now - host.seen_at),
            "stop_requested": host.stop_requested, "dead": host.id in dead,
            "resources": dict(host.resources), "resources_used": used,
            **(_inside(own) if own is not None and own.id == host.id else {}),
        })  # fmt: skip
    if not rows:
        return Result([], (), ("no workers are running: start one with `worker start`",))
    gone = [host for host in hosts if host.id in dead]
    notes = list(about_dead(gone, others=any(host.workers and host not in gone for host in hosts)))
    notes += [
        f"host {short_id(host.id)} was last seen {describe_duration(now - host.seen_at)} ago"
        for host in hosts
        if host.is_silent(now) and host not in gone
    ]
    if own is not None:
        notes += _troubles(own)
    return Result(data, (Table(_COLUMNS, rows),), notes)


def _used(ctx: Context, host: HostInfo, running: list[int]) -> dict[str, int]:
    """Return how much of each of a host's resources its running jobs have."""
    used = dict.fromkeys(host.resources, 0)
    for job_id in running if used else ():
        job = ctx.store.get(job_id)
        for name, amount in job.needs.items() if job is not None else ():
            if name in used:
                used[name] += amount
    return used


def _resources(host: HostInfo, used: dict[str, int]) -> str:
    """Return `gpu 1/2, mem 8G/24G`: what is used of what there is."""
    return ", ".join(
        f"{name} {format_amount(used[name])}/{format_amount(total)}"
        for name, total in sorted(host.resources.items())
    )


def _inside(host: WorkerHost) -> dict[str, object]:
    """Return what only the process itself knows of its workers."""
    return {
        "trouble": host.trouble,
        "errors": list(host.errors),
        "unwritten": host.queue.set_apart(),
    }


def _troubles(host: WorkerHost) -> list[str]:
    """Return what is wrong with the workers of this process, a line each."""
    lines = [f"these workers: {host.trouble}"] if host.trouble else []
    unwritten = host.queue.set_apart()
    if unwritten:
        ends = f"the ends of {plural(unwritten, 'job')}"
        lines.append(f"these workers: the store refuses {ends}; they are tried again")
    if host.errors:
        lines.append(f"these workers met an error that should not have been: {host.errors[-1]}")
    return lines
