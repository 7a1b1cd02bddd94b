"""`output`: what a job wrote, byte for byte, also while it is still writing."""

from __future__ import annotations

import os
import time

from queuectl.commands import picking, views
from queuectl.commands.lines import stamped
from queuectl.commands.reasons import surroundings
from queuectl.commands.result import Result, Stream
from queuectl.commands.views import size
from queuectl.errors import NotFound, Refused, UsageError
from queuectl.job import Output
from queuectl.paths import host_path, hosts_directory, output_path
from queuectl.process.output import STDERR, STDOUT, pieces, read_tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Attempt, Job
    from queuectl.process.output import Piece
    from queuectl.store.base import Store

    Pieces = Iterator[tuple[int, bytes]]

#: seconds to wait for what another machine has of a running job's output
_SHIPPING = 1.5


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
    if attempt.finished_at is None and not is_here(ctx.store, attempt):
        _await_elsewhere(ctx, attempt)
    found = output_of(ctx.store, attempt)
    notes = incomplete(
        found, shipped=bool(found and not found.complete and is_elsewhere(ctx.store, attempt))
    )
    replayed = iter(()) if found is None else _read(found, args.tail, stream, job.id)
    if args.json:
        return Result(_data(job, attempt, replayed, complete=not notes), notes=notes)
    shown = stamped(replayed) if args.timestamps else ((one.stream, one.data) for one in replayed)
    return Result(None, (Stream(_to_stdout(shown) if args.merged else shown),), notes)


def is_here(store: Store, attempt: Attempt) -> bool:
    """Whether an attempt's files are on this machine, if there are any."""
    from queuectl.host.shipping import ships

    if not ships(store) or attempt.host is None:
        return True
    hosts = hosts_directory(store.local_directory)
    path = output_path(store.local_directory, attempt.job_id, attempt.run)
    return os.path.exists(host_path(hosts, attempt.host)) or os.path.exists(path)


def is_elsewhere(store: Store, attempt: Attempt) -> bool:
    """Whether there may be more of an attempt's output on another machine than in the store."""
    return not is_here(store, attempt) and not _is_whole(store.output(attempt.job_id, attempt.run))


def _is_whole(found: Output | None) -> bool:
    """Whether all that was kept of an output is in the store."""
    return found is not None and found.path is None and bool(found.complete or found.data)


def output_of(store: Store, attempt: Attempt) -> Output | None:
    """Return what an attempt wrote, or has written so far; None for nothing.

    Of one on another machine it is what has been shipped. Raises Refused when it has been pruned.
    """
    if attempt.finished_at is None:
        if not is_here(store, attempt):
            return _shipped(store, attempt, Output())
        # until it is settled its file alone knows; what is not in the file yet comes soon
        return Output(path=output_path(store.local_directory, attempt.job_id, attempt.run))
    found = store.output(attempt.job_id, attempt.run)
    if found is None and attempt.stdout_bytes + attempt.stderr_bytes:
        raise Refused(f"the output of job {attempt.job_id}, attempt {attempt.run}, has been pruned")
    if _is_whole(found) or is_here(store, attempt):
        return found
    # of a host that was lost there may be something too
    elsewhere = _shipped(store, attempt, found or Output(complete=False))
    return elsewhere if found is not None or elsewhere.data else None


def _shipped(store: Store, attempt: Attempt, like: Output) -> Output:
    """Return an output as far as it has been shipped from its machine."""
    from queuectl.host.shipping import shipped

    parts = list(shipped(store, attempt.job_id, attempt.run))
    data = b"".join(data for data, _ in parts)
    written = max(like.stdout_bytes + like.stderr_bytes, len(data))
    return like._replace(
        data=data,
        marks=b"".join(marks for _, marks in parts),
        path=None,
        stdout_bytes=like.stdout_bytes or len(data),
        complete=like.complete and len(data) == written,
    )


def _await_elsewhere(ctx: Context, attempt: Attempt) -> None:
    """Have what a running attempt on another machine has written by now shipped."""
    from queuectl.host.shipping import Mirror

    mirror = Mirror(ctx.store, attempt.job_id, attempt.run, asking(ctx, attempt.job_id))
    try:
        deadline = time.monotonic() + _SHIPPING
        had = False
        while time.monotonic() < deadline:
            more = mirror.fetch()
            if had and not more:
                return
            had = had or more
            time.sleep(_SHIPPING / 6)
    finally:
        mirror.close()


def asking(ctx: Context, job_id: int) -> Callable[[], object]:
    """Return what asks the host of a running job to ship what it writes."""
    return lambda: ctx.write(lambda store: store.wish([job_id], "ship"))


def incomplete(found: Output | None, *, shipped: bool = False) -> tuple[str, ...]:
    """Return a remark about what is missing of an output, if anything is; it may be elsewhere."""
    if found is None or found.complete:
        return ()
    written = found.stdout_bytes + found.stderr_bytes
    try:
        kept = len(found.data) if found.path is None else os.path.getsize(found.path)
    except OSError:
        kept = written
    if kept < written and shipped:
        rest = f"[cut here: {size(written - kept)} more are on the machine it ran on, if anywhere]"
        return (rest,)
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
