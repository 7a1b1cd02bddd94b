"""`export`, `import` and `backup`: the queue as lines of JSON, or as a copy of its file."""

from __future__ import annotations

import os

from queuectl.commands.result import Result, Stream, plural, say
from queuectl.errors import Refused, UsageError
from queuectl.job import FAILED, PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, BinaryIO

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.job import Job, Output
    from queuectl.store.base import QueueInfo, Saved, Store

#: jobs restored by one call of the store
BATCH = 200
_STANDARD = "-"
_NAMED = 5
#: what jobs that were on their way do from now on
_LIVE = {
    PROCESSING: "had been processing: to start again from the beginning",
    FAILED: "had failed: to be tried again when due",
}


def export(ctx: Context, args: Args) -> Result:
    """Run `export`: everything, or the jobs of a selection, with all that belongs to them."""
    lines = _Lines(ctx, args)
    if args.file in (None, _STANDARD):
        return Result(_documents(lines), (Stream((1, line) for line in lines),))
    path = os.path.join(ctx.cwd, os.path.expanduser(args.file))
    _write_new(path, lines, force=args.force)
    text = f"{plural(lines.jobs, 'job')} exported to {path}"
    return say(text, {"file": path, "jobs": lines.jobs})


def _documents(lines: Iterable[bytes]) -> Iterator[object]:
    """Yield what each line holds, for --json: one array, written as it is read."""
    import json

    for line in lines:
        yield json.loads(line)


class _Lines:
    """The lines of an export; counts the jobs as they go by."""

    def __init__(self, ctx: Context, args: Args) -> None:
        from queuectl.commands import picking

        self._ctx = ctx
        chosen = picking.selection_of(ctx, args)
        #: the frame of the jobs is written with all of them, not with some
        self._whole = chosen.empty
        self._jobs = picking.jobs_of(ctx, chosen)
        self._with_output = not args.no_output
        self.jobs = 0

    def __iter__(self) -> Iterator[bytes]:
        from queuectl import __version__, archive

        store = self._ctx.store
        yield archive.head(__version__, store.name, store.now()).encode()
        if self._whole:
            yield archive.settings_line(store.settings()).encode()
            for queue in store.queues():
                yield archive.queue_line(queue, store.settings(queue.name)).encode()
            for schedule in store.schedules():
                yield archive.schedule_line(schedule).encode()
        for job in self._jobs:
            self.jobs += 1
            yield archive.job_line(saved(store, job, output=self._with_output)).encode()


def saved(store: Store, job: Job, *, output: bool = True) -> Saved:
    """Return a job with its history; outputs as their bytes, wherever they are."""
    from queuectl.store.base import Saved

    attempts = store.attempts(job.id)
    runs = [attempt.run for attempt in attempts] if output else []
    kept = ((run, store.output(job.id, run)) for run in runs)
    outputs = tuple((run, _in_memory(found)) for run, found in kept if found is not None)
    stdin, path = store.payload(job.id)
    after = tuple(store.dependencies(job.id))
    return Saved(job, tuple(attempts), outputs, after, stdin, path)


def _in_memory(output: Output) -> Output:
    """Return an output with its bytes; one whose file is gone is empty and not complete."""
    if output.path is None:
        return output
    from queuectl.process.recorder import MARKS_SUFFIX

    try:
        with open(output.path, "rb") as file, open(output.path + MARKS_SUFFIX, "rb") as marks:
            return output._replace(data=file.read(), marks=marks.read(), path=None)
    except OSError:
        return output._replace(path=None, stdout_bytes=0, stderr_bytes=0, complete=False)


def _write_new(path: str, lines: Iterable[bytes], *, force: bool) -> None:
    """Write a file for its owner only, whole or not at all; jobs may hold secrets."""
    if os.path.exists(path) and not force:
        raise Refused(f"{path} exists: choose another name, or replace it with --force")
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(file, "wb") as out:
                out.writelines(lines)
                out.flush()
                os.fsync(out.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None


def import_jobs(ctx: Context, args: Args) -> Result:
    """Run `import`: all of a file or nothing."""
    if args.file == _STANDARD:
        if ctx.stdin is None:
            raise UsageError("import -: standard input is taken; name a file")
        return _import(ctx, ctx.stdin, "standard input")
    path = os.path.join(ctx.cwd, os.path.expanduser(args.file))
    try:
        with open(path, "rb") as file:
            return _import(ctx, file, path)
    except OSError as error:
        raise UsageError(f"import: {path}: {error.strerror}") from None


def _import(ctx: Context, file: BinaryIO, name: str) -> Result:
    brought = ctx.write(lambda store: _restore(store, file))
    jobs = brought.jobs
    text = "\n".join((f"{plural(jobs, 'job')} imported from {name}", *brought.live()))
    return say(text, {"file": name, "jobs": jobs, "schedules": brought.schedules})


class _Brought:
    """What an import has brought in, and what of it goes on by itself."""

    def __init__(self) -> None:
        self.jobs = 0
        self.schedules: list[str] = []
        #: jobs that are not paused, by state
        self._states: dict[str, int] = {}

    def add(self, job: Job) -> None:
        self.jobs += 1
        if not job.paused:
            self._states[job.state] = self._states.get(job.state, 0) + 1

    def live(self) -> Iterator[str]:
        """Yield a line for each kind of thing that is live from now on."""
        if self.schedules:
            verb = "fires" if len(self.schedules) == 1 else "fire"
            named = ", ".join(self.schedules[:_NAMED])
            more = (
                f" and {len(self.schedules) - _NAMED} more" if len(self.schedules) > _NAMED else ""
            )
            yield f"{plural(len(self.schedules), 'schedule')} taken over, which {verb} from now on: {named}{more}"
        for state, what in _LIVE.items():
            if self._states.get(state):
                yield f"{plural(self._states[state], 'job')} {what}"


def _restore(store: Store, file: BinaryIO) -> _Brought:
    """Bring everything in, in one transaction; return what it was."""
    from queuectl import archive

    brought = _Brought()
    number = 0
    batch: list[Saved] = []
    if file.seekable():
        # a host runs a change again when the group it was in could not be committed
        file.seek(0)
    with store.transaction():
        for number, line in enumerate(file, 1):
            kind, fields = archive.read_line(_text(line, number), number)
            if number == 1 and kind != archive.HEAD:
                raise UsageError("this is no export of queuectl: its first line does not say so")
            if kind == archive.JOB:
                batch.append(fields)
                brought.add(fields.job)
            elif _bring_in(store, kind, fields) and not fields.paused:
                brought.schedules.append(fields.name)
            if len(batch) == BATCH:
                store.restore(batch)
                batch = []
        if not number:
            raise UsageError("this is no export of queuectl: it is empty")
        store.restore(batch)
    return brought


def _text(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"line {number} is no line of a queuectl export") from None


def _bring_in(store: Store, kind: str, fields: Any) -> bool:
    """Make what the jobs stand in; what is there already stays as it is. True: a schedule is new."""
    from queuectl import archive

    if kind == archive.SETTINGS:
        _set(store, fields, None)
    elif kind == archive.SCHEDULE:
        if fields.name not in {schedule.name for schedule in store.schedules()}:
            store.put_schedule(fields)
            return True
    elif kind == archive.QUEUE:
        queue, settings = fields
        _bring_in_queue(store, queue)
        _set(store, settings, queue.name)
    return False


def _bring_in_queue(store: Store, queue: QueueInfo) -> None:
    """Create a queue, or give one that nobody has changed yet what this one has."""
    if not store.create_queue(queue.name, limit=queue.limit, rate=queue.rate, pull=queue.pull):
        (there,) = (found for found in store.queues() if found.name == queue.name)
        if there.paused or there.pull or (there.limit, there.rate) != (None, None):
            return
        changes = {"limit": queue.limit, "rate": queue.rate, "pull": queue.pull}
        store.change_queue(queue.name, changes)
    if queue.paused:
        store.pause_queue(queue.name, paused=True)


def _set(store: Store, settings: dict[str, str], queue: str | None) -> None:
    from queuectl.settings import canonical, find

    there = store.settings(queue)
    for name, text in settings.items():
        if name not in there:
            store.set(name, canonical(find(name), text), queue)


def backup(ctx: Context, args: Args) -> Result:
    """Run `backup`: a consistent copy of the store, while it is in use."""
    path = os.path.join(ctx.cwd, os.path.expanduser(args.file))
    if os.path.lexists(path):
        raise Refused(f"{path} exists: a backup never replaces a file; choose another name")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise Refused(f"{os.path.dirname(path)} is no directory")
    ctx.store.backup(path)
    size = os.stat(path).st_size
    text = f"backup written: {path} ({size:,} bytes); to use it: queuectl --store {path}"
    return say(text, {"file": path, "bytes": size})
