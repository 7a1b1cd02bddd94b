"""`kill -9` of a host at every step of a job's life; another host finds out and goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from queuectl.job import COMPLETED, DEAD, FINAL
from queuectl.record import Record
from tests.support.hosts import SELFISH, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fifo import Gate
    from tests.support.hosts import Hosts

LOST, DONE = "worker lost", "exit 0"


class Seen(Record):
    """What is seen of a job in the end."""

    #: how its attempts ended
    reasons: list[str]
    deliveries: int
    #: how often it may have done what it does
    runs: set[int]


@pytest.mark.parametrize(
    ("point", "seen"),
    [
        # the claim was never made, or never started: as if nothing had been
        ("before-claim-commit", Seen([DONE], 1, {1})),
        ("after-claim-commit", Seen([DONE], 1, {1})),
        # nobody can know whether it started: the delivery counts, an attempt does not
        ("before-spawn", Seen([DONE], 2, {1})),
        ("after-spawn", Seen([DONE], 2, {1, 2})),
        # it had started: a lost attempt, and another
        ("after-start", Seen([LOST, DONE], 2, {1, 2})),
        # its exit had been seen: it is settled and never runs again
        ("before-report", Seen([DONE], 1, {1})),
        ("before-settle-commit", Seen([DONE], 1, {1})),
        ("after-settle-commit", Seen([DONE], 1, {1})),
    ],
)
def test_a_host_is_killed(hosts: Hosts, tmp_path: Path, point: str, seen: Seen) -> None:
    log = tmp_path / "log"
    job_id = hosts.put(f"echo ran >>{log}")
    assert hosts.start(1, SELFISH, failpoint=f"{point}:kill").died() == -9
    hosts.start(1)
    job = hosts.ended(job_id)
    assert job.state == COMPLETED
    assert (job.attempts, job.deliveries) == (len(seen.reasons), seen.deliveries)
    assert [attempt.reason for attempt in hosts.store.attempts(job_id)] == seen.reasons
    eventually(lambda: len(hosts.store.hosts()) == 1)
    assert len(log.read_text().splitlines()) in seen.runs


@pytest.mark.parametrize("point", ["before-recovery-commit", "after-recovery-commit"])
def test_the_recoverer_is_killed_as_well(hosts: Hosts, tmp_path: Path, point: str) -> None:
    log = tmp_path / "log"
    job_id = hosts.put(f"echo ran >>{log}")
    assert hosts.start(1, SELFISH, failpoint="before-report:kill").died() == -9
    assert hosts.start(0, failpoint=f"{point}:kill").died() == -9
    hosts.start(1)
    job = hosts.ended(job_id)
    assert (job.state, job.attempts, job.deliveries) == (COMPLETED, 1, 1)
    assert log.read_text() == "ran\n"
    eventually(lambda: len(hosts.store.hosts()) == 1)
    eventually(lambda: len(os.listdir(f"{hosts.store.local_directory}/hosts")) == 2)


def test_many_in_the_tray_go_back_uncounted(hosts: Hosts, gate: Gate) -> None:
    first = hosts.put_many("true", 40, args=(), shell=False)
    # settled first, so that it knows how short jobs are and claims ahead
    host = hosts.start(1, {**SELFISH, "queuectl.host.jobqueue.STALE": 3600.0}).ready()
    for _ in first:
        host.hear("settled")
    ids = hosts.put_many(gate.command, 20)
    gate.arrived()
    eventually(lambda: host.ask("waiting", "waiting").split()[1] != "0")
    hosts.processing(ids[0])
    host.kill()
    survivor = hosts.start(0).ready()
    eventually(lambda: not hosts.survivors())
    survivor.ask("start 4", "workers")
    for _ in ids:
        gate.arrived()
        gate.open()
    hosts.all_ended()
    jobs = [hosts.get(job_id) for job_id in ids]
    assert [(job.attempts, job.deliveries) for job in jobs] == [(2, 2)] + [(1, 1)] * 19


#: what an attempt says about the processes of those before it that live
LOOK_BACK = """
for pid in $(cat pids 2>/dev/null); do
  grep -qs 'State:[[:space:]]*[RSDT]' /proc/$pid/status && echo "$pid" >>overlaps
done
trap '' TERM
(trap '' TERM; sleep 1000) &
echo $$ $! >>pids
"""


def test_the_processes_of_a_killed_host_are_dead_before_the_next_attempt(
    hosts: Hosts, gate: Gate, tmp_path: Path
) -> None:
    job_id = hosts.put(LOOK_BACK + gate.command, policy={"kill-grace": "0s"})
    host = hosts.start(1, SELFISH).ready()
    gate.arrived()
    hosts.processing(job_id)
    host.kill()
    assert len(hosts.survivors()) >= 2
    hosts.start(1)
    gate.arrived()
    assert len((tmp_path / "pids").read_text().splitlines()) == 2
    assert not (tmp_path / "overlaps").exists()
    gate.open()
    assert [a.reason for a in hosts.store.attempts(hosts.ended(job_id).id)] == [LOST, DONE]


def test_a_job_that_kills_its_host_ends_in_the_dead_letter_queue(hosts: Hosts) -> None:
    job_id = hosts.put("kill -9 $PPID; sleep 1000", policy={"max-retries": "1"})
    victims = 0
    while hosts.get(job_id).state not in FINAL:
        host = hosts.start(1)
        eventually(lambda: host.process.poll() is not None or hosts.get(job_id).state in FINAL)  # noqa: B023
        victims += 1
        assert victims < 10
    job = hosts.get(job_id)
    assert job.state == DEAD
    assert 2 <= job.deliveries <= 5
    assert "worker lost" in str(job.reason) or "without an end" in str(job.reason)
    eventually(lambda: not hosts.survivors())


def test_a_host_that_dies_takes_no_room_in_a_limited_queue(hosts: Hosts, gate: Gate) -> None:
    hosts.store.create_queue("one", limit=1)
    ids = [hosts.put(gate.command, queue="one") for _ in range(2)]
    host = hosts.start(2, SELFISH).ready()
    gate.arrived()
    host.kill()
    hosts.start(2)
    for _ in ids:
        gate.arrived()
        assert gate.nobody_came()
        gate.open()
    hosts.all_ended()
    assert [hosts.get(job_id).state for job_id in ids] == [COMPLETED, COMPLETED]
