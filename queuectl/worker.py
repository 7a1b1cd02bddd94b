"""Workers: threads that each run one job at a time, and the host they live in.

A WorkerHost is one process's part in the queue. It has a JobQueue with its pump, a file that
tells the machine that it lives, worker threads that can be started, drained and stopped at any
time, and a keeper thread that beats the heart, recovers dead hosts and prunes.
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
import threading
import time
import uuid
from collections import deque

from queuectl import __version__
from queuectl.hostfile import HostFile
from queuectl.job import CANNOT_START, Outcome
from queuectl.jobqueue import JobQueue
from queuectl.keeper import Keeper
from queuectl.process import Control, account_env, become_subreaper, pid_start, plan_for, run
from queuectl.pump import Events, Pump
from queuectl.record import Record
from queuectl.store.base import HostInfo
from queuectl.store.paths import host_path, hosts_directory, output_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from queuectl.job import Claim
    from queuectl.store.base import Settled, Settlement, Store, Wish

    T = TypeVar("T")

#: seconds a thread may keep the GIL while another wants it: a spawn beside a busy thread waits so
#: long for its turn several times over, and the default of 5 ms makes it 20 times slower
SWITCH_INTERVAL = 0.0005


class Running(Record):
    """A job that a worker of this process runs."""

    claim: Claim
    started_at: int | None
    control: Control
    worker: Worker


class Worker:
    """One thread. `leaving` makes it end before it would take another job."""

    def __init__(self, host: WorkerHost, slot: int, queues: tuple[str, ...]) -> None:
        self.slot = slot
        self.queues = queues
        self.leaving = False
        self._host = host
        self.thread = threading.Thread(target=self._work, name=f"worker-{slot}", daemon=True)

    def _work(self) -> None:
        while (claim := self._host.queue.take(self.queues, lambda: self.leaving)) is not None:
            self._host.run(self, claim)
        self._host.left(self)


class WorkerHost(Events):
    """A process with workers. Methods may be called from any thread but the pump's."""

    def __init__(self, store: Store, *, on_settled: Callable[[Settlement, Settled], None] | None = None) -> None:
        """Register with the store and start pumping, with no workers yet.

        From now on this process writes to the store only through `call`. Raises StoreUnavailable.
        """
        self.id = uuid.uuid4().hex
        self.store = store
        self.on_settled = on_settled
        self.started_at = store.now()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._workers: list[Worker] = []
        self._running: dict[str, Running] = {}
        self._records: dict[str, int] = {}
        self._cancelled_early: deque[str] = deque(maxlen=1000)
        self._env = account_env()
        self.errors: deque[str] = deque(maxlen=20)
        sys.setswitchinterval(SWITCH_INTERVAL)
        become_subreaper()
        directory = hosts_directory(store.local_directory)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._file = HostFile(host_path(directory, self.id), pid_start(os.getpid()))
        store.register(self._info())
        self.queue = JobQueue()
        self._pump = Pump(store, self.queue, self.id, self)
        self._keeper = Keeper(store, self)
        self._pump.start()
        self._keeper.start()

    # ---- workers ------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """How many workers there are, those that are leaving not counted."""
        with self._lock:
            return sum(not worker.leaving for worker in self._workers)

    @property
    def trouble(self) -> str | None:
        """What keeps this host from using its store, if anything does."""
        return self._pump.trouble

    def start(self, count: int, queues: Sequence[str] = ()) -> int:
        """Start `count` more workers, for all queues or some; return how many there are then."""
        self.queue.drain(on=False)
        kind = tuple(queues)
        with self._lock:
            taken = {worker.slot for worker in self._workers}
            free = (slot for slot in range(len(taken) + count) if slot not in taken)
            fresh = [Worker(self, slot, kind) for slot, _ in zip(free, range(count), strict=False)]
            self._workers += fresh
        self.queue.join_workers(kind, count)
        for worker in fresh:
            worker.thread.start()
        self.call(lambda store: store.register(self._info()))
        return self.workers

    def stop(self, count: int | None = None, *, now: bool = False) -> list[Claim]:
        """Begin to stop some workers, idle ones first, or all; return what those still run.

        They finish what they run; `now` stops it and hands it back uncounted. Does not wait.
        """
        leaving, busy = self._pick(count)
        for running in busy:
            if now:
                running.control.cancel()
        if not self.workers:
            self.queue.drain()
        self.queue.stir()
        if leaving:
            self.queue.post(lambda store: store.register(self._info()))
        return [running.claim for running in busy]

    def _pick(self, count: int | None) -> tuple[list[Worker], list[Running]]:
        with self._lock:
            busy = {running.worker: running for running in self._running.values()}
            # a second `stop` may find workers that are leaving already: it is about them too
            order = sorted(self._workers, key=lambda worker: (not worker.leaving, worker in busy))
            if count is not None:
                order = [worker for worker in order if not worker.leaving][:count]
            fresh = [worker for worker in order if not worker.leaving]
            for worker in order:
                worker.leaving = True
            return fresh, [busy[worker] for worker in order if worker in busy]

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no worker is left; False: some still are."""
        with self._lock:
            return self._changed.wait_for(lambda: not self._workers, timeout)

    def running(self) -> list[Running]:
        """Return what runs here now."""
        with self._lock:
            return list(self._running.values())

    def call(self, request: Callable[[Store], T]) -> T:
        """Run a write in the pump; return its result once it is committed. Raises what it raises."""
        return self.queue.call(request)

    def beat(self) -> None:
        """Say that this host lives. For the keeper."""
        self._file.beat()

    def wait_activity(self, timeout: float) -> None:
        """Return when a job of this host has been settled or a worker has left, or in time."""
        with self._lock:
            self._changed.wait(timeout)

    def close(self, *, now: bool = False, timeout: float | None = None) -> bool:
        """Stop all workers, wait for them, report what is left, and leave the store's registry.

        False: the time was not enough; what could not be reported is recovered from this host's
        file by the next one.
        """
        self.stop(now=now)
        if not self.join(timeout):
            return False
        self._keeper.stop()
        try:
            self.queue.post(lambda store: store.forget(self.id))
        except Exception:  # noqa: BLE001 - closed already
            return True
        self.queue.close()
        done = self._pump.join(timeout)
        self._file.close(keep=not done)
        return done

    def _info(self) -> HostInfo:
        with self._lock:
            queues = sorted({queue for worker in self._workers for queue in worker.queues})
            if any(not worker.queues for worker in self._workers):
                queues = []
            workers = sum(not worker.leaving for worker in self._workers)
        return HostInfo(
            id=self.id,
            hostname=socket.gethostname(),
            user=_user(),
            pid=os.getpid(),
            version=__version__,
            workers=workers,
            queues=tuple(queues),
            started_at=self.started_at,
            seen_at=self.store.now(),
        )

    # ---- one job, on the worker's thread ------------------------------------------------------

    def run(self, worker: Worker, claim: Claim) -> None:
        """Run a claimed job to its end and report it."""
        began = time.monotonic()
        control = Control()
        with self._lock:
            record = self._records[claim.token] = self._file.take()
            self._running[claim.token] = Running(claim, None, control, worker)
            if claim.token in self._cancelled_early:
                control.cancel(now=True)
        outcome = self._outcome(worker, claim, control, record)
        self._file.exited(record, claim.job_id, claim.run, claim.token, outcome)
        with self._lock:
            del self._running[claim.token]
        self.queue.report(claim, outcome, worker.queues, time.monotonic() - began)

    def _outcome(self, worker: Worker, claim: Claim, control: Control, record: int) -> Outcome:
        def on_start(pid: int, started_at: int) -> None:
            self._file.running(record, claim.job_id, claim.run, claim.token, pid, started_at)
            self.queue.started(claim, started_at)
            with self._lock:
                self._running[claim.token] = Running(claim, started_at, control, worker)

        path = output_path(self.store.local_directory, claim.job_id, claim.run)
        self._file.starting(record, claim.job_id, claim.run, claim.token)
        try:
            plan = plan_for(claim, base_env=self._env, slot=worker.slot, output_path=path)
            return run(plan, control, on_start=on_start)
        except Exception as error:  # noqa: BLE001 - a worker outlives anything a job brings
            self.failed(error)
            return Outcome(CANNOT_START, detail=str(error), started_at=self.store.now())

    def left(self, worker: Worker) -> None:
        """A worker has ended."""
        with self._lock:
            self._workers.remove(worker)
            self._changed.notify_all()
        self.queue.join_workers(worker.queues, -1)

    # ---- what the pump tells, on its thread ---------------------------------------------------

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """Free the record of an attempt whose end is in the store."""
        with self._lock:
            record = self._records.pop(settlement.token, None)
        if record is not None:
            self._file.clear(record)
        with self._lock:
            if record is not None:
                self._file.give(record)
            self._changed.notify_all()
        if self.on_settled is not None:
            self.on_settled(settlement, settled)

    def disowned(self, token: str) -> None:
        """End a job whose claim somebody else has by now."""
        with self._lock:
            running = self._running.get(token)
        if running is not None:
            running.control.cancel(now=True)

    def wished(self, wishes: Sequence[Wish]) -> None:
        """Do to running jobs what was asked."""
        for wish in wishes:
            with self._lock:
                running = self._running.get(wish.token)
                if running is None and wish.kind.startswith("cancel"):
                    self._cancelled_early.append(wish.token)
            if running is not None:
                _grant(running.control, wish)

    def woken(self, host: HostInfo | None) -> None:
        """See whether this host is asked to stop, or was taken for dead."""
        if host is None:
            for running in self.running():
                running.control.cancel(now=True)
            self.queue.post(lambda store: store.register(self._info()))
        elif host.stop_requested:
            self.stop(host.stop_workers, now=host.stop_requested == "now")
            self.queue.post(lambda store: store.register(self._info()))

    def failed(self, error: Exception) -> None:
        """Remember an error that should not have been."""
        self.errors.append(f"{type(error).__name__}: {error}")


def _grant(control: Control, wish: Wish) -> None:
    if wish.kind == "cancel":
        control.cancel()
    elif wish.kind == "cancel-now":
        control.cancel(now=True)
    elif wish.kind == "signal":
        control.signal(int(wish.payload))
    elif wish.kind == "pause":
        control.pause()
    elif wish.kind == "resume":
        control.resume()
    elif wish.kind == "send":
        control.send(wish.payload)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
