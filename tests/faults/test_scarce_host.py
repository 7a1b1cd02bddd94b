"""A host that has no descriptors left: its trouble, and nothing that a job has to pay for."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED, PENDING
from tests.support.hosts import HURRY, PATIENCE

if TYPE_CHECKING:
    from tests.support.hosts import HostProcess, Hosts

#: a host that tries again soon
EAGER = {**HURRY, "queuectl.host.threads.PATIENCE": (0.05,)}


def trouble_of(host: HostProcess) -> str:
    return host.ask("trouble", "trouble").removeprefix("trouble ")


def wait_for_trouble(host: HostProcess, says: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while says not in trouble_of(host):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_out_of_descriptors_a_host_hands_jobs_back_and_goes_on_when_there_are_some(
    hosts: Hosts,
) -> None:
    host = hosts.start(2, EAGER).ready()
    # what it needs for itself it has by then
    assert hosts.ended(hosts.put("true")).state == COMPLETED
    soft, hard = resource.prlimit(host.pid, resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir(f"/proc/{host.pid}/fd"))) + 1
    resource.prlimit(host.pid, resource.RLIMIT_NOFILE, (used + 2, hard))
    ids = hosts.put_many("true", 4, policy={"max-retries": "0"})
    wait_for_trouble(host, "no job can be started: Too many open files")
    for job_id in ids:
        assert hosts.get(job_id).state == PENDING
        assert hosts.store.attempts(job_id) == []
    resource.prlimit(host.pid, resource.RLIMIT_NOFILE, (soft, hard))
    for job_id in ids:
        job = hosts.ended(job_id)
        assert (job.state, job.attempts, job.runs, job.deliveries) == (COMPLETED, 1, 1, 1)
    wait_for_trouble(host, "None")
    assert host.ask("errors", "errors").strip() == "errors"
