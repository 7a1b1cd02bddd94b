"""Hosts of a PostgreSQL store: their leases, the output they ship, how they hear of work."""

from __future__ import annotations

import os
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from queuectl.store.base import Filter
from queuectl.store.postgres import listen
from queuectl.store.postgres.engine import PostgresStore
from queuectl.store.postgres.url import parse
from tests.support.hosts import eventually
from tests.support.limits import many_open_files
from tests.support.postgres import open_schema, server, terminate
from tests.support.work import EXIT_0, HOST, a_host, claim_one, put, settle

# ---- leases ------------------------------------------------------------------------------------


def test_a_host_that_does_not_renew_expires_by_the_servers_clock(schema: str) -> None:
    """Not before its lease has ended, and not when it has renewed."""
    own = open_schema(schema, lease=1)
    assert own.lease == 1.0
    own.register(a_host(HOST, started_at=own.now()))
    own.register(a_host("other", started_at=own.now()))
    assert own.expired() == []
    deadline = time.monotonic() + 10
    while not (expired := own.expired()) and time.monotonic() < deadline:
        assert own.renew("other")
        time.sleep(0.05)
    assert expired == [HOST]
    own.forget(HOST)
    assert not own.renew(HOST)
    own.close()


def test_a_look_for_expired_hosts_meets_no_transaction(store: PostgresStore) -> None:
    """The first one of a new store writes something down, on the keeper's thread."""
    with store.transaction():
        put(store)
        keeper = threading.Thread(target=store.expired)
        keeper.start()
        keeper.join(20)
        assert store.count(Filter()) == 1
        put(store)
    assert store.count(Filter()) == 2


def test_renewing_waits_for_no_transaction(store: PostgresStore) -> None:
    """It has a connection of its own."""
    store.register(a_host())
    renewed: list[bool] = []
    with store.transaction():
        put(store)
        thread = threading.Thread(target=lambda: renewed.append(store.renew(HOST)))
        thread.start()
        thread.join(10)
    assert renewed == [True]


@pytest.mark.parametrize("pooled", [False, True])
def test_any_thread_may_renew(store: PostgresStore, pooled: bool) -> None:
    """Those of a server's clients do, beside the one of the host itself."""
    store.register(a_host(HOST))
    store.is_pooled = pooled
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: store.renew(HOST), range(100)))


def test_nobody_expires_within_a_lease_of_the_servers_start(schema: str) -> None:
    """Nor of its promotion: until then nobody could renew."""
    clock = [10_000_000]
    store = PostgresStore(parse(server().url(schema=schema, lease=60), {}), {}, lambda: clock[0])
    store.register(a_host(HOST, started_at=clock[0]))
    clock[0] += 61_000
    store.started_at = clock[0] - 1000
    assert store.expired() == []
    store.started_at = 0
    server().execute(f"UPDATE \"{schema}\".store SET timeline = '0000000F'")
    assert store.expired() == []
    assert store.expired() == []
    clock[0] += 60_001
    assert store.expired() == [HOST]
    store.close()


def test_output_is_shipped_under_the_token_only(store: PostgresStore) -> None:
    """Once each piece, in order, and gone with the job."""
    put(store)
    claim = claim_one(store)
    for offset, data in ((0, b"abc"), (3, b"def"), (0, b"xyz")):
        assert store.ship(claim.job_id, claim.run, claim.token, offset, data, b"m")
    assert not store.ship(claim.job_id, claim.run, "another", 6, b"ghi", b"")
    assert store.shipped(claim.job_id, claim.run) == [(0, b"abc", b"m"), (3, b"def", b"m")]
    assert store.shipped(claim.job_id, claim.run, 3) == [(3, b"def", b"m")]
    settle(store, claim, EXIT_0)
    assert not store.ship(claim.job_id, claim.run, claim.token, 6, b"ghi", b"")
    store.remove([claim.job_id])
    assert store.shipped(claim.job_id, claim.run) == []


# ---- listening ---------------------------------------------------------------------------------


def test_a_listener_whose_connection_broke_listens_again(store: PostgresStore, schema: str) -> None:
    """And says that something may have happened meanwhile."""
    listener: Any = store.listener(HOST)
    other = open_schema(schema)
    assert listener.hears
    terminate(listener._connection)
    assert select.select([listener.fileno()], [], [], 10)[0]
    deadline = time.monotonic() + 10
    while listener._connection is None and time.monotonic() < deadline:
        time.sleep(0.01)
    listener.clear()
    while select.select([listener.fileno()], [], [], 0.5)[0]:
        listener.clear()
    put(other)
    assert select.select([listener.fileno()], [], [], 10)[0]
    listener.close()
    other.close()


def test_a_listener_that_hears_asks_the_store_rarely(store: PostgresStore) -> None:
    """Until it is told something, or its time has come."""
    listener: Any = store.listener(HOST)
    asked: list[int] = []
    version = store.version
    store.version = lambda: asked.append(1) or version()  # type: ignore[method-assign,func-returns-value]
    listener.changed()
    for _ in range(50):
        listener.changed()
    assert len(asked) == 1
    listener._said = True
    listener.changed()
    assert len(asked) == 2
    listener.close()


def test_a_listener_works_where_a_thousand_descriptors_are_open(store: PostgresStore) -> None:
    """Those of a host with many workers, where its connection broke and is opened anew."""
    with many_open_files(1100):
        listener: Any = store.listener(HOST)
        assert listener.hears
        assert listener._connection.fileno() > 1024
        terminate(listener._connection)
        eventually(lambda: listener.trouble is not None)
        eventually(lambda: listener.hears and listener.trouble is None)
        listener.close()


def test_a_listener_that_hangs_is_left_its_pipes(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes into them when it has its connection: by then their numbers may be others'."""
    monkeypatch.setattr(listen, "_PATIENCE", 0.1)
    listener: Any = store.listener(HOST)
    lend, asked, gate = store.lend_reader, threading.Event(), threading.Event()

    def hangs() -> Any:
        asked.set()
        assert gate.wait(10)
        return lend()

    monkeypatch.setattr(store, "lend_reader", hangs)
    terminate(listener._connection)
    assert asked.wait(10)
    listener.close()
    assert listener._thread.is_alive()
    os.fstat(listener._in)
    gate.set()
    listener._thread.join(10)
    assert not listener._thread.is_alive()
    listener._close_pipes()
