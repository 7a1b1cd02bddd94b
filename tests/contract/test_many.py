"""Many jobs in one call: what comes of it is what comes of each by itself, one after the other."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, After, Array
from queuectl.store.base import PAGE, Filter
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.work import (
    EXIT_3,
    HOST,
    claim_all,
    claim_and_start,
    claim_one,
    job_of,
    put,
    put_many,
    run_one,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.store.base import Changed, Store
    from tests.support.clock import Clock

    Verb = Callable[[Store, Sequence[int]], list[Changed]]

NOBODY = (0, -1, 10**6, 2**63, -(2**70))
VERBS: dict[str, Verb] = {
    "cancel": lambda store, ids: store.cancel(ids),
    "retry": lambda store, ids: store.retry(ids),
    "retry, attempts kept": lambda store, ids: store.retry(ids, keep_attempts=True),
    "hold": lambda store, ids: store.hold(ids, held=True),
    "let go": lambda store, ids: store.hold(ids, held=False),
    "move behind": lambda store, ids: store.move(ids, first=False),
    "remove": lambda store, ids: store.remove(ids),
    "change priority": lambda store, ids: store.edit_all(ids, {"priority": 7}),
    "change queue": lambda store, ids: store.edit_all(ids, {"queue": "other"}),
    "change time": lambda store, ids: store.edit_all(ids, {"due_at": 2**50}),
    "make due": lambda store, ids: store.edit_all(ids, {"due_at": 0, "priority": 1}),
    "change policy": lambda store, ids: store.edit_all(
        ids, {"policy": {"max-retries": "9", "unmet": "keep"}, "command": "false", "args": None,
              "shell": None}),
    "change a shell": lambda store, ids: store.edit_all(ids, {"command": "false", "shell": None}),
    "change needs": lambda store, ids: store.edit_all(ids, {"needs": {"gpu": 1}, "queue": "other"}),
    "change payload": lambda store, ids: store.edit_all(ids, {"stdin": b"in"}),
    "wait for no other": lambda store, ids: store.edit_all(ids, {"after": ()}),
    "wait for one that ended": lambda store, ids: store.edit_all(
        [job_id for job_id in ids if job_id != 1], {"after": (After(1, "failed"),)}),
    "give names back": lambda store, ids: store.edit_all(ids, {"name": None, "unique": None}),
}  # fmt: skip


def put_all_kinds(store: Store, clock: Clock) -> None:
    """Put jobs in every state, alone and waiting for one another, in both orders of their ids."""
    store.create_queue("other")
    put(store, name="twice", policy={"max-retries": "0"})
    run_one(store, EXIT_3)
    for fields in ({"name": "twice"}, {"unique": "key"}, {"unique": "key"}):
        store.cancel([put(store, **fields)])
    put(store)
    run_one(store)
    put(store)
    run_one(store, EXIT_3)
    put_many(store, 2)
    claim_and_start(store)
    claim_one(store)
    plain = put_many(store, 3)
    put(store, paused=True, priority=3)
    put(store, due_at=clock.now + 500)
    put(store, queue="other", name="twice", unique="key")
    put_many(store, 2, array=Array("a", 2, 1))
    chain = put(store, "first")
    for _ in range(3):
        chain = put(store, after=(After(chain),))
    put(store, after=(After(plain[0]), After(plain[0], "failed"), After(plain[1], "ended")))
    put(store, after=(After(plain[0]), After(plain[2])), policy={"unmet": "keep"})
    put(store, after=(After(plain[1], "ended"),), paused=True)
    early, late = put_many(store, 2)
    store.edit(early, {"after": (After(late),)})
    gone = put(store, after=(After(late), After(plain[2], "ended")))
    store.cancel([gone])
    put(store, after=(After(gone, "ended"), After(early)))


def all_there_is(store: Store) -> list[object]:
    """Return all that is told of jobs, and the order in which they would run."""
    found: list[object] = [
        (job._replace(token=None), store.dependencies(job.id), store.dependents(job.id))
        for job in store.jobs(Filter())
    ]
    counts = [(queue.name, queue.counts) for queue in store.queues()]
    wishes = [(wish.job_id, wish.kind) for wish in store.take_wishes(HOST)]
    return [found, counts, wishes, claim_all(store)]


@pytest.fixture
def alone(clock: Clock) -> Iterator[Store]:
    """A store of its own by the same clock."""
    with closing(MemoryStore({}, clock)) as store:
        yield store


@pytest.mark.parametrize("order", ["down", "twice", "half"])
@pytest.mark.parametrize("verb", VERBS)
def test_many_are_as_one_after_the_other(
    store: Store, alone: Store, clock: Clock, verb: str, order: str
) -> None:
    """Also where one decides about another, which stands before or behind it, or twice."""
    for one in (store, alone):
        put_all_kinds(one, clock)
    ids = [job.id for job in alone.jobs(Filter())]
    assert [job.id for job in store.jobs(Filter())] == ids
    ids = {"down": ids[::-1], "twice": [*ids, *NOBODY, *ids[::2]], "half": ids[::2]}[order]
    clock.advance(5)
    change = VERBS[verb]
    together = change(store, ids)
    assert together == [changed for job_id in ids for changed in change(alone, [job_id])]
    assert all_there_is(store) == all_there_is(alone)


def test_many_are_moved_to_the_front_in_the_order_given(
    store: Store, alone: Store, clock: Clock
) -> None:
    """The last one of them first."""
    for one in (store, alone):
        put_all_kinds(one, clock)
    ids = [*(job.id for job in alone.jobs(Filter())), *NOBODY]
    one_by_one = [alone.move([job_id], first=True)[0] for job_id in reversed(ids)]
    assert store.move(ids, first=True) == one_by_one[::-1]
    assert all_there_is(store) == all_there_is(alone)


def test_a_job_that_waits_for_one_job_in_two_ways_is_cancelled_once(store: Store) -> None:
    """Counters say so."""
    first = put(store)
    second = put(store, after=(After(first), After(first, "failed")))
    store.cancel([first])
    assert job_of(store, second).reason == f"dependency {first} is cancelled"
    assert (store.counts()[PENDING], store.counts()[CANCELLED]) == (0, 2)


def test_what_is_refused_for_one_changes_none(store: Store) -> None:
    """Not even those before it."""
    ids = put_many(store, 3)
    with pytest.raises(Exception, match="nope"):
        store.edit_all(ids, {"priority": 1, "queue": "nope"})
    with pytest.raises(Exception, match="same"):
        store.edit_all(ids, {"priority": 1, "name": "same"})
    assert [(job.priority, job.name) for job in store.jobs(Filter())] == [(0, None)] * 3


def test_pruned_arrays_leave_nothing_and_others_stay(store: Store) -> None:
    """All of an array that is gone, none of one of which a job is left."""
    whole, half = (put_many(store, 2, array=Array("a", 2, 1)) for _ in range(2))
    store.cancel([*whole, half[0]])
    assert store.prune((CANCELLED,), None) == 3
    assert store.prune((CANCELLED,), None) == 0
    assert claim_all(store) == [half[1]]


def test_ids_are_read_a_page_at_a_time(store: Store) -> None:
    """Those that match, behind one, ascending."""
    ids = put_many(store, 5)
    store.cancel(ids[1:2])
    pending = Filter(states=(PENDING,))
    assert store.ids(pending) == [ids[0], *ids[2:]]
    assert store.ids(pending, ids[0], 2) == ids[2:4]
    assert store.ids(pending, ids[3], limit=PAGE) == ids[4:]
    assert store.ids(pending, ids[4]) == store.ids(pending, 2**70) == []
    assert store.ids(Filter(ranges=((ids[1], ids[3]),)), ids[1]) == ids[2:4]


def test_states_are_told_of_those_that_exist(store: Store, clock: Clock) -> None:
    """However many are asked for."""
    put_all_kinds(store, clock)
    known: dict[int, Any] = {job.id: job.state for job in store.jobs(Filter())}
    assert set(known.values()) >= {PENDING, FAILED, COMPLETED, DEAD, CANCELLED}
    assert store.states_of([*known, *NOBODY, *known]) == known
    assert store.states_of([]) == {}
