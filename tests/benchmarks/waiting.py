"""A `queuectl worker start` that runs beside the benchmark and ends with it."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.run import queuectl, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench import Place


@contextmanager
def working(place: Place, *, workers: int) -> Iterator[int]:
    """Run workers on a store while the block runs; yield the process's number."""
    process = start(
        queuectl(place, "worker", "start", str(workers)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        # its first line says that they work
        process.stdout.readline()
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
