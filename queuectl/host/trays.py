"""What the queue model of a host is made of: the in-trays of its workers, and what goes to the store.

Workers that take from the same queues share an in-tray. A job may need several of them: one thread
runs it, and others go on waiting meanwhile, blocked. Nothing here locks; it is all under the lock
of the JobQueue.
"""

from __future__ import annotations

from collections import deque

from queuectl.job import SLOTS
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from typing import Any

    from queuectl.job import Claim
    from queuectl.store.base import Room, Settlement, Start, Store


class Kind:
    """The workers that take from the same queues, and their in-tray."""

    def __init__(self) -> None:
        self.tray: deque[Claim] = deque()
        #: slots that claims in the tray need beyond one each
        self.extra = 0
        #: workers that wait for a claim
        self.idle = 0
        #: of those, how many wait because running jobs take their slots
        self.blocked = 0
        #: workers, those that are leaving not counted: without any, nothing is claimed or kept here
        self.workers = 0
        #: seconds a job takes, a moving average; what is claimed ahead goes by it
        self.duration = 1.0
        #: when a worker last took a claim
        self.taken_at = 0.0
        #: when the pump last put one in
        self.filled_at = 0.0
        #: the last claim found less than was wanted, and nothing has changed since
        self.dry = False
        #: what that claim kept of the host's resources for jobs that wait for them
        self.kept: dict[str, int] = {}

    @property
    def hungry(self) -> int:
        """How many workers wait for a claim that is not here yet."""
        waiting = min(self.idle, self.workers) - self.blocked
        return max(0, waiting - len(self.tray) - self.extra)

    @property
    def can_start(self) -> bool:
        """Whether enough workers wait for the first claim of the tray."""
        if not self.tray:
            return False
        if not self.extra and not self.blocked:
            return True
        return slots_of(self.tray[0]) <= self.idle - self.blocked


def slots_of(claim: Claim) -> int:
    """Return how many workers a claimed job occupies."""
    return claim.needs.get(SLOTS, 1) if claim.needs else 1


class Batch(Record):
    """What one exchange carries to the store."""

    requests: list[tuple[Callable[[Store], Any], Future[Any]]]
    settlements: list[Settlement]
    starts: list[Start]
    #: for each kind of worker: its queues, how many are idle, how many to claim ahead
    wants: list[tuple[tuple[str, ...], int, int]]
    #: claims that nobody here will start soon
    returns: list[tuple[int, str]]
    #: for each of `wants` what there is for jobs that need more than a worker
    rooms: Sequence[Room] = ()
