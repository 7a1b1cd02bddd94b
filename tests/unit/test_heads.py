"""Merging queues by their heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from queuectl.store.heads import Head, Heads, key_of

if TYPE_CHECKING:
    from queuectl.store.heads import Key

_keys = st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 5)), max_size=6)


def _rows(queues: dict[str, list[Key]]) -> list[tuple[str, None, int, int, int]]:
    """Return the rows of the queues that have something, in order of their heads."""
    heads = sorted((keys[0], name) for name, keys in queues.items() if keys)
    return [(name, None, -key[0], key[1], key[2]) for key, name in heads]


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
    heads = Heads(iter(_rows(queues)), ())
    taken = []
    while (head := heads.pop()) is not None:
        taken.append(queues[head.queue].pop(0))
        following = heads.next_key()
        assert following is None or taken[-1] < following
        if queues[head.queue]:
            heads.put_back(head._replace(key=queues[head.queue][0]))
    assert taken == expected


def test_only_the_queues_asked_for_are_handed_out() -> None:
    """With their limits."""
    rows = [("a", 1, 0, 1, 1), ("b", 2, 0, 2, 2), ("c", None, 0, 3, 3)]
    heads = Heads(iter(rows), ("c", "b"))
    assert [heads.pop(), heads.pop(), heads.pop()] == [
        Head((0, 2, 2), "b", 2), Head((0, 3, 3), "c", None), None,
    ]  # fmt: skip


def test_a_queue_that_was_moved_under_the_cursor_comes_once() -> None:
    """What was put back counts."""
    heads = Heads(iter([("a", None, 0, 1, 1), ("a", None, 0, 9, 9)]), ())
    head = heads.pop()
    assert head is not None
    heads.put_back(head._replace(key=(0, 5, 5)))
    assert heads.pop() == Head((0, 5, 5), "a", None)
    assert heads.pop() is None


def test_no_more_is_read_than_needed() -> None:
    """One row beyond what was handed out."""
    rows = iter([(name, None, 0, number, number) for number, name in enumerate("abcdef")])
    heads = Heads(rows, ())
    heads.pop()
    assert next(rows)[0] == "c"


def test_nothing_comes_of_nothing() -> None:
    """No row, no head."""
    heads = Heads(iter(()), ())
    assert (heads.pop(), heads.next_key()) == (None, None)
