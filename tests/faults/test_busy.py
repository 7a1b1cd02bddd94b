"""The database locked by another process for longer than anybody waits for it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED
from tests.faults.test_stalled import STRICT
from tests.support.hosts import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fifo import Gate
    from tests.support.hosts import Hosts

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Another process has the write lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == b"locked\n"
            yield
        finally:
            process.communicate()


def test_outcomes_arrive_and_nobody_is_declared_lost(hosts: Hosts, gate: Gate) -> None:
    ids = [hosts.put(gate.command) for _ in range(2)]
    crew = [hosts.start(1, STRICT), hosts.start(1, STRICT)]
    for host in crew:
        host.ready()
        gate.arrived()
    with locked(hosts.path):
        began = time.monotonic()
        gate.open(2)
        for host in crew:
            eventually(lambda: "busy" in host.ask("trouble", "trouble"))  # noqa: B023
        # several leases long
        eventually(lambda: time.monotonic() - began > 2)
        for host in crew:
            assert "busy" in host.ask("trouble", "trouble")
    hosts.all_ended()
    jobs = [hosts.get(job_id) for job_id in ids]
    assert {(job.state, job.attempts, job.deliveries) for job in jobs} == {(COMPLETED, 1, 1)}
    for host in crew:
        assert host.process.poll() is None
        assert host.ask("errors", "errors") == "errors"
    assert len(hosts.store.hosts()) == 2
