"""How a host hears that there is something to do."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import pytest

from queuectl.job import LOST, Outcome
from tests.support.work import (
    EXIT_3,
    HOST,
    OTHER,
    a_host,
    claim_and_start,
    claim_one,
    put,
    release,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.store.base import Listener, Store
    from tests.support.stores import Engine


def poked(listener: Listener, within: float = 0.0) -> bool:
    """Whether the descriptor is readable now, or becomes so within some seconds."""
    return bool(select.select([listener.fileno()], [], [], within)[0])


class Pair:
    """A host that listens, and another Store object of the same store."""

    def __init__(self, engine: Engine) -> None:
        self.own, self.other = engine.open(), engine.open()
        self.delay = engine.delay
        self.own.register(a_host(HOST))
        self.listener = self.own.listener(HOST)
        self.listener.changed()

    def is_woken_by(self, act: Callable[[], object]) -> bool:
        """Whether doing something pokes the listener."""
        self.listener.clear()
        act()
        return poked(self.listener, self.delay)


@pytest.fixture
def pair(shared: Engine) -> Iterator[Pair]:
    """Two Store objects, one of them a host that listens."""
    made = Pair(shared)
    yield made
    made.listener.close()


def test_a_host_is_woken_by_a_foreign_commit_of_work(pair: Pair) -> None:
    """And stays so until it is cleared."""
    assert not poked(pair.listener)
    put(pair.other)
    assert poked(pair.listener, pair.delay)
    assert poked(pair.listener)
    pair.listener.clear()
    assert not poked(pair.listener)


def test_a_host_is_not_woken_by_its_own_commits(pair: Pair) -> None:
    """It knows what it did."""
    assert not pair.is_woken_by(lambda: put(pair.own))
    assert not pair.is_woken_by(lambda: release(pair.own, claim_one(pair.own)))


def test_many_pokes_are_one(pair: Pair) -> None:
    """However many, one clear forgets them, and nobody ever blocks."""
    for _ in range(300):
        put(pair.other)
    assert poked(pair.listener, pair.delay)
    pair.listener.clear()
    while poked(pair.listener, pair.delay):
        # told of by a server, one after the other
        pair.listener.clear()
    assert not poked(pair.listener)


def test_a_host_is_woken_by_whatever_gives_it_something_to_do(pair: Pair) -> None:
    """Jobs for now and later, claims given back, queues resumed, wishes, requests to stop."""
    store, own = pair.other, pair.own
    later = own.now() + 60_000
    assert pair.is_woken_by(lambda: put(store, due_at=later))
    put(own)
    claim = claim_and_start(own)
    assert pair.is_woken_by(lambda: store.wish([claim.job_id], "signal", b"1"))
    assert pair.is_woken_by(lambda: store.cancel([claim.job_id]))
    store.create_queue("a")
    store.pause_queue("a", paused=True)
    assert pair.is_woken_by(lambda: store.pause_queue("a", paused=False))
    assert pair.is_woken_by(lambda: store.ask_stop(HOST, "drain"))
    held = put(own, paused=True)
    assert pair.is_woken_by(lambda: store.hold([held], held=False))
    claimed = claim_one(store, OTHER)
    assert pair.is_woken_by(lambda: release(store, claimed))
    claimed = claim_one(store, OTHER)
    settle(store, claimed, EXIT_3)
    assert pair.is_woken_by(lambda: store.retry([claimed.job_id]))


def test_a_host_is_woken_when_a_limited_queue_has_room_again(pair: Pair) -> None:
    """The next job of the queue may be its own."""
    pair.other.create_queue("gpu", limit=1)
    for _ in range(2):
        put(pair.other, queue="gpu")
    claim = claim_one(pair.other, OTHER)
    assert pair.is_woken_by(lambda: settle(pair.other, claim))


def test_a_host_is_woken_when_another_one_is_gone(pair: Pair) -> None:
    """That one knew when the retries of its jobs are due; the others learn it now."""
    pair.other.register(a_host(OTHER))
    put(pair.other)
    claim = claim_one(pair.other, OTHER)
    assert pair.is_woken_by(lambda: settle(pair.other, claim, Outcome(LOST, started_at=1)))
    assert pair.is_woken_by(lambda: pair.other.forget(OTHER))


def test_a_host_is_not_woken_for_nothing(pair: Pair) -> None:
    """Nor by what was undone."""
    job_id = put(pair.own)
    assert not pair.is_woken_by(lambda: pair.other.get(job_id))
    assert not pair.is_woken_by(lambda: pair.other.set("timeout", "5s"))

    def undone() -> None:
        with pytest.raises(KeyError), pair.other.transaction():
            put(pair.other)
            raise KeyError

    assert not pair.is_woken_by(undone)


def test_several_hosts_are_woken_alike(shared: Engine) -> None:
    """Each has its own ear."""
    stores = [shared.open() for _ in range(3)]
    listeners = [store.listener(f"host-{number}") for number, store in enumerate(stores)]
    put(stores[0])
    assert [poked(listener, shared.delay) for listener in listeners] == [False, True, True]
    put(shared.open())
    assert [poked(listener, shared.delay) for listener in listeners] == [True, True, True]
    for listener in listeners:
        listener.close()


def test_changed_tells_that_something_was_written(pair: Pair) -> None:
    """Poke or no poke, once for any number of commits, and not when there was none."""
    assert not pair.listener.changed()
    pair.other.set("timeout", "5s")
    pair.other.set("timeout", "6s")
    assert not poked(pair.listener)
    assert pair.listener.changed()
    assert not pair.listener.changed()


def test_changed_does_not_tell_of_reading(pair: Pair) -> None:
    """Nor of what was undone."""
    pair.other.counts()
    pair.own.counts()
    assert pair.other.claim(OTHER, 5) == []
    pair.listener.changed()
    with pytest.raises(KeyError), pair.other.transaction():
        put(pair.other)
        raise KeyError
    assert not pair.listener.changed()


def test_a_closed_listener_can_be_opened_again(shared: Engine) -> None:
    """Closing is idempotent, and nobody fails over an ear that is gone."""
    store, other = shared.open(), shared.open()
    for _ in range(3):
        listener = store.listener(HOST)
        put(other)
        assert poked(listener, shared.delay)
        listener.close()
        listener.close()
        put(other)


def test_a_listener_may_be_closed_after_its_store(shared: Engine) -> None:
    """In whichever order a host takes itself down."""
    store = shared.open()
    listener = store.listener(HOST)
    store.close()
    listener.close()


def test_every_engine_has_a_listener(engine: Engine) -> None:
    """Quiet while nothing happens."""
    store: Store = engine.open()
    store.register(a_host())
    listener = store.listener(HOST)
    assert not poked(listener)
    assert not listener.changed()
    listener.clear()
    put(store)
    assert not poked(listener)
    listener.close()
