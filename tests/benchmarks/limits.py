"""Queues with limits.

5,000 jobs `true` spread over 1,000 queues whose limits lie above the 2 workers, against as many
jobs in one queue without a limit. Goal: >= 0.85 x its rate. `limits one` is a queue with limit 1,
against `xargs -P1 -I{} true`. Goal: >= 0.4 x its rate.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tests.benchmarks.draining import drained, drained_anew, rate
from tests.benchmarks.filling import enqueue
from tests.benchmarks.report import Line, at_least, ratio
from tests.benchmarks.run import in_turn, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench

#: above the workers
LIMIT = 10


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    yield _many(bench)
    yield _one(bench)


def _many(bench: Bench) -> Line:
    jobs, queues = bench.pick(quick=200, normal=5000), bench.pick(quick=20, normal=1000)
    limits = {f"q{n}": LIMIT for n in range(queues)}
    plain = bench.file(["true"] * jobs)
    spread = bench.file(_job(f"q{n % queues}") for n in range(jobs))
    unlimited, limited = in_turn(
        bench.pick(quick=1, normal=5),
        lambda: drained_anew(bench, plain, jobs, "--no-shell").seconds,
        lambda: _drained_limited(bench, spread, limits, jobs),
    )
    figures = f"{rate(jobs, limited)} in {queues:,} queues beside {rate(jobs, unlimited)} in one"
    return Line("limits", figures, ratio(unlimited, limited), at_least(0.85))


def _one(bench: Bench) -> Line:
    jobs = bench.pick(quick=100, normal=2000)
    plain = bench.file(["true"] * jobs)
    limited = bench.file([_job("one")] * jobs)
    theirs, ours = in_turn(
        bench.pick(quick=1, normal=5),
        lambda: run(["xargs", "-P1", "-I{}", "true"], stdin=plain).seconds,
        lambda: _drained_limited(bench, limited, {"one": 1}, jobs),
    )
    figures = f"{rate(jobs, ours)} beside xargs -P1 {rate(jobs, theirs)}"
    return Line("limits one", figures, ratio(theirs, ours), at_least(0.4))


def _job(queue: str) -> str:
    return f'{{"command": "true", "shell": false, "queue": "{queue}"}}'


def _drained_limited(bench: Bench, lines: Path, limits: dict[str, int], jobs: int) -> float:
    place = bench.place()
    with closing(place.open()) as store, store.transaction():
        for name, limit in limits.items():
            store.create_queue(name, limit=limit)
    enqueue(place, lines)
    seconds = drained(place, jobs).seconds
    place.delete()
    return seconds
