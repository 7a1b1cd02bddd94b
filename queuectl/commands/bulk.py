"""Many jobs at once: `enqueue -` and `enqueue --from FILE`, a line each, in constant memory."""

from __future__ import annotations

import os

from queuectl.commands.drafts import Maker, directory
from queuectl.commands.jobs import no_workers
from queuectl.commands.result import Result, Text, plural
from queuectl.errors import QueuectlError, Refused, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from queuectl.commands.context import Context
    from queuectl.job import NewJob
    from queuectl.store.base import Store
    from queuectl.table import Args

#: bytes read at once; what a slow writer has written so far comes earlier
_CHUNK = 256 * 1024
_LONGEST_LINE = 1024 * 1024
_PROBLEMS_SHOWN = 20


class BadLine(UsageError):  # noqa: N818 (named like the other errors)
    """line {number}: {reason}"""  # noqa: D400, D415 (the message itself)


class _Tally:
    """What has come of the lines so far."""

    def __init__(self) -> None:
        self.jobs = 0
        #: (first, last) of consecutive ids
        self.ranges: list[tuple[int, int]] = []
        self.problems: list[str] = []
        self.bad = 0
        self.first_error = 0

    def added(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        self.jobs += len(ids)
        # a store hands out ids of one call in a row
        if self.ranges and self.ranges[-1][1] + 1 == ids[0]:
            self.ranges[-1] = (self.ranges[-1][0], ids[-1])
        else:
            self.ranges.append((ids[0], ids[-1]))

    def problem(self, number: int, error: QueuectlError) -> None:
        self.bad += 1
        self.first_error = self.first_error or error.exit_status
        if self.bad <= _PROBLEMS_SHOWN:
            self.problems.append(f"line {number}: {error}")

    def ids(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)


def enqueue_many(ctx: Context, args: Args) -> Result:
    """Enqueue every line: all of them or none, or with --keep-going all that are good."""
    path: str = getattr(args, "from") or "-"
    maker = Maker(ctx, args)
    if "name" in maker.flags:
        raise UsageError("enqueue: --name is for one job; in a file give each its own, as JSON")
    with _open(ctx, path) as source:
        tally = (
            _keep_going(ctx, maker, source) if args.keep_going else _all_or_none(ctx, maker, source)
        )
    return _answer(ctx, args, tally)


def _open(ctx: Context, path: str) -> BinaryIO:
    if path == "-":
        if ctx.stdin is None:
            raise UsageError("enqueue -: standard input is not free here; use --from FILE")
        return open(os.dup(ctx.stdin.fileno()), "rb", buffering=0)
    try:
        return open(directory(ctx, path), "rb", buffering=0)
    except OSError as error:
        raise UsageError(f"--from {path}: {error.strerror}") from None


def _all_or_none(ctx: Context, maker: Maker, source: BinaryIO) -> _Tally:
    """Add everything in one transaction.

    A pipe is read to its end first: the writer's lock must not wait for whoever fills the pipe.
    """
    with _spooled(source) as file:
        return ctx.write(lambda store: _add_all(ctx, store, maker, file))


def _add_all(ctx: Context, store: Store, maker: Maker, file: BinaryIO) -> _Tally:
    tally = _Tally()
    total = os.fstat(file.fileno()).st_size
    done = 0
    with store.transaction():
        for start, lines, size in _chunks(file):
            jobs = _jobs(maker, lines, start)
            try:
                tally.added(store.add(jobs) if jobs else ())
            except QueuectlError as error:
                raise _blamed(store, maker, lines, start, error) from None
            done += size
            if ctx.progress is not None and done:
                ctx.progress(tally.jobs, tally.jobs * total // done)
    return tally


def _jobs(maker: Maker, lines: Sequence[str], start: int) -> list[NewJob]:
    """Return the jobs of lines. Raises BadLine."""
    jobs = []
    number = start
    try:
        for line in lines:
            job = _job(maker, line)
            if job is not None:
                jobs.append(job)
            number += 1
    except QueuectlError as error:
        raise _bad_line(number, error) from None
    return jobs


def _blamed(
    store: Store, maker: Maker, lines: Sequence[str], start: int, error: QueuectlError
) -> QueuectlError:
    """Return the error with the number of the line at which the store refused."""
    names: dict[str | None, int] = {}
    for number, line in enumerate(lines, start):
        job = _job(maker, line)
        if job is None:
            continue
        if job.name is not None and job.name in names:
            reason = f"the name {job.name!r} is given in line {names[job.name]} already"
            return _bad_line(number, Refused(reason))
        names[job.name] = number
        try:
            store.add((job,))
        except QueuectlError as found:
            return _bad_line(number, found)
    return error


def _bad_line(number: int, error: QueuectlError) -> BadLine:
    bad = BadLine(number=number, reason=error)
    bad.exit_status = error.exit_status
    return bad


def _keep_going(ctx: Context, maker: Maker, source: BinaryIO) -> _Tally:
    """Add good lines as they come, each chunk in a transaction of its own; note the bad ones."""
    tally = _Tally()
    for start, lines, _ in _chunks(source):
        good: list[tuple[int, NewJob]] = []
        for number, line in enumerate(lines, start):
            try:
                job = _job(maker, line)
            except QueuectlError as error:
                tally.problem(number, error)
            else:
                if job is not None:
                    good.append((number, job))
        _add_good(ctx, good, tally)
        if ctx.progress is not None:
            ctx.progress(tally.jobs, 0)
    if ctx.progress is not None:
        ctx.progress(tally.jobs, tally.jobs)
    return tally


def _add_good(ctx: Context, good: Sequence[tuple[int, NewJob]], tally: _Tally) -> None:
    """Add jobs together; when that fails one by one, to spare all but the one at fault."""
    if not good:
        return
    try:
        ids = ctx.write(lambda store: store.add([job for _, job in good]))
    except QueuectlError as error:
        if len(good) == 1:
            tally.problem(good[0][0], error)
            return
        for one in good:
            _add_good(ctx, (one,), tally)
    else:
        tally.added(ids)


def _job(maker: Maker, line: str) -> NewJob | None:
    """Return the job of a line, None when it is empty or a comment."""
    text = line.strip()
    if not text or text[0] == "#":
        return None
    return maker.from_line(text)


def _chunks(file: BinaryIO) -> Iterator[tuple[int, list[str], int]]:
    """Yield (number of the first line, lines, bytes read) as they can be read."""
    number = 1
    rest = b""
    while data := file.read(_CHUNK):
        size = len(data)
        # a character never ends with the byte of a newline, so whole lines can be decoded at once
        whole, newline, last = data.rpartition(b"\n")
        lines = _text(rest + whole).split("\n") if newline else []
        rest = last if newline else rest + data
        if len(rest) > _LONGEST_LINE:
            reason = f"longer than {_LONGEST_LINE // 1024**2} MiB"
            raise BadLine(number=number + len(lines), reason=reason)
        yield number, lines, size
        number += len(lines)
    if rest:
        yield number, [_text(rest)], 0


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _spooled(source: BinaryIO) -> BinaryIO:
    """Return the source if it is a file, else a nameless file of all it holds, from the start."""
    import stat

    if stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        return open(os.dup(source.fileno()), "rb", buffering=0)
    import shutil
    import tempfile

    spool: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the caller closes it)
    shutil.copyfileobj(source, spool, _CHUNK)
    spool.seek(0)
    return spool


def _answer(ctx: Context, args: Args, tally: _Tally) -> Result:
    if tally.ranges:
        ctx.last_id = tally.ranges[-1][1]
    spans = [f"{first}-{last}" if last > first else str(first) for first, last in tally.ranges]
    data = {
        "enqueued": tally.jobs,
        "ids": spans,
        "problems": tally.problems,
        "bad_lines": tally.bad,
    }
    notes = list(tally.problems)
    if tally.bad > len(notes):
        notes.append(f"{tally.bad - len(notes)} more lines are bad")
    exit_code = tally.first_error or 0
    if args.quiet:
        lines = "\n".join(map(str, tally.ids())) if tally.jobs else ""
        return Result(data, (Text(lines),) if lines else (), notes, exit_code)
    where = f": {', '.join(spans[:10])}" if spans else ""
    text = f"{plural(tally.jobs, 'job')} enqueued{where}"
    if tally.jobs:
        notes.extend(no_workers(ctx, maker_queue(args)))
    return Result(data, (Text(text),), notes, exit_code)


def maker_queue(args: Args) -> str:
    """Return the queue most of the lines went to."""
    return args.queue or "default"
