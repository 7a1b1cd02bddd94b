"""What a command answers: data for machines, blocks for people. Commands never print."""

from __future__ import annotations

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


class Text(Record):
    """Lines to read."""

    text: str


class Column(Record):
    """A column of a table."""

    name: str
    #: left out on a terminal when every cell in it is empty
    optional: bool = False
    right: bool = False
    #: cut first, and to the least, when the table is too wide
    elastic: bool = False
    #: colours by the text of the cell: names known to queuectl.render
    styles: Mapping[str, str] | None = None
    #: optional, and left out on a narrow terminal only after others
    telling: bool = False


class Table(Record):
    """Rows of cells; None and '' are empty. The rows may be an iterator without end in memory."""

    columns: Sequence[Column]
    rows: Iterable[Sequence[str | None]]
    title: str = ""


class Stream(Record):
    """Bytes as they are: (1 or 2 for stdout or stderr, bytes), perhaps still being written."""

    pieces: Iterable[tuple[int, bytes]]
    #: to be shown piece by piece as they come
    live: bool = False


class Result(Record):
    """What a command answers. Text blocks, tables and lists in `data` may be lazy: use one once."""

    #: what --json prints; an iterator becomes an array, and so does any iterable within; None prints
    #: nothing
    data: object = None
    #: what a person reads, top to bottom
    blocks: Sequence[Text | Table | Stream] = ()
    #: remarks beside the answer, to stderr
    notes: Sequence[str] = ()
    exit_code: int = 0
    #: called when all this has been shown, for what takes long; its answer is shown after it
    then: Callable[[], Result] | None = None


def parts(result: Result) -> Iterator[Result]:
    """Yield an answer and what follows it; show each before the next is asked for."""
    part: Result | None = result
    while part is not None:
        yield part
        part = part.then() if part.then else None


def say(text: str, data: object = None, *, notes: Sequence[str] = (), exit_code: int = 0) -> Result:
    """Return an answer of one text."""
    return Result(data, (Text(text),), notes, exit_code)


def plural(number: int, word: str) -> str:
    """Return `1 job` or `3 jobs`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


#: things named one by one in a line
_NAMED = 20


def jobs_named(ids: Sequence[int]) -> str:
    """Return `job 3`, or `jobs 3, 4, …`."""
    named = ", ".join(map(str, ids[:_NAMED])) + (", …" if len(ids) > _NAMED else "")
    return f"{'job' if len(ids) == 1 else 'jobs'} {named}"


def short_id(host_id: str) -> str:
    """Return as much of a host's id as people need to tell it from others."""
    return host_id[:8]
