"""Which jobs a person means: `3 5-9`, `3-`, `1,4`, names, `last`, `all`, states and filters. Pure.

What is written out (an id, a name, `last`) must exist; ranges, filters and `all` take what fits.
"""

from __future__ import annotations

from queuectl.errors import BadValue, NoSuchJob, NotFound, UsageError
from queuectl.job import STATES, state_meant
from queuectl.record import Record
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from queuectl.job import State
    from queuectl.store.base import Store

LAST, ALL = "last", "all"
_LONGEST_NAME = 200
#: what a selection of no names can begin with
_BEGINNINGS = (*"0123456789", ALL, LAST, *STATES)


class Selection(Record):
    """What the words and filters of a command say, before any store is asked."""

    #: written out: ids, names and `last`
    single: tuple[int | str, ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()
    all: bool = False
    #: filters: empty or None does not restrict
    states: tuple[State, ...] = ()
    queues: tuple[str, ...] = ()
    name: str | None = None
    since: int | None = None
    #: how the last attempt ended, see queuectl.endings
    endings: tuple[tuple[str, int | None], ...] = ()
    #: id of an array
    array: int | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing at all was said."""
        return self == Selection()

    @property
    def only_single(self) -> bool:
        """Whether every job is written out."""
        return bool(self.single) and not self.ranges and not self.all

    @property
    def filtered(self) -> bool:
        """Whether a state or a filter restricts it."""
        return bool(self.states or self.queues or self.endings) or not (
            self.name is None and self.since is None and self.array is None
        )

    def with_ranges(self, ids: Sequence[int]) -> Selection:
        """Return it with what is written out as ranges of one: what does not fit is left out."""
        ranges = list(self.ranges)
        for job in sorted(ids):
            # a thousand ids in a row are one condition, not a thousand
            if ranges and ranges[-1][1] == job - 1:
                ranges[-1] = (ranges[-1][0], job)
            else:
                ranges.append((job, job))
        return self._replace(single=(), ranges=tuple(ranges))

    def filter(self, states: Sequence[State] = ()) -> Filter | None:
        """Return what ranges, `all` and filters select among `states`; None for no job at all."""
        if self.only_single:
            return None
        wanted = tuple(state for state in self.states if not states or state in states)
        if self.states and not wanted:
            return None
        return Filter(
            wanted or tuple(states),
            self.queues,
            () if self.all else self.ranges,
            self.name,
            self.since,
            self.endings,
            array=self.array,
        )


def parse_words(words: Sequence[str]) -> Selection:
    """Return the selection that words make; commas separate like blanks. Raises UsageError."""
    single: list[int | str] = []
    ranges: list[tuple[int, int | None]] = []
    states: list[State] = []
    everything = False
    for word in words:
        if not word.strip(","):
            raise UsageError(f"{word!r} is no job: give ids, names, `last` or `all`")
        for piece in word.split(","):
            if not piece:
                continue
            span = parse_range(piece)
            if piece == ALL:
                everything = True
            elif piece in STATES:
                states.extend(state for state in STATES if state == piece)
            elif span is None:
                single.append(piece)
            elif "-" in piece:
                ranges.append(span)
            else:
                single.append(span[0])
    return Selection(tuple(single), tuple(ranges), everything, tuple(states))


def parse_range(piece: str) -> tuple[int, int | None] | None:
    """Return the ends of `3`, `5-9` or `3-`; None when it is something else.

    Raises UsageError for a range that runs backwards.
    """
    first, dash, last = piece.partition("-")
    if not _digits(first) or (last and not _digits(last)):
        return None
    begin = int(first)
    if not dash:
        return begin, begin
    if not last:
        return begin, None
    if int(last) < begin:
        raise UsageError(f"the range {piece} runs backwards; did you mean {last}-{first}?")
    return begin, int(last)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def looks_like_selection(text: str) -> bool:
    """Whether a text can only be a selection, so that nobody queues `3` as a command."""
    if not text.startswith(_BEGINNINGS):
        return False
    pieces = text.replace(",", " ").split()
    return bool(pieces) and all(
        parse_range(piece) is not None or piece in (ALL, LAST) or piece in STATES
        for piece in pieces
    )


def check_name(name: str) -> str:
    """Return a job's name if a selection can say it. Raises BadValue."""
    if (
        not name
        or len(name) > _LONGEST_NAME
        or name.startswith("-")
        or name in (LAST, ALL)
        or name in STATES
        or "," in name
        or not name.isprintable()
        or " " in name
        or _digits(name.replace("-", ""))
    ):
        expected = "a name: no blank, comma or leading hyphen, no number, `last`, `all` or state"
        raise BadValue(what="name", value=name, expected=expected)
    return name


def resolve_single(
    store: Store, selection: Selection, last: Callable[[], int | None]
) -> tuple[int, ...]:
    """Return the ids of what is written out, in order, none twice.

    Raises NoSuchJob or NotFound for the first that does not exist.
    """
    ids: dict[int, None] = {}
    numbers = [item for item in selection.single if isinstance(item, int)]
    there = store.states_of(numbers) if numbers else {}
    for item in selection.single:
        ids[_id_of(store, item, last, there)] = None
    return tuple(ids)


def _id_of(
    store: Store, item: int | str, last: Callable[[], int | None], there: Container[int]
) -> int:
    if item == LAST:
        newest = last()
        if newest is None:
            raise NotFound("there is no last job: you have enqueued none")
        return newest
    if isinstance(item, int):
        if item not in there:
            raise NoSuchJob(job=item)
        return item
    found = store.id_of_name(item)
    if found is None:
        ours = state_meant(item, ALL, LAST)
        hint = f"; did you mean {ours}?" if ours else ""
        raise NotFound(f"no job {item}{hint}")
    return found
