"""`output`: what a job wrote, byte for byte, also while it is still writing."""

from __future__ import annotations

import time

from queuectl.commands import picking, views
from queuectl.commands.reasons import surroundings
from queuectl.commands.result import Result, Stream
from queuectl.errors import EXIT_FAILED, NotFound, Refused, UsageError
from queuectl.job import COMPLETED, Output
from queuectl.output import STDERR, STDOUT, Reader, pieces, read_tail, tail_offset
from queuectl.paths import output_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from queuectl.commands.context import Context
    from queuectl.job import Attempt, Job
    from queuectl.store.base import Store
    from queuectl.table import Args

    Pieces = Iterator[tuple[int, bytes]]

#: seconds between looks at a growing output: short while it grows, longer while it rests
_QUICK, _SLOW = 0.02, 0.25


def output(ctx: Context, args: Args) -> Result:
    """Run the command."""
    if args.stdout + args.stderr + args.merged > 1:
        raise UsageError("output: --stdout, --stderr and --merged exclude each other")
    if args.follow and args.json:
        raise UsageError("output: --follow and --json exclude each other")
    job = picking.one_job(ctx, args.which)
    stream = STDOUT if args.stdout else STDERR if args.stderr else None
    if args.follow:
        followed = _Followed(ctx.store, job.id, args.attempt, stream, args.tail)
        shown = _to_stdout(followed.pieces()) if args.merged else followed.pieces()
        return Result(None, (Stream(shown, live=True),), then=followed.finish)
    attempt = _attempt(ctx, job, args.attempt)
    found = output_of(ctx.store, attempt)
    notes = _incomplete(found)
    replayed = () if found is None else _read(found, args.tail, stream, job.id)
    if args.json:
        return Result(_data(job, attempt, replayed, complete=not notes), notes=notes)
    return Result(None, (Stream(_to_stdout(replayed) if args.merged else replayed),), notes)


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


def _incomplete(found: Output | None) -> tuple[str, ...]:
    return () if found is None or found.complete else ("the output is not complete: it was cut",)


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


def _read(found: Output, lines: int | None, stream: int | None, job_id: int) -> Pieces:
    try:
        source = (
            pieces(found, stream=stream)
            if lines is None
            else read_tail(found, lines, stream=stream)
        )
        for piece in source:
            yield piece.stream, piece.data
    except FileNotFoundError:
        if found.complete and not found.stdout_bytes + found.stderr_bytes:
            # a running attempt that has written nothing yet
            return
        raise Refused(f"the output of job {job_id} is gone: {found.path}") from None


def _to_stdout(shown: Iterable[tuple[int, bytes]]) -> Pieces:
    return ((STDOUT, data) for _, data in shown)


def _data(
    job: Job, attempt: Attempt, shown: Iterable[tuple[int, bytes]], *, complete: bool
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


class _Followed:
    """A job's output from its newest attempt on, until the job has ended; or one attempt's."""

    def __init__(
        self, store: Store, job_id: int, run: int | None, stream: int | None, lines: int | None
    ) -> None:
        self._store = store
        self._job_id = job_id
        self._only = run
        self._stream = stream
        self._lines = lines

    def pieces(self) -> Pieces:
        """Yield what is written as it comes."""
        run = self._only or 0
        while True:
            attempt = self._next_attempt(run)
            if attempt is None:
                return
            yield from self._attempt(attempt)
            if self._only:
                return
            run = attempt.run + 1

    def finish(self) -> Result:
        """Return the answer of the end: success is the job's."""
        job = self._store.get(self._job_id)
        if job is not None and job.state == COMPLETED:
            return Result()
        how = "was removed" if job is None else f"is {job.state}"
        why = f" ({job.reason})" if job is not None and job.reason else ""
        note = f"job {self._job_id} {how}{why}"
        return Result(notes=(note,), exit_code=EXIT_FAILED)

    def _next_attempt(self, run: int) -> Attempt | None:
        """Return the attempt of that number or the newest after it, waiting for it to start.

        None: there will be none.
        """
        while True:
            # the job first: an attempt that began before it ended is then seen
            job = self._store.get(self._job_id)
            found = [one for one in self._store.attempts(self._job_id) if one.run >= run]
            if found:
                return found[0] if run else found[-1]
            if job is None or job.is_final:
                return None
            time.sleep(_SLOW)

    def _attempt(self, attempt: Attempt) -> Pieces:
        growing = Output(path=output_path(self._store.local_directory, attempt.job_id, attempt.run))
        lines, self._lines = self._lines, None
        pause = _QUICK
        offset = 0
        while attempt.finished_at is None:
            if lines is not None:
                offset, lines = _tail_of(growing, lines, self._stream), None
            with Reader(growing, start=offset, stream=self._stream) as reader:
                while self._is_running(attempt):
                    found = reader.read_new()
                    for piece in found:
                        yield piece.stream, piece.data
                    pause = _QUICK if found else min(_SLOW, pause * 1.5)
                    if not found:
                        time.sleep(pause)
                offset = reader.offset
            attempt = self._again(attempt)
        ended = output_of(self._store, attempt)
        if ended is None:
            return
        if lines is not None:
            offset = tail_offset(ended, lines, stream=self._stream)
        for piece in pieces(ended, start=offset, stream=self._stream):
            yield piece.stream, piece.data

    def _again(self, attempt: Attempt) -> Attempt:
        for one in self._store.attempts(attempt.job_id):
            if one.run == attempt.run:
                return one
        # removed meanwhile
        return attempt._replace(finished_at=0, stdout_bytes=0, stderr_bytes=0)

    def _is_running(self, attempt: Attempt) -> bool:
        return self._again(attempt).finished_at is None


def _tail_of(growing: Output, lines: int, stream: int | None) -> int:
    try:
        return tail_offset(growing, lines, stream=stream)
    except FileNotFoundError:
        return 0
