"""The pump: the one thread of a host that writes to the store.

It sleeps until a tray needs it, another process pokes this host, a job becomes due, a rate lets one
be claimed, or a schedule fires; then it exchanges the trays of the JobQueue with the store in one
transaction, and fires schedules in others. What the store cannot take stays in the trays and is
tried again, for ever and with growing patience. One settlement that it refuses to write is set
aside, so that it holds up nothing else.
"""

from __future__ import annotations

import os
import select
import threading
import time

from queuectl.errors import QueuectlError, StoreBusy, StoreUnavailable
from queuectl.failpoint import reach
from queuectl.host.firing import Firing
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from typing import Any

    from queuectl.host.jobqueue import JobQueue
    from queuectl.host.trays import Batch
    from queuectl.job import Claim
    from queuectl.store.base import HostInfo, Settled, Settlement, Store, Wish

    #: what a request or a settlement came to, or the error it met
    Answer = tuple[Any, Exception | None]

#: seconds between looks at the store's change counter, the net below the wake-ups
LOOK = 0.5
#: seconds before the next try while the store cannot be used
PATIENCE = (0.05, 0.2, 1.0, 3.0)
#: seconds before schedules are looked at again after a fault that should not have been
REFIRE = 10.0
#: ms before a claim is tried again where something is said to be due that the last one did not get
SOON, LATER = 5, 500


class Events:
    """What the pump tells its host. Called on the pump's thread, no lock held.

    An error in one of them is told to `failed` and changes nothing else.
    """

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """Hear that a settlement is in the store, or was refused (`settled.state` is None)."""

    def disowned(self, token: str) -> None:
        """Hear that a running job's claim is no longer this host's: it must be ended at once."""

    def wished(self, wishes: Sequence[Wish]) -> None:
        """Hear what somebody wants to be done to running jobs."""

    def woken(self, host: HostInfo | None) -> None:
        """Hear that the store changed, and what is in the host's own row now."""

    def troubled(self) -> None:
        """Hear that the store cannot be used, or can be used again: `Pump.trouble` says why."""

    def failed(self, error: Exception) -> None:
        """Hear of an error that should not have been; the pump goes on."""


class _Done(Record):
    """What the store made of a batch, part by part."""

    answers: list[Answer]
    settled: list[Answer]
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
        self._soon = SOON
        #: when the last claim began, ms
        self._claimed_at: int | None = None
        self._firing = Firing(store)
        self._fire_after = 0.0
        self._failures = 0
        self._given_up = threading.Event()
        #: what keeps the store from being used, if anything does: a store that took no write
        #: counts as such until it has taken one
        self.trouble: str | None = None
        self._unwritten = False
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        """Begin to pump."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end that `JobQueue.close` asks for; False: it has not come in time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """End soon, whatever has not been reported."""
        self._given_up.set()
        self._queue.abandon()

    def _run(self) -> None:
        poked = True
        try:
            while not self._queue.all_done():
                poked = self._turn(poked=poked)
        finally:
            self._end()

    @property
    def failing(self) -> bool:
        """Whether the last thing that was tried with the store has failed."""
        return self._failures > 0

    def _turn(self, *, poked: bool) -> bool:
        """Exchange what there is and sleep; True if another process poked this host meanwhile."""
        try:
            if poked or time.monotonic() - self._looked >= LOOK:
                self._look(poked=poked)
            self._fire()
            if self._next_due is not None and self._next_due <= self._store.now():
                self._next_due = None
                self._queue.changed()
            self._exchange(self._queue.collect())
            self._failures = 0
            if not self._unwritten:
                self._trouble(None)
            return self._sleep()
        except Exception as error:  # noqa: BLE001 - the pump must outlive anything
            if not isinstance(error, QueuectlError):
                self._events.failed(error)
            self._trouble(str(error))
            self._given_up.wait(PATIENCE[min(self._failures, len(PATIENCE) - 1)])
            self._failures += 1
            return True

    def _trouble(self, text: str | None) -> None:
        before, self.trouble = self.trouble, text
        if (before is None) is not (text is None):
            self._tell(self._events.troubled)

    def _end(self) -> None:
        self._queue.closed()
        self._listener.close()
        os.close(self._bell_in)
        os.close(self._bell_out)

    # ---- waiting ------------------------------------------------------------------------------

    def _sleep(self) -> bool:
        """Wait until there is something to exchange; True if another process poked this host."""
        until = self._looked + LOOK
        if self._next_due is not None:
            until = min(until, self._from_now(self._next_due))
        if self._firing.next_at is not None:
            until = min(until, max(self._fire_after, self._from_now(self._firing.next_at)))
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

    def _from_now(self, at: int) -> float:
        """Return when a time of the store's comes, in seconds of this process's clock."""
        return time.monotonic() + max(0, at - self._store.now()) / 1000

    def _ring(self) -> None:
        try:
            os.write(self._bell_in, b"r")
        except BlockingIOError:
            # full of bells: it will wake
            pass

    def _look(self, *, poked: bool) -> None:
        """See whether somebody wrote to the store, and what that means for this host."""
        self._looked = time.monotonic()
        if not self._listener.changed() and not poked:
            return
        wishes = self._store.take_wishes(self._host_id)
        if wishes:
            self._tell(self._events.wished, wishes)
        own = next((host for host in self._store.hosts() if host.id == self._host_id), None)
        self._tell(self._events.woken, own)
        self._firing.changed()
        self._queue.changed()

    def _fire(self) -> None:
        """Enqueue the jobs of schedules that are due. Their faults hold up nothing else."""
        if time.monotonic() < self._fire_after:
            return
        try:
            if self._firing.fire_due():
                self._queue.changed()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - claims and settlements must go on
            self._fire_after = time.monotonic() + REFIRE
            self._events.failed(error)

    def _tell(self, event: Callable[..., None], *facts: object) -> None:
        try:
            event(*facts)
        except Exception as error:  # noqa: BLE001 - it is the host's fault, not the store's
            self._events.failed(error)

    # ---- the exchange -------------------------------------------------------------------------

    def _exchange(self, batch: Batch) -> None:
        """Commit a batch, then hand out what came of it."""
        if not any(batch):
            return
        wanted = [item for item in batch.requests if item[1].set_running_or_notify_cancel()]
        batch = batch._replace(requests=wanted)
        try:
            done = self._commit(batch)
        except Exception as error:
            self._unwritten = True
            self._put_back(batch, error)
            raise
        self._unwritten = self._unwritten and not _has_written(batch, done)
        if batch.settlements:
            reach("after-settle-commit")
        if any(done.claims):
            reach("after-claim-commit")
        self._queue.exchanged(batch, done.claims)
        if batch.requests:
            self._firing.changed()
        for (_, future), answer in zip(batch.requests, done.answers, strict=True):
            _resolve(future, answer)
        for settlement, answer in zip(batch.settlements, done.settled, strict=True):
            self._conclude(settlement, answer)
        for start, current in zip(batch.starts, done.current, strict=True):
            if not current:
                self._tell(self._events.disowned, start.token)
        self._next_due = self._due() if self._queue.is_dry() else None

    def _due(self) -> int | None:
        """Return when a claim is worth a try again by itself."""
        due, now = self._store.next_due(self._claimed_at), self._store.now()
        if due is None or due > now:
            self._soon = SOON
            return due
        # it became due since the claim, or something else keeps it: not asked for in a loop
        wait, self._soon = self._soon, min(self._soon * 2, LATER)
        return now + wait

    def _conclude(self, settlement: Settlement, answer: Answer) -> None:
        """Tell what came of a settlement; keep it for later if the store refuses to write it."""
        settled, error = answer
        if error is None:
            self._tell(self._events.settled, settlement, settled)
        else:
            self._events.failed(error)
            self._queue.set_aside(settlement)

    def _commit(self, batch: Batch) -> _Done:
        """Do all of a batch in one transaction."""
        store = self._store
        with store.transaction():
            answers = [self._answer(request) for request, _ in batch.requests]
            settled = self._settle(batch.settlements) if batch.settlements else []
            current = store.start(batch.starts) if batch.starts else []
            if batch.returns:
                store.release(batch.returns)
            claims = self._claim(batch)
            if batch.settlements:
                reach("before-settle-commit")
            if any(claims):
                reach("before-claim-commit")
        return _Done(answers, settled, current, claims)

    def _claim(self, batch: Batch) -> list[list[Claim]]:
        """Claim for each kind of worker; what one got, or waits for, is not there for the next."""
        found = []
        if batch.wants:
            self._claimed_at = self._store.now()
        promised: dict[str, int] = {}
        for (queues, want, ahead), room in zip(batch.wants, batch.rooms, strict=True):
            if promised:
                free = {name: amount - promised.get(name, 0) for name, amount in room.free.items()}
                room = room._replace(free=free)  # noqa: PLW2901
            claims = self._store.claim(self._host_id, want, queues, ahead, room)
            for needs in (*(claim.needs for claim in claims), room.kept or {}):
                for name, amount in needs.items():
                    promised[name] = promised.get(name, 0) + amount
            found.append(claims)
        return found

    def _settle(self, settlements: list[Settlement]) -> list[Answer]:
        """Settle together; one by one when one of them cannot be written."""
        together, error = self._answer(lambda store: store.settle(settlements))
        if error is None:
            return [(settled, None) for settled in together]
        return [self._settle_alone(settlement) for settlement in settlements]

    def _settle_alone(self, settlement: Settlement) -> Answer:
        return self._answer(lambda store: store.settle([settlement])[0])

    def _answer(self, request: Callable[[Store], Any]) -> Answer:
        """Run a request in a transaction, or under a savepoint, of its own.

        Its own errors are its caller's. Raises StoreUnavailable: the whole group has failed then.
        """
        try:
            with self._store.transaction():
                return request(self._store), None
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it is the caller's
            return None, error

    def _put_back(self, batch: Batch, error: Exception) -> None:
        """Keep what could not be committed; requests get one try each of their own."""
        self._queue.put_back(batch)
        for request, future in batch.requests:
            answer: Answer = (None, error)
            # who waited for a busy store once would wait as long for every request
            if not isinstance(error, StoreBusy):
                try:
                    answer = self._answer(request)
                except StoreUnavailable as alone:
                    answer = (None, alone)
                    error = alone if isinstance(alone, StoreBusy) else error
            if answer[1] is None:
                # it does take some
                self._unwritten = False
            _resolve(future, answer)


def _has_written(batch: Batch, done: _Done) -> bool:
    """Whether a store that has committed this takes writes; a claim that found nothing is none."""
    if batch.settlements or batch.starts or batch.returns or any(done.claims):
        return True
    return any(error is None for _, error in done.answers)


def _resolve(future: Future[Any], answer: Answer) -> None:
    result, error = answer
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
