"""Drain without a shell, beside xargs.

5,000 jobs `true` enqueued with --no-shell, 2 workers, SQLite with synchronous = FULL, output
captured, against `xargs -P2 -I{} true`, which runs `true` without an argument as the jobs do: given
one, as by -n1, it loads the locale and takes a third longer. `drain-argv` counts from the start of
the workers in a new host process to the commit that settled the last job; `whole` is `queuectl
worker start 2 --until-empty` less its time on an empty store; `cpu` is the CPU time of the host and
its children for each job. Goals: >= 1.0 x the rate of xargs, <= 1.1 x its CPU time.
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
    return beside_xargs(bench, "drain-argv", ["xargs", "-P2", "-I{}", "true"], "--no-shell")
