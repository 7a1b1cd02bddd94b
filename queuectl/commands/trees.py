"""`list --tree`: jobs drawn below those that they wait for."""

from __future__ import annotations

from queuectl.commands import picking, reasons, views
from queuectl.commands.result import Column, Result, Table
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.selection import Selection
    from queuectl.job import Job
    from queuectl.store.base import Dependency

COLUMNS = (
    Column("JOB"),
    Column("STATE", styles=views.STATE_STYLES),
    Column("QUEUE", optional=True),
    Column("NAME", optional=True),
    Column("AFTER", optional=True),
    Column("REASON", optional=True, elastic=True),
    Column("COMMAND", elastic=True),
)
_SHORT = {"completed": "", "ended": " ended", "failed": " dead"}


class Lines(Record):
    """What a tree is drawn with: before a job, before the last one, below each of them."""

    branch: str
    last: str
    through: str
    nothing: str


UNICODE = Lines("├─ ", "└─ ", "│  ", "   ")
ASCII = Lines("|- ", "`- ", "|  ", "   ")


def tree(ctx: Context, jobs: Sequence[Job], chosen: Selection, notes: Sequence[str]) -> Result:
    """Return jobs as a table with a tree in its first column.

    A job that waits for several stands below each of them, with what is below it only once.
    """
    if not jobs:
        return Result([], (), (*notes, picking.where_they_are(ctx.store, chosen)))
    known = {job.id: job for job in jobs}
    after = {job.id: ctx.store.dependencies(job.id) for job in jobs}
    around = reasons.surroundings(ctx.store)
    lines = UNICODE if ctx.screen.terminal and in_utf8(ctx.environ) else ASCII
    rows = (
        _cells(known[job_id], before, after[job_id], around, again=again)
        for before, job_id, again in drawn(_children(known, after), tuple(known), lines)
    )
    data = (
        {
            **views.job_data(job),
            "after": [{"on": one.on, "when": one.when, "met": one.met} for one in after[job.id]],
        }
        for job in jobs
    )
    return Result(data, (Table(COLUMNS, rows),), notes)


def _children(
    known: Mapping[int, Job], after: Mapping[int, Sequence[Dependency]]
) -> dict[int, list[int]]:
    """Return by job those of the known that wait for it, in order of id."""
    children: dict[int, list[int]] = {}
    for job_id in known:
        for on in dict.fromkeys(one.on for one in after[job_id]):
            if on in known:
                children.setdefault(on, []).append(job_id)
    return children


def drawn(
    children: Mapping[int, Sequence[int]], jobs: Sequence[int], lines: Lines
) -> Iterator[tuple[str, int, bool]]:
    """Yield (lines before it, job, whether it stood above already), roots in the given order."""
    below = {child for several in children.values() for child in several}
    seen: set[int] = set()
    #: what is still to be drawn: lines before a job, those before what is below it, the job
    todo = [("", "", job) for job in reversed(jobs) if job not in below]
    while todo:
        before, under, job = todo.pop()
        again = job in seen
        seen.add(job)
        yield before, job, again
        following = () if again else children.get(job, ())
        for at, child in enumerate(reversed(following)):
            own, more = (lines.branch, lines.through) if at else (lines.last, lines.nothing)
            todo.append((under + own, under + more, child))


def _cells(
    job: Job, before: str, after: Sequence[Dependency], around: reasons.Surroundings, *, again: bool
) -> tuple[str | None, ...]:
    # at the left edge there is nothing above it that it waits for
    told = len(after) > 1 or any(_SHORT[one.when] for one in after) or (job.unmet and not before)
    return (
        f"{before}{job.id}" + (" (above)" if again else ""),
        job.shown_state,
        job.queue if job.queue != "default" else None,
        job.name,
        ", ".join(f"{one.on}{_SHORT[one.when]}" for one in after) if told else None,
        views.reason(job, around, apart=views.WAITING),
        job.words,
    )


def in_utf8(environ: Mapping[str, str]) -> bool:
    """Whether what is written to the terminal is read as UTF-8."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if environ.get(name):
            return "utf8" in environ[name].lower().replace("-", "")
    return False
