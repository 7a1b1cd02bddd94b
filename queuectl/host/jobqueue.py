"""The queue model inside a process with workers: a lock, a condition and deques.

The store is the truth. `JobQueue` stands between it and the threads of this process: an in-tray
of claims ready to start for each kind of worker, an out-tray of settlements to report, and requests
(enqueue, cancel …) with futures. The pump (queuectl.host.pump) exchanges all of it with the store in one
transaction, so under load commits are grouped by themselves and no worker waits for an fsync.

Lock rule: `_lock` guards the trays and numbers only. It is never held across SQL, a callback, a
subprocess or a print.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future

from queuectl.errors import Refused
from queuectl.host.trays import Batch, Kind, slots_of
from queuectl.resources import Stock
from queuectl.store.base import Room, Settlement, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from queuectl.job import Claim, Outcome
    from queuectl.resources import Resource, Share
    from queuectl.store.base import Store

    T = TypeVar("T")

#: seconds between commits while every worker is busy
PACE = 0.020
#: seconds of work claimed ahead: a little more than a pace, so that no worker runs dry
AHEAD = 0.030
MOST_AHEAD = 256
#: seconds after which claims that no worker got to are given back
STALE = 0.1
#: seconds until a settlement that the store refused to write is tried again
ASIDE = 10.0


class JobQueue:
    """The trays of one host. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._kinds: dict[tuple[str, ...], Kind] = {}
        self._out: deque[Settlement] = deque()
        self._starts: dict[str, tuple[float, Start]] = {}
        self._requests: deque[tuple[Callable[[Store], Any], Future[Any]]] = deque()
        #: claims to be given back
        self._returns: list[tuple[int, str]] = []
        #: what this host has, and what its claims got of it, by token
        self._stock = Stock()
        self._shares: dict[str, Share] = {}
        #: settlements that cannot be written, each with the time of its next try
        self._aside: deque[tuple[float, Settlement]] = deque()
        self._closing = False
        self._abandoned = False
        self._closed = False
        self._committed_at = 0.0
        #: set by the pump while it sleeps; called with the lock held, must not block
        self._bell: Callable[[], None] | None = None
        self._asleep_until = 0.0

    # ---- for workers --------------------------------------------------------------------------

    def join_workers(self, queues: tuple[str, ...], workers: int) -> None:
        """Say that `workers` more (or fewer) workers take from these queues, and will go on so."""
        with self._lock:
            kind = self._kinds.setdefault(queues, Kind())
            kind.workers += workers
            if workers > 0:
                # jobs that need more slots than there were can be had now
                kind.dry = False
            self._ring()

    def add_resources(self, more: Mapping[str, Resource]) -> None:
        """Have more for jobs that need it, all of it or nothing. Raises UsageError."""
        with self._lock:
            self._stock.add(more)
            self._moisten()
            self._ring()

    def take(self, queues: tuple[str, ...], leave: Callable[[], bool]) -> Claim | None:
        """Return the next claim to start; block until there is one. None: `leave` said so.

        A claim that needs more slots is started when as many workers wait, and the others go on
        waiting until it is reported. Call `stir` after what `leave` looks at has changed.
        """
        with self._lock:
            kind = self._kinds[queues]
            kind.idle += 1
            try:
                while not leave():
                    if kind.can_start and not self._closing:
                        kind.taken_at = time.monotonic()
                        claim = kind.tray.popleft()
                        if claim.needs:
                            self._occupy(kind, claim)
                        return claim
                    if kind.hungry and (not kind.dry or self._out):
                        self._ring()
                    self._work.wait()
                return None
            finally:
                kind.idle -= 1

    def share(self, claim: Claim) -> Share:
        """Return what a claim that was taken got of this host's resources, until it is reported."""
        with self._lock:
            return self._shares.get(claim.token, {})

    def started(self, claim: Claim, started_at: int) -> None:
        """Report that a claim's process runs; written if it runs for longer than a pace."""
        start = Start(claim.job_id, claim.token, claim.run, started_at)
        with self._lock:
            now = time.monotonic()
            self._starts[claim.token] = (now, start)
            self._ring(now + PACE)

    def report(
        self, claim: Claim, outcome: Outcome, queues: tuple[str, ...], seconds: float
    ) -> None:
        """Report how a claim ended and how long it kept its worker. Kept until the store took it."""
        settlement = Settlement(claim.job_id, claim.token, claim.run, outcome)
        with self._lock:
            kind = self._kinds[queues]
            if outcome.started_at is not None:
                kind.duration += 0.4 * (seconds - kind.duration)
            self._starts.pop(claim.token, None)
            self._out.append(settlement)
            if claim.needs:
                self._vacate(kind, claim)
            self._ring(0 if kind.hungry else self._committed_at + PACE)

    def stir(self) -> None:
        """Make waiting workers look again whether they should leave."""
        with self._lock:
            self._work.notify_all()

    # ---- for everybody ------------------------------------------------------------------------

    def call(self, request: Callable[[Store], T], timeout: float | None = None) -> T:
        """Run a write in the pump; return its result once it is committed. Raises what it raises.

        Not from the pump's own thread. The request may be run again when the group it was in
        could not be committed, so it must do nothing but write through the store.
        """
        return self.post(request).result(timeout)

    def post(self, request: Callable[[Store], T]) -> Future[T]:
        """Do what `call` does without waiting for it. Also from the pump's own thread."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise Refused("this host has ended")
            self._requests.append((request, future))
            self._ring()
        return future

    def waiting(self) -> tuple[int, int]:
        """Return how many claims wait to be started and how many outcomes to be reported."""
        with self._lock:
            claims = sum(len(kind.tray) for kind in self._kinds.values())
            return claims, len(self._out) + len(self._aside)

    def set_apart(self) -> int:
        """Return how many outcomes the store refuses to write; they are tried again."""
        with self._lock:
            return len(self._aside)

    def resources(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how much of each resource is free, and how much there is."""
        with self._lock:
            return self._stock.free, self._stock.total

    def hand_back(self) -> None:
        """Give every claim back that no worker has taken."""
        with self._lock:
            for kind in self._kinds.values():
                self._hand_back(kind)
            self._ring()

    def close(self) -> None:
        """Claim nothing more and make the pump end when everything has been reported.

        Settlements that cannot be written are not waited for; `waiting` tells of them.
        """
        with self._lock:
            self._closing = True
            self._ring()

    def abandon(self) -> None:
        """Make the pump end although not everything has been reported."""
        with self._lock:
            self._closing = self._abandoned = True
            self._ring()

    # ---- for the pump -------------------------------------------------------------------------

    def closed(self) -> None:
        """Refuse requests from now on; those that wait fail."""
        with self._lock:
            self._closed = True
            left, self._requests = self._requests, deque()
        for _, future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(Refused("this host has ended"))

    def all_done(self) -> bool:
        """Whether the queue is closing and nothing is left to exchange."""
        with self._lock:
            claims = self._returns or any(kind.tray for kind in self._kinds.values())
            nothing_left = not (self._requests or self._out or claims)
            return self._abandoned or (self._closing and nothing_left)

    def prepare_sleep(self, bell: Callable[[], None], until: float) -> float:
        """Return the seconds the pump may sleep, at most until `until`; `bell` wakes it.

        Zero or less: there is something to exchange now, and the bell is not set.
        """
        with self._lock:
            now = time.monotonic()
            self._asleep_until = self._wait(until)
            wait = self._asleep_until - now
            self._bell = bell if wait > 0 else None
            return wait

    def end_sleep(self) -> None:
        """Say that the pump is awake: nobody needs to ring."""
        with self._lock:
            self._bell = None

    def changed(self) -> None:
        """Something may have become eligible: claims are worth a try again."""
        with self._lock:
            self._moisten()

    def is_dry(self) -> bool:
        """Whether workers wait for work that the store does not have."""
        with self._lock:
            return any(kind.dry for kind in self._kinds.values())

    def collect(self) -> Batch:
        """Take what goes to the store now out of the trays."""
        now = time.monotonic()
        with self._lock:
            requests, self._requests = list(self._requests), deque()
            settlements, self._out = list(self._out), deque()
            while self._aside and self._aside[0][0] <= now:
                settlements.append(self._aside.popleft()[1])
            starts = []
            for token, (at, start) in list(self._starts.items()):
                if now - at < PACE:
                    break
                starts.append(start)
                del self._starts[token]
            self._hand_back_stale(now)
            returns, self._returns = self._returns, []
            wants = [] if self._closing else self._wants()
            rooms = self._rooms(wants) if wants else ()
        return Batch(requests, settlements, starts, wants, returns, rooms)

    def exchanged(self, batch: Batch, claims: list[list[Claim]]) -> None:
        """Fill the in-trays with what a committed batch brought."""
        now = time.monotonic()
        with self._lock:
            self._committed_at = now
            if batch.requests or batch.settlements:
                self._moisten()
            for at, ((queues, want, ahead), found) in enumerate(
                zip(batch.wants, claims, strict=True)
            ):
                kind = self._kinds[queues]
                kind.kept = (batch.rooms[at].kept if batch.rooms else None) or {}
                kind.tray.extend(found)
                if found:
                    kind.filled_at = now
                extra = sum(self._promise(claim) for claim in found if claim.needs)
                kind.extra += extra
                kind.dry = len(found) + extra < want + ahead
            if any(claims):
                self._work.notify_all()

    def put_back(self, batch: Batch) -> None:
        """Keep what could not be committed of a batch, but for its requests."""
        now = time.monotonic()
        with self._lock:
            self._committed_at = now
            self._out.extendleft(reversed(batch.settlements))
            for start in batch.starts:
                self._starts[start.token] = (now, start)
            self._returns += batch.returns

    def set_aside(self, settlement: Settlement) -> None:
        """Keep a settlement that the store refuses to write, for another try later."""
        with self._lock:
            self._aside.append((time.monotonic() + ASIDE, settlement))

    # ---- with the lock held -------------------------------------------------------------------

    def _ring(self, by: float = 0) -> None:
        """Wake the pump if it means to sleep for longer than `by`."""
        if self._bell is not None and by < self._asleep_until:
            bell, self._bell = self._bell, None
            bell()

    def _wait(self, until: float) -> float:
        """Return when the pump is needed, at the latest `until`; 0 is now."""
        if self._requests or self._returns or self._closing:
            return 0
        for kind in self._kinds.values():
            if kind.hungry and (self._out or not kind.dry):
                return 0
            if kind.tray:
                until = min(until, self._stale_at(kind))
        if self._out:
            until = min(until, self._committed_at + PACE)
        if self._aside:
            until = min(until, self._aside[0][0])
        if self._starts:
            until = min(until, next(iter(self._starts.values()))[0] + PACE)
        return until

    def _stale_at(self, kind: Kind) -> float:
        if self._closing or not kind.workers:
            return 0
        return max(kind.taken_at, kind.filled_at) + STALE

    def _hand_back_stale(self, now: float) -> None:
        for kind in self._kinds.values():
            if kind.tray and self._stale_at(kind) <= now:
                self._hand_back(kind)
                # so long that nothing is claimed ahead until jobs have ended faster again
                kind.duration = max(kind.duration, 2 * AHEAD * kind.workers)

    def _hand_back(self, kind: Kind) -> None:
        for claim in kind.tray:
            self._returns.append((claim.job_id, claim.token))
            if claim.needs:
                self._stock.take_back(claim.needs)
        kind.tray.clear()
        kind.extra = 0

    def _moisten(self) -> None:
        """Have every kind of worker ask for work again."""
        for kind in self._kinds.values():
            kind.dry = False

    def _promise(self, claim: Claim) -> int:
        """Keep for a claim what it needs; return the slots it needs beyond one."""
        self._stock.promise(claim.needs)
        return slots_of(claim) - 1

    def _occupy(self, kind: Kind, claim: Claim) -> None:
        """Give a claim that leaves the tray its slots and its items."""
        extra = slots_of(claim) - 1
        kind.extra -= extra
        kind.blocked += extra
        self._shares[claim.token] = self._stock.share(claim.needs)

    def _vacate(self, kind: Kind, claim: Claim) -> None:
        """Take back what a claim had whose processes have ended."""
        kind.blocked -= slots_of(claim) - 1
        self._stock.take_back(claim.needs, self._shares.pop(claim.token, None))
        # for others that need it: with the settlement, not after it
        self._moisten()
        self._work.notify_all()

    def _wants(self) -> list[tuple[tuple[str, ...], int, int]]:
        wants = []
        # who has had nothing for the longest first: it may wait for what another kind would take
        for queues, kind in sorted(self._kinds.items(), key=lambda item: item[1].filled_at):
            if kind.dry or not kind.workers:
                continue
            busy = max(0, kind.workers - kind.blocked)
            ahead = min(MOST_AHEAD, int(busy * AHEAD / max(kind.duration, 1e-4)))
            ahead = max(0, ahead - max(0, len(kind.tray) - kind.idle))
            if kind.hungry or ahead:
                wants.append((queues, kind.hungry, ahead))
        return wants

    def _rooms(self, wants: Sequence[tuple[tuple[str, ...], int, int]]) -> list[Room]:
        free, total = (self._stock.free, self._stock.total) if self._stock else ({}, {})
        asking = {queues for queues, _, _ in wants}
        for queues, kind in self._kinds.items():
            if kind.kept and kind.hungry and queues not in asking:
                # it waits, and nothing has changed for it
                free = {name: amount - kind.kept.get(name, 0) for name, amount in free.items()}
        return [Room(free, total, self._kinds[queues].workers, {}) for queues, _, _ in wants]
