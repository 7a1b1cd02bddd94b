"""`status ID`: one job whole, with its attempts and the edges of its output."""

from __future__ import annotations

from queuectl.commands import picking, reasons, views
from queuectl.commands.chains import Roots
from queuectl.commands.outputs import output_of
from queuectl.commands.result import Result, Table, Text
from queuectl.errors import Refused
from queuectl.process.output import pieces, read_tail
from queuectl.timespec import format_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Attempt, Job, Output
    from queuectl.store.base import HostInfo

#: lines of output shown from the beginning and from the end
_EDGE = 5
_WIDEST = 4096
#: other jobs that are named
_LINKS = 20


def show(ctx: Context, args: Args) -> Result:
    """Return the jobs of a selection whole; one of them, as one object in JSON."""
    chosen = picking.selection_of(ctx, args)
    jobs = list(picking.jobs_of(ctx, chosen))
    if not jobs:
        return Result([], (), (picking.where_they_are(ctx.store, chosen),))
    blocks: list[Text | Table] = []
    around = reasons.surroundings(ctx.store)
    for job in jobs:
        if blocks:
            blocks.append(Text(""))
        blocks.extend(_blocks(ctx, job, around))
    data = [_data(ctx, job) for job in jobs]
    return Result(data[0] if chosen.only_single and len(data) == 1 else data, blocks)


def _data(ctx: Context, job: Job) -> dict[str, object]:
    attempts = [views.attempt_data(attempt) for attempt in ctx.store.attempts(job.id)]
    after = [
        {"on": one.on, "when": one.when, "met": one.met} for one in ctx.store.dependencies(job.id)
    ]
    return {
        **views.job_data(job), "env": dict(job.env), "after": after,
        "dependents": ctx.store.dependents(job.id), "history": attempts,
    }  # fmt: skip


def _blocks(ctx: Context, job: Job, around: reasons.Surroundings) -> Iterator[Text | Table]:
    hosts = ctx.store.hosts()
    facts = [*_facts(ctx, job, around, hosts), *_links(ctx, job)]
    width = max(len(name) for name, _ in facts)
    head = f"job {job.id}" + (f" ({job.name})" if job.name else "") + f": {job.shown_state}"
    why = views.reason(job, around)
    lines = [head + (f" ({why})" if why else "")]
    lines.extend(f"  {name.ljust(width)}  {value}" for name, value in facts)
    yield Text("\n".join(lines))
    attempts = ctx.store.attempts(job.id)
    if not attempts:
        return
    rows = [views.attempt_cells(attempt, around.now, hosts) for attempt in attempts]
    yield Table(views.ATTEMPT_COLUMNS, rows)
    newest = attempts[-1]
    edges = _edges(ctx, newest)
    if edges:
        yield Text("\n".join((f"output of attempt {newest.run}:", *edges)))


def _edges(ctx: Context, attempt: Attempt) -> list[str]:
    try:
        output = output_of(ctx.store, attempt)
    except Refused:
        return ["  (pruned)"]
    return [] if output is None else output_edges(output)


def _facts(
    ctx: Context, job: Job, around: reasons.Surroundings, hosts: Sequence[HostInfo]
) -> Iterator[tuple[str, str]]:
    how = "by a shell" if job.shell else "no shell"
    yield "command", f"{job.words}  ({how})"
    place = [f"queue {job.queue}"]
    if job.priority:
        place.append(f"priority {job.priority}")
    yield "place", ", ".join(place)
    why = reasons.reasons_for(job, around)
    if not job.is_final and why[0].kind not in ("running", "turn"):
        yield "why", f"it {reasons.sentence(Roots(ctx.store).advised(job, why))}"
    policy = [f"max-retries {job.max_retries}", *(f"{k} {v}" for k, v in job.policy.items())]
    yield "policy", ", ".join(policy)
    yield (
        "tries",
        f"{job.attempts} of {job.max_retries + 1}"
        + (f", {job.runs} ever" if job.runs != job.attempts else ""),
    )
    yield "from", f"{job.submitter} in {job.cwd}, {format_time(job.created_at, around.now)}"
    if job.env:
        yield "env", " ".join(sorted(job.env))
    if job.host and job.state == "processing":
        yield "host", views.host_name(job.host, hosts)


def _links(ctx: Context, job: Job) -> Iterator[tuple[str, str]]:
    """Yield what ties a job to others: what it waits for, what waits for it, where it comes from."""
    store = ctx.store
    after = []
    for one in store.dependencies(job.id):
        other = store.get(one.on)
        state = "gone" if other is None else other.shown_state
        stands = "met" if one.met else state + (": never" if one.met is None else "")
        after.append(f"{one.on} to {reasons.TO[one.when]} ({stands})")
    if after:
        yield "after", ", ".join(after[:_LINKS]) + _more(after)
    before = [str(one) for one in store.dependents(job.id)]
    if before:
        yield "before", ", ".join(before[:_LINKS]) + _more(before)
    if job.array_id is not None:
        most = f", at most {job.array_limit} at once" if job.array_limit else ""
        yield "array", f"index {job.array_index} of array {job.array_id}{most}"
    if job.needs:
        from queuectl.resources import describe

        yield "needs", describe(job.needs)
    for name in ("message", "unique", "schedule"):
        value = getattr(job, name)
        if value is not None:
            yield name, value


def _more(items: list[str]) -> str:
    return f" and {len(items) - _LINKS} more" if len(items) > _LINKS else ""


def output_edges(output: Output) -> list[str]:
    """Return the first and last lines of an output, indented; few reads, however long it is."""
    try:
        head, whole = _first_lines(output)
        if whole and len(head) <= 2 * _EDGE:
            return [f"  {line}" for line in head]
        tail = b"".join(piece.data for piece in read_tail(output, _EDGE))[-_WIDEST * _EDGE :]
    except FileNotFoundError:
        # of a running attempt: it has written nothing yet
        return [] if not output.stdout_bytes + output.stderr_bytes else ["  (its file is gone)"]
    except OSError as error:
        return [f"  (its output cannot be read: {error.strerror})"]
    last = tail.decode("utf-8", "replace").splitlines()[-_EDGE:]
    return [*(f"  {line}" for line in head[:_EDGE]), "  …", *(f"  {line}" for line in last)]


def _first_lines(output: Output) -> tuple[list[str], bool]:
    """Return the first lines, and whether there are no others."""
    found = b""
    for piece in pieces(output):
        found += piece.data
        if len(found) > _WIDEST or found.count(b"\n") > 2 * _EDGE:
            text = found[:_WIDEST].decode("utf-8", "replace")
            return text.splitlines(), False
    return found.decode("utf-8", "replace").splitlines(), True
