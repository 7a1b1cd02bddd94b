"""Hosts and clients behind a pooler in transaction mode, where a session keeps nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from queuectl.job import COMPLETED
from queuectl.store.base import Filter
from queuectl.store.postgres.engine import PostgresStore
from queuectl.store.postgres.url import parse
from tests.support.machines import Machines
from tests.support.pooler import Pooler
from tests.support.postgres import Server, server
from tests.support.work import HOST, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

#: seconds within which a host looks where it hears nothing, and then some
SOON = 4.0


class _Pooled(Server):
    """The shared server as it is seen through a pooler."""

    def __init__(self, pooler: Pooler) -> None:
        self._pooler = pooler

    def url(self, *args: str, **parameters: Any) -> str:
        return self._pooler.url(*args, **parameters)

    def drop(self, schema: str) -> None:
        server().drop(schema)


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    with Pooler(server()) as pooler:
        yield pooler


@pytest.fixture
def machines(tmp_path: Path, pooler: Pooler, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, _Pooled(pooler), lease=10)
    yield machines
    machines.end()


def test_hosts_work_and_hear_of_jobs_by_looking(machines: Machines, pooler: Pooler) -> None:
    """A notice that a listener hears while it speaks itself is no proof that it hears others."""
    for name in "ab":
        machines.on(name, 2).ready()
    cli = machines.machine("c").cli
    cli.ok("enqueue", "echo hello")
    began = time.monotonic()
    cli.ok("wait", "1")
    assert time.monotonic() - began < SOON
    assert cli.ok("output", "1") == "hello\n"
    machines.put_many("true", 300, args=(), shell=False)
    machines.all_ended()
    jobs = machines.store.jobs(Filter())
    assert {(job.state, job.deliveries) for job in jobs} == {(COMPLETED, 1)}
    assert pooler.handed_on > 10


def test_doctor_says_that_notices_do_not_arrive(machines: Machines) -> None:
    checks = {check["topic"]: check for check in machines.machine("a").cli.json("doctor")}
    assert "PgBouncer" in checks["notices"]["text"]
    assert "every second" in checks["notices"]["text"]


def test_nothing_said_to_a_session_is_relied_on(machines: Machines, pooler: Pooler) -> None:
    """Two stores in two schemas take turns on the same server connections."""
    stores = [
        machines.store,
        PostgresStore(parse(pooler.url(schema=f"{machines.schema}b"), {}), {}),
    ]
    try:
        for number in range(30):
            for store in stores:
                put(store, f"echo {number}")
                assert store.count(Filter()) == number + 1
                with store.transaction():
                    store.claim(HOST, 1)
        assert all(len(store.held_by(HOST)) == 30 for store in stores)
        assert pooler.handed_on
    finally:
        stores[1].close()
        server().drop(f"{machines.schema}b")
