"""Drain through the shell, beside xargs.

As drain-argv with command lines, so that each job is `sh -c true`, against `xargs -P2 -I{} sh -c
true`. Goals: >= 1.0 x the rate of xargs, <= 1.1 x its CPU time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.draining import beside_xargs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.report import Line


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    return beside_xargs(bench, "drain-shell", ["xargs", "-P2", "-I{}", "sh", "-c", "true"])
