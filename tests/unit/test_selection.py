"""Which jobs people mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import BadValue, UsageError
from queuectl.grammar.selection import (
    Selection,
    check_name,
    looks_like_selection,
    parse_range,
    parse_words,
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], {}),
        (["3"], {"single": (3,)}),
        (["3", "5-9"], {"single": (3,), "ranges": ((5, 9),)}),
        (["3-"], {"ranges": ((3, None),)}),
        (["1,4"], {"single": (1, 4)}),
        (["1,", ",4"], {"single": (1, 4)}),
        (["last"], {"single": ("last",)}),
        (["all"], {"all": True}),
        (["failed,dead"], {"states": ("failed", "dead")}),
        (["train-2", "x"], {"single": ("train-2", "x")}),
        (["3-x"], {"single": ("3-x",)}),
        (["٣"], {"single": ("٣",)}),
    ],
)
def test_words_select(words: list[str], said: dict[str, Any]) -> None:
    """Ids, ranges, names, `last`, `all`, states; commas are blanks."""
    assert parse_words(words) == Selection(**said)


def test_a_range_that_runs_backwards_is_refused() -> None:
    """With the right way round."""
    with pytest.raises(UsageError, match="did you mean 5-9"):
        parse_words(["9-5"])


@given(st.integers(0, 10**20), st.integers(0, 10**20))
def test_ranges_are_read_back(first: int, more: int) -> None:
    """Of any size."""
    assert parse_range(f"{first}-{first + more}") == (first, first + more)


@pytest.mark.parametrize(
    "text", ["3", "3-5", "3-", "1,4", "1 4", "last", "all", "failed,dead", "2 all"]
)
def test_a_selection_is_no_command(text: str) -> None:
    """`enqueue 3` is a mistake."""
    assert looks_like_selection(text)


@pytest.mark.parametrize("text", ["", "3x", "ls", "lastlog", "allocate 3", "3 ls", "-3", "echo 3"])
def test_a_command_is_no_selection(text: str) -> None:
    """Even when it holds numbers."""
    assert not looks_like_selection(text)


@pytest.mark.parametrize("name", ["train", "train-2", "a.b/c:d", "日本", "3x", "Last"])
def test_a_name_can_be_selected_by(name: str) -> None:
    """Then it is taken as it is."""
    assert check_name(name) == name
    assert parse_words([name]).single == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "3",
        "3-5",
        "3-",
        "a b",
        "a,b",
        "last",
        "all",
        "dead",
        "-x",
        "a\tb",
        "a\x1b[31m",
        "x" * 201,
    ],
)
def test_a_name_that_cannot_be_selected_by_is_refused(name: str) -> None:
    """The message says what a name is."""
    with pytest.raises(BadValue, match="no blank, comma"):
        check_name(name)


@pytest.mark.parametrize(
    ("selection", "states", "expected"),
    [
        (Selection(single=(3,)), ("dead",), None),
        (Selection(all=True), ("failed", "dead"), {"states": ("failed", "dead")}),
        (Selection(states=("dead",)), ("failed", "dead"), {"states": ("dead",)}),
        (Selection(states=("completed",)), ("failed",), None),
        (Selection(ranges=((1, 3),), queues=("a",)), (), {"ranges": ((1, 3),), "queues": ("a",)}),
        (Selection(all=True, ranges=((1, 3),)), (), {}),
        (Selection(single=(7,), ranges=((1, 3),)), (), {"ranges": ((1, 3),)}),
    ],
)
def test_the_filter_of_a_selection(
    selection: Selection, states: tuple[Any, ...], expected: dict[str, Any] | None
) -> None:
    """What is not written out, among the states that a verb takes."""
    from queuectl.store.base import Filter

    assert selection.filter(states) == (None if expected is None else Filter(**expected))


def test_with_a_filter_ids_become_ranges() -> None:
    """So that those that do not fit are left out."""
    narrowed = Selection(single=(3, 9), ranges=((5, 6),), states=("dead",)).with_ranges((3, 9))
    assert narrowed.filter() is not None
    assert not narrowed.single
    assert sorted(narrowed.ranges) == [(3, 3), (5, 6), (9, 9)]
