"""Queues, settings and hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.errors import NoSuchQueue
from tests.support.work import (
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
    from queuectl.store.base import Store
    from tests.support.clock import Clock
    from tests.support.stores import Engine


def test_the_default_queue_always_exists(store: Store) -> None:
    """Without limit, not paused."""
    (default,) = [queue for queue in store.queues() if queue.name == "default"]
    assert (default.paused, default.limit, sum(default.counts.values())) == (False, None, 0)


def test_a_queue_is_created_once(store: Store) -> None:
    """The second time it is left as it is."""
    assert store.create_queue("gpu", limit=2)
    store.pause_queue("gpu", paused=True)
    assert not store.create_queue("gpu", limit=9)
    assert not store.create_queue("gpu")
    (queue,) = [queue for queue in store.queues() if queue.name == "gpu"]
    assert (queue.limit, queue.paused) == (2, True)
    assert not store.create_queue("default", limit=1)


def test_a_queue_that_does_not_exist_cannot_be_paused(store: Store) -> None:
    """The error suggests the nearest."""
    with pytest.raises(NoSuchQueue, match="no queue 'defautl'; did you mean default"):
        store.pause_queue("defautl", paused=True)
    with pytest.raises(NoSuchQueue, match="no queue 'zzz'$"):
        store.pause_queue("zzz", paused=False)


def test_pausing_twice_is_pausing(store: Store) -> None:
    """And resuming what is not paused changes nothing."""
    store.create_queue("a")
    for paused in (False, True, True, False, False):
        store.pause_queue("a", paused=paused)
        assert [queue.paused for queue in store.queues() if queue.name == "a"] == [paused]


def test_settings_are_made_and_taken_back(store: Store) -> None:
    """For the store and for a queue, apart from each other."""
    assert store.settings() == {}
    store.set("max-retries", "5")
    store.set("timeout", "1m")
    store.set("max-retries", "6")
    store.set("timeout", "2m", "default")
    assert store.settings() == {"max-retries": "6", "timeout": "1m"}
    assert store.settings("default") == {"timeout": "2m"}
    assert store.settings("nowhere") == {}
    store.set("timeout", None)
    store.set("jitter", None)
    assert store.settings() == {"max-retries": "6"}
    assert store.settings("default") == {"timeout": "2m"}


def test_settings_are_there_for_every_store_object(shared: Engine) -> None:
    """They belong to the store."""
    first, second = shared.open(), shared.open()
    first.set("shell", "/bin/bash")
    assert second.settings() == {"shell": "/bin/bash"}


def test_settings_of_the_environment_are_not_the_stores(engine: Engine) -> None:
    """They are this process's and weaker."""
    store = engine.open({"max-retries": "9"})
    assert store.settings() == {}
    assert dict(store.local_settings) == {"max-retries": "9"}


def test_hosts_are_listed_oldest_first_with_all_they_said(store: Store) -> None:
    """Every field comes back."""
    younger = a_host(OTHER, 20, queues=("a", "b"))
    older = a_host(HOST, 10)
    store.register(younger)
    store.register(older)
    assert store.hosts() == [older, younger]


def test_a_host_may_write_its_row_again(store: Store) -> None:
    """With other workers and queues."""
    store.register(a_host())
    again = a_host(queues=("a",))._replace(workers=5, seen_at=99)
    store.register(again)
    assert store.hosts() == [again]


def test_renew_tells_that_a_host_lives(store: Store, clock: Clock) -> None:
    """Of this host only; of an unknown one nothing."""
    store.register(a_host(HOST, clock.now))
    store.register(a_host(OTHER, clock.now + 1))
    at = clock.advance(5000)
    store.renew(HOST)
    store.renew("nobody")
    assert [host.seen_at for host in store.hosts()] == [at, at - 4999]


def test_a_host_can_be_asked_to_stop(store: Store) -> None:
    """How, and how many of its workers."""
    store.register(a_host())
    assert store.ask_stop(HOST, "drain", 1)
    (host,) = store.hosts()
    assert (host.stop_requested, host.stop_workers) == ("drain", 1)
    assert store.ask_stop(HOST, "now")
    (host,) = store.hosts()
    assert (host.stop_requested, host.stop_workers) == ("now", None)
    assert not store.ask_stop("nobody", "now")


def test_a_forgotten_host_is_gone_with_its_wishes(store: Store) -> None:
    """Nobody will grant them."""
    put(store)
    store.register(a_host())
    claim = claim_and_start(store)
    store.wish([claim.job_id], "signal", b"1")
    settle(store, claim)
    store.forget(HOST)
    store.forget(HOST)
    assert store.hosts() == []
    assert store.take_wishes(HOST) == []


def test_a_host_that_holds_a_claim_is_not_forgotten(store: Store) -> None:
    """Without its row nobody would look for its jobs."""
    put(store)
    store.register(a_host())
    claim = claim_one(store)
    store.forget(HOST)
    assert [host.id for host in store.hosts()] == [HOST]
    release(store, claim)
    store.forget(HOST)
    assert store.hosts() == []


def test_the_stores_time_is_the_clock_it_was_given(store: Store, clock: Clock) -> None:
    """All its decisions go by it."""
    assert store.now() == clock.now
    clock.advance(5)
    assert store.now() == clock.now


def test_a_store_has_a_name_to_show_and_a_place_for_files(store: Store) -> None:
    """Both are text."""
    assert store.name
    assert store.local_directory.startswith("/")
