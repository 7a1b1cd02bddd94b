"""A worker host in a process of its own that measures itself; rows start it and read its answer.

`drain URL WORKERS JOBS` starts workers on a store that holds work already, and tells how long the
first so many jobs took, from the start of the workers to the commit that settled the last of them,
and the CPU time that this process and its children used meanwhile. `stamps URL` is an idle host
with one worker that notes, for every job, when it was claimed and when its process ran, on
CLOCK_MONOTONIC, which all processes share; it tells all of it when its standard input ends.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from typing import TYPE_CHECKING

import queuectl.worker
from queuectl.jobqueue import JobQueue
from queuectl.store import open_store
from queuectl.worker import WorkerHost

if TYPE_CHECKING:
    from queuectl.job import Claim
    from queuectl.store.base import Settled, Settlement
    from queuectl.worker import Worker


def drain(url: str, workers: int, jobs: int) -> dict[str, float]:
    """Run the first `jobs` of a store; return the seconds and the CPU seconds it took."""
    left = jobs
    done = threading.Event()

    def count(settlement: Settlement, settled: Settled) -> None:  # noqa: ARG001
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    store = open_store(url)
    host = WorkerHost(store, on_settled=count)
    cpu, began = _cpu(), time.perf_counter()
    host.start(workers)
    done.wait()
    seconds, used = time.perf_counter() - began, _cpu() - cpu
    host.close()
    store.close()
    return {"seconds": seconds, "cpu": used}


class _StampedQueue(JobQueue):
    """Notes when the process of a claim ran: `started` is called as soon as it does."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: dict[int, int] = {}

    def started(self, claim: Claim, started_at: int) -> None:
        self.ran[claim.job_id] = time.monotonic_ns()
        super().started(claim, started_at)


class _StampedHost(WorkerHost):
    """Notes when a worker took a claim."""

    claimed: dict[int, int]

    def run(self, worker: Worker, claim: Claim) -> None:
        self.claimed[claim.job_id] = time.monotonic_ns()
        super().run(worker, claim)


def stamps(url: str) -> dict[int, tuple[int, int]]:
    """Run jobs until standard input ends; return (claimed, ran) in ns for each id."""
    queuectl.worker.JobQueue = _StampedQueue  # type: ignore[misc]
    store = open_store(url)
    host = _StampedHost(store)
    host.claimed = {}
    host.start(1)
    sys.stderr.write("ready\n")
    sys.stdin.read()
    host.close()
    store.close()
    assert isinstance(host.queue, _StampedQueue)
    return {job: (at, host.queue.ran[job]) for job, at in host.claimed.items()}


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    if sys.argv[1] == "drain":
        print(json.dumps(drain(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        print(json.dumps(stamps(sys.argv[2])))
