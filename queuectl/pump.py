"""The pump: the one thread of a host that writes to the store.

It sleeps until a tray needs it, another process pokes this host, or a job becomes due; then it
exchanges the trays of the JobQueue with the store in one transaction. An outcome the store cannot
take stays in the out-tray and is tried again, for ever and with growing patience.
"""

from __future__ import annotations

import os
import select
import threading
import time

from queuectl.errors import QueuectlError
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from typing import Any

    from queuectl.job import Claim
    from queuectl.jobqueue import Batch, JobQueue
    from queuectl.store.base import HostInfo, Settled, Settlement, Store, Wish

#: seconds between looks at the store's change counter, the net below the wake-ups
LOOK = 0.5
#: seconds before the next try while the store cannot be used
PATIENCE = (0.05, 0.2, 1.0, 3.0)


class Events:
    """What the pump tells its host. Called on the pump's thread, no lock held."""

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """A settlement has been committed, or refused (`settled.state` is None)."""

    def disowned(self, token: str) -> None:
        """A running job's claim is no longer this host's: it must be ended at once."""

    def wished(self, wishes: Sequence[Wish]) -> None:
        """Somebody asked for something to be done to running jobs."""

    def woken(self, host: HostInfo | None) -> None:
        """The store changed; this is the host's own row now."""

    def failed(self, error: Exception) -> None:
        """The pump met an error it did not expect; it goes on."""


class _Done(Record):
    """What the store made of a batch, part by part."""

    answers: list[tuple[Any, Exception | None]]
    settled: list[Settled]
    current: list[bool]
    claims: list[list[Claim]]


class Pump:
    """The thread. From `start` on only it writes through the store."""

    def __init__(self, store: Store, queue: JobQueue, host_id: str, events: Events) -> None:
        self._store = store
        self._queue = queue
        self._host_id = host_id
        self._events = events
        self._listener = store.listener(host_id)
        self._bell_out, self._bell_in = os.pipe()
        os.set_blocking(self._bell_in, False)
        self._poll = select.poll()
        self._poll.register(self._listener.fileno(), select.POLLIN)
        self._poll.register(self._bell_out, select.POLLIN)
        self._looked = time.monotonic()
        self._next_due: int | None = None
        self._failures = 0
        #: what keeps the store from being used, if anything does
        self.trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        """Begin to pump."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end that `JobQueue.close` asks for; False: it has not come in time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        poked = True
        while not self._queue.all_done():
            try:
                if poked or time.monotonic() - self._looked >= LOOK:
                    self._look(poked=poked)
                if self._next_due is not None and self._next_due <= self._store.now():
                    self._queue.changed()
                self._exchange(self._queue.collect())
                self._failures, self.trouble = 0, None
            except Exception as error:  # noqa: BLE001 - the pump must outlive anything
                if not isinstance(error, QueuectlError):
                    self._events.failed(error)
                self.trouble = str(error)
                self._failures += 1
            poked = self._sleep()
        self._listener.close()
        self._queue.closed()

    # ---- waiting ------------------------------------------------------------------------------

    def _sleep(self) -> bool:
        """Wait until there is something to exchange; True if another process poked this host."""
        if self._failures:
            time.sleep(PATIENCE[min(self._failures, len(PATIENCE)) - 1])
            return True
        until = self._looked + LOOK
        if self._next_due is not None:
            ahead = max(0, self._next_due - self._store.now()) / 1000
            until = min(until, time.monotonic() + ahead)
        while (wait := self._queue.prepare_sleep(self._ring, until)) > 0:
            # rounded up, or the last part of a millisecond would be spent spinning
            ready = {descriptor for descriptor, _ in self._poll.poll(int(wait * 1000) + 1)}
            self._queue.end_sleep()
            if self._bell_out in ready:
                os.read(self._bell_out, 4096)
            if self._listener.fileno() in ready:
                self._listener.clear()
                return True
        return False

    def _ring(self) -> None:
        os.write(self._bell_in, b"r")

    def _look(self, *, poked: bool) -> None:
        """See whether somebody wrote to the store, and what that means for this host."""
        self._looked = time.monotonic()
        if not self._listener.changed() and not poked:
            return
        wishes = self._store.take_wishes(self._host_id)
        if wishes:
            self._events.wished(wishes)
        own = next((host for host in self._store.hosts() if host.id == self._host_id), None)
        self._events.woken(own)
        self._queue.changed()

    # ---- the exchange -------------------------------------------------------------------------

    def _exchange(self, batch: Batch) -> None:
        """Commit a batch, then hand out what came of it."""
        if not any(batch):
            return
        try:
            done = self._commit(batch)
        except Exception as error:
            self._put_back(batch, error)
            raise
        self._queue.exchanged(batch, done.claims)
        for (_, future), answer in zip(batch.requests, done.answers, strict=True):
            _resolve(future, *answer)
        for settlement, settled in zip(batch.settlements, done.settled, strict=True):
            self._events.settled(settlement, settled)
        for start, current in zip(batch.starts, done.current, strict=True):
            if not current:
                self._events.disowned(start.token)
        self._next_due = self._store.next_due() if self._queue.is_dry() else None

    def _commit(self, batch: Batch) -> _Done:
        """Do all of a batch in one transaction."""
        store = self._store
        with store.transaction():
            answers = [self._answer(request) for request, _ in batch.requests]
            settled = store.settle(batch.settlements) if batch.settlements else []
            current = store.start(batch.starts) if batch.starts else []
            if batch.returns:
                store.release(batch.returns)
            claims = [
                store.claim(self._host_id, want, queues, ahead)
                for queues, want, ahead in batch.wants
            ]
        return _Done(answers, settled, current, claims)

    def _answer(self, request: Callable[[Store], Any]) -> tuple[Any, Exception | None]:
        """Run one request in a transaction, or under a savepoint, of its own."""
        try:
            with self._store.transaction():
                return request(self._store), None
        except Exception as error:  # noqa: BLE001 - it is the caller's
            return None, error

    def _put_back(self, batch: Batch, error: Exception) -> None:
        """Keep what could not be committed; requests get one try each of their own."""
        for request, future in batch.requests:
            _resolve(future, *self._answer(request))
        left = batch.settlements
        if not isinstance(error, QueuectlError):
            left = [settlement for settlement in left if not self._settled_alone(settlement)]
        self._queue.put_back(batch, left)

    def _settled_alone(self, settlement: Settlement) -> bool:
        """Settle one of a group that failed, so that one bad settlement does not hold up the rest."""
        settled, error = self._answer(lambda store: store.settle([settlement]))
        if error is None:
            self._events.settled(settlement, settled[0])
        return error is None


def _resolve(future: Future[Any], result: Any, error: Exception | None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
