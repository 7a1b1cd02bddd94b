"""`schedule`: jobs that are enqueued again and again."""

from __future__ import annotations

import os
import time

from queuectl import schedule as planning
from queuectl.commands import picking
from queuectl.commands.demands import check_there
from queuectl.commands.drafts import Maker
from queuectl.commands.jobs import no_workers, understood
from queuectl.commands.result import Column, Result, Table, Text, say
from queuectl.errors import NoSuchSchedule, Refused, UsageError, did_you_mean
from queuectl.grammar.selection import check_name
from queuectl.host.life import living
from queuectl.job import COMPLETED
from queuectl.store.base import Existing, Filter, Schedule
from queuectl.timespec import SECOND, describe_duration, format_time, iso_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job, NewJob
    from queuectl.store.base import Store

_ZONES = "zoneinfo/"
#: words of a time: `@daily`, `every 10m`, five fields
_TIME_WORDS = (1, 2, 5)
#: what became of a fire, as it is kept and as it is meant
_STILL_FAILED, _STILL_WAITING = "was still failed", "was still waiting for its retry"
COLUMNS = (
    Column("SCHEDULE"),
    Column("STATE", styles={"paused": "yellow"}),
    Column("WHEN"),
    Column("ZONE", optional=True, telling=True),
    Column("NEXT"),
    Column("LAST", optional=True),
    Column("JOB", optional=True, right=True),
    Column("RESULT", optional=True, elastic=True),
    Column("COMMAND", elastic=True),
)


def add(ctx: Context, args: Args) -> Result:
    """Run `schedule add`."""
    name = check_name(args.schedule)
    if not args.job:
        raise UsageError(_no_command(name, args.when))
    spec = " ".join(args.when)
    zone = args.tz or ("" if spec.startswith("every") else local_zone(ctx.environ))
    spec = planning.check(spec, zone)
    if args.tz and spec.startswith("every"):
        raise UsageError("schedule: every counts real time and has no time zone: leave --tz out")
    now = ctx.store.now()
    next_at = planning.next_time(spec, zone, now, now)
    if next_at is None:
        raise UsageError(f"schedule: {spec!r} never comes")
    new = _template(ctx, args)
    made = Schedule(
        name, spec, zone, args.overlap or planning.SKIP, args.missed or planning.ONE,
        planning.pack(new), next_at,
    )  # fmt: skip

    def put(store: Store) -> None:
        with store.transaction():
            if not args.replace and any(one.name == name for one in store.schedules()):
                raise Refused(f"there is a schedule {name} already: remove it, or give --replace")
            store.put_schedule(made)

    ctx.write(put)
    shown = f"{spec} {zone}".rstrip()
    text = (
        f"schedule {name}: {shown}, next in {describe_duration(next_at - now)}"
        f" at {moment(next_at, now, zone, local_zone(ctx.environ))}: {understood(ctx, new)}"
    )
    return say(text, _data(made, None), notes=(*_remarks(ctx, new), *_nobody_fires(ctx)))


def _template(ctx: Context, args: Args) -> NewJob:
    new = Maker(ctx, args).from_tail(args.job)
    if new.due_at is not None:
        raise UsageError("schedule add: the schedule says when; leave --at and --delay out")
    picking.check_queues(ctx.store, (new.queue,))
    check_there(ctx.store, new.after)
    return new


def _remarks(ctx: Context, new: NewJob) -> list[str]:
    from queuectl.commands.hints import remarks

    return list(remarks(new, ctx.environ, ctx.memo))


def _no_command(name: str, when: list[str]) -> str:
    """Say that the command is missing; it may be that only `--` is. Raises what is wrong with the time."""
    words = " ".join(when).split()
    for length in _TIME_WORDS:
        if length > len(words):
            break
        try:
            spec = planning.check(" ".join(words[:length]), "")
        except UsageError:
            continue
        shown = f"'{spec}'" if " " in spec and not spec.startswith("every") else spec
        if length == len(words):
            return f"schedule add: what is it to run? schedule add {name} {shown} -- COMMAND"
        rest = " ".join(words[length:])
        return f"schedule add: put -- before the command: schedule add {name} {shown} -- {rest}"
    planning.check(" ".join(words[:2]) if words[:1] == ["every"] else when[0], "")
    return f"schedule add: what is it to run? schedule add {name} '{' '.join(when)}' -- COMMAND"


def local_zone(environ: Mapping[str, str]) -> str:
    """Return the name of this machine's time zone; empty when only its rules are known.

    As the name is kept, the schedule means the same on hosts elsewhere.
    """
    given = environ.get("TZ")
    if given is not None:
        name = given.lstrip(":").rpartition(_ZONES)[2] or "UTC"
        try:
            planning.check_zone(name)
        except UsageError:
            raise UsageError(f"TZ is {given!r}, which is no time zone: give --tz") from None
        return name
    path = os.path.realpath("/etc/localtime")
    if _ZONES in path:
        return path.partition(_ZONES)[2]
    return "" if os.path.exists(path) else "UTC"


# ---- looking ------------------------------------------------------------------------------------


def list_schedules(ctx: Context, args: Args) -> Result:  # noqa: ARG001
    """Run `schedule list`."""
    schedules = ctx.store.schedules()
    if not schedules:
        return Result([], notes=("no schedules: schedule add nightly '0 3 * * *' -- ./backup.sh",))
    now = ctx.store.now()
    here = local_zone(ctx.environ) if any(one.zone for one in schedules) else ""
    newest = {one.name: last_job(ctx.store, one) for one in schedules}
    rows = [_cells(one, newest[one.name], now, here) for one in schedules]
    data = [_data(one, newest[one.name]) for one in schedules]
    return Result(data, (Table(COLUMNS, rows),), tuple(_nobody_fires(ctx)))


def _nobody_fires(ctx: Context) -> Iterator[str]:
    """Yield a remark when no host runs that could fire schedules."""
    if not any(host.workers for host in living(ctx.store)):
        yield from ctx.once("schedules fire while a host with workers runs, and there is none")


def _cells(one: Schedule, job: Job | None, now: int, here: str) -> tuple[str | None, ...]:
    if one.paused:
        coming = "-"
    else:
        coming = "never" if one.next_at is None else moment(one.next_at, now, one.zone, here)
    last_at, made, note = last(one, job)
    return (
        one.name,
        "paused" if one.paused else "on",
        one.spec,
        one.zone if one.zone != here else None,
        coming,
        None if last_at is None else moment(last_at, now, one.zone, here),
        None if made is None else str(made),
        note or _ended(job),
        planning.unpack(one.job, one.name).words,
    )


def _ended(job: Job | None) -> str | None:
    if job is None:
        return None
    said = job.state != COMPLETED and job.reason and job.reason != job.state
    how = f" ({job.reason})" if said else ""
    return f"{job.shown_state}{how}"


def moment(milliseconds: int, now: int, zone: str, here: str) -> str:
    """Return a time of a schedule for reading: in its own zone, which is named unless it is ours."""
    if not zone or zone == here:
        return format_time(milliseconds, now)
    import datetime
    import zoneinfo

    try:
        there = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # this machine does not know it: then in its own, and said so
        return f"{format_time(milliseconds, now)} {time.strftime('%Z')}"
    when, today = (
        datetime.datetime.fromtimestamp(one // SECOND, there) for one in (milliseconds, now)
    )
    same_day = when.date() == today.date()
    return when.strftime("%H:%M:%S %Z" if same_day else "%Y-%m-%d %H:%M %Z")


def last_job(store: Store, one: Schedule) -> Job | None:
    """Return the newest job of a schedule, by its times or by `schedule run`."""
    return next(iter(store.jobs(Filter(schedule=one.name), limit=1, newest=True)), None)


def last(one: Schedule, job: Job | None) -> tuple[int | None, int | None, str | None]:
    """Return when a schedule last made a job or failed to, the job, and why there is none.

    `job` is its newest: `schedule run` has made one that is newer than the schedule knows.
    """
    note = one.note and one.note.replace(_STILL_FAILED, _STILL_WAITING)
    if job is None or job.id == one.last_job:
        return one.last_at, one.last_job, note
    if job.created_at < (one.last_at or 0):
        return one.last_at, job.id, note
    return job.created_at, job.id, None


def _data(one: Schedule, job: Job | None) -> dict[str, object]:
    last_at, made, note = last(one, job)
    new = planning.unpack(one.job, one.name)
    return {
        "schedule": one.name,
        "when": one.spec,
        "zone": one.zone or None,
        "overlap": one.overlap,
        "missed": one.missed,
        "paused": one.paused,
        "next_at": None if one.paused else iso_time(one.next_at),
        "last_at": iso_time(last_at),
        "last_job": made,
        "last_state": None if job is None else job.shown_state,
        "note": note,
        "queue": new.queue,
        "command": new.command,
        "args": None if new.args is None else list(new.args),
    }


# ---- changing -----------------------------------------------------------------------------------


def find(store: Store, name: str) -> Schedule:
    """Return a schedule. Raises NoSuchSchedule with the nearest name."""
    known = {one.name: one for one in store.schedules()}
    if name not in known:
        hint = did_you_mean(name, known) or ("; `schedule list` lists them" if known else "")
        raise NoSuchSchedule(schedule=name, hint=hint)
    return known[name]


def pause(ctx: Context, args: Args) -> Result:
    """Run `schedule pause`."""
    return _switch(ctx, args.schedule, paused=True)


def resume(ctx: Context, args: Args) -> Result:
    """Run `schedule resume`: from the next time on, what was paused over is not made up for."""
    return _switch(ctx, args.schedule, paused=False)


def _switch(ctx: Context, name: str, *, paused: bool) -> Result:
    def change(store: Store) -> Schedule:
        with store.transaction():
            one = find(store, name)
            if one.paused == paused:
                return one
            next_at = one.next_at
            if not paused and next_at is not None:
                now = store.now()
                next_at = planning.next_time(one.spec, one.zone, now, next_at)
            changed = one._replace(paused=paused, next_at=next_at)
            store.put_schedule(changed)
            return changed

    one = ctx.write(change)
    data = {
        "schedule": name,
        "paused": paused,
        "next_at": None if paused else iso_time(one.next_at),
    }
    if paused:
        return say(f"schedule {name} is paused: it enqueues nothing; jobs it has made go on", data)
    now = ctx.store.now()
    here = local_zone(ctx.environ)
    when = "never" if one.next_at is None else f"at {moment(one.next_at, now, one.zone, here)}"
    return say(f"schedule {name} goes on: next {when}", data)


def run(ctx: Context, args: Args) -> Result:
    """Run `schedule run`: its job now, once more; its times stay as they are."""
    one = find(ctx.store, args.schedule)
    new = planning.unpack(one.job, one.name)
    (job_id,) = ctx.write(lambda store: store.add((new,)))
    if isinstance(job_id, Existing):
        raise Refused(
            f"job {int(job_id)} of the same unique key is not finished: nothing is enqueued"
        )
    ctx.last_id = job_id
    data = {"id": job_id, "schedule": one.name, "queue": new.queue}
    text = f"job {job_id} enqueued: {understood(ctx, new)}"
    return Result(data, (Text(text),), tuple(no_workers(ctx, new.queue, new.needs)))


def remove(ctx: Context, args: Args) -> Result:
    """Run `schedule remove`."""
    name: str = args.schedule

    def change(store: Store) -> None:
        find(store, name)
        store.remove_schedule(name)

    ctx.write(change)
    return say(f"schedule {name} removed; jobs it has made stay", {"schedule": name})
