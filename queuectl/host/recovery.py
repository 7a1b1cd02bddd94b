"""Finds hosts that died and gives their jobs back: by their files here, by their leases elsewhere.

A free lock, or another boot, means dead. A held lock whose heartbeat is older than the lease, and
has not moved between two looks some time apart, means stalled: the host is killed first and
recovered when its lock is free. A missing or unreadable file, or one from another pid namespace,
proves nothing: it is left alone.

Where the store has leases, a host that let its own run out is recovered by whoever sees it first,
on any machine: it, or its guardian, has ended its jobs before (queuectl.host.lease). What a file says is
worth more, the exits that were seen, so files come first.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter

from queuectl.clocks import boot_clock
from queuectl.errors import Refused, StoreUnavailable
from queuectl.failpoint import reach
from queuectl.host.hostfile import (
    EXITED,
    RUNNING,
    STARTING,
    OtherHost,
)
from queuectl.job import LOST, Outcome, Output
from queuectl.paths import host_path, hosts_directory, output_path, wake_path
from queuectl.process.attempt import end_survivors, pid_start
from queuectl.process.output import recovered
from queuectl.record import Record
from queuectl.store.base import Settlement
from queuectl.store.expiry import recover_expired

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.host.hostfile import Header, Slot
    from queuectl.store.base import Held, Settled, Store

    #: how an attempt of a dead host is taken to have ended, and what became of its job
    Told = tuple[Settlement, Settled]

#: seconds without a heartbeat after which a host whose lock is held counts as stalled
LEASE = 60.0
#: seconds between the two looks that tell a stalled host from one that has just been woken
CONFIRM = 15.0
#: milliseconds that processes of a dead host have between SIGTERM and SIGKILL
GRACE = 1000
#: seconds after which what was being spawned when its host died can be known by its environment
EXEC = 0.05
#: attempts whose processes are ended at the same time
AT_ONCE = 8


class Recovered(Record):
    """What has been done about the claims of a host that has died. Committed."""

    host: str
    #: the jobs it had
    jobs: tuple[int, ...]
    #: those that do not simply wait again as if they had never been claimed
    told: tuple[Told, ...]


def _tell_nobody(_: Recovered) -> None:
    """Say nothing."""


class Recoverer:
    """Looks after the other hosts of a store. One thread."""

    def __init__(
        self,
        store: Store,
        own_id: str,
        call: Callable[[Callable[[Store], Any]], Any],
        failed: Callable[[Exception], None],
        recovered: Callable[[Recovered], None] = _tell_nobody,
    ) -> None:
        """`call` runs a write of the store where this process writes.

        `failed` hears of errors, `recovered` of each host that had jobs; on the thread that looks.
        """
        self._store = store
        self._own_id = own_id
        self._call = call
        self._failed = failed
        self._tell = recovered
        self._directory = hosts_directory(store.local_directory)
        #: heartbeats that were too old, and when that was first seen
        self._stalled: dict[str, tuple[int, float]] = {}

    def look(self) -> int:
        """Recover every host that is dead; return how many claims were given back or settled.

        Also one that is not registered and has left its file, and one with a lease of its own that
        has run out. An error with one host is told to `failed` and keeps none of the others from
        being recovered.
        """
        hosts = self._files()
        if self._store.lease is None:
            hosts |= {host.id for host in self._store.hosts()}
        done = self._each(hosts, self._look_at)
        self._stalled = {host: seen for host, seen in self._stalled.items() if host in hosts}
        if self._store.tended:
            return done
        if self._store.lease is not None:
            done += self._each(set(self._store.expired()), self._take_over)
        else:
            # clients of the Python API and hosts behind HTTP: they have no file here
            done += recover_expired(self._store, self._call)
        return done

    def look_here(self) -> int:
        """Recover the hosts that died on this machine, as `look` does; leases and stalled ones are left.

        For a process that is no host and looks once.
        """
        return self._each(self._files(), self._look_at)

    def _each(self, hosts: set[str], act: Callable[[str], int]) -> int:
        done = 0
        for host_id in hosts - {self._own_id}:
            try:
                done += act(host_id)
            except Exception as error:  # noqa: BLE001 - the other hosts' jobs wait
                self._failed(error)
        return done

    def _files(self) -> set[str]:
        """Return the hosts that have a file; delete wake-up pipes whose host has none."""
        found, pipes = set(), set()
        for name in os.listdir(self._directory) if os.path.isdir(self._directory) else ():
            host_id, _, kind = name.partition(".")
            if kind == "host":
                found.add(host_id)
            elif kind == "wake":
                pipes.add(host_id)
        for host_id in pipes - found:
            # asked again: the list may be older than the file, which is there before the pipe
            if not os.path.exists(host_path(self._directory, host_id)):
                _unlink(wake_path(self._directory, host_id))
        return found

    def _look_at(self, host_id: str) -> int:
        try:
            other = OtherHost(host_path(self._directory, host_id))
        except OSError:
            return 0
        with other:
            header = other.header()
            if header is None or not header.judged_here:
                return 0
            if other.seize():
                return self._recover(host_id, other, same_boot=header.same_boot)
            self._check_heartbeat(host_id, header)
            return 0

    def _check_heartbeat(self, host_id: str, header: Header) -> None:
        """Kill a host that holds its lock and has stopped living."""
        if (boot_clock() - header.heartbeat) / 1e9 <= LEASE:
            self._stalled.pop(host_id, None)
            return
        now = time.monotonic()
        heartbeat, since = self._stalled.get(host_id, (0, now))
        if heartbeat != header.heartbeat:
            self._stalled[host_id] = header.heartbeat, now
        elif now - since >= CONFIRM and pid_start(header.pid) == header.pid_start:
            os.kill(header.pid, signal.SIGKILL)

    def _recover(self, host_id: str, other: OtherHost, *, same_boot: bool) -> int:
        slots = {slot.token: slot for slot in other.slots()}
        if same_boot:
            _end_all([slot for slot in slots.values() if slot.phase != EXITED])
        fates = _Fates(self._store.local_directory)
        held = self._store.held_by(host_id)
        for claim in held:
            fates.decide(claim, slots.get(claim.token), same_boot=same_boot)
        failures = self._write(fates, host_id)
        if not failures:
            other.remove()
        return len(held) - failures

    def _take_over(self, host_id: str) -> int:
        """Take the claims of a host whose lease has ended; nothing else is known of it."""
        fates = _Fates(self._store.local_directory)
        held = self._store.held_by(host_id)
        for claim in held:
            fates.give_up(claim)
        return len(held) - self._write(fates, host_id, unless_renewed=True)

    def _write(self, fates: _Fates, host_id: str, *, unless_renewed: bool = False) -> int:
        """Write what becomes of a host's claims; return how many of that failed."""

        def write(store: Store) -> tuple[Recovered, list[Exception]]:
            if unless_renewed and host_id not in store.expired():
                raise Refused(f"host {host_id} is there again")
            return fates.write(store, host_id)

        try:
            done, failures = self._call(write)
        except Refused:
            return fates.count
        reach("after-recovery-commit")
        for error in failures:
            self._failed(error)
        if done.jobs:
            self._tell(done)
        return len(failures)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # another recoverer was faster
        pass


def _end_all(slots: list[Slot]) -> None:
    """End the processes of attempts whose host is gone."""
    if not slots:
        return
    if any(slot.phase == STARTING for slot in slots):
        # between fork and exec a child has the environment of its host, not its own
        time.sleep(EXEC)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="recovery") as pool:
        list(pool.map(_end, slots))


def _end(slot: Slot) -> None:
    start = pid_start(slot.pid) if slot.pid else 0
    if start > slot.born_by:
        # the number is another process's by now
        start = 0
    end_survivors(slot.token, slot.pid, start, GRACE)


class _Fates:
    """What becomes of the claims of one dead host."""

    def __init__(self, local: str) -> None:
        self._local = local
        self._fates: list[tuple[int, Callable[[Store], list[Told]]]] = []

    @property
    def count(self) -> int:
        """How many claims it is about."""
        return len(self._fates)

    def give_up(self, claim: Held) -> None:
        """Lose a claim of which only the store knows: its host is elsewhere, and silent."""
        if claim.started_at is not None:
            self._settle(claim, Outcome(LOST, started_at=claim.started_at))
        else:
            self._lose(claim)

    def decide(self, claim: Held, slot: Slot | None, *, same_boot: bool) -> None:
        """Settle an exit that was recorded or a start that is known; lose or release the rest.

        After a crash of the machine a missing record does not mean that there was no start.
        """
        if slot is not None and slot.outcome is not None:
            self._settle(claim, _with_output(slot.outcome, slot, self._path(claim)))
        elif claim.started_at is not None or (slot is not None and slot.phase == RUNNING):
            at = slot.started_at if slot is not None and slot.started_at else claim.started_at
            left = _left_output(self._path(claim))
            self._settle(claim, Outcome(LOST, started_at=at, output=left))
        elif slot is None and same_boot:
            self._release(claim)
        else:
            self._lose(claim)

    def _settle(self, claim: Held, outcome: Outcome) -> None:
        settlement = Settlement(claim.job_id, claim.token, claim.run, outcome)
        self._add(claim, lambda store: [(settlement, one) for one in store.settle([settlement])])

    def _lose(self, claim: Held) -> None:
        pair = claim.job_id, claim.token
        lost = Settlement(*pair, claim.run, Outcome(LOST))
        self._add(claim, lambda store: [(lost, one) for one in store.lose([pair])])

    def _release(self, claim: Held) -> None:
        def release(store: Store) -> list[Told]:
            store.release([(claim.job_id, claim.token)])
            return []

        self._add(claim, release)

    def _add(self, claim: Held, fate: Callable[[Store], list[Told]]) -> None:
        self._fates.append((claim.job_id, fate))

    def _path(self, claim: Held) -> str:
        return output_path(self._local, claim.job_id, claim.run)

    def write(self, store: Store, host_id: str) -> tuple[Recovered, list[Exception]]:
        """Write it all in one transaction and forget the host; return what became of the jobs.

        And the errors of those that cannot be written; then the host is not forgotten.
        """
        jobs: list[int] = []
        told: list[Told] = []
        failures: list[Exception] = []
        with store.transaction():
            for job_id, fate in sorted(self._fates, key=itemgetter(0)):
                try:
                    with store.transaction():
                        told += fate(store)
                    jobs.append(job_id)
                except StoreUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - the other jobs must not wait for it
                    failures.append(error)
            if not failures:
                store.forget(host_id)
            reach("before-recovery-commit")
        return Recovered(host_id, tuple(jobs), tuple(told)), failures


def _with_output(outcome: Outcome, slot: Slot, path: str) -> Outcome:
    """Return a recorded outcome with what is left of its output: what was in memory is not."""
    output = outcome.output or Output()
    if slot.in_file:
        output = output._replace(path=path)
    elif output.stdout_bytes or output.stderr_bytes:
        output = output._replace(complete=False)
    return outcome._replace(output=output)


def _left_output(path: str) -> Output:
    """Return what a lost attempt had written to its file by then; the last of it is missing."""
    try:
        return recovered(path) or Output(complete=False)
    except OSError:
        # it is there: whoever asks for it may be able to read it
        return Output(path=path, complete=False)
