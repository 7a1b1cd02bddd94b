"""What workers on a command line tell: how each job ended, and which queues paused themselves.

The pump only puts what it settled into a deque and rings; the thread that stays with the workers
makes lines of it. More than a person can read in a second is summed up.
"""

from __future__ import annotations

import time
from collections import deque

from queuectl.errors import QueuectlError
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED, STOPPED
from queuectl.timespec import describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.store.base import Settled, Settlement, Store

#: lines a second; what is above that is summed up
MOST = 20
WINDOW = 1.0
#: a job that was stopped and given back; the other kinds of ending are states
HANDED_BACK = "handed back"
_KINDS = (COMPLETED, FAILED, DEAD, CANCELLED, HANDED_BACK)
_SHORTEST = 20
#: columns of a line that are not the command's
_BESIDE = 50


class Halts:
    """Tells once of each queue that has paused itself. Belongs to one thread."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def fresh(self, store: Store) -> list[str]:
        """Return a line for each queue that has paused itself since the last call."""
        halted = {queue.name: queue.paused_why for queue in store.queues() if queue.paused_why}
        lines = [
            f"queue {name} paused itself: {why}; queue resume {name}"
            for name, why in halted.items()
            if self._known.get(name) != why
        ]
        self._known = {name: why or "" for name, why in halted.items()}
        return lines


def kind_of(settlement: Settlement, settled: Settled) -> str:
    """Return the state that followed an attempt's end, or HANDED_BACK."""
    if settlement.outcome.kind == STOPPED and settled.state not in (CANCELLED, DEAD):
        return HANDED_BACK
    return str(settled.state)


class Telling:
    """Lines about what this process's workers did. But for `settled` it belongs to one thread."""

    def __init__(self, store: Store, width: int, *, each: bool) -> None:
        """Look which queues have paused themselves already; `each`: a line for each job."""
        self._store = store
        self._width = width
        self.each = each
        self._heard: deque[tuple[Settlement, Settled]] = deque()
        self._halts = Halts()
        self._halted()
        self._opened = float("-inf")
        self._told = 0
        self._counts: dict[str, int] = {}
        #: called on the pump's thread when there is something to tell; must not block
        self.bell: Callable[[], None] = lambda: None

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """Hear from the pump, on its thread: cheap, never blocks."""
        if settled.state is None or not (self.each or settled.state == DEAD):
            return
        rung = bool(self._heard)
        self._heard.append((settlement, settled))
        if not rung:
            self.bell()

    def due(self) -> float | None:
        """Return when `lines` is to be called although nobody rang (monotonic seconds), or None."""
        return self._opened + WINDOW if self._counts else None

    def lines(self, *, last: bool = False) -> list[str]:
        """Return what there is to tell now; `last`: and nothing is kept for later."""
        return list(self._lines(last=last))

    def _lines(self, *, last: bool) -> Iterator[str]:
        dead = False
        now = time.monotonic()
        if now >= self._opened + WINDOW:
            yield from self._sum()
            self._opened, self._told = now, 0
        while self._heard:
            settlement, settled = self._heard.popleft()
            dead = dead or settled.state == DEAD
            kind = kind_of(settlement, settled)
            if not self.each:
                continue
            if self._told < MOST:
                self._told += 1
                yield self._line(kind, settlement, settled)
            else:
                self._counts[kind] = self._counts.get(kind, 0) + 1
        if last:
            yield from self._sum()
        if dead:
            yield from self._halted()

    def _sum(self) -> Iterator[str]:
        counts, self._counts = self._counts, {}
        if counts:
            parts = (f"{counts[kind]} {kind}" for kind in _KINDS if kind in counts)
            yield f"… and {', '.join(parts)}"

    def _halted(self) -> list[str]:
        try:
            return self._halts.fresh(self._store)
        except QueuectlError:
            # told with the next one that dies
            return []

    def _line(self, kind: str, settlement: Settlement, settled: Settled) -> str:
        outcome = settlement.outcome
        facts = [] if kind in (COMPLETED, HANDED_BACK) else [outcome.reason]
        if outcome.started_at is not None and outcome.finished_at is not None:
            facts.append(describe_duration(outcome.finished_at - outcome.started_at))
        if settled.next_run_at is not None:
            wait = max(0, settled.next_run_at - self._store.now())
            facts.append(f"retry in {describe_duration(wait)}")
        ending = f"  ({', '.join(facts)})" if facts else ""
        return f"{kind:<9} {settled.job_id:>5}  {self._command(settled.job_id)}{ending}"

    def _command(self, job_id: int) -> str:
        try:
            job = self._store.get(job_id)
        except QueuectlError:
            job = None
        words = "" if job is None else job.words
        most = max(_SHORTEST, self._width - _BESIDE)
        return words if len(words) <= most else words[: most - 1] + "…"
