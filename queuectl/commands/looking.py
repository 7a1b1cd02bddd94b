"""`status` and `list`: what there is and what goes on."""

from __future__ import annotations

from queuectl.commands import picking, reasons, rows, views
from queuectl.commands.result import Result, Table, Text, plural, say
from queuectl.grammar.selection import Selection
from queuectl.job import FAILED, PENDING, PROCESSING
from queuectl.store.base import LOOKED_AT, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.commands.result import Column
    from queuectl.grammar.table import Args
    from queuectl.job import Job, State
    from queuectl.store.base import Alike, QueueInfo

EVERYTHING = Selection()
#: rows of `list` on a terminal when no limit is given
FIRST_PAGE = 50
#: jobs that are looked at for the lines of a page that somebody asks for by --limit
_ALL = 2**40
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
    return overview(ctx, args)


def overview(ctx: Context, args: Args) -> Result:
    """Return counts, workers and what is going on, to the height of the terminal."""
    counts = ctx.store.counts()
    hosts = ctx.store.hosts()
    around = reasons.surroundings(ctx.store)
    dead = [host for host in hosts if host.id in around.dead]
    workers = sum(host.workers for host in hosts if host.id not in around.dead)
    paused = _paused(around)
    others = _OTHER_LINES + min(len(paused), _PAUSED + 1)
    height = max(6, (ctx.screen.height if ctx.screen.terminal else 24) - others)
    running = list(ctx.store.jobs(Filter(states=(PROCESSING,)), limit=height))
    waiting = _waiting(ctx, max(2, (height - len(running)) // 2), each=_each(ctx, args))
    left = max(2, height - len(running) - len(waiting))
    finished = ctx.store.finished(left)
    places = rows.Places(ctx.store, hosts)
    ran = places.of((*running, *finished))
    data = {
        "counts": dict(counts),
        "workers": workers,
        "dead_hosts": [host.id for host in dead],
        "paused_queues": [
            {"queue": info.name, "why": info.paused_why, "waiting": waits} for info, waits in paused
        ],
        "running": [rows.job_data(job, ran.get(job.id)) for job in running],
        "waiting": [rows.job_data(one.first, one.first.host) for one in waiting],
        "finished": [rows.job_data(job, ran.get(job.id)) for job in finished],
    }
    if not any(counts.values()):
        return say(f"No jobs yet: enqueue echo hello  ({plural(workers, 'worker')})", data)
    parts = [f"{number} {state}" for state, number in counts.items() if number]
    lines = [f"{', '.join(parts)}; {plural(workers, 'worker')}", *_about_paused(paused)]
    if dead:
        from queuectl.commands.lost import about_dead

        lines[1:1] = about_dead(dead, others=bool(around.hosts))
    blocks: list[Text | Table] = [Text("\n".join(lines))]
    told = ran if not ctx.screen.terminal or places.worth_telling(ran) else {}
    for title, shown, total in (
        ("Running", rows.alone(running), counts[PROCESSING]),
        ("Waiting", waiting, counts[PENDING] + counts[FAILED]),
        ("Finished", rows.alone(finished), 0),
    ):
        if shown:
            cells = [
                rows.row_cells(row, around, places.name(told.get(row.first.id))) for row in shown
            ]
            jobs = sum(row.jobs for row in shown)
            some = f" (first {jobs} of {total})" if total > jobs else ""
            blocks.append(Table(views.JOB_COLUMNS, cells, title + some))
    return Result(data, blocks)


def _each(ctx: Context, args: Args) -> bool:
    """Whether every job has a line of its own: for programs, and where it is asked for."""
    return not ctx.screen.terminal or bool(args.json) or getattr(args, "each", False)


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


def _waiting(ctx: Context, most: int, *, each: bool) -> list[Alike]:
    """Return some jobs that wait, those that run first on top, for so many lines."""

    def first(state: State) -> list[Alike]:
        where = Filter(states=(state,))
        return (
            rows.alone(ctx.store.jobs(where, limit=most)) if each
            else ctx.store.alike(where, most)
        )  # fmt: skip

    found = (*first(FAILED), *first(PENDING))
    return sorted(found, key=lambda row: views.waiting_order(row.first))[:most]


def list_jobs(ctx: Context, args: Args) -> Result:
    """Run `list`."""
    chosen = picking.selection_of(ctx, args)
    if not (_each(ctx, args) or args.tree or chosen.only_single):
        return _lines(ctx, chosen, args.limit)
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
        notes.append(_older(ctx, chosen, limit))
    return shown(ctx, iter(jobs), chosen, notes=notes)


def _older(ctx: Context, chosen: Selection, shown: int) -> str:
    """Return that a page does not show all, and how many not where counters tell."""
    where = chosen.filter() if not chosen.single else None
    # other filters would have to look at every job
    counted = where is not None and where == Filter(where.states, where.queues)
    total = ctx.store.count(where) if where is not None and counted else None
    # some may have ended or begun since they were read
    rest = f"{max(1, total - shown)} older" if total is not None else "older"
    return f"{rest} jobs are not shown: list --limit N, or narrow it with --state and others"


def _lines(ctx: Context, chosen: Selection, limit: int | None) -> Result:
    """Return the newest jobs for a person: those of an array that look the same on one line."""
    where = picking.where_of(ctx, chosen)
    page = FIRST_PAGE if limit is None else limit
    most = LOOKED_AT if limit is None else _ALL
    found = ctx.store.alike(where, page + 1, newest=True, most=most) if where else []
    shown = sorted(found[:page], key=lambda row: row.first.id)
    if not shown:
        return Result([], (), (picking.where_they_are(ctx.store, chosen),))
    jobs = sum(row.jobs for row in shown)
    notes = []
    if limit is None and (len(found) > page or jobs >= most):
        notes.append(_older(ctx, chosen, jobs))
    around = reasons.surroundings(ctx.store)
    cells = rows.Places(ctx.store).cells(shown, around)
    return Result(None, (Table(views.JOB_COLUMNS, cells),), notes)


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
    cells: Callable[[Job, reasons.Surroundings], Sequence[str | None]] | None = None,
) -> Result:
    """Return jobs as a table; when there are none, a sentence about where there are some."""
    first = next(jobs, None)
    if first is None:
        return Result([], (), (*notes, picking.where_they_are(ctx.store, chosen)))
    around = reasons.surroundings(ctx.store)

    places = rows.Places(ctx.store)

    def everything() -> Iterator[Job]:
        yield first
        yield from jobs

    def lines() -> Iterator[Sequence[str | None]]:
        if cells is not None:
            yield from (cells(job, around) for job in everything())
        elif ctx.screen.terminal:
            yield from places.cells(rows.alone(everything()), around)
        else:
            for job, host in places.along(everything()):
                yield views.job_cells(job, around, places.name(host))

    data = (rows.job_data(job, host) for job, host in places.along(everything()))
    return Result(data, (Table(columns, lines()),), notes)
