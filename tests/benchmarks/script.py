"""Commands on a pipe.

20,000 lines `enqueue true` piped into `queuectl`, the whole process, every line answered. Goal: >=
10,000 lines/s.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.report import Line, at_least
from tests.benchmarks.run import in_turn, queuectl, run_on_pipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    count = bench.pick(quick=500, normal=20_000)
    lines = bench.file(["enqueue true"] * count)
    (seconds,) = in_turn(bench.pick(quick=1, normal=5), lambda: _pipe(bench, lines))
    figures = f"{count:,} lines in {median(seconds):.2f} s"
    yield Line("script", figures, count / median(seconds), at_least(10_000, "lines/s"))


def _pipe(bench: Bench, lines: Path) -> float:
    place = bench.place()
    seconds = run_on_pipe(queuectl(place), lines).seconds
    place.delete()
    return seconds
