"""A PostgreSQL server dies and its standby takes over, with hosts and clients that know both."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import StoreUnavailable
from queuectl.host.hostfile import pid_namespace
from queuectl.job import COMPLETED, EXIT, FINAL, STATES
from queuectl.store import open_store
from queuectl.store.base import Filter
from tests.support.hosts import eventually
from tests.support.machines import Machines
from tests.support.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fifo import Gate

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")

LEASE = 5.0
WAITING = tuple(state for state in STATES if state not in FINAL)


class Pair(Server):
    """A primary, and a standby that has everything before it is acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.standby = Server(primary=self)
        self.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self.execute("SELECT pg_reload_conf()")
        eventually(self._is_synchronous)

    def _is_synchronous(self) -> bool:
        rows = self.execute("SELECT sync_state FROM pg_stat_replication")
        return rows == [("sync",)]

    def url(self, *args: str, **parameters: Any) -> str:
        standby = getattr(self, "standby", None)
        if standby is not None:
            parameters |= {"host": f"{self.sockets},{standby.sockets}", "port": "5432,5432"}
            parameters.setdefault("target_session_attrs", "read-write")
        return super().url(*args, **parameters)

    def fail_over(self) -> float:
        """Kill the primary, promote the standby; return when it takes writes (time.monotonic)."""
        self.stop(signal.SIGQUIT)
        self.standby.execute("SELECT pg_promote(true, 30)")
        return time.monotonic()

    def close(self) -> None:
        if (standby := getattr(self, "standby", None)) is not None:
            standby.close()
        super().close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def machines(tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, pair, lease=LEASE)
    yield machines
    machines.end()


class _Submitter(threading.Thread):
    """Enqueues one job after the other, and keeps the ids that were acknowledged."""

    def __init__(self, machines: Machines) -> None:
        super().__init__(daemon=True)
        self._machines = machines
        self._ended = threading.Event()
        self.ids: list[int] = []
        self.refused = 0

    def run(self) -> None:
        store = open_store(self._machines.url)
        job = self._machines.job("true")
        while not self._ended.is_set():
            try:
                self.ids += store.add([job])
            except StoreUnavailable:
                self.refused += 1
                self._ended.wait(0.05)
        store.close()

    def stop(self) -> None:
        self._ended.set()
        self.join(60)
        assert not self.is_alive()


def test_all_goes_on_with_the_standby(machines: Machines, pair: Pair, gate: Gate) -> None:
    """What was acknowledged is there, what ran runs on, and is not run again."""
    for name in "ab":
        machines.on(name, 2).ready()
    slow = machines.put(machines.alone(gate.command))
    gate.arrived()
    machines.processing(slow)
    submitter = _Submitter(machines)
    submitter.start()
    eventually(lambda: len(submitter.ids) > 50)
    pair.fail_over()
    known = len(submitter.ids)
    eventually(lambda: len(submitter.ids) > known + 50)
    submitter.stop()
    gate.open()
    eventually(lambda: not _count(machines))
    found = {job.id: job for job in machines.store.jobs(Filter())}
    assert not {slow, *submitter.ids} - set(found)
    assert {job.state for job in found.values()} == {COMPLETED}
    assert [attempt.kind for attempt in machines.store.attempts(slow)] == [EXIT]
    assert machines.overlaps() == []
    assert len(machines.store.hosts()) == 2


def test_nobody_is_recovered_for_one_lease_after_it(machines: Machines, pair: Pair) -> None:
    """Nobody could renew while there was no server."""
    command = machines.alone("sleep 600")
    host = machines.guarded_on("a", 1)
    job_id = machines.put(command)
    machines.processing(job_id)
    other = machines.on("b", 1).ready()
    os.killpg(host.front, signal.SIGKILL)
    for pid in machines.survivors():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    # most of its lease is over when the servers change
    time.sleep(LEASE * 0.6)
    promoted = pair.fail_over()
    eventually(lambda: _hosts(machines) == 1)
    assert time.monotonic() - promoted > LEASE - 0.5
    other.kill()


def _count(machines: Machines) -> int:
    try:
        return machines.store.count(Filter(states=WAITING))
    except StoreUnavailable:
        return -1


def _hosts(machines: Machines) -> int:
    try:
        return len(machines.store.hosts())
    except StoreUnavailable:
        return -1
