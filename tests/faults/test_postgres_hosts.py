"""Many machines with one PostgreSQL store: who dies at random, limits, and what reaches across."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from queuectl.host.hostfile import pid_namespace
from queuectl.job import CANCELLED, COMPLETED, EXIT, FINAL, STATES
from queuectl.store.base import Filter
from tests.support.hosts import HURRY, eventually
from tests.support.machines import Guarded, Machines
from tests.support.postgres import server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fifo import Gate

pytestmark = pytest.mark.skipif(not pid_namespace(), reason="needs /proc")

JOBS = 10_000 if os.environ.get("QUEUECTL_TEST_BIG") else 2500
#: seconds between two kills, and in which all must be done
LULL, PATIENCE = 0.7, 90
WAITING = tuple(state for state in STATES if state not in FINAL)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setenv("QUEUECTL_STATE_DIR", str(tmp_path / "here"))
    machines = Machines(tmp_path, server(), lease=4)
    yield machines
    machines.end()


def test_hosts_on_many_machines_die_at_random(machines: Machines) -> None:
    """With guardian and without: those without are recovered by their own machine's next host."""
    chance = random.Random(20261121)
    command = machines.alone(f"sleep 0.01; echo $QUEUECTL_JOB_ID >>{machines.directory}/ran")
    ids = machines.put_many(command, JOBS, policy={"max-retries": "1000"})
    crew: list[Guarded] = [machines.guarded_on(name, 2) for name in "abc"]
    kills = 0
    deadline = time.monotonic() + PATIENCE
    while machines.store.count(Filter(states=WAITING)):
        assert time.monotonic() < deadline
        time.sleep(LULL)
        victim = chance.randrange(len(crew))
        if chance.random() < 0.5:
            os.kill(crew[victim].front, signal.SIGKILL)
        crew[victim].kill()
        crew[victim] = machines.guarded_on("abc"[victim], 2)
        kills += 1
    assert kills > 3
    assert machines.store.counts()[COMPLETED] == JOBS
    assert machines.overlaps() == []
    ran = {int(line) for line in (machines.directory / "ran").read_text().split()}
    assert sorted(ran) == ids
    for job_id in ids:
        endings = [attempt.kind for attempt in machines.store.attempts(job_id)]
        assert (endings.count(EXIT), endings[-1]) == (1, EXIT)


def test_machines_that_vanish_are_recovered_by_others(machines: Machines) -> None:
    """Host, guardian and jobs at once, and nobody comes back there."""
    command = machines.alone(f"sleep 0.02; echo $QUEUECTL_JOB_ID >>{machines.directory}/ran")
    ids = machines.put_many(command, 200, policy={"max-retries": "1000"})
    for name in "abcd":
        host = machines.guarded_on(name, 2)
        if name == "d":
            break
        time.sleep(0.5)
        os.killpg(host.front, signal.SIGKILL)
        for pid in machines.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    machines.all_ended()
    assert machines.store.counts()[COMPLETED] == len(ids)
    assert machines.overlaps() == []
    eventually(lambda: len(machines.store.hosts()) == 1)


def test_a_queue_with_limit_1_is_worked_on_by_one_machine_at_a_time(machines: Machines) -> None:
    machines.store.create_queue("one", limit=1)
    log = machines.directory / "log"
    command = f"echo start $QUEUECTL_JOB_ID >>{log}; echo end $QUEUECTL_JOB_ID >>{log}"
    ids = machines.put_many(command, 100, queue="one")
    for host in [machines.on("a", 2), machines.on("b", 2)]:
        host.ready()
    machines.all_ended()
    words = [tuple(line.split()) for line in log.read_text().splitlines()]
    assert words == [(what, str(job_id)) for job_id in ids for what in ("start", "end")]


def test_each_job_is_run_once_by_many_machines(machines: Machines) -> None:
    crew = [machines.on(name, 2) for name in "ab"]
    for host in crew:
        host.ready()
    machines.put_many("true", 500, args=(), shell=False)
    machines.all_ended()
    found = {(job.state, job.attempts, job.deliveries) for job in machines.store.jobs(Filter())}
    assert found == {(COMPLETED, 1, 1)}
    for host in crew:
        assert host.ask("errors", "errors") == "errors"
        assert host.ask("close", "closed") == "closed True"
    assert machines.store.hosts() == []


def test_wishes_reach_jobs_of_other_machines_at_once(machines: Machines, gate: Gate) -> None:
    slow = {**HURRY, "queuectl.host.pump.LOOK": 3600.0}
    machines.on("a", 1, slow).ready()
    cli = machines.machine("b").cli
    cli.ok("enqueue", "--interactive", gate.saying("$$") + "; read word; echo it says $word")
    child = int(gate.arrived())
    machines.processing(1)
    cli.ok("pause", "1")
    eventually(lambda: _state_of(child) == "T")
    cli.ok("resume", "1")
    eventually(lambda: _state_of(child) != "T")
    gate.open()
    cli.ok("send", "1", "hello")
    assert machines.ended(1).state == COMPLETED
    assert cli.ok("output", "1") == "it says hello\n"
    job_id = machines.put(gate.command)
    gate.arrived()
    machines.processing(job_id)
    cli.ok("cancel", str(job_id))
    assert machines.ended(job_id).state == CANCELLED


def _state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_a_host_is_stopped_from_another_machine(machines: Machines) -> None:
    host = machines.on("a", 2).ready()
    cli = machines.machine("b").cli
    (row,) = cli.json("worker", "list")
    assert row["workers"] == 2
    cli.ok("worker", "stop", "--host", row["host"][:8])
    eventually(lambda: cli.json("worker", "list")[0]["workers"] == 0)
    assert host.ask("close", "closed") == "closed True"
