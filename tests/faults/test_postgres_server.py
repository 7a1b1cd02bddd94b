"""The PostgreSQL server restarts, breaks connections, refuses writes, says nothing: no job is lost."""

from __future__ import annotations

import signal
import threading
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import StoreUnavailable
from queuectl.host.hostfile import pid_namespace
from queuectl.job import COMPLETED, NewJob
from queuectl.store import open_store
from queuectl.store.base import Filter
from queuectl.store.postgres import connections as postgres_connections
from tests.support.hosts import HURRY, eventually
from tests.support.machines import Machines
from tests.support.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fifo import Gate

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")

JOBS = 300


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """Return a server that tests may stop and start."""
    own = Server()
    yield own
    own.close()


@pytest.fixture
def machines(
    tmp_path: Path, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    # leases are not what these tests are about
    machines = Machines(tmp_path, own_server, lease=120)
    yield machines
    machines.end()


def short_jobs(machines: Machines, jobs: int = JOBS) -> list[int]:
    command = machines.alone(f"echo $QUEUECTL_JOB_ID >>{machines.directory}/ran; sleep 0.01")
    return machines.put_many(command, jobs)


def assert_all_ran(machines: Machines, ids: list[int], *, once: bool) -> None:
    """Every job has completed, and ran once as far as the store knows, or more often."""
    machines.all_ended()
    jobs = {job.id: job for job in machines.store.jobs(Filter())}
    assert sorted(jobs) == ids
    assert {job.state for job in jobs.values()} == {COMPLETED}
    assert machines.overlaps() == []
    ran = sorted(int(line) for line in (machines.directory / "ran").read_text().split())
    assert sorted(set(ran)) == ids
    if once:
        assert ran == ids


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_under_load_loses_nothing(
    machines: Machines, own_server: Server, how: signal.Signals
) -> None:
    """SIGQUIT is a crash: what was committed is there, connections end without a word."""
    ids = short_jobs(machines)
    for name in ("a", "b"):
        machines.on(name, 2)
    for _ in range(3):
        done = machines.store.counts()[COMPLETED]
        eventually(lambda done=done: machines.store.counts()[COMPLETED] > done + 10)  # type: ignore[misc]
        own_server.stop(how)
        own_server.start()
    assert_all_ran(machines, ids, once=True)


def test_connections_that_are_broken_all_the_time_lose_nothing(
    machines: Machines, own_server: Server
) -> None:
    """The writer in the middle of a commit, the listener, readers: whichever is met."""
    ids = short_jobs(machines)
    hosts = [machines.on(name, 2) for name in ("a", "b")]
    for host in hosts:
        host.ready()
    ended = threading.Event()
    broken: list[int] = []

    def break_connections() -> None:
        with own_server.connect() as connection:
            while not ended.wait(0.03):
                cursor = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'queuectl' AND pid <> pg_backend_pid()"
                    " ORDER BY random() LIMIT 1"
                )
                broken.append(cursor.rowcount)

    thread = threading.Thread(target=break_connections)
    thread.start()
    try:
        time.sleep(5)
    finally:
        ended.set()
        thread.join()
    assert_all_ran(machines, ids, once=True)
    assert sum(broken) > 30
    for host in hosts:
        # nothing but that the store was away
        words = host.ask("errors", "errors")
        assert "Error:" not in words.replace("StoreUnavailable", "")


def test_a_listener_that_lost_its_connection_hears_again(
    machines: Machines, own_server: Server, gate: Gate
) -> None:
    machines.on("a", 1, {**HURRY, "queuectl.host.pump.LOOK": 3600.0}).ready()
    for _ in range(3):
        own_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%NOTIFY%' AND pid <> pg_backend_pid()"
        )
        machines.put(gate.command)
        gate.arrived()
        gate.open()
        machines.all_ended()


def test_without_any_notice_the_poll_delivers(
    machines: Machines, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "notice", lambda *_: "SELECT 'nothing is said'")
    machines.on("a", 1, url=f"{machines.url}&poll=0.5").ready()
    for _ in range(2):
        machines.put(gate.command)
        gate.arrived()
        gate.open()
        machines.all_ended()


def _reads_only(server: Server) -> bool:
    """Whether a new connection may only read."""
    with server.connect() as connection:
        row = connection.execute("SHOW default_transaction_read_only").fetchone()
    return row is not None and row[0] == "on"


def test_a_server_that_becomes_read_only_is_waited_for(
    machines: Machines, own_server: Server, gate: Gate
) -> None:
    """As after a fail-over that left this address to a standby."""
    job_id = machines.put(gate.command)
    host = machines.on("a").ready()
    gate.arrived()
    machines.processing(job_id)
    own_server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    own_server.execute("SELECT pg_reload_conf()")
    # who asks for a reload does not wait for it; once one new connection has it, all were told
    eventually(lambda: _reads_only(own_server))
    try:
        gate.open()
        eventually(lambda: host.ask("waiting", "waiting").split()[2] == "1")
        eventually(lambda: host.ask("trouble", "trouble") != "trouble None")
    finally:
        with own_server.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
    host.hear(f"settled {job_id} completed")


def test_outcomes_wait_for_a_server_that_is_away_and_arrive(
    machines: Machines, own_server: Server, gate: Gate
) -> None:
    ids = machines.put_many(gate.command, 3)
    host = machines.on("a", 3).ready()
    for _ in ids:
        gate.arrived()
    eventually(lambda: all(job.state == "processing" for job in machines.store.jobs(Filter())))
    own_server.stop()
    gate.open(3)
    eventually(lambda: host.ask("waiting", "waiting").split()[2] == "3")
    time.sleep(5)
    own_server.start()
    machines.all_ended()
    found = [(job.state, job.attempts, job.deliveries) for job in machines.store.jobs(Filter())]
    assert found == [(COMPLETED, 1, 1)] * 3


def test_an_enqueue_is_in_the_store_when_it_says_so(machines: Machines, own_server: Server) -> None:
    """Whatever happens to the connection: acknowledged once, there once."""
    acknowledged: list[int] = []
    ended = threading.Event()

    def break_connections() -> None:
        chance = Random(7)
        with own_server.connect() as connection:
            # at any point of an enqueue, and seldom enough for some to get through
            while not ended.wait(chance.uniform(0, 0.1)):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'queuectl' AND pid <> pg_backend_pid()"
                )

    store = open_store(machines.url)
    thread = threading.Thread(target=break_connections)
    thread.start()
    refused = 0
    try:
        for _ in range(200):
            try:
                acknowledged += store.add([NewJob("true")])
            except StoreUnavailable:
                refused += 1
    finally:
        ended.set()
        thread.join()
        store.close()
    there = [job.id for job in machines.store.jobs(Filter())]
    assert there == sorted(acknowledged)
    assert len(acknowledged) + refused == 200
    assert acknowledged
