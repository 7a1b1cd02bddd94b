"""`output`: what a job wrote, byte for byte."""

from __future__ import annotations

from queuectl.commands import picking, views
from queuectl.commands.result import Result, Stream
from queuectl.errors import NotFound, Refused, UsageError
from queuectl.output import STDERR, STDOUT, pieces, read_tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.job import Attempt, Job, Output
    from queuectl.table import Args


def output(ctx: Context, args: Args) -> Result:
    """Run the command."""
    if args.stdout + args.stderr + args.merged > 1:
        raise UsageError("output: --stdout, --stderr and --merged exclude each other")
    job = picking.one_job(ctx, args.which)
    attempt = _attempt(ctx, job, args.attempt)
    found = ctx.store.output(job.id, attempt.run)
    if found is None and attempt.stdout_bytes + attempt.stderr_bytes:
        raise Refused(f"the output of job {job.id}, attempt {attempt.run}, has been pruned")
    stream = STDOUT if args.stdout else STDERR if args.stderr else None
    notes = () if found is None or found.complete else ("the output is not complete: it was cut",)
    shown = () if found is None else _read(found, args.tail, stream, job.id)
    if args.json:
        return Result(_data(job, attempt, shown, complete=not notes), notes=notes)
    merged = ((1 if args.merged else fd, data) for fd, data in shown)
    return Result(None, (Stream(merged),), notes)


def _attempt(ctx: Context, job: Job, number: int | None) -> Attempt:
    attempts = ctx.store.attempts(job.id)
    if number is not None:
        for attempt in attempts:
            if attempt.run == number:
                return attempt
        runs = ", ".join(str(attempt.run) for attempt in attempts) or "none"
        raise NotFound(f"job {job.id} has no attempt {number}; there are: {runs}")
    if not attempts:
        around = views.surroundings(ctx.store)
        why = views.reason(job, around) or ("its turn has not come" if not job.is_final else job.state)
        raise Refused(f"job {job.id} has not started: {why}")
    return attempts[-1]


def _read(
    found: Output, lines: int | None, stream: int | None, job_id: int
) -> Iterator[tuple[int, bytes]]:
    try:
        source = (
            pieces(found, stream=stream) if lines is None else read_tail(found, lines, stream=stream)
        )
        for piece in source:
            yield piece.stream, piece.data
    except FileNotFoundError:
        raise Refused(f"the output of job {job_id} is gone: {found.path}") from None


def _data(
    job: Job, attempt: Attempt, shown: Iterator[tuple[int, bytes]] | tuple[()], *, complete: bool
) -> dict[str, object]:
    parts: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
    for fd, data in shown:
        parts[fd].append(data)
    return {
        "id": job.id,
        "attempt": attempt.run,
        "stdout": b"".join(parts[STDOUT]).decode("utf-8", "replace"),
        "stderr": b"".join(parts[STDERR]).decode("utf-8", "replace"),
        "complete": complete,
    }
