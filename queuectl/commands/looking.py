"""`status` and `list`: what there is and what goes on."""

from __future__ import annotations

from queuectl.commands import picking, reasons, views
from queuectl.commands.result import Result, Table, Text, plural, say
from queuectl.grammar.selection import Selection
from queuectl.job import FAILED, PENDING, PROCESSING
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.commands.result import Column
    from queuectl.grammar.table import Args
    from queuectl.job import Job
    from queuectl.store.base import QueueInfo

EVERYTHING = Selection()
#: rows of `list` on a terminal when no limit is given
FIRST_PAGE = 50
#: lines of `status` that are no jobs
_OTHER_LINES = 8
#: paused queues that it names
_PAUSED = 5


def status(ctx: Context, args: Args) -> Result:
    """Run `status`, and `status ID` for single jobs."""
    if args.array is not None:
        from queuectl.commands.arrays import status_of

        return status_of(ctx, args)
    if args.which:
        from queuectl.commands.wholejob import show

        return show(ctx, args)
    return overview(ctx)


def overview(ctx: Context) -> Result:
    """Return counts, workers and what is going on, to the height of the terminal."""
    counts = ctx.store.counts()
    workers = sum(host.workers for host in ctx.store.hosts())
    around = reasons.surroundings(ctx.store)
    paused = _paused(around)
    others = _OTHER_LINES + min(len(paused), _PAUSED + 1)
    rows = max(6, (ctx.screen.height if ctx.screen.terminal else 24) - others)
    running = list(ctx.store.jobs(Filter(states=(PROCESSING,)), limit=rows))
    waiting = _waiting(ctx, max(2, (rows - len(running)) // 2))
    left = max(2, rows - len(running) - len(waiting))
    finished = ctx.store.finished(left)
    data = {
        "counts": dict(counts),
        "workers": workers,
        "paused_queues": [
            {"queue": info.name, "why": info.paused_why, "waiting": waits} for info, waits in paused
        ],
        "running": [views.job_data(job) for job in running],
        "waiting": [views.job_data(job) for job in waiting],
        "finished": [views.job_data(job) for job in finished],
    }
    if not any(counts.values()):
        return say(f"No jobs yet: enqueue echo hello  ({plural(workers, 'worker')})", data)
    parts = [f"{number} {state}" for state, number in counts.items() if number]
    lines = [f"{', '.join(parts)}; {plural(workers, 'worker')}", *_about_paused(paused)]
    blocks: list[Text | Table] = [Text("\n".join(lines))]
    for title, jobs, total in (
        ("Running", running, counts[PROCESSING]),
        ("Waiting", waiting, counts[PENDING] + counts[FAILED]),
        ("Finished", finished, 0),
    ):
        if jobs:
            cells = [views.job_cells(job, around) for job in jobs]
            some = f" (first {len(jobs)} of {total})" if total > len(jobs) else ""
            blocks.append(Table(views.JOB_COLUMNS, cells, title + some))
    return Result(data, blocks)


def _paused(around: reasons.Surroundings) -> list[tuple[QueueInfo, int]]:
    """Return the queues that paused themselves, or are paused with jobs in them, and how many wait."""
    found = []
    for info in around.queues.values():
        waits = info.counts.get(PENDING, 0) + info.counts.get(FAILED, 0)
        if info.paused and (info.paused_why or waits):
            found.append((info, waits))
    return sorted(found, key=lambda one: one[0].paused_why is None)


def _about_paused(paused: Sequence[tuple[QueueInfo, int]]) -> Iterator[str]:
    for info, waits in paused[:_PAUSED]:
        wait = f"{plural(waits, 'job')} {'waits' if waits == 1 else 'wait'}"
        how = f"paused itself: {info.paused_why}" if info.paused_why else f"is paused: {wait}"
        yield f"queue {info.name} {how}; `queue resume {info.name}` opens it"
    if len(paused) > _PAUSED:
        yield f"{len(paused) - _PAUSED} more queues are paused: `queue list` shows them"


def _waiting(ctx: Context, most: int) -> list[Job]:
    """Return some jobs that wait, those that run first on top."""
    failed = ctx.store.jobs(Filter(states=(FAILED,)), limit=most)
    pending = ctx.store.jobs(Filter(states=(PENDING,)), limit=most)
    return sorted((*failed, *pending), key=views.waiting_order)[:most]


def list_jobs(ctx: Context, args: Args) -> Result:
    """Run `list`."""
    chosen = picking.selection_of(ctx, args)
    limit = args.limit
    shown = _tree if args.tree else listing
    if limit is None and ctx.screen.terminal and not args.json and not chosen.only_single:
        limit = FIRST_PAGE
    if limit is None:
        return shown(ctx, picking.jobs_of(ctx, chosen), chosen)
    newest = list(picking.jobs_of(ctx, chosen, limit=limit + 1, newest=True))
    jobs = sorted(newest[:limit], key=lambda job: job.id)
    notes = []
    if len(newest) > limit and args.limit is None:
        where = chosen.filter() if not chosen.single else None
        # other filters would have to look at every job
        counted = where is not None and where == Filter(where.states, where.queues)
        total = ctx.store.count(where) if where is not None and counted else None
        rest = f"{total - limit} older" if total is not None else "older"
        notes.append(
            f"{rest} jobs are not shown: list --limit N, or narrow it with --state and others"
        )
    return shown(ctx, iter(jobs), chosen, notes=notes)


def _tree(
    ctx: Context, jobs: Iterator[Job], chosen: Selection, *, notes: Sequence[str] = ()
) -> Result:
    from queuectl.commands.trees import tree

    return tree(ctx, list(jobs), chosen, notes)


def listing(
    ctx: Context,
    jobs: Iterator[Job],
    chosen: Selection = EVERYTHING,
    *,
    notes: Sequence[str] = (),
    columns: Sequence[Column] = views.JOB_COLUMNS,
    cells: Callable[[Job, reasons.Surroundings], Sequence[str | None]] = views.job_cells,
) -> Result:
    """Return jobs as a table; when there are none, a sentence about where there are some."""
    first = next(jobs, None)
    if first is None:
        return Result([], (), (*notes, picking.where_they_are(ctx.store, chosen)))
    around = reasons.surroundings(ctx.store)

    def everything() -> Iterator[Job]:
        yield first
        yield from jobs

    rows = (cells(job, around) for job in everything())
    data = (views.job_data(job) for job in everything())
    return Result(data, (Table(columns, rows),), notes)
