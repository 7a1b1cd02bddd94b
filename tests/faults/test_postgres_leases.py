"""Hosts on machines that share a PostgreSQL store, and die, stand still, or lose contact."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from queuectl.host.hostfile import pid_namespace
from queuectl.job import COMPLETED, EXIT, PENDING, PROCESSING, Outcome
from queuectl.store.base import Settlement
from tests.support.hosts import SELFISH, eventually
from tests.support.machines import LEASE, Machines
from tests.support.postgres import Server, server
from tests.support.processes import gone, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fifo import Gate

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")

#: seconds within which a guardian has given everything back, and others have after a lease
BY_GUARDIAN, BY_OTHERS = 5.0, LEASE + 5.0


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Machines with one store; nothing of them outlives the test."""
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, server())
    yield machines
    machines.end()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """Return a server that a test may stop."""
    own = Server()
    yield own
    own.close()


@pytest.fixture
def apart(
    tmp_path: Path, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    """Machines with a store whose server may be stopped."""
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, own_server)
    # right after its start nobody is recovered for a lease
    yield machines
    if not _is_up(own_server):
        own_server.start()
    machines.end()


def _is_up(own: Server) -> bool:
    try:
        own.connect().close()
    except psycopg.Error:
        return False
    return True


def reasons(machines: Machines, job_id: int) -> list[str | None]:
    return [attempt.reason for attempt in machines.store.attempts(job_id)]


# ---- killed -------------------------------------------------------------------------------------


def test_a_guardian_gives_the_jobs_of_a_killed_host_back_at_once(
    machines: Machines, gate: Gate
) -> None:
    job_id = machines.put(machines.alone(gate.saying("$$")))
    host = machines.guarded_on("a")
    child = int(gate.arrived())
    machines.processing(job_id)
    machines.on("b").ready()
    began = time.monotonic()
    host.kill()
    gate.arrived()
    assert time.monotonic() - began < BY_GUARDIAN
    assert gone(child, 0)
    gate.open()
    assert machines.ended(job_id).state == COMPLETED
    assert reasons(machines, job_id) == ["worker lost", "exit 0"]
    assert machines.overlaps() == []
    assert gone(host.front)


def test_other_machines_take_over_when_the_lease_of_a_killed_host_has_ended(
    machines: Machines, gate: Gate
) -> None:
    job_id = machines.put(gate.command)
    host = machines.guarded_on("a", 1, SELFISH)
    gate.arrived()
    machines.processing(job_id)
    other = machines.on("b").ready()
    os.kill(host.front, signal.SIGKILL)
    host.kill()
    for pid in machines.survivors():
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    gate.arrived()
    assert LEASE - 1 < time.monotonic() - began < BY_OTHERS
    gate.open()
    assert machines.ended(job_id).state == COMPLETED
    assert reasons(machines, job_id) == ["worker lost", "exit 0"]
    assert [row.id for row in machines.store.hosts()] == [other.ask("id", "id").split()[1]]


def test_a_host_of_another_machine_is_left_alone_although_it_has_no_file_here(
    machines: Machines, gate: Gate
) -> None:
    job_id = machines.put(gate.command)
    machines.on("a", 1, SELFISH).ready()
    gate.arrived()
    for name in ("b", "c"):
        machines.on(name).ready()
    # several rounds of theirs, and more than a lease
    time.sleep(LEASE + 1)
    gate.open()
    assert machines.ended(job_id).state == COMPLETED
    assert reasons(machines, job_id) == ["exit 0"]


# ---- standing still -----------------------------------------------------------------------------


def test_a_host_that_stood_still_beyond_its_lease_is_refused_and_nothing_overlaps(
    machines: Machines, gate: Gate
) -> None:
    job_id = machines.put(machines.alone(f"trap '' TERM; {gate.saying('$$')}"))
    host = machines.guarded_on("a")
    first = int(gate.arrived())
    job = machines.processing(job_id)
    token, run = str(job.token), job.runs
    host.signal(signal.SIGSTOP)
    other = machines.on("b").ready()
    gate.arrived()
    assert gone(first, 0), "the guardian let it live"
    late = Settlement(job_id, token, run, Outcome(EXIT, 0))
    assert machines.store.settle([late])[0].state is None
    host.signal(signal.SIGCONT)
    # it is there again, and has work again
    eventually(lambda: len(machines.store.hosts()) == 2)
    gate.open()
    assert machines.ended(job_id).state == COMPLETED
    assert reasons(machines, job_id) == ["worker lost", "exit 0"]
    assert machines.overlaps() == []
    other.ask("stop", "stopping")
    again = machines.put("true")
    assert machines.ended(again).state == COMPLETED
    host.hear(f"settled {again}")


def test_a_host_that_stood_still_for_less_goes_on(machines: Machines, gate: Gate) -> None:
    job_id = machines.put(gate.command)
    host = machines.guarded_on("a")
    gate.arrived()
    host.signal(signal.SIGSTOP)
    machines.on("b").ready()
    time.sleep(LEASE / 3)
    host.signal(signal.SIGCONT)
    gate.open()
    assert machines.ended(job_id).state == COMPLETED
    assert reasons(machines, job_id) == ["exit 0"]


# ---- no contact ---------------------------------------------------------------------------------


def test_outcomes_arrive_after_the_server_was_down_for_less_than_the_lease(
    apart: Machines, gate: Gate, own_server: Server
) -> None:
    job_id = apart.put(gate.saying("$$"))
    host = apart.on("a").ready()
    child = int(gate.arrived())
    apart.processing(job_id)
    own_server.stop()
    gate.open()
    assert gone(child)
    eventually(lambda: host.ask("waiting", "waiting").split()[2] == "1")
    time.sleep(LEASE / 3)
    own_server.start()
    host.hear(f"settled {job_id} completed")
    assert apart.ended(job_id).state == COMPLETED
    assert reasons(apart, job_id) == ["exit 0"]


def test_jobs_are_killed_when_contact_is_lost_for_longer_and_run_again(
    apart: Machines, gate: Gate, own_server: Server
) -> None:
    command = apart.alone(f"trap '' TERM; {gate.saying('$$')}")
    killed = apart.put(command)
    spared = apart.put(command, policy={"on-lost-contact": "continue"})
    host = apart.guarded_on("a", 2)
    children = {apart.get(killed).id: 0, apart.get(spared).id: 0}
    for _ in range(2):
        pid = int(gate.arrived())
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
        job = next(word for word in words if word.startswith(b"QUEUECTL_JOB_ID="))
        children[int(job.partition(b"=")[2])] = pid
    apart.processing(killed)
    apart.processing(spared)
    began = time.monotonic()
    own_server.stop()
    assert gone(children[killed], LEASE)
    assert time.monotonic() - began < LEASE
    time.sleep(LEASE / 2)
    assert not gone(children[spared], 0)
    own_server.start()
    # it was stopped and not failed: it runs again uncounted, here, since nobody else was there
    again = int(gate.arrived())
    assert again != children[killed]
    gate.open(2)
    host.hear(f"settled {spared} completed")
    host.hear(f"settled {killed} completed")
    assert reasons(apart, spared) == ["exit 0"]
    assert reasons(apart, killed) == ["stopped", "exit 0"]
    assert apart.get(killed).attempts == 1
    assert apart.overlaps() == []


def test_nobody_recovers_for_one_lease_after_the_server_has_started(
    apart: Machines, gate: Gate, own_server: Server
) -> None:
    job_id = apart.put(gate.command)
    apart.on("a", 1, SELFISH).ready()
    gate.arrived()
    apart.processing(job_id)
    own_server.stop()
    apart.on("a")  # it cannot be made; the file of the first one says that it lives
    time.sleep(1)
    own_server.start()
    assert apart.store.expired() == []
    assert apart.get(job_id).state == PROCESSING
    gate.open()
    assert apart.ended(job_id).state == COMPLETED


def test_the_front_of_a_guarded_host_ends_with_it(machines: Machines) -> None:
    host = machines.guarded_on("a")
    assert host.ask("close", "closed") == "closed True"
    assert machines.store.hosts() == []
    assert machines.store.counts()[PENDING] == 0
    host.process.stdin.close()  # type: ignore[union-attr]
    wait_until(lambda: host.process.poll() is not None, "the front has ended")
