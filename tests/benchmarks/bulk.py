"""Many jobs at once.

`queuectl enqueue -` with 100,000 command lines on standard input, the whole process. Goal: >=
100,000 jobs/s. `bulk memory` is the peak memory of the process for 1,000,000 lines against that for
100,000. Goal: <= 1.1 x, that is, constant.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.report import Line, at_least, at_most
from tests.benchmarks.run import answer, in_turn, python, queuectl, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    count = bench.pick(quick=2000, normal=100_000)
    few, many = (bench.file(f"echo {n}" for n in range(lines)) for lines in (count, 10 * count))
    (seconds,) = in_turn(bench.pick(quick=1, normal=5), lambda: _enqueue(bench, few))
    figures = f"{count:,} lines in {median(seconds):.2f} s"
    yield Line("bulk", figures, count / median(seconds), at_least(100_000, "jobs/s"))
    small, large = _peak(bench, few), _peak(bench, many)
    figures = f"{large / 1024:.1f} MB at the peak beside {small / 1024:.1f} MB"
    yield Line("bulk memory", figures, large / small, at_most(1.1))


def _enqueue(bench: Bench, lines: Path) -> float:
    place = bench.place()
    seconds = run(queuectl(place, "enqueue", "-"), stdin=lines).seconds
    place.delete()
    return seconds


def _peak(bench: Bench, lines: Path) -> int:
    place = bench.place()
    command = queuectl(place, "enqueue", "-")
    peak: int = answer(python("-m", "tests.benchmarks.peak", *command), stdin=lines)
    place.delete()
    return peak
