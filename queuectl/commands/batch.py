"""`batch COMMAND ::: FILES`: each file is a job's standard input, its output becomes a file beside it.

`{}` in COMMAND is the file's path. The jobs are in the pull queue `batch`, from which only a `batch`
takes, and programs that claim from it (queuectl.client): without a COMMAND they do all of the work.
What a batch leaves behind that is killed, the next one finishes, results included.
"""

from __future__ import annotations

import os
import queue
import signal
import time

from queuectl.commands.batchfiles import BatchFile, BatchTally
from queuectl.commands.context import ONE_SHOT, is_dumb
from queuectl.commands.drafts import Maker
from queuectl.commands.progress import meter
from queuectl.commands.result import Result, Stream, Text, plural
from queuectl.commands.resultfiles import (
    key_of,
    path_of,
    remove_drafts,
    write_result,
)
from queuectl.demands import PULLED
from queuectl.errors import EXIT_INTERRUPTED, EXIT_WAIT_FAILED, QueuectlError, Refused, UsageError
from queuectl.host.life import living
from queuectl.job import CANCELLED, COMPLETED, FAILED, FINAL, PENDING, PROCESSING, STATES
from queuectl.paths import sync_directory
from queuectl.store.base import Existing, Filter
from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail
    from queuectl.host.worker import WorkerHost
    from queuectl.job import Job, NewJob
    from queuectl.store.base import Settled, Settlement, Store

    #: makes the job of a file, by its number from 1 and its path
    Make = Callable[[int, str], NewJob]

QUEUE = "batch"
SUFFIX = ".result"
#: seconds between looks at jobs that others may have run or removed
_LOOK = 1.0
_GROUP = 1000
_SHOWN = 20


def batch(ctx: Context, args: Args) -> Result:
    """Run `batch`: exit status 0 when every file has its result, 4 when one has not."""
    if ctx.mode != ONE_SHOT:
        raise UsageError("batch is for the command line: queuectl batch COMMAND ::: FILES")
    suffix: str = SUFFIX if args.suffix is None else args.suffix
    if not suffix or "/" in suffix or "\0" in suffix:
        raise UsageError(f"batch: --suffix {suffix!r}: results would not stand beside their files")
    make, names = _asked(ctx, args)
    tally = BatchTally(args.force)
    files = list(tally.chosen(ctx, names, suffix))
    by_programs = make(1, "").command == PULLED
    workers = 0 if by_programs else args.jobs or os.cpu_count() or 1
    _refuse_a_mixture(ctx, by_programs=by_programs)
    run = _Run(ctx, tally, make, files, workers)
    with_bar = ctx.screen.terminal and not args.json and not is_dumb(ctx.environ)
    return Result(blocks=(Stream(run.shown(with_bar=with_bar), live=True),), then=run.finish)


def _asked(ctx: Context, args: Args) -> tuple[Make, Sequence[str]]:
    """Return what makes the job of a file, and the files. Raises UsageError."""
    from queuectl.commands import GRAMMAR
    from queuectl.commands.parallel import pattern_of, values_of

    tail: Tail = args.command_line
    pattern = pattern_of(tail) if tail else None
    if pattern is None:
        raise UsageError("batch: which files? for example: batch 'wc -l' ::: *.txt")
    if len(pattern.sources) > 1:
        raise UsageError("batch: one ::: is enough: each file is a job")
    invocation = GRAMMAR.parse_line("enqueue -- true")
    assert invocation is not None  # noqa: S101 (it is a command)
    flags = invocation.args
    flags.max_retries, flags.timeout = args.max_retries, args.timeout
    flags.output_limit, flags.output_full = args.output_limit, "fail"
    maker = Maker(ctx, flags)
    command = pattern.command
    words = (command.strip(),) if isinstance(command, str) else command
    if words and words[0]:
        make = _maker(maker, words)
    elif args.jobs is None:
        make = _for_programs(maker)
    else:
        raise UsageError("batch: -j what? for example: batch -j 4 'wc -l' ::: *.txt")
    names = [name for values, _ in values_of(ctx, pattern.sources[0]) for name in values]
    return make, names


def _refuse_a_mixture(ctx: Context, *, by_programs: bool) -> None:
    """Raise Refused where workers of one batch would take what is for programs: they share a queue."""
    if by_programs:
        hosts = living(ctx.store)
        if any(host.workers and QUEUE in host.queues for host in hosts):
            raise Refused(
                "a batch with a command is at work: its workers would take these files, too; wait for it"
            )
        return
    # more than a thousand are of one batch, so some of these tell of all
    waiting = Filter(states=(PENDING, FAILED, PROCESSING), queues=(QUEUE,))
    if any(job.command == PULLED for job in ctx.store.jobs(waiting, limit=_GROUP, newest=True)):
        raise Refused(
            f"files in the queue {QUEUE} wait for programs, and this batch's workers would take them:"
            f" let those finish, or `queuectl cancel all --queue {QUEUE}`"
        )


def _for_programs(maker: Maker) -> Make:
    """Return what makes the job of a file that no worker runs: a program claims it."""
    like = maker.from_line(PULLED, verbatim=True)._replace(queue=QUEUE)
    return lambda number, path: like  # noqa: ARG005


def _maker(maker: Maker, words: Sequence[str]) -> Make:
    """Return what makes the job of a file: it stands for `{}`, as with `enqueue`. Raises UsageError."""
    from queuectl.patterns import Line, Words

    if len(words) == 1:
        text, line = words[0], Line(words[0], 1)
        like = maker.from_line(text, verbatim=True)._replace(queue=QUEUE)
        if line.fill(1, ("x",)) != f"{text} x":
            return lambda number, path: like._replace(command=line.fill(number, (path,)))
    else:
        several = Words(words, 1)
        like = maker.from_words(words)._replace(queue=QUEUE)
        if several.fill(1, ("x",)) != (*words, "x"):

            def make(number: int, path: str) -> NewJob:
                command, *args = several.fill(number, (path,))
                return like._replace(command=command, args=tuple(args) or None)

            return make
    # it is not named: only its standard input
    return lambda number, path: like  # noqa: ARG005


class _Run:
    """The jobs of one batch, from their beginning to their end. The main thread's."""

    def __init__(
        self, ctx: Context, tally: BatchTally, make: Make, files: Sequence[BatchFile], workers: int
    ) -> None:
        self._ctx = ctx
        self._tally = tally
        self._make = make
        self._files = files
        #: of these, how many have come to no end
        self._left = len(files)
        self._workers = workers
        #: jobs that are to come to an end, with what they are for
        self._open: dict[int, BatchFile] = {}
        #: of these, those that another batch has enqueued
        self._others: set[int] = set()
        #: ids of jobs that this process's workers have settled
        self._settled: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._directories: set[str] = set()
        self._signals = 0
        self._looked = 0.0
        self._lines = self._work()

    # ---- what is shown ------------------------------------------------------------------------

    def shown(self, *, with_bar: bool) -> Iterator[tuple[int, bytes]]:
        """Yield a line for each file that could not be done, and below them how far it has come."""
        began, before = time.monotonic(), ""
        for line in self._lines:
            if line:
                # names of files may hold anything: no escape sequences to a terminal
                text = "".join(char if char.isprintable() else "?" for char in line)
                yield 2, (b"\r\x1b[K" if before else b"") + f"{text}\n".encode()
                before = ""
            if with_bar:
                bar = self._bar(time.monotonic() - began)
                if bar != before:
                    before = bar
                    yield 2, f"\r\x1b[K{bar}".encode()
        if with_bar:
            yield 2, b"\r\x1b[K"

    def _bar(self, seconds: float) -> str:
        """Return `[######----] 12 of 20, about 1m left`; only files with a result are done."""
        done, total = self._tally.done, len(self._files)
        text = f"{meter(done, total)} {done} of {total}"
        if not done or not self._left or seconds <= 1 or self._signals:
            return text
        left = round(1000 * seconds * self._left / (total - self._left))
        return f"{text}, about {describe_duration(left)} left"

    def finish(self) -> Result:
        """Return how it ended, going to its end first if nobody read the lines."""
        for _ in self._lines:
            pass
        tally = self._tally
        left = len(self._open)
        parts = [f"{tally.done + tally.before} of {plural(tally.total, 'file')} done"]
        if tally.before:
            parts.append(f"{tally.before} of them before")
        if tally.failed:
            parts.append(f"{len(tally.failed)} failed")
        if tally.cancelled:
            again = ": run it again to go on" if self._signals else ""
            parts.append(f"{len(tally.cancelled)} cancelled{again}")
        if left:
            parts.append(f"{left} not begun: run it again to go on")
        data = {
            "files": tally.total, "done": tally.done, "done_before": tally.before, "left": left,
            "failed": [{"file": name, "reason": why} for name, why in tally.failed],
            "cancelled": tally.cancelled,
        }  # fmt: skip
        amiss = tally.failed or tally.cancelled
        code = EXIT_INTERRUPTED if self._signals else EXIT_WAIT_FAILED if amiss else 0
        return Result(data, (Text("; ".join(parts)),), exit_code=code)

    # ---- the work -----------------------------------------------------------------------------

    def _work(self) -> Iterator[str]:
        """Do all of it; yield a line when there is something to say, an empty one now and then."""
        for name, why in self._tally.failed:
            yield f"{name}: {why}"
        if not self._files:
            return
        host = self._begin()
        try:
            for _ in self._enqueue():
                yield from self._collect(0)
            if not self._workers:
                waiting = plural(len(self._files), "file")
                yield f"{waiting} in the queue {QUEUE}, for programs that claim them"
            while self._open and not self._signals:
                yield from self._collect(_LOOK)
            if self._signals:
                yield from self._interrupted(host)
            host.stop()
            while not host.join(0.2) and self._signals < 2:
                yield from self._collect(0)
            yield from self._collect(0)
            for directory in self._directories:
                sync_directory(directory)
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _begin(self) -> WorkerHost:
        for directory in {os.path.dirname(file.result) for file in self._files}:
            remove_drafts(directory)
        host = self._ctx.host()
        host.on_settled = self._hear
        self._ctx.write(lambda store: store.create_queue(QUEUE, pull=True))
        if self._workers:
            host.start(min(self._workers, len(self._files)), (QUEUE,))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heed)
        return host

    def _heed(self, *_: object) -> None:
        self._signals += 1

    def _hear(self, settlement: Settlement, settled: Settled) -> None:
        """Hear on the pump's thread how an attempt ended."""
        if settled.state in FINAL:
            self._settled.put(settlement.job_id)

    def _enqueue(self) -> Iterator[None]:
        """Enqueue a job for each file, a thousand in a transaction."""
        for first in range(0, len(self._files), _GROUP):
            if self._signals:
                return
            some = self._files[first : first + _GROUP]
            jobs = [
                self._make(number, file.path)._replace(
                    stdin_path=file.path, message=file.path, unique=key_of(file.result)
                )
                for number, file in enumerate(some, first + 1)
            ]
            ids = self._ctx.write(_adding(jobs))
            self._others.update(int(job_id) for job_id in ids if isinstance(job_id, Existing))
            self._open.update((int(job_id), file) for job_id, file in zip(ids, some, strict=True))
            yield

    def _collect(self, patience: float) -> Iterator[str]:
        """Take care of the jobs that have ended; wait for one if there is none."""
        try:
            job_id = self._settled.get(timeout=patience) if patience else self._settled.get_nowait()
            while True:
                yield self._ended(self._ctx.store.get(job_id), job_id)
                job_id = self._settled.get_nowait()
        except queue.Empty:
            pass
        if self._open and time.monotonic() - self._looked > _LOOK:
            yield from self._look()

    def _look(self) -> Iterator[str]:
        """Find jobs that have ended without this process: run by another one, cancelled, removed."""
        ids = sorted(self._open)
        where = Filter(states=STATES, queues=(QUEUE,), ranges=((ids[0], ids[-1]),))
        there = set()
        for job in self._ctx.store.jobs(where):
            there.add(job.id)
            if job.is_final and job.id in self._open:
                yield self._ended(job, job.id)
        for job_id in ids:
            if job_id not in there and job_id in self._open:
                job = self._ctx.store.get(job_id)  # type: ignore[assignment]
                if job is None or job.is_final:
                    yield self._ended(job, job_id)
        self._looked = time.monotonic()

    def _ended(self, job: Job | None, job_id: int) -> str:
        """Write the result of a job; return what there is to say."""
        file = self._open.get(job_id)
        if job is not None and not job.is_final:
            # run again by somebody
            return ""
        self._left -= self._open.pop(job_id, None) is not None
        path = file.result if file is not None else path_of(None if job is None else job.unique)
        if job is None or path is None:
            return self._failed(file, "removed") if file is not None else ""
        if job.state == CANCELLED:
            return self._cancelled(file, job_id)
        if job.state != COMPLETED:
            return self._failed(file, f"job {job_id} {job.state}: {job.reason or job.state}")
        try:
            write_result(self._ctx.store, job_id, path)
        except (QueuectlError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            return self._failed(file, f"{os.path.basename(path)}: {why}")
        self._directories.add(os.path.dirname(path))
        if file is not None:
            self._tally.done += 1
        return ""

    def _failed(self, file: BatchFile | None, why: str) -> str:
        if file is None:
            # another batch's
            return ""
        name = os.path.relpath(file.path, self._ctx.cwd)
        self._tally.failed.append((name, why))
        return f"{name}: {why}" if len(self._tally.failed) <= _SHOWN else ""

    def _cancelled(self, file: BatchFile | None, job_id: int) -> str:
        if file is None:
            return ""
        name = os.path.relpath(file.path, self._ctx.cwd)
        self._tally.cancelled.append(name)
        # whoever interrupts this knows
        told = self._signals or len(self._tally.cancelled) > _SHOWN
        return "" if told else f"{name}: job {job_id} was cancelled"

    def _interrupted(self, host: WorkerHost) -> Iterator[str]:
        """Take back what has not begun; finish what runs, or at a second signal end it."""
        host.stop()
        running = {running.claim.job_id for running in host.running()}
        waiting = [
            job_id for job_id in self._open if job_id not in running and job_id not in self._others
        ]
        self._ctx.write(lambda store: store.cancel(waiting))
        if running & set(self._open):
            yield f"finishing {plural(len(running), 'job')}; once more to end them"
        while not host.join(0.1):
            yield from self._collect(0)
            if self._signals > 1:
                host.stop(now=True)
                host.join()
                self._ctx.write(lambda store: store.cancel(list(running)))
        # behind what the workers have reported: what has ended is done, the rest is for next time
        self._ctx.write(lambda store: store.now())
        if self._open:
            yield from self._look()


def _adding(jobs: Sequence[NewJob]) -> Callable[[Store], list[int]]:
    def add(store: Store) -> list[int]:
        return store.add(jobs)

    return add
