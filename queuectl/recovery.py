"""Finds hosts of this machine that died and gives their jobs back, by what their files say.

A free lock, or another boot, means dead. A held lock whose heartbeat is older than the lease, seen
twice some time apart, means stalled: the host is killed first and recovered when its lock is free.
A missing or unreadable file, or one from another pid namespace, proves nothing: it is left alone.
"""

from __future__ import annotations

import os
import signal
import socket
import time

from queuectl.hostfile import EXITED, RUNNING, OtherHost, boot_clock, boot_id, pid_namespace
from queuectl.job import LOST, Outcome, Output
from queuectl.process import end_survivors, pid_start
from queuectl.store.base import Settlement
from queuectl.store.paths import host_path, hosts_directory, output_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.hostfile import Header, Slot
    from queuectl.store.base import Held, HostInfo, Store

#: seconds without a heartbeat after which a host whose lock is held counts as stalled
LEASE = 60.0
#: seconds between the two looks that tell a stalled host from one that has just been woken
CONFIRM = 15.0
#: milliseconds that processes of a dead host have between SIGTERM and SIGKILL
GRACE = 1000


class Recoverer:
    """Looks after the other hosts of a store on this machine. One thread."""

    def __init__(self, store: Store, own_id: str, call: Callable[[Callable[[Store], Any]], Any]) -> None:
        """`call` runs a write of the store where this process writes."""
        self._store = store
        self._own_id = own_id
        self._call = call
        self._directory = hosts_directory(store.local_directory)
        self._stalled: dict[str, float] = {}
        self._hostname = socket.gethostname()

    def look(self) -> int:
        """Recover every host that is dead; return how many claims were given back or settled."""
        return sum(
            self._look_at(host)
            for host in self._store.hosts()
            if host.id != self._own_id and host.hostname == self._hostname
        )

    def _look_at(self, host: HostInfo) -> int:
        try:
            other = OtherHost(host_path(self._directory, host.id))
        except OSError:
            return 0
        with other:
            header = other.header()
            if header is None:
                return 0
            same_boot = header.boot == boot_id()
            if same_boot and header.pid_namespace != pid_namespace():
                return 0
            if other.seize():
                return self._recover(host, other, same_boot=same_boot)
            self._check_heartbeat(host.id, header)
            return 0

    def _check_heartbeat(self, host_id: str, header: Header) -> None:
        """Kill a host that holds its lock and has stopped living."""
        if (boot_clock() - header.heartbeat) / 1e9 <= LEASE:
            self._stalled.pop(host_id, None)
            return
        first = self._stalled.setdefault(host_id, time.monotonic())
        if time.monotonic() - first >= CONFIRM and pid_start(header.pid) == header.pid_start:
            os.kill(header.pid, signal.SIGKILL)

    def _recover(self, host: HostInfo, other: OtherHost, *, same_boot: bool) -> int:
        slots = {slot.token: slot for slot in other.slots()}
        held = self._store.held_by(host.id)
        if same_boot:
            for slot in slots.values():
                if slot.phase != EXITED:
                    end_survivors(slot.token, slot.pid, 0, GRACE)
        fates = _Fates()
        for claim in held:
            fates.decide(claim, slots.get(claim.token), self._store.local_directory)
        self._call(lambda store: fates.write(store, host.id))
        other.remove()
        self._stalled.pop(host.id, None)
        return len(held)


class _Fates:
    """What becomes of the claims of one dead host."""

    def __init__(self) -> None:
        self._settlements: list[Settlement] = []
        self._lost: list[tuple[int, str]] = []
        self._released: list[tuple[int, str]] = []

    def decide(self, claim: Held, slot: Slot | None, local: str) -> None:
        """Settle an exit that was recorded or a start that is known; lose or release the rest."""
        started = claim.started_at
        if slot is not None and slot.phase == EXITED and slot.outcome is not None:
            outcome = slot.outcome._replace(output=_left_output(claim, local, ended=True))
        elif slot is not None and slot.phase == RUNNING or started is not None:
            at = slot.started_at if slot is not None and slot.started_at else started
            outcome = Outcome(LOST, started_at=at, output=_left_output(claim, local, ended=False))
        else:
            claims = self._released if slot is None else self._lost
            claims.append((claim.job_id, claim.token))
            return
        self._settlements.append(Settlement(claim.job_id, claim.token, claim.run, outcome))

    def write(self, store: Store, host_id: str) -> None:
        """Write it all, and forget the host. One transaction."""
        with store.transaction():
            store.settle(self._settlements)
            store.lose(self._lost)
            store.release(self._released)
            store.forget(host_id)


def _left_output(claim: Held, local: str, *, ended: bool) -> Output | None:
    """Return what a lost attempt had written to its file by then."""
    path = output_path(local, claim.job_id, claim.run)
    try:
        size = os.stat(path).st_size
    except OSError:
        # an ended job's few bytes were in memory only; say that something is missing
        return Output(complete=False) if not ended else None
    return Output(path=path, stdout_bytes=size, complete=False)


