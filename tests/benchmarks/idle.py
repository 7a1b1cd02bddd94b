"""An idle host.

`queuectl worker start 3` on an empty store, watched for 30 s: the share of a core that all its
threads use, and how often they are scheduled. Goal: < 0.2 % of a core.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.report import Line, at_most
from tests.benchmarks.waiting import working

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Bench


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    seconds = bench.pick(quick=2, normal=30)
    with working(bench.place(), workers=3) as pid:
        time.sleep(2)
        used, switches = _used(pid), _switches(pid)
        time.sleep(seconds)
        used, switches = _used(pid) - used, _switches(pid) - switches
    figures = f"{used / 1e6 / seconds:.2f} ms of CPU and {switches / seconds:.1f} context switches a second"
    yield Line("idle", figures, 100 * used / 1e9 / seconds, at_most(0.2, "%"))


def _used(pid: int) -> int:
    """Return the ns of CPU that all threads of a process have used."""
    return sum(int(task.joinpath("schedstat").read_text().split()[0]) for task in _tasks(pid))


def _switches(pid: int) -> int:
    return sum(
        int(line.split()[1])
        for task in _tasks(pid)
        for line in task.joinpath("status").read_text(errors="replace").splitlines()
        if "ctxt_switches" in line
    )


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())
