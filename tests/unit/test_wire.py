"""What goes over the wire comes back the same, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl import errors
from queuectl.job import After, Array, NewJob, Outcome, Output
from queuectl.store.base import Existing, Filter, HostInfo, Settlement, Store
from queuectl.store.readable import Readable
from queuectl.store.records import beyond
from queuectl.store.remote import shapes, wire

if TYPE_CHECKING:
    from collections.abc import Callable

#: texts as jobs have them: any characters, and bytes that are not UTF-8
TEXTS = st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))
PLAIN = st.none() | st.booleans() | st.integers() | TEXTS | st.binary()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(TEXTS, inner)
        | st.dictionaries(st.integers() | st.tuples(TEXTS, TEXTS), inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_comes_back_the_same(value: object) -> None:
    """Lists as lists, tuples as tuples, bytes as bytes, keys of any kind."""
    data = wire.dumps(value)
    data.decode("ascii")
    assert wire.loads(data) == value


@pytest.mark.parametrize(
    "record",
    [
        NewJob("ls \udcff", args=("a b", ""), env={"A": "1"}, stdin=b"\0\xff", after=(After(3),),
               array=Array("k", 4), needs={"gpu": 1}),
        Settlement(1, "t", 2, Outcome("exit", 0, output=Output(b"x", b"m" * 16))),
        Filter(("dead",), ("a",), ((1, None), (5, 9))),
        HostInfo("h", "box", "me", 1, "1", 2, (), 0, 0, resources={"gpu": 2}, lease=5),
    ],
    ids=lambda record: type(record).__name__,
)  # fmt: skip
def test_a_record_comes_back_as_one(record: Any) -> None:
    """With its class, its defaults and what it holds; and it fits its own annotations."""
    back = wire.loads(wire.dumps([record]))[0]
    assert type(back) is type(record)
    assert back == record
    assert shapes.misfit(back) is None


def test_an_id_that_was_there_comes_back_as_such() -> None:
    """`add` tells new ids from old ones by their class."""
    new, old = wire.loads(wire.dumps([1, Existing(2)]))
    assert (type(new), type(old)) == (int, Existing)


def test_an_older_side_is_understood() -> None:
    """Fields it does not send have their defaults; fields it does not know are left out."""
    short = json.dumps({"!r": ["NewJob", "true"]}).encode()
    assert wire.loads(short) == NewJob("true")
    filled = wire.pack(NewJob("true"))
    assert isinstance(filled, dict)
    filled["!r"].append("a field of the future")
    assert wire.loads(json.dumps(filled).encode()) == NewJob("true")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b'{"!r": ["Popen", "true"]}', b'{"!r": ["NewJob"]}', b'{"!r": []}', b'{"!b": 3}',
        b'{"!b": "%%"}', b'{"!x": 1}', b'{"!e": true}', b'{"!m": [[1]]}', b'{"!m": [[[], 1]]}',
        b"[" * 100_000, b'{"a":' * 3000 + b"1" + b"}" * 3000,
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_nobody_packed_is_refused(text: bytes) -> None:
    """With a ValueError, whatever it is."""
    with pytest.raises(ValueError):  # noqa: PT011 (any message)
        wire.loads(text)


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(repr(value)).encode()))
def test_garbage_is_a_value_or_an_error(data: bytes) -> None:
    """Never anything but ValueError."""
    try:
        wire.loads(data)
    except ValueError:
        pass


def test_every_method_of_the_contract_has_a_place() -> None:
    """A new one is put into the table, or is named as one that goes another way."""
    both = {**vars(Readable), **vars(Store)}
    methods = {name for name, found in both.items() if callable(found) and name[0] != "_"}
    assert methods == set(wire.METHODS) | wire.OTHERS
    assert not set(wire.METHODS) & wire.OTHERS


@pytest.mark.parametrize("name", sorted(wire.METHODS))
def test_the_contracts_annotations_can_be_checked(name: str) -> None:
    """Each argument's type is one that shapes can read."""
    for argument, annotation in getattr(Store, name).__annotations__.items():
        if argument != "return":
            shapes.fits(None, annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (1, "int", True), (True, "int", False), ("a\0", "str", False), ("\ud800", "str", False),
        ("\udcff", "str", True), (None, "int | None", True), ([1], "Sequence[int]", True),
        ((1,), "tuple[int, ...]", True), ([1], "tuple[int, ...]", False),
        (((1, None),), "tuple[tuple[int, int | None], ...]", True), ({"a": 1}, "Mapping[str, int]", True),
        ({"a": "b"}, "Mapping[str, int]", False), ("dead", "State", True), ("ded", "State", False),
        ([NewJob("a")], "Sequence[NewJob]", True), ([NewJob(3)], "Sequence[NewJob]", False),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_shapes(value: object, annotation: str, fits: bool) -> None:
    """A value fits what the contract says, or not."""
    assert shapes.fits(value, annotation) is fits


ERRORS: list[Callable[[], errors.QueuectlError]] = [
    lambda: errors.NameTaken(name="a", job=3),
    lambda: errors.NoSuchQueue(queue="gpu", hint="; did you mean cpu?"),
    lambda: errors.StoreBusy(store="x", seconds=3.5),
    lambda: errors.UsageError("bad"),
]


@pytest.mark.parametrize("make", ERRORS)
def test_an_error_comes_back_of_its_class(make: Callable[[], errors.QueuectlError]) -> None:
    """With its message, exit status and facts."""
    error = make()
    back = wire.error_from(json.loads(json.dumps(wire.error_data(error))))
    assert type(back) is type(error)
    assert (back.message, back.exit_status, back.facts) == (
        error.message, error.exit_status, error.facts,
    )  # fmt: skip


def test_an_error_that_this_side_does_not_know_keeps_its_exit_status() -> None:
    """And its message; nothing but an error of ours is ever made of a name."""
    told = {"error": "no such thing", "exit_code": 3, "kind": "NoSuchFuture", "facts": 5}
    assert type(wire.error_from(told)) is errors.NotFound
    assert type(wire.error_from({"kind": "did_you_mean", "error": "x"})) is errors.QueuectlError


@pytest.mark.parametrize(
    ("ranges", "last", "newest", "left"),
    [
        ((), 5, False, ((6, None),)), ((), 5, True, ((0, 4),)), (((1, 5),), 5, False, None),
        (((1, 5), (8, None)), 3, False, ((4, 5), (8, None))), (((5, 9),), 5, True, None),
        (((1, None),), 7, True, ((1, 6),)),
    ],
)  # fmt: skip
def test_a_page_begins_behind_the_last(ranges: Any, last: int, newest: bool, left: Any) -> None:
    """In either direction; None when nothing can be left."""
    found = beyond(Filter(ranges=ranges), last, newest=newest)
    assert (None if found is None else found.ranges) == left


def test_roles_are_in_order() -> None:
    """Who may more may also less."""
    assert wire.allows("admin", "submit")
    assert wire.allows("work", "work")
    assert not wire.allows("submit", "work")
