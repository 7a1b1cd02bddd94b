"""Which registered hosts are dead, for whoever tells of them: a look that changes nothing.

The test is that of `queuectl.host.recovery`: a free lock of the host's file on this machine, or a lease
that is over. It costs an attempt to lock for each file, and a query only when a leased host has been
silent; it never touches a database file (closing one would drop SQLite's locks).
"""

from __future__ import annotations

import os
import time

from queuectl.paths import host_path, hosts_directory
from queuectl.store.records import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from queuectl.store.base import HostInfo, Store


def dead_among(store: Store, hosts: Iterable[HostInfo]) -> frozenset[str]:
    """Return the ids of those that are known to be dead. Others may be: nothing proves it.

    One that is being recovered just now does not count. Raises StoreUnavailable.
    """
    hosts = tuple(hosts)
    directory = hosts_directory(store.local_directory)
    dead = {host.id for host in hosts if has_died(directory, host.id)}
    now = time.time() * 1000
    if any(
        now - host.seen_at >= SILENT and (store.lease is not None or host.lease is not None)
        for host in hosts
    ):
        dead.update(store.expired())
    return frozenset(dead)


def living(store: Store, hosts: Iterable[HostInfo] | None = None) -> list[HostInfo]:
    """Return the hosts that are not known to be dead, of all that are registered or of those given."""
    hosts = store.hosts() if hosts is None else list(hosts)
    dead = dead_among(store, hosts)
    return [host for host in hosts if host.id not in dead]


def has_died(directory: str, host_id: str) -> bool:
    """Whether the file of a host is there, written on this machine, and its lock is free."""
    try:
        file = os.open(host_path(directory, host_id), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _is_free(file) and _can_tell(directory, host_id, file)
    finally:
        os.close(file)


def _is_free(file: int) -> bool:
    """Whether nobody holds the lock; it is shared for a moment, so that all who look see the same."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _can_tell(directory: str, host_id: str, file: int) -> bool:
    """Whether a free lock means what it should: not in another container, nor of a file that went."""
    from queuectl.host.hostfile import speaks_here

    try:
        there = os.path.samestat(os.stat(host_path(directory, host_id)), os.fstat(file))
    except OSError:
        return False
    return there and speaks_here(file)
