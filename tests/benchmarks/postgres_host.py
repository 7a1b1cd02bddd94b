"""Drains no-op jobs of a store as a pump does: settles a batch and claims the next in one transaction.

`python -m tests.benchmarks.postgres_host URL BATCH` prints when it began and ended, on
CLOCK_MONOTONIC, and how many jobs it took.
"""

from __future__ import annotations

import json
import sys
import time

from queuectl.job import EXIT, Outcome
from queuectl.store import open_store
from queuectl.store.base import Settlement


def main() -> None:
    """Drain."""
    store, batch = open_store(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    host = f"host-{time.monotonic_ns()}"
    began, jobs = time.monotonic(), 0
    claims = store.claim(host, batch)
    while claims:
        jobs += len(claims)
        now = store.now()
        done = Outcome(EXIT, 0, started_at=now, finished_at=now)
        with store.transaction():
            store.settle([Settlement(c.job_id, c.token, c.run, done) for c in claims])
            claims = store.claim(host, batch)
    print(json.dumps([began, time.monotonic(), jobs]))
    store.close()


if __name__ == "__main__":
    main()
