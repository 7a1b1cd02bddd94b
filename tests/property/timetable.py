"""Schedules, by the rules: a grid of times, each of them once, and what is made up for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.property.model import Model, ModelJob

MINUTE = 60_000


@dataclass
class ModelSchedule:
    """One that fires every so many minutes, from a time on that is on its grid."""

    name: str
    minutes: int
    next_at: int
    overlap: str
    missed: str
    #: what it makes
    job: ModelJob
    paused: bool = False
    last_at: int | None = None
    last_job: int | None = None
    #: whether the last fire left a word why it made no job
    has_note: bool = False

    def is_due(self, now: int) -> bool:
        return not self.paused and self.next_at <= now

    def coming(self, now: int) -> int:
        """Return the first time of the grid that is not past."""
        period = self.minutes * MINUTE
        return self.next_at + max(0, (now - self.next_at) // period + 1) * period

    def fire(self, model: Model) -> int:
        """Go on to the next time; return how many jobs are to be made, all but what keeps them."""
        now, period = model.now, self.minutes * MINUTE
        times = range(self.next_at, now + 1, period)
        last = model.jobs.get(self.last_job or 0)
        is_in_the_way = self.overlap == "skip" and last is not None and not last.is_final
        is_missed = self.missed == "none" and now - times[-1] > MINUTE
        self.last_at, self.next_at = now, self.coming(now)
        has_no_queue = self.job.queue not in model.queues
        self.has_note = is_missed or is_in_the_way or has_no_queue
        if self.has_note or model.open_of(self.job.unique):
            return 0
        return len(times) if self.missed == "all" and not self.job.unique else 1
