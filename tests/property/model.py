"""What a store does, without storing: the rules of the guarantees in a few lines.

Written from the rules and not from the code, so that a mistake would have to be made twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

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
class Model:
    now: int
    jobs: dict[int, ModelJob] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    #: so many deaths pause a queue
    halts: dict[str, int] = field(default_factory=dict)
    #: of each queue since it was resumed last
    deaths: Counter[str] = field(default_factory=Counter)

    def claimable(self, want: int, ahead: int, queues: tuple[str, ...]) -> list[ModelJob]:
        """The jobs that a claim takes now, in order."""
        running = [job.queue for job in self.jobs.values() if job.token]
        arrays = [job.array for job in self.jobs.values() if job.token]
        taken: list[ModelJob] = []
        for job in sorted(self.jobs.values(), key=lambda job: (-job.priority, job.due, job.id)):
            is_eligible = (
                job.state in WAITING and not job.token and not job.held and not job.unmet
                and job.due <= self.now
                and job.queue not in self.paused and (not queues or job.queue in queues)
            )  # fmt: skip
            if not is_eligible:
                continue
            limit = self.limits.get(job.queue)
            has_room = limit is None or running.count(job.queue) < limit
            if job.array is not None:
                has_room &= arrays.count(job.array) < job.array[1]
            is_limited = limit is not None or job.array is not None
            if is_limited and has_room and len(taken) >= want:
                # ahead only up to half of a limit: else it is for the next free worker, and nothing
                # overtakes it
                half = limit is None or running.count(job.queue) < limit // 2
                if job.array is not None:
                    half &= arrays.count(job.array) < job.array[1] // 2
                if not half:
                    break
            if has_room and len(taken) < want + ahead:
                taken.append(job)
                running.append(job.queue)
                arrays.append(job.array)
        return taken

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
            self.deaths[job.queue] += 1
            if self.deaths[job.queue] >= self.halts.get(job.queue, 10**9):
                self.paused.add(job.queue)

    def pause(self, queue: str, *, paused: bool) -> None:
        """A queue that is resumed counts its deaths anew."""
        if paused:
            self.paused.add(queue)
        else:
            self.paused.discard(queue)
            self.deaths[queue] = 0

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
