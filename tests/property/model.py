"""What a store does, without storing: the rules of the guarantees in a few lines.

Written from the rules and not from the code, so that a mistake would have to be made twice.
"""

from __future__ import annotations

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
    def is_worn_out(self) -> bool:
        return self.deliveries > self.max_retries + 3


@dataclass
class Model:
    now: int
    jobs: dict[int, ModelJob] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)

    def claimable(self, want: int, ahead: int, queues: tuple[str, ...]) -> list[ModelJob]:
        """The jobs that a claim takes now, in order."""
        running = [job.queue for job in self.jobs.values() if job.token]
        taken: list[ModelJob] = []
        for job in sorted(self.jobs.values(), key=lambda job: (-job.priority, job.due, job.id)):
            is_eligible = (
                job.state in WAITING and not job.token and not job.held and job.due <= self.now
                and job.queue not in self.paused and (not queues or job.queue in queues)
            )  # fmt: skip
            limit = self.limits.get(job.queue)
            has_room = limit is None or (len(taken) < want and running.count(job.queue) < limit)
            if is_eligible and has_room and len(taken) < want + ahead:
                taken.append(job)
                running.append(job.queue)
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

    def lose(self, job: ModelJob) -> None:
        if job.state == "processing":
            self.settle(job, "lost")
        elif job.is_worn_out and not job.cancel:
            job.end("dead", self.now)
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
        job.due = self.now
        if job.state in FINAL:
            job.state, job.attempts, job.deliveries = "pending", 0, 0
        return True
