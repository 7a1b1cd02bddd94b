"""The reading half of the SQLite store. Any thread; only what has been committed."""

from __future__ import annotations

from queuectl.job import STATES, Output
from queuectl.store.base import PAGE, HostInfo, QueueInfo
from queuectl.store.queries import (
    ATTEMPT_COLUMNS,
    JOB_COLUMNS,
    answers_from_counters,
    attempt_from,
    count_of_jobs,
    fitting,
    job_from,
    page_of_jobs,
)
from queuectl.store.rules import unpack_words
from queuectl.store.sqlite_base import SQL, SqliteBase, from_any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from queuectl.job import Attempt, Job, State
    from queuectl.store.base import Filter


class SqliteReads(SqliteBase):
    """Answers questions about jobs, attempts, queues, settings and hosts."""

    def _job(self, row: Sequence[Any]) -> Job:
        return job_from(
            row,
            from_any,
            unpack_words,
            lambda key: self.pairs("policy", key),
            lambda key: self.pairs("environment", key),
        )

    def get(self, job_id: int) -> Job | None:
        """Return a job or None."""
        rows = self.rows(f"SELECT {JOB_COLUMNS} FROM job WHERE id = ?", (fitting(job_id),))
        return self._job(rows[0]) if rows else None

    def jobs(
        self, where: Filter, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[Job]:
        """Yield jobs by id, a page at a time."""
        after: int | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self.rows(*page_of_jobs(where, after, size, newest=newest))
            for row in page:
                yield self._job(row)
            if len(page) < size:
                return
            after = page[-1][0]
            if left is not None:
                left -= size

    def finished(self, limit: int) -> list[Job]:
        """Return the final jobs that finished last, newest first."""
        statement = (
            f"SELECT {JOB_COLUMNS} FROM job INDEXED BY job_done WHERE lane = 4"
            " ORDER BY finished_at DESC LIMIT ?"
        )
        return [self._job(row) for row in self.rows(statement, (limit,))]

    def count(self, where: Filter) -> int:
        """Return how many jobs match."""
        if answers_from_counters(where):
            return sum(
                jobs
                for queue, state, jobs in self.counter_rows()
                if (not where.states or state in where.states)
                and (not where.queues or queue in where.queues)
            )
        return int(self.rows(*count_of_jobs(where))[0][0])

    def id_of_name(self, name: str) -> int | None:
        """Return the id of the job of that name: the one not final, else the newest."""
        rows = self.rows(
            "SELECT id FROM job WHERE name = ? ORDER BY lane < 4 DESC, id DESC LIMIT 1", (name,)
        )
        return rows[0][0] if rows else None

    def attempts(self, job_id: int) -> list[Attempt]:
        """Return the attempts of a job, oldest first."""
        statement = f"SELECT {ATTEMPT_COLUMNS} FROM attempt WHERE job_id = ? ORDER BY run"
        return [attempt_from(row) for row in self.rows(statement, (fitting(job_id),))]

    def output(self, job_id: int, run: int) -> Output | None:
        """Return what an attempt wrote, or where."""
        rows = self.rows(
            "SELECT data, marks, path, stdout_bytes, stderr_bytes, complete"
            " FROM output WHERE job_id = ? AND run = ?",
            (fitting(job_id), fitting(run)),
        )
        if not rows:
            return None
        data, marks, path, stdout, stderr, complete = rows[0]
        return Output(
            data, marks, None if path is None else from_any(path), stdout, stderr, bool(complete)
        )

    def counts(self) -> dict[State, int]:
        """Return the number of jobs in every state."""
        found = dict.fromkeys(STATES, 0)
        for _, state, jobs in self.counter_rows():
            found[state] += jobs
        return found

    def next_due(self) -> int | None:
        """Return when the next waiting job becomes due."""
        rows = self.rows(SQL["next_due"])
        return rows[0][0] if rows else None

    def newest_id(self, submitter: str | None = None) -> int | None:
        """Return the id of the newest job, of one submitter if given."""
        if submitter is None:
            rows = self.rows("SELECT max(id) FROM job")
        else:
            rows = self.rows(
                "SELECT id FROM job WHERE submitter = ? ORDER BY id DESC LIMIT 1", (submitter,)
            )
        return rows[0][0] if rows else None

    def queues(self) -> list[QueueInfo]:
        """Return every queue, by name."""
        counts: dict[str, dict[State, int]] = {}
        for queue, state, jobs in self.counter_rows():
            counts.setdefault(queue, {})[state] = jobs
        return [
            QueueInfo(name, bool(paused), limit, counts.get(name, {}))
            for name, paused, limit in self.rows(
                "SELECT name, paused, job_limit FROM queue ORDER BY name"
            )
        ]

    def settings(self, queue: str | None = None) -> dict[str, str]:
        """Return the settings made for the store or one queue."""
        return dict(self.rows("SELECT name, value FROM setting WHERE queue = ?", (queue or "",)))

    def hosts(self) -> list[HostInfo]:
        """Return the registered hosts, oldest first."""
        rows = self.rows(
            "SELECT id, hostname, user, pid, version, workers, queues, started_at, seen_at,"
            " stop_requested, stop_workers FROM host ORDER BY started_at, id"
        )
        return [HostInfo._make((*row[:6], tuple(row[6].split()), *row[7:])) for row in rows]
