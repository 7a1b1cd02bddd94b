"""Memory of a host.

The most that `queuectl worker start 2` holds while it works for 5 s on a store with 1,000,000
pending jobs, and on one with 1,000. Goals: <= 30 MB, and the former <= 1.1 x the latter, that is,
flat.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.filling import fill
from tests.benchmarks.report import Line, at_most
from tests.benchmarks.waiting import working

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    many, few = bench.pick(quick=5000, normal=1_000_000), bench.pick(quick=100, normal=1000)
    large, small = (_held(bench, jobs) for jobs in (many, few))
    figures = f"{large:.1f} MB with {many:,} pending, {small:.1f} MB with {few:,}"
    yield Line("memory", figures, large, at_most(30, "MB"))
    yield Line("memory flat", figures, large / small, at_most(1.1))


def _held(bench: Bench, pending: int) -> float:
    """Return the MB a host has held at most."""
    place = bench.place()
    fill(place, pending=pending)
    with working(place, workers=2) as pid:
        time.sleep(bench.pick(quick=1, normal=5))
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    place.delete()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
