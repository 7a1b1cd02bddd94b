"""One worker: a thread that takes claims from its host's queue and runs them, one at a time."""

from __future__ import annotations

import threading
import time

from queuectl.job import STOPPED, Outcome
from queuectl.process.attempt import HostTrouble
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.host.worker import WorkerHost
    from queuectl.job import Claim
    from queuectl.process.attempt import Control


#: seconds that a worker waits when its host could not start a job, longer each time in a row
PATIENCE = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)


class Running(Record):
    """A job that a worker of this process runs."""

    claim: Claim
    #: None while it is being started
    started_at: int | None
    control: Control
    worker: Worker


class Worker:
    """One thread. `leaving` makes it end before it would start another job."""

    def __init__(self, host: WorkerHost, slot: int, queues: tuple[str, ...]) -> None:
        self.slot = slot
        self.queues = queues
        self.leaving = False
        #: what keeps this host from starting jobs, as this worker found it at its last try
        self.trouble: str | None = None
        self._failures = 0
        self._host = host
        self.thread = threading.Thread(target=self._work, name=f"worker-{slot}", daemon=True)

    def _work(self) -> None:
        while (claim := self._host.queue.take(self.queues, lambda: self.leaving)) is not None:
            self._run(claim)
        self._host.left(self)

    def _run(self, claim: Claim) -> None:
        """Run a claimed job to its end and report it.

        What its host could not start is handed back at once, uncounted: that is no fault of the
        job, and another host may be able to.
        """
        host = self._host
        began = time.monotonic()
        try:
            outcome = host.run(self, claim)
        except Exception as error:  # noqa: BLE001 - a worker outlives anything
            outcome = Outcome(STOPPED)
            self.trouble = f"no job can be started: {error}"
            self._failures += 1
            if not isinstance(error, HostTrouble):
                host.failed(error)
        else:
            self.trouble, self._failures = None, 0
        host.queue.report(claim, outcome, self.queues, time.monotonic() - began)
        if self._failures:
            host.rest(self, PATIENCE[min(self._failures, len(PATIENCE)) - 1])
