"""Hosts that are killed again and again: no job is lost, none overlaps with itself."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED, EXIT, FINAL, STATES
from queuectl.store.base import Filter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts import Hosts

JOBS = 10_000 if os.environ.get("QUEUECTL_TEST_BIG") else 2000
CREW, WORKERS = 3, 2
#: seconds between two kills
LULL = 0.5
#: seconds in which the rest must be done once the killing has stopped
PATIENCE = 60
WAITING = tuple(state for state in STATES if state not in FINAL)


def test_hosts_die_at_random(hosts: Hosts, tmp_path: Path) -> None:
    chance = random.Random(20261121)
    logs = tmp_path / "logs"
    logs.mkdir()
    command = (
        f'exec >>"{logs}/$QUEUECTL_JOB_ID"; echo "start $QUEUECTL_TOKEN"; '
        'sleep 0.01; echo "end $QUEUECTL_TOKEN"'
    )
    ids = hosts.put_many(command, JOBS, policy={"max-retries": "1000"})
    crew = [hosts.start(WORKERS) for _ in range(CREW)]
    kills = 0
    deadline = time.monotonic() + PATIENCE * JOBS / 2000
    while hosts.store.count(Filter(states=WAITING)):
        assert time.monotonic() < deadline
        time.sleep(LULL)
        victim = chance.randrange(CREW)
        crew[victim].kill()
        crew[victim] = hosts.start(WORKERS)
        kills += 1
    assert kills > 3
    assert hosts.store.counts()[COMPLETED] == JOBS
    for job_id in ids:
        assert_ran_well(hosts, job_id, (logs / str(job_id)).read_text().splitlines())


def assert_ran_well(hosts: Hosts, job_id: int, lines: list[str]) -> None:
    """One attempt succeeded, and each that began left no word behind the beginning of the next."""
    endings = [attempt.kind for attempt in hosts.store.attempts(job_id)]
    assert endings.count(EXIT) == 1
    assert endings[-1] == EXIT
    gone: set[str] = set()
    current = ""
    for line in lines:
        what, token = line.split()
        if what == "start":
            gone.add(current)
            current = token
        assert token == current
        assert token not in gone
    assert lines[-1].startswith("end")
