"""`stats`: what queues have done lately, and how long jobs waited and ran."""

from __future__ import annotations

from queuectl.commands import picking
from queuectl.commands.result import Column, Result, Table
from queuectl.job import CANCELLED
from queuectl.record import Record
from queuectl.store.base import Ended
from queuectl.timespec import DAY, HOUR, describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job

#: jobs whose lengths are looked at, those that ended last
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


class Lengths(Record):
    """Of some jobs of one queue: half of them took no longer, and 95 of 100; None of nothing. In ms."""

    #: of how many, also such as died without a start
    jobs: int
    waited: tuple[int, int] | None
    ran: tuple[int, int] | None


def stats(ctx: Context, args: Args) -> Result:
    """Run the command: all that ended in the last day is counted, the newest of it is measured."""
    picking.check_queues(ctx.store, args.queue)
    now = ctx.store.now()
    counted = {one.queue: one for one in ctx.store.tally(now - DAY, now - HOUR)}
    queues = args.queue or [queue.name for queue in ctx.store.queues()]
    shown = [counted.get(name, Ended(name, 0, 0, 0, 0)) for name in queues]
    shown = [one for one in shown if one.jobs or args.queue]
    if not shown:
        return Result([], notes=("nothing has ended in the last day",))
    newest = [job for job in ctx.store.finished(RECENT) if (job.finished_at or 0) > now - DAY]
    measured = {
        one.queue: lengths([job for job in newest if job.queue == one.queue]) for one in shown
    }
    ended = sum(one.jobs for one in counted.values())
    notes = []
    if ended > sum(job.state != CANCELLED for job in newest):
        since = min((job.finished_at or now for job in newest), default=now)
        notes.append(
            f"WAITED and RAN are of the {len(newest):,} jobs that ended last,"
            f" {describe_duration(now - since)} of the day; the counts are of all"
        )
    rows = [_cells(one, measured[one.queue]) for one in shown]
    data = [_data(one, measured[one.queue]) for one in shown]
    return Result(data, (Table(COLUMNS, rows),), notes)


def lengths(jobs: Sequence[Job]) -> Lengths:
    """Return how long final jobs waited and ran; those that were cancelled are left out."""
    ended = [job for job in jobs if job.state != CANCELLED]
    ran = [job for job in ended if job.started_at is not None and job.finished_at is not None]
    return Lengths(
        len(ended),
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


def _cells(one: Ended, of: Lengths) -> tuple[str | None, ...]:
    spans = [
        None if pair is None else describe_duration(pair[at])
        for pair in (of.waited, of.ran) for at in (0, 1)
    ]  # fmt: skip
    return one.queue, str(one.recent), str(one.jobs), str(one.dead), str(one.retried), *spans


def _data(one: Ended, of: Lengths) -> dict[str, object]:
    waited, ran = of.waited or (None, None), of.ran or (None, None)
    return {
        "queue": one.queue,
        "hour": one.recent, "day": one.jobs, "dead": one.dead, "retried": one.retried,
        "waited_p50_ms": waited[0], "waited_p95_ms": waited[1],
        "ran_p50_ms": ran[0], "ran_p95_ms": ran[1],
        # of how many of the day these lengths are: of all, or of the newest
        "measured": of.jobs, "sampled": of.jobs < one.jobs,
    }  # fmt: skip
