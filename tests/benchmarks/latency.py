"""From `enqueue` in one process to the start in another.

300 jobs `true`, one at a time, a host with one idle worker. The clock starts before the enqueuing
process calls `Store.add`, whose durable commit is part of it, and stops when the host has spawned
the job and exec(2) has succeeded; both read CLOCK_MONOTONIC. Between lie two commits (the job's and
the claim's), a wake-up and a spawn. Goals: p50 <= 1 ms, p99 <= 3 ms. `disk` is what two such
commits take by themselves, for comparison: a write and fdatasync(2) of as many bytes, twice.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from contextlib import closing
from statistics import median
from typing import TYPE_CHECKING

from queuectl.job import NewJob
from tests.benchmarks.report import Line, at_most, percentile
from tests.benchmarks.run import ENVIRONMENT, ROOT, python, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Bench, Place

#: bytes that a commit of one job appends to the write-ahead log
PAGES = 10 * 4096
JOB = NewJob("true", shell=False, cwd=str(ROOT), env={"PATH": ENVIRONMENT["PATH"]})


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    place = bench.place()
    with closing(place.open()):
        pass
    host = start(
        python("-m", "tests.benchmarks.hosting", "stamps", place.url),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert host.stderr is not None
    host.stderr.readline()
    added = _enqueue(place, bench.pick(quick=20, normal=300))
    told, _ = host.communicate()
    stamps = {int(job): moments for job, moments in json.loads(told).items()}
    commit = [(after - before) / 1e6 for before, after in added.values()]
    claim = [(stamps[job][0] - before) / 1e6 for job, (before, _) in added.items()]
    ran = [(stamps[job][1] - before) / 1e6 for job, (before, _) in added.items()]
    disk = _two_syncs(bench, len(ran))
    half, most = median(ran), percentile(ran, 0.99)
    figures = (
        f"added {median(commit):.2f} ms, claimed {median(claim):.2f}, running {half:.2f};"
        f" disk {median(disk):.2f}"
    )
    yield Line("latency p50", figures, half, at_most(1.0, "ms"))
    figures = (
        f"added {percentile(commit, 0.99):.2f} ms, claimed {percentile(claim, 0.99):.2f},"
        f" running {most:.2f}; disk {percentile(disk, 0.99):.2f}"
    )
    yield Line("latency p99", figures, most, at_most(3.0, "ms"))


def _enqueue(place: Place, jobs: int) -> dict[int, tuple[int, int]]:
    """Add jobs one at a time; return for each id when that began and ended, in ns."""
    added = {}
    with closing(place.open()) as store:
        for _ in range(jobs):
            time.sleep(random.uniform(0.03, 0.05))
            before = time.monotonic_ns()
            (job_id,) = store.add((JOB,))
            added[job_id] = before, time.monotonic_ns()
        time.sleep(0.2)
    return added


def _two_syncs(bench: Bench, rounds: int) -> list[float]:
    """Return the ms that two small durable writes take on this disk, in files as SQLite's are."""
    taken = []
    with (bench.directory / "synced").open("wb", buffering=0) as file:
        file.write(bytes(rounds * 2 * PAGES))
        os.fsync(file.fileno())
        file.seek(0)
        for _ in range(rounds):
            time.sleep(0.01)
            before = time.monotonic_ns()
            for _ in range(2):
                file.write(bytes(PAGES))
                os.fdatasync(file.fileno())
            taken.append((time.monotonic_ns() - before) / 1e6)
    return taken
