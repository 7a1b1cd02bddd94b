"""What a store does, without storing: the rules of the guarantees in a few lines.

Written from the rules and not from the code, so that a mistake would have to be made twice. What a
claim may take is in bounds.py, what schedules do in timetable.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.property.timetable import ModelSchedule

WAITING = ("pending", "failed")
FINAL = ("completed", "dead", "cancelled")


@dataclass
class ModelJob:
    id: int
    queue: str
    priority: int
    due: int
    held: bool
    max_retries: int
    state: str = "pending"
    attempts: int = 0
    deliveries: int = 0
    runs: int = 0
    token: str | None = None
    cancel: bool = False
    finished: int = 0
    #: what it waits for: kind, and whether that is met (None: never will be)
    after: dict[int, tuple[str, bool | None]] = field(default_factory=dict)
    #: wait on even for what will never be
    keep: bool = False
    unique: str | None = None
    #: id and limit of its array
    array: tuple[int, int] | None = None
    #: what it takes of a host, one worker left out
    needs: dict[str, int] = field(default_factory=dict)
    schedule: str | None = None
    #: its environment, as it was asked for
    env: str = ""

    @property
    def key(self) -> tuple[int, int, int]:
        """What claims are handed out in the order of."""
        return (-self.priority, self.due, self.id)

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_free(self) -> bool:
        """Whether it waits for nothing but its time."""
        return self.state in WAITING and not self.token and not self.held and not self.unmet

    def end(self, state: str, now: int) -> None:
        self.state, self.token, self.cancel, self.finished = state, None, False, now

    def give_back(self, now: int, *, counted: bool) -> None:
        """A claim ends and nothing is held against the job, but perhaps the delivery."""
        self.attempts -= self.state == "processing"
        self.deliveries -= not counted
        if self.cancel:
            self.end("cancelled", now)
        else:
            self.end("failed" if self.attempts else "pending", now)

    def fail(self, now: int) -> None:
        """An attempt, counted already, went wrong."""
        if self.attempts > self.max_retries or self.is_worn_out:
            self.end("dead", now)
        else:
            self.end("failed", now)
            self.due = now + 1000 * min(2**self.attempts, 300)

    @property
    def unmet(self) -> int:
        return sum(met is not True for _, met in self.after.values())

    @property
    def is_worn_out(self) -> bool:
        return self.deliveries > self.max_retries + 3


@dataclass
class ModelQueue:
    paused: bool = False
    limit: int | None = None
    #: starts, and the ms in which there are no more of them
    rate: tuple[int, int] | None = None
    #: when its rate lets the next one be claimed
    open_at: int = 0
    #: gives only to who names it
    pull: bool = False
    #: so many deaths pause it
    halt_on: int = 10**9
    #: since it was resumed last
    deaths: int = 0


@dataclass
class Model:
    now: int
    jobs: dict[int, ModelJob] = field(default_factory=dict)
    queues: dict[str, ModelQueue] = field(default_factory=dict)
    schedules: dict[str, ModelSchedule] = field(default_factory=dict)

    def is_ready(self, job: ModelJob) -> bool:
        """Whether nothing in the job itself keeps it from being claimed."""
        return job.is_free and job.due <= self.now

    def next_due(self) -> int | None:
        """When something comes about by itself that a host would act on."""
        times = [one.next_at for one in self.schedules.values() if not one.paused]
        for job in self.jobs.values():
            queue = self.queues[job.queue]
            if self.is_ready(job):
                times += [queue.open_at] if queue.rate and not queue.paused else []
            elif job.is_free:
                times.append(job.due)
        return min((at for at in times if at > self.now), default=None)

    def holder(self, job_id: int, token: str) -> ModelJob | None:
        """The job, if the token is its current one."""
        job = self.jobs.get(job_id)
        return job if job and job.token == token else None

    def start(self, job: ModelJob) -> None:
        if job.state != "processing":
            job.state, job.attempts, job.runs = "processing", job.attempts + 1, job.runs + 1

    def settle(self, job: ModelJob, kind: str) -> None:
        if kind == "stopped" and (job.state != "processing" or not job.cancel):
            job.give_back(self.now, counted=False)
            return
        self.start(job)
        if kind == "exit 0":
            job.end("completed", self.now)
        elif job.cancel:
            job.end("cancelled", self.now)
        else:
            job.fail(self.now)
            self.mourn(job)

    def mourn(self, job: ModelJob) -> None:
        """A job that has died counts, and enough of them pause their queue."""
        if job.state == "dead":
            queue = self.queues[job.queue]
            queue.deaths += 1
            queue.paused |= queue.deaths >= queue.halt_on

    def pause(self, name: str, *, paused: bool) -> None:
        """A queue that is resumed counts its deaths anew."""
        queue = self.queues[name]
        queue.paused = paused
        queue.deaths *= paused

    def set_rate(self, name: str, rate: tuple[int, int] | None) -> None:
        """What the old rate keeps closed opens no later than the new one would."""
        queue = self.queues[name]
        queue.rate = rate
        queue.open_at = min(queue.open_at, self.now - -rate[1] // rate[0]) if rate else 0

    def lose(self, job: ModelJob) -> None:
        if job.state == "processing":
            self.settle(job, "lost")
        elif job.is_worn_out and not job.cancel:
            job.end("dead", self.now)
            self.mourn(job)
        else:
            job.give_back(self.now, counted=True)

    def cancel(self, job: ModelJob) -> bool:
        if job.state in FINAL:
            return False
        if job.token:
            job.cancel = True
        else:
            job.end("cancelled", self.now)
            job.deliveries *= bool(job.attempts)
        return True

    def retry(self, job: ModelJob) -> bool:
        if job.token or job.state == "pending":
            return False
        if job.state in FINAL:
            after = {
                on: (kind, met or self.fate(on, kind)) for on, (kind, met) in job.after.items()
            }
            is_hopeless = any(met is None for _, met in after.values()) and not job.keep
            if self.open_of(job.unique) or is_hopeless:
                return False
            job.state, job.attempts, job.deliveries, job.after = "pending", 0, 0, after
            for waiter in self.jobs.values():
                kind, met = waiter.after.get(job.id, ("", True))
                if met is None:
                    waiter.after[job.id] = (kind, False)
        job.due = self.now
        return True

    def move(self, ids: list[int], *, first: bool) -> list[bool]:
        """Each is put next to the best, or the last, of what is ready in its queue, or is due."""
        done: set[int] = set()
        #: ready at once, though perhaps a moment behind what has become due just now
        in_line: set[int] = set()
        for job_id in reversed(ids) if first else ids:
            job = self.jobs.get(job_id)
            if job is None or job.token or job.state not in WAITING:
                continue
            done.add(job_id)
            line = [
                other for other in self.jobs.values() if other.queue == job.queue
                and (other.id in in_line or self.is_ready(other))
            ]  # fmt: skip
            line.sort(key=lambda other: other.key)
            end = line[0 if first else -1] if line else None
            if end is None:
                job.due = min(job.due, self.now)
            elif end is not job:
                job.priority, job.due = end.priority, end.due + (-1 if first else 1)
            if job.is_free:
                in_line.add(job_id)
        return [job_id in done for job_id in ids]

    # ---- who waits for whom -------------------------------------------------------------------

    def open_of(self, unique: str | None) -> ModelJob | None:
        """The job of a unique key that is not final."""
        open_jobs = (job for job in self.jobs.values() if job.state not in FINAL)
        return next((job for job in open_jobs if unique and job.unique == unique), None)

    def fate(self, on: int, kind: str) -> bool | None:
        """Whether a dependency is met now; None: it never will be."""
        other = self.jobs.get(on)
        if other is None:
            return None
        if other.state not in FINAL:
            return False
        if kind == "ended" or other.state == {"completed": "completed", "failed": "dead"}[kind]:
            return True
        return None

    def decide(self) -> None:
        """Let what waits hear of all that has ended, till nothing changes."""
        changed = True
        while changed:
            changed = False
            for job in self.jobs.values():
                for on, (kind, met) in job.after.items():
                    fate = self.fate(on, kind) if met is False else met
                    if fate is met:
                        continue
                    changed = True
                    job.after[on] = (kind, fate)
                    if fate is None and not job.keep and job.state not in FINAL:
                        self.cancel(job)

    def waits_for(self, job_id: int, on: int) -> bool:
        """Whether one job waits for another, over others too."""
        todo, seen = [job_id], set()
        while todo:
            node = todo.pop()
            if node == on:
                return True
            if node not in seen:
                seen.add(node)
                job = self.jobs.get(node)
                after = job.after if job else {}
                todo += [other for other, (_, met) in after.items() if met is not True]
        return False
