"""What a claim may still take: workers, resources, limits and rates, counted down. Pure.

Both engines merge tracks by their best job and ask here how many jobs each may give; all jobs of
a track are alike in everything that is asked.
"""

from __future__ import annotations

from queuectl.job import SLOTS
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from queuectl.store.base import Rate, Room


_NO_BOUND = 2**62


class Lane(Record):
    """A track with ready jobs, and what its queue allows."""

    track: int
    queue: str
    #: running jobs of the queue at the most; None is no limit
    limit: int | None = None
    rate_starts: int | None = None
    rate_period: int | None = None
    #: not before this time, by the rate; None: at once
    rate_next: int | None = None
    #: gives only to who names the queue
    pull: int = 0
    #: the array whose limit holds; 0 is none
    array_id: int = 0
    array_limit: int | None = None
    needs: Mapping[str, int] = {}

    @property
    def is_plain(self) -> bool:
        """Whether nothing bounds its jobs but the workers there are."""
        return (
            self.limit is None
            and self.rate_starts is None
            and self.array_limit is None
            and not self.needs
        )


class Budget:
    """The rest of what one claim may take.

    `running` and `running_in_array` count the claimed jobs of a queue and of an array in the
    store; each is called once at the most for each of them.
    """

    def __init__(
        self,
        want: int,
        ahead: int,
        queues: Sequence[str],
        room: Room | None,
        now: int,
        running: Callable[[str], int],
        running_in_array: Callable[[int], int],
    ) -> None:
        self.want = want
        self.ahead = ahead
        self._named = frozenset(queues)
        self._free = dict(room.free) if room else {}
        self._total = room.total if room else {}
        self._slots = room.slots if room else want
        self._kept = room.kept if room else None
        self._now = now
        self._running = running
        self._running_in_array = running_in_array
        self._in_queue: dict[str, int] = {}
        self._in_array: dict[int, int] = {}
        #: rated queues that have given their job
        self._closed: set[str] = set()
        #: tracks for which something is kept already
        self._waiting: set[int] = set()

    @property
    def is_spent(self) -> bool:
        """Whether nothing more can be taken."""
        return self.want <= 0 and self.ahead <= 0

    def most(self, lane: Lane) -> int:
        """Return how many jobs a track may give now.

        Where the host lacks something at the moment for the next one, that is kept for it, see
        Room; the answer is 0.
        """
        if lane.pull and lane.queue not in self._named:
            return 0
        if lane.is_plain:
            return self.want + self.ahead
        most, early = self._allowed(lane)
        if most > 0 and lane.needs:
            most = min(most, self._fitting(lane))
        given = max(min(most, self.want), min(early, self.want + self.ahead))
        if most > 0 >= given:
            # the next worker that is free is for it: what is behind it does not come before it
            self.ahead = 0
        return max(0, given)

    def _allowed(self, lane: Lane) -> tuple[int, int]:
        """Return how many the queue and the array of a track allow, and how many also ahead.

        Ahead are as many as leave half of a limit to other hosts; none of what is rated, or needs
        more than a worker.
        """
        most = early = _NO_BOUND
        if lane.rate_starts is not None:
            is_open = lane.rate_next is None or lane.rate_next <= self._now
            most = int(is_open and lane.queue not in self._closed)
        if lane.limit is not None and most > 0:
            if lane.queue not in self._in_queue:
                self._in_queue[lane.queue] = self._running(lane.queue)
            used = self._in_queue[lane.queue]
            most, early = min(most, lane.limit - used), min(early, lane.limit // 2 - used)
        if lane.array_limit is not None and most > 0:
            if lane.array_id not in self._in_array:
                self._in_array[lane.array_id] = self._running_in_array(lane.array_id)
            used = self._in_array[lane.array_id]
            most = min(most, lane.array_limit - used)
            early = min(early, lane.array_limit // 2 - used)
        is_counted = lane.rate_starts is None and not lane.needs
        return most, min(most, early) if is_counted else 0

    def _fitting(self, lane: Lane) -> int:
        """Return for how many jobs of a track there is room; keep what the next one lacks."""
        slots, rest = _split(lane.needs)
        if slots > self._slots or any(n > self._total.get(name, 0) for name, n in rest):
            return 0
        if lane.track in self._waiting:
            return 0
        fits = min((self._free.get(name, 0) // n for name, n in rest), default=max(1, self.want))
        if fits > 0 and (self.want >= slots or slots == 1):
            return min(fits, max(1, self.want // slots))
        self._waiting.add(lane.track)
        for name, n in rest:
            self._free[name] = self._free.get(name, 0) - n
            if self._kept is not None:
                self._kept[name] = self._kept.get(name, 0) + n
        if fits > 0:
            # it waits for workers only: none may take a job that is behind this one
            self.want = self.ahead = 0
        return 0

    def took(self, lane: Lane, jobs: int) -> int | None:
        """Count jobs that a track gave; return when its queue's rate lets the next one be claimed."""
        slots, rest = _split(lane.needs)
        used = jobs * slots
        self.ahead -= max(0, used - self.want)
        self.want = max(0, self.want - used)
        for name, n in rest:
            self._free[name] = self._free.get(name, 0) - n * jobs
        if lane.queue in self._in_queue:
            self._in_queue[lane.queue] += jobs
        if lane.array_id in self._in_array:
            self._in_array[lane.array_id] += jobs
        if lane.rate_starts is None or not jobs:
            return None
        self._closed.add(lane.queue)
        return self._now + -(-(lane.rate_period or 0) // lane.rate_starts)


def spacing(rate: Rate) -> int:
    """Return the ms between claims that keep a rate, evenly spaced: rounded up, never too many."""
    return -(-rate.period // rate.starts)


def _split(needs: Mapping[str, int]) -> tuple[int, list[tuple[str, int]]]:
    """Return how many workers a job takes, and the other things it needs."""
    if not needs:
        return 1, []
    return needs.get(SLOTS, 1), [(name, n) for name, n in needs.items() if name != SLOTS]
