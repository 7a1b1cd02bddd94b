"""What has come of many jobs that were added together: counted, told, and without adding any."""

from __future__ import annotations

from queuectl.commands.result import Result, Stream, Text, plural
from queuectl.store.base import Existing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.errors import QueuectlError
    from queuectl.job import Job, NewJob
    from queuectl.store.base import Store

#: jobs given to the store at once
PIECE = 5000
_PROBLEMS_SHOWN = 20
_SPANS_SHOWN = 10


class Ids:
    """Ids held as ranges, however many: numbers for who goes through them, a list as JSON."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = ranges

    def __iter__(self) -> Iterator[int]:
        for first, last in self._ranges:
            yield from range(first, last + 1)

    def __eq__(self, other: object) -> bool:
        """Whether the other holds the same numbers in the same order."""
        return list(self) == list(other) if hasattr(other, "__iter__") else NotImplemented

    __hash__ = None  # type: ignore[assignment]


class Tally:
    """What has come of the jobs so far."""

    def __init__(self) -> None:
        self.jobs = 0
        #: that were there already, by their unique keys
        self.existing = 0
        #: the ids of those, as (first, last)
        self.found: list[tuple[int, int]] = []
        #: (first, last) of consecutive ids
        self.ranges: list[tuple[int, int]] = []
        self.problems: list[str] = []
        self.bad = 0
        self.first_error = 0

    def added(self, ids: Sequence[int]) -> None:
        """Count what `add` returned."""
        if Existing in map(type, ids):
            new = [job_id for job_id in ids if type(job_id) is not Existing]
            self.existing += len(ids) - len(new)
            for job_id in ids:
                if type(job_id) is Existing:
                    _extend(self.found, int(job_id), int(job_id))
            ids = new
        if not ids:
            return
        self.jobs += len(ids)
        if ids[-1] - ids[0] == len(ids) - 1:
            _extend(self.ranges, ids[0], ids[-1])
        else:
            # somebody else was given some in between
            for job_id in ids:
                _extend(self.ranges, job_id, job_id)

    def problem(self, number: int, error: QueuectlError) -> None:
        """Note what is wrong with a line."""
        self.bad += 1
        self.first_error = self.first_error or error.exit_status
        if self.bad <= _PROBLEMS_SHOWN:
            self.problems.append(f"line {number}: {error}")

    @property
    def ids(self) -> Ids:
        """The id of each new job."""
        return Ids(self.ranges)

    @property
    def spans(self) -> list[str]:
        """The ids of new jobs as ranges, for people: `5-9`."""
        return _spans(self.ranges)

    @property
    def data(self) -> dict[str, object]:
        """What --json says: every id is a number, one for each job."""
        data: dict[str, object] = {"enqueued": self.jobs, "ids": self.ids}
        if self.existing:
            data.update(existing=self.existing, existing_ids=Ids(self.found))
        return data

    @property
    def in_words(self) -> str:
        """The new jobs in a few words: `jobs 5-9`, `job 3`."""
        if not self.jobs:
            return "no jobs"
        return f"{'job' if self.jobs == 1 else 'jobs'} {_shown(self.ranges)}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is to say beside that."""
        if not self.existing:
            return ()
        are = (
            "is the same as one that is" if self.existing == 1 else "are the same as some that are"
        )
        which = f"{'job' if self.existing == 1 else 'jobs'} {_shown(self.found)}"
        return (f"{plural(self.existing, 'job')} {are} not finished ({which}): not enqueued",)

    def quiet(self) -> Result:
        """Return the ids of new jobs and nothing else, a line each."""
        lines = "\n".join(map(str, self.ids))
        return Result(self.data, (Text(lines),) if lines else ())


def _extend(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))


def _spans(ranges: Sequence[tuple[int, int]]) -> list[str]:
    return [f"{first}-{last}" if last > first else str(first) for first, last in ranges]


def _shown(ranges: Sequence[tuple[int, int]]) -> str:
    more = ", …" if len(ranges) > _SPANS_SHOWN else ""
    return ", ".join(_spans(ranges[:_SPANS_SHOWN])) + more


def add_in_pieces(ctx: Context, jobs: Iterable[NewJob], total: int) -> Tally:
    """Add jobs that are made as they are needed, all or none, telling how far it is."""
    from itertools import islice

    def change(store: Store) -> Tally:
        tally = Tally()
        rest = iter(jobs)
        with store.transaction():
            while piece := list(islice(rest, PIECE)):
                tally.added(store.add(piece))
                if ctx.progress is not None:
                    ctx.progress(tally.jobs + tally.existing, total)
        return tally

    tally = ctx.write(change)
    if tally.ranges:
        ctx.last_id = tally.ranges[-1][1]
    return tally


def dry_run(ctx: Context, jobs: Iterable[NewJob], notes: Sequence[str] = ()) -> Result:
    """Return the command of each job, a line each; nothing is enqueued.

    What tells it from others stands behind it as a comment, so that a shell can read the lines.
    """
    if ctx.screen.terminal:
        jobs = list(jobs)
    data = (
        {
            "command": new.command,
            "args": None if new.args is None else list(new.args),
            "shell": _in_shell(new),
            **dict(_details(new)),
        }
        for new in jobs
    )
    return Result(data, (exact_lines(ctx, map(_with_details, jobs)),), notes)


def _details(new: NewJob) -> Iterator[tuple[str, object]]:
    """Yield what tells a job from others: its index, its name, and what it waits for."""
    if new.array is not None:
        yield "index", new.array.number
    if new.name is not None:
        yield "name", new.name
    if new.after:
        from queuectl.commands.demands import WHEN

        for flag, when in WHEN:
            before = [after.on for after in new.after if after.when == when]
            if before:
                yield flag, before


def _with_details(new: NewJob) -> str:
    parts = [
        f"{name.replace('_', '-')} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in _details(new)
    ]
    return f"{command_of(new)}  # {', '.join(parts)}" if parts else command_of(new)


def _in_shell(job: NewJob | Job) -> bool:
    return job.shell if job.shell is not None else not job.args


def command_of(job: NewJob | Job) -> str:
    """Return a job's command as one line that a shell reads as it is run."""
    if _in_shell(job) and not job.args:
        return job.command
    import shlex

    words = (job.command, *(job.args or ()))
    if _in_shell(job):
        # what follows the line is $1, $2 … in it
        shell = job.policy.get("shell", "/bin/sh")
        words = (shell, "-c", job.command, shell, *words[1:])
    return shlex.join(words)


def exact_lines(ctx: Context, lines: Iterable[str]) -> Stream | Text:
    """Return lines byte for byte for programs; for people with control characters written out."""
    if ctx.screen.terminal:
        return Text("\n".join(lines))
    return Stream((1, line.encode("utf-8", "surrogateescape") + b"\n") for line in lines)
