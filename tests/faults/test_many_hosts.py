"""Several hosts on one store: every job runs once, limits hold, and a commit wakes the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED
from queuectl.store.base import Filter
from tests.support.hosts import HURRY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fifo import Gate
    from tests.support.hosts import Hosts

#: the net below the wake-ups is taken away
NO_LOOKS: dict[str, object] = {**HURRY, "queuectl.host.pump.LOOK": 3600.0}
JOBS = 2000


def test_each_of_many_jobs_is_run_once(hosts: Hosts) -> None:
    crew = [hosts.start(2), hosts.start(2)]
    for host in crew:
        host.ready()
    hosts.put_many("true", JOBS, args=(), shell=False)
    hosts.all_ended()
    counts = {
        (job.state, job.attempts, job.runs, job.deliveries) for job in hosts.store.jobs(Filter())
    }
    assert counts == {(COMPLETED, 1, 1, 1)}
    assert hosts.store.counts()[COMPLETED] == JOBS
    for host in crew:
        assert host.ask("errors", "errors") == "errors"
        assert host.ask("close", "closed") == "closed True"
    assert hosts.store.hosts() == []


def test_a_queue_with_limit_1_is_worked_on_by_one_at_a_time(hosts: Hosts, tmp_path: Path) -> None:
    hosts.store.create_queue("one", limit=1)
    log = tmp_path / "log"
    command = f"echo start $QUEUECTL_JOB_ID >>{log}; echo end $QUEUECTL_JOB_ID >>{log}"
    ids = hosts.put_many(command, 100, queue="one")
    for host in [hosts.start(2), hosts.start(2)]:
        host.ready()
    hosts.all_ended()
    lines = log.read_text().splitlines()
    assert lines == [f"{what} {job_id}" for job_id in ids for what in ("start", "end")]


def test_a_commit_in_another_process_wakes_an_idle_host(hosts: Hosts, gate: Gate) -> None:
    hosts.start(1, NO_LOOKS).ready()
    for _ in range(3):
        job_id = hosts.put(gate.command)
        assert gate.arrived() == str(job_id)
        gate.open()
        hosts.ended(job_id)


def test_the_end_of_a_job_wakes_another_host_that_waits_for_room(hosts: Hosts, gate: Gate) -> None:
    hosts.store.create_queue("one", limit=1)
    for _ in range(3):
        hosts.put(gate.command, queue="one")
    for host in [hosts.start(1, NO_LOOKS), hosts.start(1, NO_LOOKS)]:
        host.ready()
    for _ in range(3):
        gate.arrived()
        gate.open()
    hosts.all_ended()


def test_a_delayed_job_starts_on_time_without_looking(hosts: Hosts, gate: Gate) -> None:
    hosts.start(1, NO_LOOKS).ready()
    due = time.time_ns() // 10**6 + 300
    hosts.put(gate.command, due_at=due)
    gate.arrived()
    assert time.time_ns() // 10**6 >= due
    gate.open()
    hosts.all_ended()


def test_what_a_stopping_host_has_not_started_another_one_runs(hosts: Hosts, gate: Gate) -> None:
    ids = [hosts.put(gate.command) for _ in range(3)]
    first = hosts.start(1, NO_LOOKS).ready()
    assert gate.arrived() == str(ids[0])
    assert first.ask("stop", "stopping") == f"stopping {ids[0]}"
    hosts.start(2, NO_LOOKS).ready()
    assert {gate.arrived(), gate.arrived()} == {str(job_id) for job_id in ids[1:]}
    gate.open(3)
    hosts.all_ended()
    assert [hosts.get(job_id).deliveries for job_id in ids] == [1, 1, 1]
