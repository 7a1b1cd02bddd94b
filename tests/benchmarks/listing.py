"""Looking at a million jobs.

`status` and `list` on a terminal, and `list --limit 50` on a pipe, with 500,000 jobs pending and
500,000 completed, less `queuectl version` there, which opens no store; the first two also with an
array of 1,000,000 waiting jobs. Goal: <= 50 ms more.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.filling import fill, fill_with_array
from tests.benchmarks.report import Line, at_most
from tests.benchmarks.run import in_turn, queuectl, run, run_in_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    place, other = bench.place(), bench.place()
    half = bench.pick(quick=5000, normal=500_000)
    fill(place, pending=half, completed=half)
    fill_with_array(other, 2 * half)
    floor, status, page, limited, array_status, array_page = in_turn(
        bench.pick(quick=1, normal=11),
        lambda: run_in_terminal(queuectl(place, "version")).seconds,
        lambda: run_in_terminal(queuectl(place, "status")).seconds,
        lambda: run_in_terminal(queuectl(place, "list")).seconds,
        lambda: run(queuectl(place, "list", "--limit", "50")).seconds,
        lambda: run_in_terminal(queuectl(other, "status")).seconds,
        lambda: run_in_terminal(queuectl(other, "list")).seconds,
    )
    place.delete()
    other.delete()
    bare = 1000 * median(floor)
    for name, seconds in (
        ("status", status),
        ("list", page),
        ("list on a pipe", limited),
        ("status of an array", array_status),
        ("list of an array", array_page),
    ):
        whole = 1000 * median(seconds)
        figures = f"{whole:.1f} ms beside {bare:.1f} ms for `version`"
        yield Line(f"listing {name}", figures, whole - bare, at_most(50, "ms"))
