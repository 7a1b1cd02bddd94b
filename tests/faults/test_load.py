"""Full load for a while: descriptors, threads, memory and the write-ahead log stay bounded."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from queuectl.job import COMPLETED
from queuectl.record import Record

if TYPE_CHECKING:
    from tests.support.hosts import HostProcess, Hosts

#: seconds until it has reached its size, and seconds of load after that
WARM_UP, LOAD = 1.5, 4.0
#: jobs that are kept waiting
STOCK = 400
MIB = 1024 * 1024


class Size(Record):
    """How large a host is at a moment."""

    descriptors: int
    threads: int
    memory: int
    wal: int


def size_of(host: HostProcess, hosts: Hosts) -> Size:
    with open(f"/proc/{host.pid}/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return Size(
        len(os.listdir(f"/proc/{host.pid}/fd")),
        len(os.listdir(f"/proc/{host.pid}/task")),
        pages * os.sysconf("SC_PAGE_SIZE"),
        os.path.getsize(f"{hosts.path}-wal"),
    )


def keep_busy(hosts: Hosts, until: float) -> int:
    """Enqueue as fast as jobs are done; return how many were."""
    put = 0
    while time.monotonic() < until:
        done = hosts.store.counts()[COMPLETED]
        missing = STOCK + done - (hosts.store.newest_id() or 0)
        if missing > STOCK // 4:
            # some with output, some with a shell
            hosts.put_many("true", missing // 2, args=(), shell=False)
            hosts.put_many("echo some words; echo others >&2", missing // 4)
            put += missing // 2 + missing // 4
        time.sleep(0.005)
    return put


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="measures by /proc")
def test_a_busy_host_does_not_grow(hosts: Hosts) -> None:
    host = hosts.start(4).ready()
    began = time.monotonic()
    keep_busy(hosts, began + WARM_UP)
    before = size_of(host, hosts)
    sizes = []
    for part in range(1, 9):
        keep_busy(hosts, began + WARM_UP + LOAD * part / 8)
        sizes.append(size_of(host, hosts))
    # each running job has a few descriptors of its own
    assert max(size.descriptors for size in sizes) <= before.descriptors + 4 * 8
    assert max(size.threads for size in sizes) <= before.threads + 1
    assert max(size.memory for size in sizes) <= before.memory + 8 * MIB
    assert max(size.wal for size in sizes) <= 16 * MIB
    hosts.all_ended()
    assert host.ask("errors", "errors") == "errors"
