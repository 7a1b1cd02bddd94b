"""From `enqueue` in one process to the job's process in another: 300 jobs `true`, one at a time, a
host with one idle worker. The clock starts before the enqueuing process calls `Store.add`, whose
durable commit is part of it, and stops when the host has spawned the job and exec(2) has succeeded;
both read CLOCK_MONOTONIC. Between lie two commits (the job's and the claim's), a wake-up and a
spawn. Goals: p50 <= 1 ms, p99 <= 3 ms.
"""

from __future__ import annotations

import json
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
    half, most = median(ran), percentile(ran, 0.99)
    figures = f"added after {median(commit):.2f} ms, claimed {median(claim):.2f}, running {half:.2f}"
    yield Line("latency p50", figures, half, at_most(1.0, "ms"))
    figures = (
        f"added after {percentile(commit, 0.99):.2f} ms, claimed {percentile(claim, 0.99):.2f},"
        f" running {most:.2f}"
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
