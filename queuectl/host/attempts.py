"""The attempts of a host: what its workers run now, each with a record in the host file.

Between the pump, which brings claims and takes outcomes, and queuectl.process, which runs a
command. What others ask of a running job arrives here on the pump's thread.
"""

from __future__ import annotations

import os

from queuectl.failpoint import reach
from queuectl.host.threads import Running
from queuectl.host.wishes import EarlyWishes, grant
from queuectl.job import CANNOT_START, Outcome
from queuectl.paths import output_path
from queuectl.process.attempt import Control, HostTrouble, account_env, plan_for, run, way_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from queuectl.host.hostfile import HostFile
    from queuectl.host.jobqueue import JobQueue
    from queuectl.host.lease import Tenancy
    from queuectl.host.threads import Worker
    from queuectl.job import Claim
    from queuectl.store.base import Settled, Settlement, Store, Wish


class Attempts:
    """Runs claims on the threads of workers. Methods may be called from any thread.

    `lock` is the host's and guards a worker's `leaving` too: who stops workers finds each claim
    either in `by_worker`, or not begun and handed back by its worker. It is held for moments only.
    """

    def __init__(
        self,
        store: Store,
        queue: JobQueue,
        file: HostFile,
        lock: threading.Lock,
        failed: Callable[[Exception], None],
    ) -> None:
        """`failed` hears of errors that should not have been."""
        self._store = store
        self._queue = queue
        self._file = file
        self._lock = lock
        self._failed = failed
        self._env = account_env()
        self._way_back = way_back(store.public_url, os.environ)
        #: of a shared store, set before anything is claimed
        self.tenancy: Tenancy | None = None
        self._running: dict[str, Running] = {}
        #: records in the host file whose claim has not been settled
        self._records: dict[str, int] = {}
        self._early = EarlyWishes()

    def running(self) -> list[Running]:
        """Return what runs now."""
        with self._lock:
            return list(self._running.values())

    def by_worker(self) -> dict[Worker, Running]:
        """Return what each busy worker runs. With the lock held."""
        return {running.worker: running for running in self._running.values()}

    @property
    def are_settled(self) -> bool:
        """Whether the store knows how every attempt ended."""
        return not self._records

    # ---- on the worker's thread ---------------------------------------------------------------

    def run(self, worker: Worker, claim: Claim) -> Outcome:
        """Run a claimed job to its end, with a record in the host file.

        Raises HostTrouble, and OSError when the record cannot be written: then it was not started,
        because nobody could end its processes after a crash.
        """
        control = Control()
        record = self._file.take()
        with self._lock:
            self._records[claim.token] = record
            self._running[claim.token] = Running(claim, None, control, worker)
            for wish in self._early.take(claim.token):
                self._grant(control, wish)
            if worker.leaving:
                control.cancel(now=True)
        try:
            self._file.starting(record, claim)
            reach("before-spawn")
            outcome = self._attempt_if_held(worker, claim, control, record)
            self._write_exit(record, claim, outcome)
            if self.tenancy is not None:
                # after the exit is written down, with the file where the output is until it settles
                outcome = self.tenancy.shipper.finish(claim, outcome)
        finally:
            with self._lock:
                del self._running[claim.token]
        reach("before-report")
        return outcome

    def _attempt_if_held(
        self, worker: Worker, claim: Claim, control: Control, record: int
    ) -> Outcome:
        if self.tenancy is None:
            return self._attempt(worker, claim, control, record)
        return self.tenancy.run(claim, lambda: self._attempt(worker, claim, control, record))

    def _write_exit(self, record: int, claim: Claim, outcome: Outcome) -> None:
        try:
            self._file.exited(record, claim, outcome)
        except Exception as error:  # noqa: BLE001 - it is reported all the same
            self._failed(error)

    def _attempt(self, worker: Worker, claim: Claim, control: Control, record: int) -> Outcome:
        def on_start(pid: int, started_at: int) -> None:
            reach("after-spawn")
            self._file.running(record, claim, pid, started_at)
            reach("after-start")
            worker.trouble = None
            self._queue.started(claim, started_at)
            with self._lock:
                self._running[claim.token] = Running(claim, started_at, control, worker)

        path = output_path(self._store.local_directory, claim.job_id, claim.run)
        try:
            share = self._queue.share(claim) if claim.needs else {}
            plan = plan_for(
                claim, base_env=self._env, slot=worker.slot, output_path=path, share=share,
                way_back=self._way_back,
            )  # fmt: skip
            return run(plan, control, on_start=on_start)
        except HostTrouble:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a job brings
            self._failed(error)
            return Outcome(CANNOT_START, detail=str(error), started_at=self._store.now())

    # ---- on the pump's thread -----------------------------------------------------------------

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """Free the record of an attempt whose end is in the store."""
        with self._lock:
            record = self._records.pop(settlement.token, None)
        if record is not None:
            self._file.free(record)
        if self.tenancy is not None and settled.state is not None:
            self.tenancy.shipper.settled(settlement.token)

    def disowned(self, token: str) -> None:
        """End a job whose claim somebody else has by now."""
        with self._lock:
            running = self._running.get(token)
        if running is not None:
            running.control.cancel(now=True)

    def wished(self, wishes: Sequence[Wish]) -> None:
        """Do to running jobs what was asked."""
        for wish in wishes:
            if wish.kind == "ship":
                if self.tenancy is not None:
                    self.tenancy.shipper.follow(wish.token)
                continue
            with self._lock:
                running = self._running.get(wish.token)
                if running is None:
                    self._early.keep(wish)
            if running is not None:
                self._grant(running.control, wish)

    def _grant(self, control: Control, wish: Wish) -> None:
        try:
            grant(control, wish)
        except ValueError as error:
            self._failed(error)
