"""Lines that tell how jobs of this shell's workers ended, for printing above the prompt.

The pump only puts what it settled into a deque. A thread of this module makes lines of it, sums up
what comes too fast to be read, looks up what a line needs from the store, and rings; whoever owns
the terminal takes the lines and prints them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager

from queuectl.commands.telling import HANDED_BACK, Halts, kind_of
from queuectl.errors import QueuectlError
from queuectl.job import CANCELLED, COMPLETED, DEAD, FAILED
from queuectl.record import Record
from queuectl.render import visible
from queuectl.timespec import SECOND, describe_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from queuectl.job import Job
    from queuectl.store.base import Settled, Settlement, Store

#: a queue has paused itself
HALTED = "halted"
#: lines a second that a person can follow; what is above that is summed up
MOST = 5
#: seconds from one sum to the next, at first and after a long time at a high rate
WINDOW, LONGEST_WINDOW = 1.0, 30.0
#: seconds without a job after which a sum does not wait any longer
PAUSE = 1.0
#: seconds between two looks while endings are summed up
TICK = 0.2
_LONGEST_REASON = 200
#: endings that wait for the end of a command at the most
MOST_HELD = 10_000


class Notice(Record):
    """A line and what it is about: a state, HANDED_BACK or HALTED."""

    kind: str
    text: str


class Ended(Record):
    """An attempt that has ended, and when this shell heard of it (monotonic seconds)."""

    settlement: Settlement
    settled: Settled
    heard_at: float

    @property
    def kind(self) -> str:
        """The state that followed, or HANDED_BACK."""
        return kind_of(self.settlement, self.settled)


class Told:
    """Jobs whose ends a command has told."""

    def __init__(self) -> None:
        self.ended: set[int] = set()
        #: those that it has said are being stopped and handed back
        self.handed_back: set[int] = set()


class Digest:
    """Decides what is told one by one and what is summed up. Pure: the clock is passed in.

    In each window of a second the first few are told at once. When there are more, the rest is
    counted until the window closes or the stream pauses; while the stream goes on windows double,
    so that a day of fast jobs does not scroll everything else away.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._window = WINDOW
        self._opened = float("-inf")
        self._told = 0
        self._latest = 0.0
        self._counts: dict[str, int] = {}

    def feed(self, ended: Ended) -> Ended | None:
        """Take an ending; return it when it is to be told at once."""
        if not self._counts and ended.heard_at >= self._opened + self._window:
            self._opened, self._told, self._window = ended.heard_at, 0, WINDOW
        self._latest = ended.heard_at
        if self._told < self.most and not self._counts:
            self._told += 1
            return ended
        self._counts[ended.kind] = self._counts.get(ended.kind, 0) + 1
        return None

    def due(self) -> float | None:
        """Return when the next sum is to be told, None when there is nothing to sum up."""
        if not self._counts:
            return None
        return min(self._opened + self._window, self._latest + PAUSE)

    def sum_up(self, now: float) -> Notice | None:
        """Return the sum if it is due, and begin a new window."""
        due = self.due()
        if due is None or now < due:
            return None
        counts, self._counts = self._counts, {}
        busy = sum(counts.values()) > self.most
        self._window = min(self._window * 2, LONGEST_WINDOW) if busy else WINDOW
        # while it stays busy nothing is told one by one
        self._opened, self._told = now, self.most if busy else 0
        return summary(counts)


def summary(counts: dict[str, int]) -> Notice:
    """Return one line for many endings: `120 jobs completed, 3 failed`."""
    order = (COMPLETED, FAILED, DEAD, CANCELLED, HANDED_BACK)
    parts: list[str] = []
    for kind in order:
        if number := counts.get(kind):
            jobs = "" if parts else (" job" if number == 1 else " jobs")
            parts.append(f"{number}{jobs} {kind}")
    worst = next((kind for kind in (DEAD, FAILED) if kind in counts), COMPLETED)
    more = "; dlq list" if DEAD in counts else ""
    return Notice(worst, ", ".join(parts) + more)


def describe(ended: Ended, job: Job | None, now: int) -> Notice:
    """Return the line for one ending; `job` as the store has it by now, `now` in ms."""
    outcome, settled, kind = ended.settlement.outcome, ended.settled, ended.kind
    name = f" {visible(job.name)}" if job is not None and job.name else ""
    reason = visible(outcome.reason)
    if outcome.message:
        reason = f"{reason}: {visible(outcome.message)}"
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + "…"
    what = f"job {settled.job_id}{name} {kind}"
    if kind == COMPLETED:
        took = ""
        if outcome.started_at is not None and outcome.finished_at is not None:
            took = f", {describe_duration(outcome.finished_at - outcome.started_at)}"
        return Notice(kind, f"{what} ({reason}{took})")
    if kind == FAILED:
        wait = max(0, (settled.next_run_at or now) - now)
        return Notice(kind, f"{what}: {reason}; {_when(wait)}{_retries(ended, job)}")
    if kind == DEAD:
        used = attempts_then(ended, job)
        after = f" after {used} attempt{'' if used == 1 else 's'}" if used else ""
        return Notice(kind, f"{what}: {reason}{after}; dlq retry {settled.job_id}")
    return Notice(kind, what if kind == HANDED_BACK else f"{what} ({reason})")


def _when(wait: int) -> str:
    """Return when a job is retried, in whole seconds: when it is read it is less anyway."""
    seconds = -(-wait // SECOND)
    if seconds < 60:
        return f"retry in {seconds}s" if wait else "retry now"
    return f"retry in {describe_duration(seconds * SECOND)}"


def _retries(ended: Ended, job: Job | None) -> str:
    used = attempts_then(ended, job)
    return f" ({used} of {job.max_retries})" if used and job is not None else ""


def attempts_then(ended: Ended, job: Job | None) -> int:
    """Return the attempts a job had used when that attempt ended; 0 when that cannot be told.

    Attempts that began since are taken off; after a fresh start the number is lost.
    """
    if job is None:
        return 0
    return max(0, job.attempts - (job.runs - ended.settlement.run))


class Notices:
    """The deque, the thread, and the lines that are ready."""

    def __init__(self, digest: Digest | None = None) -> None:
        self._digest = digest or Digest()
        self._heard: deque[Ended] = deque()
        self._ready: deque[Notice] = deque()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._halts = Halts()
        #: whether a command tells of endings itself just now: then they wait
        self._held = False
        #: jobs of which it has been said that they are handed back, before they were
        self._announced: set[int] = set()
        self._thread: threading.Thread | None = None
        #: called on the notices' thread when lines are ready; must not block
        self.bell: Callable[[], None] = lambda: None

    def settled(self, settlement: Settlement, settled: Settled) -> None:
        """Hear from the pump, on its thread: cheap, never blocks."""
        if settled.state is not None:
            self._heard.append(Ended(settlement, settled, time.monotonic()))
            if not self._wake.is_set():
                self._wake.set()

    def start(self, store: Store) -> None:
        """Begin to make lines."""
        self._thread = threading.Thread(
            target=self._run, args=(store,), name="notices", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread. What it has not told is not told."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def take(self) -> list[Notice]:
        """Return the lines that are ready, each once, oldest first. Any thread."""
        lines = []
        while self._ready:
            try:
                lines.append(self._ready.popleft())
            except IndexError:
                break
        return lines

    @contextmanager
    def held(self) -> Iterator[Told]:
        """Let endings wait while a command tells of some itself; those are not told again."""
        told = Told()
        self._held = True
        try:
            yield told
        finally:
            self._announced |= told.handed_back
            for _ in range(len(self._heard)):
                try:
                    ended = self._heard.popleft()
                except IndexError:
                    # there were too many to wait: the thread was faster
                    break
                if ended.settled.job_id not in told.ended:
                    self._heard.append(ended)
            self._held = False
            self._wake.set()

    def _run(self, store: Store) -> None:
        # those from before this shell are no news
        self._halted(store)
        while not self._stopped.is_set():
            if self._digest.due() is None:
                self._wake.wait()
            else:
                # jobs end faster than lines can be read: not woken for each, to leave them the CPU
                self._stopped.wait(TICK)
            self._wake.clear()
            lines = list(self._lines(store))
            if lines:
                self._ready.extend(lines)
                self.bell()

    def _lines(self, store: Store) -> Iterable[Notice]:
        died = False
        while self._heard and (not self._held or len(self._heard) > MOST_HELD):
            ended = self._heard.popleft()
            died = died or ended.settled.state == DEAD
            if self._was_announced(ended):
                continue
            told = self._digest.feed(ended)
            if told is not None:
                yield self._line(told, store)
        total = self._digest.sum_up(time.monotonic())
        if total is not None:
            yield total
        if died:
            yield from self._halted(store)

    def _was_announced(self, ended: Ended) -> bool:
        """Whether it has been said that this job is handed back, and it has been."""
        job_id = ended.settled.job_id
        if job_id not in self._announced:
            return False
        self._announced.discard(job_id)
        return ended.kind == HANDED_BACK

    def _halted(self, store: Store) -> list[Notice]:
        try:
            return [Notice(HALTED, line) for line in self._halts.fresh(store)]
        except QueuectlError:
            # the next job that dies asks again
            return []

    def _line(self, ended: Ended, store: Store) -> Notice:
        try:
            job = store.get(ended.settled.job_id)
        except QueuectlError:
            # the line is worth having without what only the store knows
            job = None
        return describe(ended, job, store.now())


def fragments(notices: Sequence[Notice]) -> list[tuple[str, str]]:
    """Return notices as styled text, a line each."""
    found = []
    for notice in notices:
        style = notice.kind.replace(" ", "-")
        found.append((f"class:notice.{style}", notice.text))
        found.append(("", "\n"))
    return found
