"""What a claim takes, by the rules: order, limits, rates, needs, and what is kept for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.property.model import Model, ModelJob, ModelQueue

SLOTS = "slots"


@dataclass
class Ask:
    """What a host wants, and has."""

    want: int
    ahead: int
    queues: tuple[str, ...]
    #: workers in all
    slots: int
    free: dict[str, int]
    total: dict[str, int]
    #: what was kept for jobs that wait for it
    kept: dict[str, int] = field(default_factory=dict)
    #: who they are: of those that are alike only the first keeps what it needs
    waiting: list[tuple[object, ...]] = field(default_factory=list)

    def is_too_small(self, job: ModelJob) -> bool:
        """Whether another host must run a job."""
        slots, needs = _split(job)
        has_all = all(n <= self.total.get(name, 0) for name, n in needs.items())
        return not has_all or slots > max(1, self.slots)

    def lacks(self, job: ModelJob) -> bool:
        """Whether what a job needs, workers aside, is not free; then it is kept from others."""
        slots, needs = _split(job)
        alike = (job.queue, job.array, slots, sorted(needs.items()))
        lacks = alike in self.waiting or any(n > self.free[name] for name, n in needs.items())
        needs_workers = 1 < slots > self.want
        if (lacks or needs_workers) and alike not in self.waiting:
            self.waiting.append(alike)
            _add(self.free, needs, -1)
            _add(self.kept, needs, 1)
        return lacks

    def take(self, job: ModelJob) -> None:
        slots, needs = _split(job)
        self.ahead -= self.want <= 0
        self.want = max(0, self.want - slots)
        _add(self.free, needs, -1)


def claimable(model: Model, ask: Ask) -> list[ModelJob]:
    """Return the jobs that a claim takes now, in order; `ask` is used up, queues are closed."""
    running = [job for job in model.jobs.values() if job.token]
    taken: list[ModelJob] = []
    for job in sorted(model.jobs.values(), key=lambda job: job.key):
        queue, used = model.queues[job.queue], running + taken
        if not model.is_ready(job) or not _gives(queue, job, ask, model.now):
            continue
        if ask.want + ask.ahead <= 0:
            break
        # only who is full, or lacks what the host has of something else, lets others pass
        if _most(queue, job, used) <= 0 or ask.is_too_small(job) or ask.lacks(job):
            continue
        if ask.want < _split(job)[0] and not (ask.want <= 0 and _is_early(queue, job, used)):
            break  # the next workers that are free are for it
        ask.take(job)
        taken.append(job)
        if queue.rate:
            starts, period = queue.rate
            queue.open_at = model.now + -(-period // starts)
    return taken


def _gives(queue: ModelQueue, job: ModelJob, ask: Ask, now: int) -> bool:
    """Whether a queue gives to a host that asks so, room or not."""
    is_asked = job.queue in ask.queues or not (ask.queues or queue.pull)
    return is_asked and not queue.paused and (queue.rate is None or queue.open_at <= now)


def _most(queue: ModelQueue, job: ModelJob, used: list[ModelJob], share: int = 1) -> int:
    """Return for how many more there is room in a job's queue and array, or in a share of that."""
    most = 10**9
    if queue.limit is not None:
        most = queue.limit // share - sum(one.queue == job.queue for one in used)
    if job.array:
        in_array = sum(one.array == job.array for one in used)
        most = min(most, job.array[1] // share - in_array)
    return most


def _is_early(queue: ModelQueue, job: ModelJob, used: list[ModelJob]) -> bool:
    """Whether a job is claimed before a worker is free: up to half of a limit, never with needs."""
    return not job.needs and queue.rate is None and _most(queue, job, used, share=2) > 0


def _split(job: ModelJob) -> tuple[int, dict[str, int]]:
    """Return the workers that a job takes, and what else it needs."""
    return job.needs.get(SLOTS, 1), {n: job.needs[n] for n in job.needs if n != SLOTS}


def _add(stock: dict[str, int], needs: dict[str, int], sign: int) -> None:
    for name, amount in needs.items():
        stock[name] = stock.get(name, 0) + sign * amount
