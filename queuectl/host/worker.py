"""Workers: threads that each run one job at a time, and the host they live in.

A WorkerHost is one process's part in the queue. It has a JobQueue with its pump, a file that
tells the machine that it lives, worker threads that can be started, drained and stopped at any
time, and a keeper thread that beats the heart, recovers dead hosts and prunes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections import deque

from queuectl.clocks import boot_clock
from queuectl.errors import QueuectlError, Refused, StoreUnavailable
from queuectl.host.attempts import Attempts
from queuectl.host.hostfile import HostFile
from queuectl.host.jobqueue import JobQueue
from queuectl.host.keeper import Keeper
from queuectl.host.lease import Tenancy
from queuectl.host.pump import Events, Pump
from queuectl.host.registration import Registration
from queuectl.host.threads import Worker
from queuectl.paths import host_path, hosts_directory, make_private
from queuectl.process.attempt import become_subreaper, pid_start, restore_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from typing import TypeVar

    from queuectl.host.lease import Guardian
    from queuectl.host.recovery import Recovered
    from queuectl.host.registration import Crew
    from queuectl.host.threads import Running
    from queuectl.job import Claim, Outcome
    from queuectl.resources import Resource
    from queuectl.store.base import HostInfo, Settled, Settlement, Store, Wish

    T = TypeVar("T")

#: seconds a thread may keep the GIL while another wants it: a spawn beside a busy thread waits so
#: long for its turn several times over, and the default of 5 ms makes it 20 times slower
SWITCH_INTERVAL = 0.0005
#: seconds for which a host of a shared store tries to take its leave of a store that does not
#: answer, and to report what its jobs came to; who recovers it has that from the host file
LEAVE, REPORT = 3.0, 60.0


class WorkerHost(Events):
    """A process with workers. Methods may be called from any thread but the pump's."""

    def __init__(
        self, store: Store, *, on_settled: Callable[[Settlement, Settled], None] | None = None
    ) -> None:
        """Register with the store and start pumping, with no workers yet.

        From now on this process writes to the store only through `call`. Raises StoreUnavailable.
        """
        self.id = uuid.uuid4().hex
        self.store = store
        self.on_settled = on_settled
        #: called on the pump's thread when `store_trouble` has begun or is over
        self.on_trouble: Callable[[], None] | None = None
        #: hears of hosts whose jobs this one has recovered, see `tell_recoveries`
        self._on_recovered: Callable[[Recovered], None] | None = None
        self._untold: deque[Recovered] = deque(maxlen=20)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._workers: list[Worker] = []
        self._closing = False
        self._closed: bool | None = None
        self.errors: deque[str] = deque(maxlen=20)
        sys.setswitchinterval(SWITCH_INTERVAL)
        become_subreaper()
        if threading.current_thread() is threading.main_thread():
            restore_signals()
        self.queue = JobQueue()
        self._registration = Registration(self.id, store.now(), self._crew)
        self._file = _make_file(store, self.id)
        self._attempts = Attempts(store, self.queue, self._file, self._lock, self.failed)
        self._tenancy = self._attempts.tenancy = Tenancy(store, self) if store.lease else None
        try:
            sent = boot_clock()
            self._registration.write(store)
            self._pump = Pump(store, self.queue, self.id, self)
        except BaseException:
            # registered perhaps: then the file says to the next recoverer that nothing was held
            self._file.close(keep=True)
            raise
        self._keeper = Keeper(store, self)
        self._pump.start()
        self._keeper.start()
        if self._tenancy is not None:
            self._tenancy.start(sent)

    # ---- workers ------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """How many workers there are, those that are leaving not counted."""
        with self._lock:
            return sum(not worker.leaving for worker in self._workers)

    @property
    def store_trouble(self) -> str | None:
        """What keeps this host from using its store, if anything does."""
        return self._pump.trouble

    @property
    def trouble(self) -> str | None:
        """What keeps this host from using its store or from starting jobs, if anything does."""
        if self.store_trouble:
            return self.store_trouble
        with self._lock:
            return next((worker.trouble for worker in self._workers if worker.trouble), None)

    def start(
        self,
        count: int,
        queues: Sequence[str] = (),
        resources: Mapping[str, Resource] = {},
    ) -> int:
        """Start `count` more workers, for all queues or some; return how many there are then.

        `resources` are the host's and add to what it has; it keeps them when workers stop. Raises
        Refused when the host is being closed, or the system has no room for as many threads, and
        UsageError for resources that do not go with those it has.
        """
        kind = tuple(queues)
        if resources:
            self.queue.add_resources(resources)
        with self._lock:
            if self._closing:
                raise Refused("this host is ending")
            taken = {worker.slot for worker in self._workers}
            free = (slot for slot in range(len(taken) + count) if slot not in taken)
            fresh = [Worker(self, slot, kind) for slot, _ in zip(free, range(count), strict=False)]
            self._workers += fresh
        self.queue.join_workers(kind, count)
        failure = self._start_threads(fresh)
        try:
            self.renew()
        except StoreUnavailable:
            # they are there all the same; the keeper writes it down later
            self._keeper.renew_soon()
        if failure:
            raise failure
        return self.workers

    def _start_threads(self, fresh: list[Worker]) -> Refused | None:
        """Start the threads of new workers; take back those that cannot be, and say so."""
        for started, worker in enumerate(fresh):
            try:
                worker.thread.start()
            except RuntimeError as error:
                missing = fresh[started:]
                with self._lock:
                    self._workers = [left for left in self._workers if left not in missing]
                    stayed = sum(not left.leaving for left in missing)
                    self._changed.notify_all()
                self.queue.join_workers(worker.queues, -stayed)
                return Refused(f"only {started} of {len(fresh)} workers could be started: {error}")
        return None

    def stop(self, count: int | None = None, *, now: bool = False) -> list[Claim]:
        """Begin to stop some workers, idle ones first, or all; return what those still run.

        They finish what they run; `now` stops it and hands it back uncounted. Does not wait.
        """
        leaving, busy = self._pick(count)
        for running in busy:
            if now:
                running.control.cancel()
        for worker in leaving:
            # from now on: what nobody is left for goes back
            self.queue.join_workers(worker.queues, -1)
        self.queue.stir()
        if leaving:
            self.queue.post(self._registration.renew)
        return [running.claim for running in busy]

    def _pick(self, count: int | None) -> tuple[list[Worker], list[Running]]:
        with self._lock:
            busy = self._attempts.by_worker()
            # a second `stop` may find workers that are leaving already: it is about them too
            order = sorted(self._workers, key=lambda worker: (not worker.leaving, worker in busy))
            if count is not None:
                order = [worker for worker in order if not worker.leaving][:count]
            fresh = [worker for worker in order if not worker.leaving]
            for worker in order:
                worker.leaving = True
            self._changed.notify_all()
            return fresh, [busy[worker] for worker in order if worker in busy]

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no worker is left; False: some still are."""
        with self._lock:
            return self._changed.wait_for(lambda: not self._workers, timeout)

    def running(self) -> list[Running]:
        """Return what runs here now."""
        return self._attempts.running()

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

        False: workers still run after `timeout` seconds, call again; or not all could be reported,
        and the next host recovers it from this host's file. A shared store that does not answer
        is given LEAVE seconds when there is nothing to report, else REPORT.
        """
        if self._closed is not None:
            return self._closed
        deadline = None if timeout is None else time.monotonic() + timeout

        def left() -> float | None:
            return None if deadline is None else max(0.0, deadline - time.monotonic())

        with self._lock:
            self._closing = True
        self.stop(now=now)
        if not self.join(left()):
            self._closing = False
            return False
        if self._tenancy is not None:
            self._tenancy.stop()
            if deadline is None:
                deadline = time.monotonic() + (REPORT if any(self.queue.waiting()) else LEAVE)
        self._keeper.stop(left())
        self.queue.close()
        if self._pump.join(left()):
            away = self._tenancy is not None and self._pump.failing
            self._closed = not self.queue.waiting()[1] and not away and self._forget()
        else:
            self._pump.give_up()
            self._closed = False
        self._keeper.die()
        self._file.close(keep=not self._closed and not self._holds_nothing())
        return self._closed

    def _holds_nothing(self) -> bool:
        """Whether a lease, which ends by itself, holds nothing: no file to recover by is needed."""
        if self._tenancy is None or any(self.queue.waiting()):
            return False
        return self._attempts.are_settled

    def _forget(self) -> bool:
        """Leave the registry, last of all; False if that cannot be, or claims are left after all."""
        try:
            self.store.forget(self.id)
            return all(host.id != self.id for host in self.store.hosts())
        except QueuectlError as error:
            self.failed(error)
            return False

    def renew(self) -> None:
        """Write this host's row in the registry again. Raises what `call` raises."""
        self.call(self._registration.renew)

    def _crew(self) -> Crew:
        with self._lock:
            staying = [worker for worker in self._workers if not worker.leaving]
        every = any(not worker.queues for worker in staying)
        queues = {queue for worker in staying for queue in worker.queues}
        resources = self.queue.resources()[1]
        return len(staying), () if every else tuple(sorted(queues)), resources

    # ---- for workers, on their threads --------------------------------------------------------

    def run(self, worker: Worker, claim: Claim) -> Outcome:
        """Run a claimed job to its end. Raises as `Attempts.run` does."""
        return self._attempts.run(worker, claim)

    def rest(self, worker: Worker, seconds: float) -> None:
        """Return after some time, or when the worker is to leave."""
        with self._lock:
            self._changed.wait_for(lambda: worker.leaving, seconds)

    def left(self, worker: Worker) -> None:
        """Take a worker off the list that has ended."""
        with self._lock:
            self._workers.remove(worker)
            self._changed.notify_all()

    # ---- what the pump tells, on its thread ---------------------------------------------------

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """Let go of an attempt whose end is in the store, and tell who waits for it."""
        self._attempts.settled(settlement, settled)
        with self._lock:
            self._changed.notify_all()
        if self.on_settled is not None:
            self.on_settled(settlement, settled)

    def disowned(self, token: str) -> None:
        """End a job whose claim somebody else has by now."""
        self._attempts.disowned(token)

    def wished(self, wishes: Sequence[Wish]) -> None:
        """Do to running jobs what was asked."""
        self._attempts.wished(wishes)

    def woken(self, host: HostInfo | None) -> None:
        """Heed a request to stop; end everything if this host was taken for dead."""
        if host is None:
            for running in self.running():
                running.control.cancel(now=True)
            self.queue.hand_back()
            self.queue.post(self._registration.write)
        elif host.stop_requested:
            # taken in a transaction of its own, so that each request is heeded once
            taking = self.queue.post(self._registration.take_stop)
            taking.add_done_callback(self._obey)

    def _obey(self, request: Future[tuple[str, int | None] | None]) -> None:
        asked = None if request.cancelled() or request.exception() else request.result()
        if asked is not None:
            how, workers = asked
            self.stop(workers, now=how == "now")

    def tell_recoveries(self, hear: Callable[[Recovered], None]) -> None:
        """Have somebody hear of every dead host whose jobs are recovered, those before now included.

        On the keeper's thread, and on this one.
        """
        with self._lock:
            self._on_recovered = hear
            untold = tuple(self._untold)
            self._untold.clear()
        for one in untold:
            hear(one)

    def recovered(self, what: Recovered) -> None:
        """Tell of a dead host. For the keeper."""
        with self._lock:
            hear = self._on_recovered
            if hear is None:
                self._untold.append(what)
        if hear is not None:
            hear(what)

    def troubled(self) -> None:
        """Tell that `store_trouble` has begun or is over."""
        if self.on_trouble is not None:
            self.on_trouble()

    def guarded_by(self, guardian: Guardian) -> None:
        """Keep somebody informed who ends this host's jobs if it lets its lease run out."""
        if self._tenancy is not None:
            self._tenancy.guarded_by(guardian)

    def failed(self, error: Exception) -> None:
        """Remember an error that should not have been."""
        self.errors.append(f"{type(error).__name__}: {error}")


def _make_file(store: Store, host_id: str) -> HostFile:
    directory = hosts_directory(store.local_directory)
    try:
        make_private(directory)
        return HostFile(host_path(directory, host_id), pid_start(os.getpid()))
    except OSError as error:
        reason = f"no host file can be made in {directory}: {error.strerror}"
        raise StoreUnavailable(store=store.name, reason=reason) from error
