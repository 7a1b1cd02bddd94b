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

from queuectl.host.worker import WorkerHost
from queuectl.store import open_store

if TYPE_CHECKING:
    from queuectl.host.threads import Worker
    from queuectl.job import Claim, Outcome
    from queuectl.store.base import Settled, Settlement, Store

#: seconds after which a drain is given up
PATIENCE = 600


def drain(url: str, workers: int, jobs: int) -> dict[str, float]:
    """Run the first `jobs` of a store; return the seconds and the CPU seconds it took."""
    left = jobs
    done = threading.Event()

    def count(settlement: Settlement, settled: Settled) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    store = open_store(url)
    host = WorkerHost(store, on_settled=count)
    cpu, began = _cpu(), time.perf_counter()
    host.start(workers)
    if not done.wait(PATIENCE):
        raise SystemExit(f"{left} of {jobs} jobs left after {PATIENCE} s; {list(host.errors)}")
    seconds, used = time.perf_counter() - began, _cpu() - cpu
    host.close()
    store.close()
    return {"seconds": seconds, "cpu": used}


class _StampedHost(WorkerHost):
    """Notes when a worker took a claim, and when the claim's process ran."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.claimed: dict[int, int] = {}
        self.ran: dict[int, int] = {}
        report = self.queue.started

        def started(claim: Claim, started_at: int) -> None:
            self.ran[claim.job_id] = time.monotonic_ns()
            report(claim, started_at)

        # called by the worker as soon as the spawn has succeeded
        self.queue.started = started  # type: ignore[method-assign]

    def run(self, worker: Worker, claim: Claim) -> Outcome:
        self.claimed[claim.job_id] = time.monotonic_ns()
        return super().run(worker, claim)


def stamps(url: str) -> dict[int, tuple[int, int]]:
    """Run jobs until standard input ends; return (claimed, ran) in ns for each id."""
    store = open_store(url)
    host = _StampedHost(store)
    host.start(1)
    sys.stderr.write("ready\n")
    sys.stdin.read()
    host.close()
    store.close()
    return {job: (claimed, host.ran[job]) for job, claimed in host.claimed.items()}


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    if sys.argv[1] == "drain":
        print(json.dumps(drain(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        print(json.dumps(stamps(sys.argv[2])))
