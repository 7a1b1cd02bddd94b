"""Clocks that count from the boot of this machine: what a host says there all its processes can check."""

from __future__ import annotations

import os
import sys
import time

_TICKS = os.sysconf("SC_CLK_TCK")


def boot_clock() -> int:
    """Return ns since boot, counting sleep (CLOCK_BOOTTIME; monotonic time where there is none)."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def start_clock() -> int:
    """Return the time now in the unit of `proctree.pid_start`, rounded up.

    Costs a hundredth of asking when a process started, and bounds it as well.
    """
    if sys.platform == "linux":
        return boot_clock() * _TICKS // 10**9 + 1
    return time.time_ns() // 10**6 + 1
