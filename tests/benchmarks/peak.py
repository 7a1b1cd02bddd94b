"""`python -m tests.benchmarks.peak COMMAND…`: the peak memory of a command in KiB.

In a process of its own that holds next to nothing: getrusage(2) counts for a command what the
process that started it held at the time.
"""

from __future__ import annotations

import os
import sys


def peak_of(argv: list[str]) -> int:
    """Run a command on this process's standard input; return the most KiB it held."""
    silence = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[silence])
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{argv} ended with wait status {status}")
    return usage.ru_maxrss


if __name__ == "__main__":
    print(peak_of(sys.argv[1:]))
