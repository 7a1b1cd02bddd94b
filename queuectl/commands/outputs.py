"""`output`: what a job wrote, byte for byte, also while it is still writing."""

from __future__ import annotations

import os

from queuectl.commands import picking, views
from queuectl.commands.lines import stamped
from queuectl.commands.reasons import surroundings
from queuectl.commands.result import Result, Stream
from queuectl.commands.views import size
from queuectl.errors import NotFound, Refused, UsageError
from queuectl.job import Output
from queuectl.output import STDERR, STDOUT, pieces, read_tail
from queuectl.paths import output_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from queuectl.commands.context import Context
    from queuectl.job import Attempt, Job
    from queuectl.output import Piece
    from queuectl.store.base import Store
    from queuectl.table import Args

    Pieces = Iterator[tuple[int, bytes]]


def output(ctx: Context, args: Args) -> Result:
    """Run the command."""
    if args.stdout + args.stderr + args.merged > 1:
        raise UsageError("output: --stdout, --stderr and --merged exclude each other")
    if args.json and (args.follow or args.timestamps):
        raise UsageError("output: --json goes with neither --follow nor --timestamps")
    job = picking.one_job(ctx, args.which)
    stream = STDOUT if args.stdout else STDERR if args.stderr else None
    if args.follow:
        from queuectl.commands.following import follow_output

        if args.attempt is not None:
            _attempt(ctx, job, args.attempt)
        shown, follower = follow_output(
            ctx,
            job,
            attempt=args.attempt,
            stream=stream,
            tail=args.tail,
            timestamps=args.timestamps,
        )
        live = Stream(_to_stdout(shown) if args.merged else shown, live=True)
        return Result(None, (live,), then=follower.finish)
    attempt = _attempt(ctx, job, args.attempt)
    found = output_of(ctx.store, attempt)
    notes = incomplete(found)
    replayed = iter(()) if found is None else _read(found, args.tail, stream, job.id)
    if args.json:
        return Result(_data(job, attempt, replayed, complete=not notes), notes=notes)
    shown = stamped(replayed) if args.timestamps else ((one.stream, one.data) for one in replayed)
    return Result(None, (Stream(_to_stdout(shown) if args.merged else shown),), notes)


def output_of(store: Store, attempt: Attempt) -> Output | None:
    """Return what an attempt wrote, or has written so far; None for nothing.

    Raises Refused when it has been pruned.
    """
    if attempt.finished_at is None:
        # until it is settled its file alone knows; what is not in the file yet comes soon
        return Output(path=output_path(store.local_directory, attempt.job_id, attempt.run))
    found = store.output(attempt.job_id, attempt.run)
    if found is None and attempt.stdout_bytes + attempt.stderr_bytes:
        raise Refused(f"the output of job {attempt.job_id}, attempt {attempt.run}, has been pruned")
    return found


def incomplete(found: Output | None) -> tuple[str, ...]:
    """Return a remark about what is missing of an output, if anything is."""
    if found is None or found.complete:
        return ()
    written = found.stdout_bytes + found.stderr_bytes
    try:
        kept = len(found.data) if found.path is None else os.path.getsize(found.path)
    except OSError:
        kept = written
    if kept < written:
        cut = f"[cut here: {size(kept)} kept, {size(written - kept)} more were not]"
        return (cut,)
    return ("[the output is not complete: its host was lost, or its disk was full]",)


def _attempt(ctx: Context, job: Job, number: int | None) -> Attempt:
    attempts = ctx.store.attempts(job.id)
    if number is not None:
        for attempt in attempts:
            if attempt.run == number:
                return attempt
        runs = ", ".join(str(attempt.run) for attempt in attempts) or "none"
        raise NotFound(f"job {job.id} has no attempt {number}; there are: {runs}")
    if not attempts:
        why = views.why_not(job, surroundings(ctx.store))
        raise Refused(f"job {job.id} has not started: {why}")
    return attempts[-1]


def _read(found: Output, lines: int | None, stream: int | None, job_id: int) -> Iterator[Piece]:
    try:
        if lines is None:
            yield from pieces(found, stream=stream)
        else:
            yield from read_tail(found, lines, stream=stream)
    except FileNotFoundError:
        if found.complete and not found.stdout_bytes + found.stderr_bytes:
            # a running attempt that has written nothing yet
            return
        raise Refused(f"the output of job {job_id} is gone: {found.path}") from None


def _to_stdout(shown: Iterable[tuple[int, bytes]]) -> Pieces:
    return ((STDOUT, data) for _, data in shown)


def _data(
    job: Job, attempt: Attempt, shown: Iterable[Piece], *, complete: bool
) -> dict[str, object]:
    parts: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
    for piece in shown:
        parts[piece.stream].append(piece.data)
    return {
        "id": job.id,
        "attempt": attempt.run,
        "stdout": b"".join(parts[STDOUT]).decode("utf-8", "replace"),
        "stderr": b"".join(parts[STDERR]).decode("utf-8", "replace"),
        "complete": complete,
    }
