"""One worker: a thread that takes claims from its host's queue and runs them, one at a time."""

from __future__ import annotations

import threading

from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.job import Claim
    from queuectl.process import Control
    from queuectl.worker import WorkerHost


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
        self._host = host
        self.thread = threading.Thread(target=self._work, name=f"worker-{slot}", daemon=True)

    def _work(self) -> None:
        while (claim := self._host.queue.take(self.queues, lambda: self.leaving)) is not None:
            self._host.run(self, claim)
        self._host.left(self)
