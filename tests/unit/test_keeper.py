"""The keeper's threads: a heart that nothing stops, rounds that go on, and pruning."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from queuectl.host import keeper
from queuectl.host.hostfile import HostFile
from queuectl.host.keeper import Keeper
from queuectl.job import CANCELLED, COMPLETED, PENDING
from queuectl.paths import host_path, hosts_directory
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.clock import Clock
from tests.support.work import a_host, put_many, run_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.host.recovery import Recovered
    from queuectl.host.worker import WorkerHost
    from queuectl.store.base import Store

#: seconds until a test gives up on something that should come at once
PATIENCE = 10
DAY = 24 * 3600 * 1000


class Host:
    """As much of a worker host as a keeper knows."""

    id = "host-a"
    store_trouble: str | None = None

    def __init__(self, store: Store) -> None:
        self._store = store
        self.beats = threading.Semaphore(0)
        self.rounds = threading.Semaphore(0)
        self.renewals = 0
        self.errors: list[Exception] = []
        #: while it is clear, writes do not come back
        self.writes = threading.Event()
        self.writes.set()
        self.calls = 0

    def beat(self) -> None:
        self.beats.release()

    def call(self, request: Callable[[Store], Any]) -> Any:
        self.calls += 1
        self.writes.wait(PATIENCE)
        return request(self._store)

    def renew(self) -> None:
        self.renewals += 1
        self.rounds.release()
        self.call(lambda _: None)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)

    def recovered(self, what: Recovered) -> None:
        """Hear of a dead host."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[MemoryStore]:
    store = MemoryStore({}, clock)
    os.makedirs(hosts_directory(store.local_directory))
    yield store
    store.close()


@pytest.fixture
def host(store: MemoryStore) -> Host:
    return Host(store)


@pytest.fixture
def kept(store: MemoryStore, host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """Make a keeper in a hurry."""
    for name, value in (("BEAT", 0.001), ("ROUND", 0.001), ("RENEW", 0.0), ("PRUNE_PAUSE", 0.0)):
        monkeypatch.setattr(keeper, name, value)
    made = Keeper(store, cast("WorkerHost", host))
    yield made
    host.writes.set()
    if made._heart.ident is not None:
        assert made.stop(PATIENCE)
        made.die()


def test_the_heart_beats_while_the_store_keeps_everybody_waiting(kept: Keeper, host: Host) -> None:
    host.writes.clear()
    kept.start()
    assert host.rounds.acquire(timeout=PATIENCE)
    for _ in range(50):
        assert host.beats.acquire(timeout=PATIENCE)
    assert host.renewals == 1
    host.writes.set()
    assert host.rounds.acquire(timeout=PATIENCE)


def test_stopping_does_not_wait_for_ever(kept: Keeper, host: Host) -> None:
    host.writes.clear()
    kept.start()
    assert host.rounds.acquire(timeout=PATIENCE)
    assert not kept.stop(0.01)


def test_a_round_that_fails_is_told_and_the_next_one_comes(
    kept: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError("of the test")
    errors = [error]

    def fail(_: object) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(keeper, "reap_orphans", fail)
    kept.start()
    assert host.rounds.acquire(timeout=PATIENCE)
    assert host.errors == [error]


def test_a_store_in_trouble_is_asked_again_every_round(
    kept: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take a write: then it is over."""
    monkeypatch.setattr(keeper, "RENEW", 3600.0)
    host.store_trouble = "no space left"
    kept.start()
    for _ in range(5):
        assert host.rounds.acquire(timeout=PATIENCE)


# ---- pruning ------------------------------------------------------------------------------------


def complete(store: Store, jobs: int) -> None:
    put_many(store, jobs)
    for _ in range(jobs):
        run_one(store)


def test_old_jobs_go_in_portions_until_none_is_left(
    kept: Keeper, host: Host, store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PRUNE_MOST", 3)
    complete(store, 8)
    store.cancel(put_many(store, 4))
    clock.advance(31 * DAY)
    complete(store, 2)
    put_many(store, 1)
    kept._prune()
    counts = store.counts()
    assert (counts[COMPLETED], counts[CANCELLED], counts[PENDING]) == (2, 0, 1)
    assert host.calls == 3 + 2


def test_more_than_the_number_to_be_kept_go_oldest_first(
    kept: Keeper, store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PRUNE_MOST", 3)
    store.set("keep-completed-count", "2")
    for _ in range(10):
        complete(store, 1)
        clock.advance(1)
    kept._prune()
    assert [job_id for job_id in range(1, 11) if store.get(job_id)] == [9, 10]


def test_settings_can_keep_everything(kept: Keeper, store: MemoryStore, clock: Clock) -> None:
    for name in ("keep-completed", "keep-cancelled", "keep-completed-count"):
        store.set(name, "0" if name.endswith("count") else "0s")
    complete(store, 2)
    clock.advance(1000 * DAY)
    kept._prune()
    assert store.counts()[COMPLETED] == 2


def test_what_pruned_jobs_had_in_common_goes_a_while_after_the_start(
    kept: Keeper, store: MemoryStore, clock: Clock
) -> None:
    put_many(store, 1, env={"SEED": "1"})
    put_many(store, 1, env={"SEED": "2"})
    store.remove([1])
    clock.advance(9 * DAY)
    kept._round()
    assert store.unused()
    kept._tidied -= keeper.TIDY
    kept._round()
    assert not store.unused()


def test_the_first_round_looks_for_dead_hosts(kept: Keeper, host: Host, store: MemoryStore) -> None:
    store.register(a_host("dead"))
    HostFile(host_path(hosts_directory(store.local_directory), "dead"), 1).close(keep=True)
    kept.start()
    assert host.rounds.acquire(timeout=PATIENCE)
    assert store.hosts() == []
