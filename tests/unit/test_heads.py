"""Merging queues by their heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from queuectl.store.heads import Head, Heads, key_of
from queuectl.store.room import Lane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from queuectl.store.heads import Key

_keys = st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 5)), max_size=6)


def _needs(data: bytes) -> dict[str, int]:
    return {"gpu": 1} if data else {}


def _row(name: str, key: Key, limit: int | None = None, needs: bytes = b"") -> tuple[Any, ...]:
    """Return the row of the one track of a queue."""
    rest = (limit, None, None, None, 0, 0, None, needs)
    return (-key[0], key[1], key[2], ord(name), name, *rest)


def _heads(rows: Iterable[tuple[Any, ...]], queues: tuple[str, ...] = ()) -> Heads:
    return Heads(iter(rows), queues, _needs)


def _rows(queues: dict[str, list[Key]]) -> list[tuple[Any, ...]]:
    """Return the rows of the queues that have something, in order of their heads."""
    heads = sorted((keys[0], name) for name, keys in queues.items() if keys)
    return [_row(name, key) for key, name in heads]


@given(st.dictionaries(st.sampled_from("abcdef"), _keys))
def test_one_at_a_time_the_best_of_all_queues_comes_first(
    asked: dict[str, list[tuple[int, int]]],
) -> None:
    """As if they were one queue."""
    number = 0
    queues: dict[str, list[Key]] = {}
    for name, jobs in asked.items():
        numbered = [(*job, number := number + 1) for job in jobs]
        queues[name] = sorted(key_of(*job) for job in numbered)
    expected = sorted(key for keys in queues.values() for key in keys)
    heads = _heads(_rows(queues))
    taken = []
    while (head := heads.pop()) is not None:
        taken.append(queues[head.lane.queue].pop(0))
        following = heads.next_key()
        assert following is None or taken[-1] < following
        if queues[head.lane.queue]:
            heads.put_back(head._replace(key=queues[head.lane.queue][0]))
    assert taken == expected


def test_only_the_queues_asked_for_are_handed_out() -> None:
    """With what their jobs have in common."""
    rows = [_row("a", (0, 1, 1), 1), _row("b", (0, 2, 2), 2), _row("c", (0, 3, 3), None, b"x")]
    heads = _heads(rows, ("c", "b"))
    assert [heads.pop(), heads.pop(), heads.pop()] == [
        Head((0, 2, 2), Lane(98, "b", 2, pull=0)),
        Head((0, 3, 3), Lane(99, "c", needs={"gpu": 1})),
        None,
    ]


def test_a_track_that_was_moved_under_the_cursor_comes_once() -> None:
    """What was put back counts."""
    heads = _heads([_row("a", (0, 1, 1)), _row("a", (0, 9, 9))])
    head = heads.pop()
    assert head is not None
    heads.put_back(head._replace(key=(0, 5, 5)))
    assert heads.pop() == Head((0, 5, 5), Lane(97, "a"))
    assert heads.pop() is None


def test_no_more_is_read_than_needed() -> None:
    """One row beyond what was handed out."""
    rows = iter([_row(name, (0, number, number)) for number, name in enumerate("abcdef")])
    heads = Heads(rows, (), _needs)
    heads.pop()
    assert next(rows)[4] == "c"


def test_nothing_comes_of_nothing() -> None:
    """No row, no head."""
    heads = _heads([])
    assert (heads.pop(), heads.next_key()) == (None, None)
