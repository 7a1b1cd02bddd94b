"""Many jobs at once: `enqueue -` and `enqueue --from FILE`, a line each, in constant memory."""

from __future__ import annotations

import os

from queuectl.commands.drafts import Maker, directory
from queuectl.commands.jobs import no_workers
from queuectl.commands.result import Result, Text, plural
from queuectl.commands.tally import Tally, dry_run
from queuectl.errors import QueuectlError, Refused, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import NewJob
    from queuectl.store.base import Store

    #: makes the job of a line, None for a line that is none
    Make = Callable[[str], NewJob | None]

#: bytes read at once; what a slow writer has written so far comes earlier
_CHUNK = 256 * 1024
_LONGEST_LINE = 1024 * 1024


class BadLine(UsageError):  # noqa: N818 (named like the other errors)
    """line {number}: {reason}"""  # noqa: D400, D415 (the message itself)


def enqueue_many(ctx: Context, args: Args) -> Result:
    """Enqueue every line: all of them or none, or with --keep-going all that are good."""
    path: str = getattr(args, "from") or "-"
    if args.job and args.job.text != "-":
        raise UsageError("enqueue: give a command or --from FILE, not both")
    maker = Maker(ctx, args)
    if "name" in maker.flags:
        raise UsageError("enqueue: --name is for one job; in a file give each its own, as JSON")
    if args.array is not None:
        raise UsageError("enqueue: --array is for one command, not for many lines")
    with open_source(ctx, path) as source:
        if args.dry_run:
            return dry_run(ctx, _jobs_of_all(maker, source))
        tally = (
            _keep_going(ctx, maker, source) if args.keep_going else _all_or_none(ctx, maker, source)
        )
    return _answer(ctx, args, tally)


def open_source(ctx: Context, path: str, command: str = "enqueue") -> BinaryIO:
    """Open the file that lines come from, `-` being standard input. Raises UsageError."""
    if path == "-":
        if ctx.stdin is None:
            raise UsageError(f"{command} -: standard input is not free here; use --from FILE")
        return open(os.dup(ctx.stdin.fileno()), "rb", buffering=0)
    try:
        return open(directory(ctx, path), "rb", buffering=0)
    except OSError as error:
        raise UsageError(f"--from {path}: {error.strerror}") from None


def read_lines(ctx: Context, make: Make, path: str, command: str) -> list[NewJob]:
    """Return the jobs of all lines of a file, and add none. Raises BadLine, UsageError."""
    with open_source(ctx, path, command) as source, spooled(source) as file:
        return [job for start, lines, _ in chunks(file) for job in _jobs(make, lines, start)]


def _jobs_of_all(maker: Maker, source: BinaryIO) -> Sequence[NewJob]:
    """Return the jobs of all lines. Raises BadLine."""
    with spooled(source) as file:
        text = _graph(file)
        if text is not None:
            from queuectl.commands.graph import read

            return read(maker, text)
        make = _line_maker(maker)
        return [job for start, lines, _ in chunks(file) for job in _jobs(make, lines, start)]


def _all_or_none(ctx: Context, maker: Maker, source: BinaryIO) -> Tally:
    """Add everything in one transaction.

    A pipe is read to its end first: the writer's lock must not wait for whoever fills the pipe.
    """
    with spooled(source) as file:
        text = _graph(file)
        if text is not None:
            return _add_graph(ctx, maker, text)
        return add_lines(ctx, _line_maker(maker), file)


def _graph(file: BinaryIO) -> str | None:
    """Return all of a file that is one JSON document of jobs, None for any other."""
    from queuectl.commands.graph import LARGEST, is_graph

    start = file.tell()
    head = file.read(4096)
    file.seek(start)
    if not is_graph(_text(head)):
        return None
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UsageError(
            f"a document of jobs has at most {LARGEST // 1024**2} MiB: give them a line each"
        )
    return _text(data)


def _add_graph(ctx: Context, maker: Maker, text: str) -> Tally:
    from queuectl.commands.graph import read

    jobs = read(maker, text)
    tally = Tally()
    tally.added(ctx.write(lambda store: store.add(jobs)))
    return tally


def add_lines(ctx: Context, make: Make, file: BinaryIO) -> Tally:
    """Add the job that each line of a file makes, all of them or none. Raises BadLine."""
    return ctx.write(lambda store: _add_all(ctx, store, make, file))


def _add_all(ctx: Context, store: Store, make: Make, file: BinaryIO) -> Tally:
    tally = Tally()
    total = os.fstat(file.fileno()).st_size
    done = 0
    with store.transaction():
        for start, lines, size in chunks(file) if store.groups else _all_at_once(file):
            jobs = _jobs(make, lines, start)
            try:
                tally.added(store.add(jobs) if jobs else ())
            except QueuectlError as error:
                raise _blamed(store, make, lines, start, error) from None
            done += size
            if ctx.progress is not None and done:
                so_far = tally.jobs + tally.existing
                ctx.progress(so_far, so_far * total // done)
    return tally


def _jobs(make: Make, lines: Sequence[str], start: int) -> list[NewJob]:
    """Return the jobs of lines. Raises BadLine."""
    jobs = []
    number = start
    try:
        for line in lines:
            job = make(line)
            if job is not None:
                jobs.append(job)
            number += 1
    except QueuectlError as error:
        raise _bad_line(number, error) from None
    return jobs


def _blamed(
    store: Store, make: Make, lines: Sequence[str], start: int, error: QueuectlError
) -> QueuectlError:
    """Return the error with the number of the line at which the store refused."""
    if not store.groups:
        # to try them one by one would enqueue them
        return _blamed_by_what_it_says(make, lines, start, error)
    names: dict[str | None, int] = {}
    for number, line in enumerate(lines, start):
        job = make(line)
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


def _blamed_by_what_it_says(
    make: Make, lines: Sequence[str], start: int, error: QueuectlError
) -> QueuectlError:
    """Return the error with the number of the first line that has the name or queue it tells of."""
    facts = {key: error.facts[key] for key in ("name", "queue") if key in error.facts}
    found: list[int] = []
    for number, line in enumerate(lines, start):
        job = make(line)
        if job is not None and facts and all(getattr(job, key) == facts[key] for key in facts):
            found.append(number)
            if "name" in facts and len(found) == 2:
                reason = f"the name {job.name!r} is given in line {found[0]} already"
                return _bad_line(number, Refused(reason))
    return _bad_line(found[0], error) if found else error


def _bad_line(number: int, error: QueuectlError) -> BadLine:
    bad = BadLine(number=number, reason=error)
    bad.exit_status = error.exit_status
    return bad


def _keep_going(ctx: Context, maker: Maker, source: BinaryIO) -> Tally:
    """Add good lines as they come, each chunk in a transaction of its own; note the bad ones."""
    tally = Tally()
    make = _line_maker(maker)
    for start, lines, _ in chunks(source):
        good: list[tuple[int, NewJob]] = []
        for number, line in enumerate(lines, start):
            try:
                job = make(line)
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


def _add_good(ctx: Context, good: Sequence[tuple[int, NewJob]], tally: Tally) -> None:
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


def _line_maker(maker: Maker) -> Make:
    """Return what makes the job of a line, None when it is empty or a comment."""
    from_line = maker.from_line

    def make(line: str) -> NewJob | None:
        text = line.strip()
        if not text or text[0] == "#":
            return None
        return from_line(text)

    return make


def chunks(file: BinaryIO) -> Iterator[tuple[int, list[str], int]]:
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


def _all_at_once(file: BinaryIO) -> Iterator[tuple[int, list[str], int]]:
    """Yield what `chunks` yields as one."""
    every, size = [], 0
    for _, lines, read in chunks(file):
        every += lines
        size += read
    yield 1, every, size


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def spooled(source: BinaryIO) -> BinaryIO:
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


def _answer(ctx: Context, args: Args, tally: Tally) -> Result:
    if tally.ranges:
        ctx.last_id = tally.ranges[-1][1]
    data = {**tally.data, "problems": tally.problems, "bad_lines": tally.bad}
    notes = [*tally.problems, *tally.remarks]
    more = tally.bad - len(tally.problems)
    if more:
        notes.append(f"{plural(more, 'more line')} {'is' if more == 1 else 'are'} bad")
    exit_code = tally.first_error or 0
    if args.quiet:
        return tally.quiet()._replace(data=data, notes=notes, exit_code=exit_code)
    where = f": {', '.join(tally.spans[:10])}" if tally.ranges else ""
    text = f"{plural(tally.jobs, 'job')} enqueued{where}"
    if tally.jobs:
        first = ctx.store.get(tally.ranges[0][0])
        needs = first.needs if first is not None else {}
        notes.extend(no_workers(ctx, args.queue or "default", needs))
    return Result(data, (Text(text),), notes, exit_code)
