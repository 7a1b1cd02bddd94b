"""`stats`: what queues have done lately, and how long jobs waited and ran."""

from __future__ import annotations

from queuectl.commands import picking
from queuectl.commands.result import Column, Result, Table
from queuectl.job import CANCELLED, COMPLETED, DEAD
from queuectl.record import Record
from queuectl.timespec import DAY, HOUR, describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job

#: jobs that are looked at, those that ended last
RECENT = 5000
COLUMNS = (
    Column("QUEUE"),
    Column("HOUR", right=True),
    Column("DAY", right=True),
    Column("DEAD", right=True),
    Column("RETRIED", right=True, optional=True),
    Column("WAITED", right=True),
    Column("WAITED 95%", right=True, optional=True),
    Column("RAN", right=True),
    Column("RAN 95%", right=True, optional=True),
)


class Summary(Record):
    """Of one queue; lengths in ms, None where nothing ran."""

    hour: int
    day: int
    #: of the day: dead, and completed after more than one attempt
    dead: int
    retried: int
    waited: tuple[int, int] | None
    ran: tuple[int, int] | None


def stats(ctx: Context, args: Args) -> Result:
    """Run the command: of the last day, and of no more than the jobs that ended last."""
    picking.check_queues(ctx.store, args.queue)
    now = ctx.store.now()
    recent = ctx.store.finished(RECENT)
    since = min((job.finished_at or now for job in recent), default=now)
    cut = len(recent) == RECENT and since > now - DAY
    queues = args.queue or [queue.name for queue in ctx.store.queues()]
    by_queue = {name: summary([job for job in recent if job.queue == name], now) for name in queues}
    shown = {name: one for name, one in by_queue.items() if one.day or args.queue}
    notes = []
    if cut:
        span = describe_duration(now - since)
        notes.append(f"counted over the {RECENT:,} jobs that ended last, which is {span}")
    if not shown:
        return Result([], notes=("nothing has ended in the last day",))
    rows = [_cells(name, one) for name, one in shown.items()]
    data = [{"queue": name, **_data(one)} for name, one in shown.items()]
    return Result(data, (Table(COLUMNS, rows),), notes)


def summary(jobs: Sequence[Job], now: int) -> Summary:
    """Return what final jobs amount to: counts of the last hour and day, lengths of the day."""
    day = [job for job in jobs if (job.finished_at or 0) > now - DAY and job.state != CANCELLED]
    ran = [job for job in day if job.started_at is not None and job.finished_at is not None]
    return Summary(
        sum(1 for job in day if (job.finished_at or 0) > now - HOUR),
        len(day),
        sum(1 for job in day if job.state == DEAD),
        sum(1 for job in day if job.state == COMPLETED and job.attempts > 1),
        middle_and_most([max(0, (job.started_at or 0) - job.due_at) for job in ran]),
        middle_and_most([max(0, (job.finished_at or 0) - (job.started_at or 0)) for job in ran]),
    )


def middle_and_most(lengths: Sequence[int]) -> tuple[int, int] | None:
    """Return the length that half, and the one that 95 of 100 do not exceed; None of nothing."""
    if not lengths:
        return None
    ordered = sorted(lengths)
    last = len(ordered) - 1
    return ordered[last // 2], ordered[-(-last * 95 // 100)]


def _cells(name: str, one: Summary) -> tuple[str | None, ...]:
    lengths = [
        None if pair is None else describe_duration(pair[at])
        for pair in (one.waited, one.ran) for at in (0, 1)
    ]  # fmt: skip
    return name, str(one.hour), str(one.day), str(one.dead), str(one.retried), *lengths


def _data(one: Summary) -> dict[str, object]:
    waited, ran = one.waited or (None, None), one.ran or (None, None)
    return {
        "hour": one.hour, "day": one.day, "dead": one.dead, "retried": one.retried,
        "waited_p50_ms": waited[0], "waited_p95_ms": waited[1],
        "ran_p50_ms": ran[0], "ran_p95_ms": ran[1],
    }  # fmt: skip
