"""Putting exported jobs back into a SQL store, under their ids and with their history."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.errors import IdTaken, NameTaken, Refused
from queuectl.store import rules
from queuectl.store.sql.adding import Adding
from queuectl.store.sql.queries import ATTEMPT_COLUMNS, JOB_COLUMNS
from queuectl.store.sql.sqlstore import pack_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.job import Job
    from queuectl.store.base import Saved

_COLUMNS = JOB_COLUMNS + ", lane, has_stdin"


class Restoring(Adding):
    """`restore`. One thread at a time."""

    def restore(self, jobs: Sequence[Saved]) -> None:
        """Put exported jobs back under their ids, all or none; queues they name are created.

        Other jobs that were restored before and wait for them hear of what had ended. Raises
        IdTaken, NameTaken, and Refused where another job has the unique key.
        """
        with self.transaction():
            now = self.now()
            for saved in jobs:
                self._restore(saved, now)
            for saved in jobs:
                for dependency in saved.after:
                    self.run("UPDATE job SET awaited = 1 WHERE id = ?", (dependency.on,))
                    if dependency.met is False:
                        self._decided(dependency.on)
                self._decided(saved.job.id)
            if jobs:
                self.used_ids(max(saved.job.id for saved in jobs))

    def _decided(self, job_id: int) -> None:
        """Let those that wait for a job go on if it has ended."""
        facts = self.facts(job_id)
        if facts is not None and facts.state in j.FINAL:
            self.follow(job_id, facts.state)

    def _restore(self, saved: Saved, now: int) -> None:
        job = _waiting(saved.job)
        if self.rows("SELECT 1 FROM job WHERE id = ?", (job.id,)):
            raise IdTaken(job=job.id)
        if not job.is_final:
            self._refuse_taken_by_others(job)
        self.create_queue(job.queue)
        unmet = sum(dependency.met is not True for dependency in saved.after)
        lane = rules.DONE
        if not job.is_final:
            lane = rules.lane_of(job.due_at, now, paused=bool(job.paused or unmet))
        limited = job.array_id if job.array_limit is not None else None
        track = self.track_of(job.queue, limited or 0, job.array_limit, pack_needs(job.needs))
        next_run_at = job.due_at if lane != rules.DONE and job.due_at > now else None
        row = (
            job.id, job.name, job.queue, job.state, self.to_column(job.command),
            rules.pack_words(job.args), int(job.shell), job.priority, job.max_retries,
            self.intern("policy", job.policy), self.to_column(job.cwd),
            self.intern("environment", job.env), job.submitter, int(job.paused), job.created_at,
            job.due_at, next_run_at, job.started_at, job.finished_at, job.attempts, job.deliveries,
            job.runs, job.reason, job.exit_code, 0, None, None,
            None if job.message is None else self.to_column(job.message), job.unique,
            job.array_id, job.array_index, job.schedule, unmet, track, lane,
            rules.kind_of_payload(saved.stdin, saved.stdin_path),
        )  # fmt: skip
        self._insert("job", _COLUMNS, [row])
        self.moved(job.queue, None, job.state)
        if lane == rules.READY:
            self.became_ready(track, job.priority, job.due_at, job.id)
        self.work_made = True
        self._restore_history(saved, now)

    def _restore_history(self, saved: Saved, now: int) -> None:
        job_id = saved.job.id
        if saved.stdin is not None or saved.stdin_path is not None:
            self.keep_payload(job_id, saved.stdin, saved.stdin_path)
        attempts = [
            attempt
            if attempt.finished_at is not None
            else attempt._replace(finished_at=now, kind=j.STOPPED, reason="stopped")
            for attempt in saved.attempts
        ]
        self._insert("attempt", ATTEMPT_COLUMNS, attempts)
        self._insert(
            "output", "job_id, run, data, marks, path, stdout_bytes, stderr_bytes, complete",
            [
                (job_id, run, output.data, output.marks,
                 None if output.path is None else os.fsencode(output.path),
                 output.stdout_bytes, output.stderr_bytes, int(output.complete))
                for run, output in saved.outputs
            ],
        )  # fmt: skip
        self._insert(
            "dependency", "job_id, on_id, kind, met",
            [
                (job_id, one.on, one.when, None if one.met is None else int(one.met))
                for one in saved.after
            ],
        )  # fmt: skip
        if self.rows("SELECT 1 FROM dependency WHERE on_id = ? LIMIT 1", (job_id,)):
            self.run("UPDATE job SET awaited = 1 WHERE id = ?", (job_id,))

    def _refuse_taken_by_others(self, job: Job) -> None:
        """Refuse a name or a unique key that a job that is not final has."""
        if job.name is not None and (taken := self.holder("name", job.name)) is not None:
            raise NameTaken(name=job.name, job=taken)
        if job.unique is not None and (taken := self.holder("unique_key", job.unique)) is not None:
            raise Refused(f"the unique key {job.unique!r} is taken by job {taken}")

    def _insert(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
        marks = ", ".join("?" * len(columns.split(",")))
        self.run_many(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def _waiting(job: Job) -> Job:
    """Return a job as it is restored: what was running waits, and that attempt is not counted."""
    if job.state != j.PROCESSING:
        return job
    attempts = max(0, job.attempts - 1)
    return job._replace(state=j.FAILED if attempts else j.PENDING, attempts=attempts)
