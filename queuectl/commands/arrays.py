"""Arrays: `enqueue --array 0-99%10`, and what has become of one.

The jobs of an array are alike but for a number, which each finds in QUEUECTL_INDEX.
"""

from __future__ import annotations

from queuectl.commands.jobs import no_workers, one_job, remarks_about, with_remarks
from queuectl.commands.result import Result, Text, plural
from queuectl.errors import BadValue, NotFound, UsageError
from queuectl.grammar.selection import check_name, parse_range
from queuectl.job import DEAD, FAILED, PROCESSING, STATES, Array, NewJob
from queuectl.record import Record
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.store.base import Store

#: jobs of one array at the most: they are added in one go
MOST = 100_000
_LARGEST = 2**31 - 1
#: jobs of an array that `status` shows
_ROWS = 50
_EXPECTED = "indices such as 0-99, 1,3,7-9, 0-20:5 or 0-99%10 (at most 10 at once)"
_ARRAY = NewJob._fields.index("array")
_ARGS = NewJob._fields.index("args")
_UNIQUE = NewJob._fields.index("unique")
_NAME = NewJob._fields.index("name")
_VARIABLE = "QUEUECTL_INDEX"
_PLACE = f"${_VARIABLE}"


class Indices(Record):
    """What --array says."""

    numbers: tuple[int, ...]
    #: jobs that may run at once; None is no limit
    limit: int | None


def parse_array(text: str) -> Indices:
    """Return the indices of `0-99`, `1,3,7-9` or `0-20:5`, and the limit behind a `%`.

    Raises BadValue, also for an index that is there twice and for more than MOST.
    """
    bad = BadValue(what="--array", value=text, expected=_EXPECTED)
    listed, percent, most = text.replace(" ", "").partition("%")
    limit = int(most) if percent and most.isascii() and most.isdigit() and len(most) < 10 else None
    if percent and not limit:
        raise bad
    numbers: dict[int, None] = {}
    for piece in listed.split(","):
        for number in _range(piece, bad):
            if number in numbers:
                raise UsageError(f"--array {text}: the index {number} is there twice")
            numbers[number] = None
            if len(numbers) > MOST:
                raise UsageError(f"--array {text}: an array has at most {MOST:,} jobs")
    return Indices(tuple(numbers), limit)


def _range(piece: str, bad: BadValue) -> range:
    span, colon, step = piece.partition(":")
    ends = parse_range(span)
    if ends is None or ends[1] is None or ends[1] > _LARGEST:
        raise bad
    if colon and ("-" not in span or not (step.isascii() and step.isdigit()) or not int(step[:9])):
        raise bad
    return range(ends[0], ends[1] + 1, int(step[:9]) if colon else 1)


def enqueue_many(ctx: Context, args: Args) -> Result:
    """Run `enqueue --array`."""
    indices = parse_array(args.array)
    new = one_job(ctx, args)
    if new.name is not None:
        check_name(f"{new.name}-{max(indices.numbers)}")
    filled = _is_filled(args, new)
    jobs = list(_jobs(new, indices, filled=filled))
    if args.dry_run:
        from queuectl.commands.tally import dry_run

        return dry_run(ctx, jobs, tuple(_remarks(ctx, args, jobs[0], filled=filled)))
    from queuectl.commands.tally import Tally

    tally = Tally()
    tally.added(ctx.write(lambda store: store.add(jobs)))
    if tally.ranges:
        ctx.last_id = tally.ranges[-1][1]
    array = tally.ranges[0][0] if tally.ranges else None
    data = {"array": array, "limit": indices.limit, "queue": new.queue, **tally.data}
    if args.quiet:
        return tally.quiet()._replace(data=data)
    if array is None:
        return Result(data, (Text("nothing enqueued"),), tally.remarks)
    most = f", at most {indices.limit} at once" if indices.limit else ""
    # a reader need not be told that the place is meant
    command = new.words.replace(f"'{_PLACE}'", _PLACE) if filled else new.words
    shown = new if new.name is None else new._replace(name=f"{new.name}-*")
    understood = with_remarks(ctx, command, shown, _waits(ctx, new, array))
    text = f"array {array}: {tally.in_words}{most}: {understood}"
    notes = [
        *tally.remarks,
        *_remarks(ctx, args, jobs[0], filled=filled),
        *no_workers(ctx, new.queue, new.needs),
    ]
    return Result(data, (Text(text),), notes)


def _is_filled(args: Args, new: NewJob) -> bool:
    """Whether the words of an argv get the index where they say $QUEUECTL_INDEX: no shell will."""
    words = args.job.words
    return (
        words is not None and len(words) > 1 and not args.no_shell
        and any(_VARIABLE in word for word in new.args or ())
    )  # fmt: skip


def _jobs(new: NewJob, indices: Indices, *, filled: bool) -> Iterator[NewJob]:
    fields: list[object] = list(new)
    key = new.unique
    for index in indices.numbers:
        fields[_ARRAY] = Array("array", index, indices.limit)
        if filled:
            fields[_ARGS] = tuple(with_index(word, index) for word in new.args or ())
        if key is not None:
            # the second array of the same key finds all its jobs there
            fields[_UNIQUE] = f"{key}[{index}]"
        if new.name is not None:
            fields[_NAME] = f"{new.name}-{index}"
        yield NewJob._make(fields)


def with_index(word: str, index: int) -> str:
    """Return a word with an index in place of $QUEUECTL_INDEX and ${QUEUECTL_INDEX}."""
    head, dollar, rest = word.partition("$")
    if not dollar:
        return word
    place = next((place for place in (_VARIABLE, f"{{{_VARIABLE}}}") if rest.startswith(place)), "")
    after = rest[len(place) :]
    longer = place == _VARIABLE and (after[:1] == "_" or after[:1].isalnum())
    if not place or longer or head.endswith("\\"):
        return f"{head}${with_index(rest, index)}"
    return f"{head}{index}{with_index(after, index)}"


def _remarks(ctx: Context, args: Args, new: NewJob, *, filled: bool) -> Iterator[str]:
    yield from remarks_about(ctx, args, new)
    if filled:
        return
    if not new.in_shell and any(_PLACE in word for word in new.args or ()):
        yield f"no shell runs it, so {_PLACE} stays as it is: put the command in one word"
    elif args.job.words is not None and _VARIABLE not in new.words:
        yield (
            f"the command does not say {_PLACE}: where your shell took it, quote the whole command,"
            f" './sim {_PLACE}'"
        )


def _waits(ctx: Context, new: NewJob, job_id: int) -> str:
    if not new.after:
        return ""
    from queuectl.commands.demands import waits_for

    return waits_for(ctx.store, job_id)


def status_of(ctx: Context, args: Args) -> Result:
    """Run `status --array ID`: how far it is, and its jobs that are not well or run."""
    if args.which:
        raise UsageError("status: --array ID or jobs, not both")
    from queuectl.commands import reasons, rows, views
    from queuectl.commands.result import Table

    text, data = summary(ctx.store, args.array)
    blocks: list[Text | Table] = [Text(text)]
    where = Filter(states=(PROCESSING, FAILED, DEAD), array=args.array)
    jobs = list(ctx.store.jobs(where, limit=_ROWS))
    if jobs:
        around = reasons.surroundings(ctx.store)
        cells = rows.Places(ctx.store).cells(rows.alone(jobs), around)
        blocks.append(Table(views.JOB_COLUMNS, cells, "Running, failed or dead"))
    return Result({**data, "jobs": [views.job_data(job) for job in jobs]}, blocks)


def summary(store: Store, array: int) -> tuple[str, dict[str, object]]:
    """Return how far an array is, in words and for machines. Raises NotFound."""
    counts = {
        state: number for state in STATES
        if (number := store.count(Filter(states=(state,), array=array)))
    }  # fmt: skip
    total = sum(counts.values())
    if not total:
        raise NotFound(f"no array {array}: `list` shows jobs, and an array has the id of its first")
    parts = ", ".join(f"{number} {state}" for state, number in counts.items())
    data = {"array": array, "total": total, "counts": counts}
    return f"array {array}: {plural(total, 'job')}, {parts}", data
