"""Drain of a large store, beside a small one.

The first 5,000 of 1,000,000 pending jobs beside 1,000,000 that are completed (10,000,000 with
--full), by 2 workers, against the drain of a store that holds 5,000 jobs and nothing else. Goal: >=
0.95 x its rate, so that neither backlog nor history costs a worker anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.draining import drained, drained_anew, rate
from tests.benchmarks.filling import fill
from tests.benchmarks.report import Line, at_least, ratio
from tests.benchmarks.run import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    jobs = bench.pick(quick=200, normal=5000)
    large = bench.place()
    fill(
        large,
        pending=bench.pick(quick=5000, normal=1_000_000),
        completed=bench.pick(quick=5000, normal=1_000_000, full=10_000_000),
    )
    lines = bench.file(["true"] * jobs)
    alone, among = in_turn(
        bench.pick(quick=1, normal=7),
        lambda: drained_anew(bench, lines, jobs, "--no-shell").seconds,
        lambda: drained(large, jobs).seconds,
    )
    large.delete()
    figures = f"{rate(jobs, among)} beside {rate(jobs, alone)} in a small store"
    yield Line("drain-large", figures, ratio(alone, among), at_least(0.95))
